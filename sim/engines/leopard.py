# SPDX-License-Identifier: Apache-2.0
"""Jobs of LeOPArd that look for trouble: a recipe of choices, drawn by a seed or by hypothesis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prunus.golden.leopard.compute import LeopardJob, LeopardResult, threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.digits import terminate
from prunus.golden.leopard.kind import LeopardStatus
from prunus.golden.leopard.planes import LeopardLayout

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

__all__ = ["BENCH", "SIZES", "THRESHOLDS", "Recipe", "build", "job_strategy", "random_jobs",
           "random_recipe"]

THRESHOLDS = ("share", "score", "above", "lowest", "highest", "zero")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Choices that make a job.

    Members
    -------
    l_q, l_kv, valid_q, valid_kv, d, causal, scale
        As of the job.
    patterns : (str, str, str)
        Of the codes of q, k and v, each one of PATTERNS.
    threshold : str
        One of THRESHOLDS: where ``share`` of the scores are pruned, at the score of a key or one
        above, at an end of its register, or 0.
    share : float
        Which of the scores that is.
    seed : int
        Of the codes.
    """

    l_q: int
    l_kv: int
    valid_q: int
    valid_kv: int
    d: int
    patterns: tuple[str, str, str] = ("normal",) * 3
    threshold: str = "share"
    share: float = 0.75
    scale: tuple[int, int] = (47274, 22)
    causal: bool = False
    seed: int = 0


def _threshold(recipe: Recipe, q, k, config: LeopardConfig) -> int:
    low, high = threshold_limits(config)
    if recipe.threshold in ("lowest", "highest", "zero"):
        return {"lowest": low, "highest": high, "zero": 0}[recipe.threshold]
    _, scores = terminate(q, k, low, width=config.width, digit=config.digit)
    score = int(np.sort(scores.ravel())[int(recipe.share * (scores.size - 1))])
    return score + (recipe.threshold == "above")


def build(recipe: Recipe, config: LeopardConfig) -> LeopardJob:
    """The job of a recipe, always the same."""
    rng = np.random.default_rng(recipe.seed)
    shapes = ((recipe.l_q, recipe.d), (recipe.l_kv, recipe.d), (recipe.l_kv, recipe.d))
    q, k, v = (codes(pattern, shape, config, rng).astype(np.int64)
               for pattern, shape in zip(recipe.patterns, shapes, strict=True))
    return LeopardJob(q=q, k=k, v=v, scale=recipe.scale, valid_q=recipe.valid_q,
                      valid_kv=recipe.valid_kv, causal=recipe.causal,
                      threshold=_threshold(recipe, q, k, config))


# Digits of every size, also where W is no multiple of them; chunks, and beats of several words;
# scores of 39 bits; wide addresses.
SIZES = tuple(LeopardConfig.model_validate({"name": f"leopard_{name}", "l_max": L_MAX, **fields})
              for name, fields in (
    ("w8_b1_n4", {"width": 8, "digit": 1, "dpus": 4, "d_max": 32, "axi_data_width": 128}),
    ("w8_b2_n2_a40", {"width": 8, "dpus": 2, "d_max": 16, "axi_address_width": 40}),
    ("w10_b3_n3", {"width": 10, "digit": 3, "dpus": 3, "d_max": 24}),
    ("w12_b4_n1", {"digit": 4, "dpus": 1, "d_max": 16, "axi_data_width": 512}),
    ("w12_b2_n6_d128", {"d_max": 128, "taps": 32, "axi_data_width": 128}),
    ("w12_b12_n1_base", {"digit": 12, "dpus": 1, "pruning": False, "d_max": 40, "taps": 24}),
    ("w16_b2_n2_d128", {"width": 16, "dpus": 2, "d_max": 128, "taps": 8})))


