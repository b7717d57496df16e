# SPDX-License-Identifier: Apache-2.0
"""Jobs of Top-K that look for trouble: a recipe of choices, drawn by a seed or by hypothesis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prunus.golden.survivors import SurvivorLayout
from prunus.golden.topk.compute import TopkJob, TopkResult
from prunus.golden.topk.config import TopkConfig
from prunus.golden.topk.kind import TopkKind, TopkStatus

from .bench import EngineBench, MismatchError
from .recipes import (
    L_MAX,
    PATTERNS,
    codes,
    draw_length,
    draw_scale,
    draw_table,
    draw_valid,
    shape_strategy,
)

__all__ = ["BENCH", "SIZES", "Recipe", "build", "job_strategy", "random_jobs", "random_recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Choices that make a job.

    Members
    -------
    l_q, l_kv, valid_q, valid_kv, d, causal, scale
        As of the job.
    patterns : (str, str, str)
        Of the codes of q, k and v, each one of PATTERNS; some of them make equal scores.
    top_k : int
        Taken modulo ``k_max``, from 1 on.
    seed : int
        Of the codes.
    """

    l_q: int
    l_kv: int
    valid_q: int
    valid_kv: int
    d: int
    patterns: tuple[str, ...] = ("normal",) * 3
    top_k: int = 4
    scale: tuple[int, int] = (47274, 22)
    causal: bool = False
    seed: int = 0


def build(recipe: Recipe, config: TopkConfig) -> TopkJob:
    """The job of a recipe, always the same."""
    rng = np.random.default_rng(recipe.seed)
    shapes = ((recipe.l_q, recipe.d), (recipe.l_kv, recipe.d), (recipe.l_kv, recipe.d))
    q, k, v = (codes(pattern, shape, config, rng).astype(np.int64)
               for pattern, shape in zip(recipe.patterns, shapes, strict=True))
    return TopkJob(q=q, k=k, v=v, scale=recipe.scale, valid_q=recipe.valid_q,
                   valid_kv=recipe.valid_kv, causal=recipe.causal,
                   top_k=(recipe.top_k - 1) % config.k_max + 1)


# Scores of 39 bits; chunks; one place, and as many as keys; a wide bus; wide addresses.
SIZES = tuple(TopkConfig.model_validate({"name": f"topk_{name}", "l_max": L_MAX, **fields})
              for name, fields in (
    ("w8_k32_d32", {"d_max": 32, "axi_data_width": 128}),
    ("w8_k1_d24", {"d_max": 24, "k_max": 1}),
    ("w8_k4_a48", {"d_max": 16, "k_max": 4, "axi_address_width": 48}),
    ("w16_k8_d128", {"width": 16, "d_max": 128, "taps": 32, "k_max": 8}),
    ("w4_k16_d40", {"width": 4, "d_max": 40, "taps": 16, "k_max": 16, "axi_data_width": 512})))


# -- by a seed ------------------------------------------------------------------------------------
def random_recipe(config: TopkConfig, rng) -> Recipe:
    """A recipe from a numpy random generator."""
    l_q, l_kv = draw_length(config, rng), draw_length(config, rng)
    if rng.random() < 0.3:
        l_kv = l_q
    weights = np.array([5, 3, 2, 1, 2, 0.5, 0.5])
    patterns = rng.choice(PATTERNS, 3, p=weights / weights.sum())
    ends = (1, 2, config.k_max)
    return Recipe(
        l_q=l_q, l_kv=l_kv, valid_q=draw_valid(l_q, rng), valid_kv=draw_valid(l_kv, rng),
        d=8 * int(rng.integers(1, config.d_max // 8 + 1)),
        patterns=tuple(str(p) for p in patterns), scale=draw_scale(rng),
        top_k=int(rng.choice(ends) if rng.random() < 0.4 else rng.integers(1, config.k_max + 1)),
        causal=bool(rng.random() < 0.3), seed=int(rng.integers(1 << 32)))


def random_jobs(config: TopkConfig, count: int, seed: int) -> list[TopkJob]:
    """``count`` jobs, always the same for a seed; some share K and V with the one before."""
    return draw_table(lambda rng: build(random_recipe(config, rng), config), count, seed)


# -- by hypothesis --------------------------------------------------------------------------------
def job_strategy(config: TopkConfig, l_max: int | None = None):
    """A hypothesis strategy of recipes with lengths up to ``l_max``; ``build`` makes the job."""
    from hypothesis import strategies as st  # needed by tests alone

    return st.builds(lambda shape, top_k: Recipe(**shape, top_k=top_k),
                     shape_strategy(config, PATTERNS, 1e-6, l_max),
                     top_k=st.integers(1, config.k_max))


# -- the bench ------------------------------------------------------------------------------------
class TopkBench(EngineBench):
    """Checks of a coprocessor with Top-K."""

    preset = "topk_tiny"

    def random_jobs(self, config: TopkConfig, count: int, seed: int) -> list[TopkJob]:
        return random_jobs(config, count, seed)

    def sizes(self) -> list[TopkConfig]:
        return list(SIZES)

    def work(self, job: TopkJob, config: TopkConfig) -> tuple[int, int]:
        pairs = max(job.l_q, 1) * max(job.l_kv, 1)
        layout: SurvivorLayout = TopkKind().layout(config)
        return 8 * pairs * config.chunks, layout.read_bytes(job)

    def check_counters(self, registers: Mapping[str, int], jobs: Sequence[TopkJob],
                       results: Sequence[TopkResult], records: Sequence[TopkStatus],
                       config: TopkConfig) -> None:
        """Everything is counted exactly."""
        expected = {
            "survivors": sum(record.survivors for record in records),
            "keys": sum(result.keys for result in results),
            "value_words": sum(-(-job.d // config.taps) * record.survivors
                               for job, record in zip(jobs, records, strict=True)),
        }
        for name, want in expected.items():
            if registers[name] != want:
                raise MismatchError(f"register {name} must be {want}, not {registers[name]}")


BENCH = TopkBench()
