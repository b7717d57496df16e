# SPDX-License-Identifier: Apache-2.0
"""Random jobs of whichever engine."""

from collections.abc import Sequence

from golden.engine import EngineConfig
from golden.jobs import AttentionJob

from . import hdp as jobs
from . import leopard as leopard_jobs

__all__ = ["random_jobs"]


def random_jobs(config: EngineConfig, count: int, seed: int) -> Sequence[AttentionJob]:
    """``count`` jobs, always the same for a seed."""
    engine = {"hdp": jobs, "leopard": leopard_jobs}[config.engine]
    return engine.random_jobs(config, count, seed)