# -- by a seed ------------------------------------------------------------------------------------
def random_recipe(config: LeopardConfig, rng) -> Recipe:
    """A recipe from a numpy random generator."""
    l_q, l_kv = draw_length(config, rng), draw_length(config, rng)
    if rng.random() < 0.3:
        l_kv = l_q
    weights = np.array([6, 3, 1, 1, 1, 0.5, 0.5])
    q, k, v = (str(p) for p in rng.choice(PATTERNS, 3, p=weights / weights.sum()))
    return Recipe(
        l_q=l_q, l_kv=l_kv, valid_q=draw_valid(l_q, rng), valid_kv=draw_valid(l_kv, rng),
        d=8 * int(rng.integers(1, config.d_max // 8 + 1)),
        patterns=(q, k, v), scale=draw_scale(rng),
        threshold=str(rng.choice(THRESHOLDS, p=[0.5, 0.15, 0.15, 0.1, 0.05, 0.05])),
        share=float(rng.random()), causal=bool(rng.random() < 0.3),
        seed=int(rng.integers(1 << 32)))


def random_jobs(config: LeopardConfig, count: int, seed: int) -> list[LeopardJob]:
    """``count`` jobs, always the same for a seed; some share K and V with the one before."""
    return draw_table(lambda rng: build(random_recipe(config, rng), config), count, seed)


# -- by hypothesis --------------------------------------------------------------------------------
def job_strategy(config: LeopardConfig, l_max: int | None = None):
    """A hypothesis strategy of recipes with lengths up to ``l_max``; ``build`` makes the job."""
    from hypothesis import strategies as st  # needed by tests alone

    return st.builds(
        lambda shape, **choices: Recipe(**shape, **choices),
        shape_strategy(config, PATTERNS, 1e-6, l_max),
        threshold=st.sampled_from(THRESHOLDS), share=st.floats(0, 1))


# -- the bench ------------------------------------------------------------------------------------
class LeopardBench(EngineBench):
    """Checks of a coprocessor with LeOPArd."""

    preset = "leopard_tiny"

    def random_jobs(self, config: LeopardConfig, count: int, seed: int) -> list[LeopardJob]:
        return random_jobs(config, count, seed)

    def hard_jobs(self, config: LeopardConfig, seed: int) -> list[LeopardJob]:
        """Rows without survivors end every few cycles and crowd the merger; rows whose keys all
        survive crowd what comes behind it; between them units wait for each other."""
        most = config.l_max
        shapes = [(most, 2, "highest", 0.0), (6, most, "lowest", 0.0), (most, 3, "share", 0.5),
                  (8, most // 2, "share", 0.95), (most // 2, 5, "lowest", 0.0),
                  (most, 1, "zero", 0.0)]
        return [build(Recipe(
            l_q=l_q, l_kv=l_kv, valid_q=l_q, valid_kv=l_kv, d=8 if n % 2 else config.d_max,
            threshold=threshold, share=share, causal=n == 3, seed=seed + n), config)
            for n, (l_q, l_kv, threshold, share) in enumerate(shapes)]

    def sizes(self) -> list[LeopardConfig]:
        return list(SIZES)

    def work(self, job: LeopardJob, config: LeopardConfig) -> tuple[int, int]:
        pairs = max(job.l_q, 1) * max(job.l_kv, 1)
        return (8 * pairs * config.digits * config.chunks, LeopardLayout(config).read_bytes(job))

    def check_counters(self, registers: Mapping[str, int], jobs: Sequence[LeopardJob],
                       results: Sequence[LeopardResult], records: Sequence[LeopardStatus],
                       config: LeopardConfig) -> None:
        """Everything is counted exactly."""
        words = sum(-(-job.d // config.taps) * record.survivors
                    for job, record in zip(jobs, records, strict=True))
        expected = {
            "digits": sum(record.digits_total for record in records),
            "survivors": sum(record.survivors for record in records),
            "key_words": sum(record.key_words for record in records),
            "value_words": words,
        }
        for name, want in expected.items():
            if registers[name] != want:
                raise MismatchError(f"register {name} must be {want}, not {registers[name]}")


BENCH = LeopardBench()
