# SPDX-License-Identifier: Apache-2.0
"""Jobs that look for trouble: a recipe of choices, drawn by a seed or by hypothesis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.engine import EngineConfig
from golden.hdp.compute import HdpJob, head
from golden.hdp.config import HdpConfig
from golden.softmax import encode_scale

__all__ = ["PATTERNS", "RHOS", "SCALES", "TAUS", "Recipe", "build", "draw_length", "draw_scale",
           "draw_table", "draw_valid", "grouped", "job_strategy", "random_jobs", "random_recipe",
           "shape_strategy"]

PATTERNS = ("normal", "uniform", "extreme", "fraction", "equal", "spikes", "minimum", "zero")
TAUS = ("zero", "equal", "above", "below", "largest")
RHOS = (0, 25, -25, 64, -64, 127, -127, 1, -1)
SCALES = ((0, 63), (1, 63), (65535, 63), (65535, 12), (32768, 12), (1, 12))
TAU_MAX = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Choices that make a job.

    Members
    -------
    l_q, l_kv, valid_q, valid_kv, d, rho, causal, drop, exact, dense, scale
        As of the job.
    patterns : (str, str, str)
        Of the codes of q, k and v, each one of PATTERNS.
    tau : str
        One of TAUS: tau_head is 0, theta_head, one more, half of it, or the largest.
    seed : int
        Of the codes.
    """

    l_q: int
    l_kv: int
    valid_q: int
    valid_kv: int
    d: int
    patterns: tuple[str, str, str] = ("normal",) * 3
    rho: int = 0
    scale: tuple[int, int] = (47274, 22)
    tau: str = "zero"
    causal: bool = False
    drop: bool = False
    exact: bool = False
    dense: bool = False
    seed: int = 0


def _codes(pattern: str, shape: tuple[int, int], config: HdpConfig, rng) -> np.ndarray:
    """Codes of a pattern."""
    low, high = config.format.min_code, config.format.max_code
    one = 1 << config.frac
    match pattern:
        case "normal":
            return config.format.quantise(rng.normal(0, 1.3 * one, shape), 1.0)
        case "uniform":
            return rng.integers(low, high + 1, shape)
        case "extreme":
            return rng.choice([low, high, 0, -high, one, -one], shape)
        case "fraction":
            return rng.integers(-one + 1, one, shape)
        case "equal":
            return np.repeat(rng.integers(low, high + 1, (1, shape[1])), shape[0], axis=0)
        case "spikes":
            return np.where(rng.random(shape) < 0.05, rng.integers(low, high + 1, shape), 0)
        case "minimum":
            return np.full(shape, low)
        case "zero":
            return np.zeros(shape, np.int64)
    raise ValueError(f"pattern must be one of {', '.join(PATTERNS)}, not {pattern!r}")


