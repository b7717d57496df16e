# SPDX-License-Identifier: Apache-2.0
"""What jobs that look for trouble have in common: lengths, scales, codes, shared keys."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.jobs import AttentionJob
from prunus.golden.softmax import SCALE_MAX, encode_scale

__all__ = ["L_MAX", "PATTERNS", "SCALES", "codes", "draw_length", "draw_scale", "draw_table",
           "draw_valid", "grouped", "shape_strategy"]

JobT = TypeVar("JobT", bound=AttentionJob)

L_MAX = 32         # of sizes, so that simulators are small
PATTERNS = ("normal", "uniform", "extreme", "equal", "spikes", "minimum", "zero")
SCALES = ((0, 63), (1, 63), (65535, 63), (65535, 12), (32768, 12), (1, 12))


def codes(pattern: str, shape: tuple[int, int], config: EngineConfig, rng) -> np.ndarray:
    """Codes of a pattern, one of PATTERNS, that fill the width."""
    low, high = config.min_code, config.max_code
    match pattern:
        case "normal":
            drawn = np.rint(rng.normal(0, high / 3, shape)).astype(np.int64)
            return np.clip(drawn, low, high)
        case "uniform":
            return rng.integers(low, high + 1, shape)
        case "extreme":
            return rng.choice([low, high, 0, -high, 1, -1], shape)
        case "equal":
            return np.repeat(rng.integers(low, high + 1, (1, shape[1])), shape[0], axis=0)
        case "spikes":
            return np.where(rng.random(shape) < 0.05, rng.integers(low, high + 1, shape), 0)
        case "minimum":
            return np.full(shape, low)
        case "zero":
            return np.zeros(shape, np.int64)
    raise ValueError(f"pattern must be one of {', '.join(PATTERNS)}, not {pattern!r}")


def draw_length(config: EngineConfig, rng) -> int:
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
        return encode_scale(min(float(10 ** rng.uniform(-9, 3)), SCALE_MAX))
    return SCALES[rng.integers(len(SCALES))]


def grouped(job: JobT, before: JobT, rng) -> JobT:
    """The job with the K and V of the one before, often with its lengths and mask."""
    l_q = before.q.shape[0] if rng.random() < 0.5 else job.q.shape[0]
    valid_q = before.valid_q if l_q == before.q.shape[0] else min(job.valid_q, l_q)
    return replace(job, q=np.resize(job.q, (l_q, before.d)), k=before.k, v=before.v, same_kv=True,
                   valid_q=valid_q, causal=before.causal if rng.random() < 0.8 else job.causal,
                   valid_kv=before.valid_kv if rng.random() < 0.5 else draw_valid(before.l_kv, rng))


def draw_table(draw: Callable[[np.random.Generator], JobT], count: int, seed: int) -> list[JobT]:
    """``count`` jobs that ``draw`` makes of a generator; some share K and V with the one before."""
    rng = np.random.default_rng(seed)
    jobs: list[JobT] = []
    while len(jobs) < count:
        job = draw(rng)
        jobs.append(grouped(job, jobs[-1], rng) if jobs and rng.random() < 0.25 else job)
    return jobs


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
