# SPDX-License-Identifier: Apache-2.0
"""The registry of benches: random jobs and checks of which engine."""

from collections.abc import Sequence

from prunus.golden.engine import EngineConfig
from prunus.golden.jobs import Job

from . import hdp, leopard, topk
from .bench import EngineBench

__all__ = ["BENCHES", "bench_of", "random_jobs", "small_jobs"]

BENCHES: dict[str, EngineBench] = {
    "hdp": hdp.BENCH, "leopard": leopard.BENCH, "topk": topk.BENCH}


def bench_of(config: EngineConfig) -> EngineBench:
    """Of a configuration's engine."""
    return BENCHES[config.engine]


def random_jobs(config: EngineConfig, count: int, seed: int) -> Sequence[Job]:
    """``count`` jobs that look for trouble, always the same for a seed."""
    return bench_of(config).random_jobs(config, count, seed)


def small_jobs(config: EngineConfig, drawn: int, seed: int) -> list[Job]:
    """As many random jobs that share nothing, those of the least work first."""
    jobs = random_jobs(config, drawn, seed)
    bench = bench_of(config)
    return [job.alone() for job in sorted(jobs, key=lambda job: bench.size(job, config))]