def build(recipe: Recipe, config: HdpConfig) -> HdpJob:
    """The job of a recipe, always the same."""
    rng = np.random.default_rng(recipe.seed)
    shapes = ((recipe.l_q, recipe.d), (recipe.l_kv, recipe.d), (recipe.l_kv, recipe.d))
    q, k, v = (_codes(pattern, shape, config, rng).astype(np.int64)
               for pattern, shape in zip(recipe.patterns, shapes, strict=True))
    job = HdpJob(q=q, k=k, v=v, scale=recipe.scale, valid_q=recipe.valid_q,
                 valid_kv=recipe.valid_kv,
              causal=recipe.causal, rho=recipe.rho, drop=recipe.drop, exact=recipe.exact,
              dense=recipe.dense)
    if recipe.tau == "zero":
        return job
    theta = head(job, config).theta_head
    tau = {"equal": theta, "above": theta + 1, "below": theta // 2, "largest": TAU_MAX}[recipe.tau]
    return replace(job, tau_head=min(tau, TAU_MAX))


# -- by a seed ------------------------------------------------------------------------------------
def draw_length(config: HdpConfig, rng) -> int:
    """Mostly short, now and then up to l_max, the ends on purpose."""
    kind = rng.random()
    if kind < 0.12:
        return int(rng.integers(1, 3))
    if kind < 0.96:
        return int(rng.integers(1, min(40, config.l_max) + 1))
    return int(rng.choice([config.l_max, config.l_max - 1, rng.integers(1, config.l_max + 1)]))


def draw_valid(length: int, rng) -> int:
    kind = rng.random()
    if kind < 0.6:
        return length
    return 0 if kind < 0.66 else int(rng.integers(0, length + 1))


def draw_scale(rng) -> tuple[int, int]:
    kind = rng.random()
    if kind < 0.6:
        return encode_scale(float(10 ** rng.uniform(-4, -2)))
    if kind < 0.85:
        return encode_scale(float(10 ** rng.uniform(-9, 3)))
    return SCALES[rng.integers(len(SCALES))]


def random_recipe(config: HdpConfig, rng) -> Recipe:
    """A recipe from a numpy random generator."""
    l_q, l_kv = draw_length(config, rng), draw_length(config, rng)
    if rng.random() < 0.3:
        l_kv = l_q
    weights = np.array([6, 3, 1, 1, 1, 1, 0.5, 0.5])
    patterns = rng.choice(PATTERNS, 3, p=weights / weights.sum())
    return Recipe(
        l_q=l_q, l_kv=l_kv, valid_q=draw_valid(l_q, rng), valid_kv=draw_valid(l_kv, rng),
        d=8 * int(rng.integers(1, config.d_max // 8 + 1)),
        patterns=tuple(str(p) for p in patterns),
        rho=int(rng.choice(RHOS) if rng.random() < 0.6 else rng.integers(-127, 128)),
        scale=draw_scale(rng), tau=str(rng.choice(TAUS, p=[0.5, 0.25, 0.1, 0.1, 0.05])),
        causal=bool(rng.random() < 0.3), drop=bool(rng.random() < 0.3),
        exact=bool(rng.random() < 0.2), dense=bool(rng.random() < 0.12),
        seed=int(rng.integers(1 << 32)))


def grouped(job: HdpJob, before: HdpJob, rng) -> HdpJob:
    """The job with the K and V of the one before, often with its lengths and mask."""
    l_q = before.q.shape[0] if rng.random() < 0.5 else job.q.shape[0]
    valid_q = before.valid_q if l_q == before.q.shape[0] else min(job.valid_q, l_q)
    return replace(job, q=np.resize(job.q, (l_q, before.d)), k=before.k, v=before.v, same_kv=True,
                   valid_q=valid_q, causal=before.causal if rng.random() < 0.8 else job.causal,
                   valid_kv=before.valid_kv if rng.random() < 0.5 else draw_valid(before.l_kv, rng))


def draw_table(draw: Callable, count: int, seed: int) -> list:
    """``count`` jobs that ``draw`` makes of a generator; some share K and V with the one before."""
    rng = np.random.default_rng(seed)
    jobs: list = []
    while len(jobs) < count:
        job = draw(rng)
        jobs.append(grouped(job, jobs[-1], rng) if jobs and rng.random() < 0.25 else job)
    return jobs


def random_jobs(config: HdpConfig, count: int, seed: int) -> list[HdpJob]:
    """``count`` jobs, always the same for a seed; some share K and V with the one before."""
    return draw_table(lambda rng: build(random_recipe(config, rng), config), count, seed)


# -- by hypothesis --------------------------------------------------------------------------------
def shape_strategy(config: EngineConfig, patterns: Sequence[str], least_scale: float,
                   l_max: int | None = None):
    """A hypothesis strategy of what recipes of all engines have in common, as a dict."""
    from hypothesis import strategies as st  # needed by tests alone

    length = st.integers(1, min(l_max or config.l_max, config.l_max))
    scale = st.one_of(
        st.sampled_from(SCALES), st.tuples(st.integers(0, 65535), st.integers(12, 63)),
        st.floats(least_scale, 1e-2).map(encode_scale))

    @st.composite
    def shapes(draw) -> dict:
        l_q, l_kv = draw(length), draw(length)
        return {
            "l_q": l_q, "l_kv": l_kv, "valid_q": l_q - draw(st.integers(0, l_q)),
            "valid_kv": l_kv - draw(st.integers(0, l_kv)),
            "d": 8 * draw(st.integers(1, config.d_max // 8)),
            "patterns": tuple(draw(st.sampled_from(patterns)) for _ in range(3)),
            "scale": draw(scale), "causal": draw(st.booleans()),
            "seed": draw(st.integers(0, (1 << 32) - 1))}

    return shapes()


def job_strategy(config: HdpConfig, l_max: int | None = None):
    """A hypothesis strategy of recipes with lengths up to ``l_max``; ``build`` makes the job."""
    from hypothesis import strategies as st  # needed by tests alone

    return st.builds(
        lambda shape, **choices: Recipe(**shape, **choices),
        shape_strategy(config, PATTERNS, 1e-4, l_max),
        rho=st.integers(-127, 127), tau=st.sampled_from(TAUS), drop=st.booleans(),
        exact=st.booleans(), dense=st.booleans())
