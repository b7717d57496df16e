# SPDX-License-Identifier: Apache-2.0
"""Jobs that look for trouble: a recipe of choices, drawn by a seed or by hypothesis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from prunus.golden.hdp import occupancy
from prunus.golden.hdp.bounds import Work
from prunus.golden.hdp.compute import DELTA_MAX, HdpJob, Importance, head
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpStatus
from prunus.golden.hdp.linear import LinearJob, LinearKind
from prunus.golden.hdp.linear.cost import linear_bound, product_cost, product_of
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.image import build_image, described

from .bench import EngineBench, MismatchError
from .hdp_linear import hard_linear, linear_table, plain_job, wrong_fields
from .hdp_sizes import sizes
from .recipes import draw_length, draw_scale, draw_table, draw_valid, shape_strategy

__all__ = ["BENCH", "PATTERNS", "RHOS", "TAUS", "Recipe", "build", "job_strategy", "mixed_jobs",
           "random_jobs", "random_recipe"]

PATTERNS = ("normal", "uniform", "extreme", "fraction", "equal", "spikes", "minimum", "zero")
TAUS = ("zero", "equal", "above", "below", "largest")
RHOS = (0, 25, -25, 64, -64, 127, -127, 1, -1)
TAU_MAX = 0xFFFFFFFF
HEADS = 0.3             # share of heads in a mixed table, about
ROW_CYCLES = 32         # of the array that a row of a head is worth, about


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Choices that make a job.

    Members
    -------
    l_q, l_kv, valid_q, valid_kv, d, importance, rho, delta, causal, drop, exact, dense, scale
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
    importance: Importance = Importance.MAGNITUDE
    rho: int = 0
    delta: int = 0
    scale: tuple[int, int] = (47274, 22)
    tau: str = "zero"
    causal: bool = False
    drop: bool = False
    exact: bool = False
    dense: bool = False
    seed: int = 0


def _codes(operand: str, pattern: str, shape: tuple[int, int], config: HdpConfig,
           rng) -> np.ndarray:
    """Codes of an operand, of a pattern."""
    codes = config.codes_of(operand)
    low, high = codes.min_code, codes.max_code
    one = 1 << config.frac
    match pattern:
        case "normal":
            return codes.quantise(rng.normal(0, 1.3 * one, shape), 1.0)
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
    q, k, v = (_codes(operand, pattern, shape, config, rng).astype(np.int64)
               for operand, pattern, shape in zip("qkv", recipe.patterns, shapes, strict=True))
    job = HdpJob(q=q, k=k, v=v, scale=recipe.scale, valid_q=recipe.valid_q,
                 valid_kv=recipe.valid_kv,
                 causal=recipe.causal, importance=recipe.importance, rho=recipe.rho,
                 delta=recipe.delta, drop=recipe.drop, exact=recipe.exact, dense=recipe.dense)
    if recipe.tau == "zero":
        return job
    theta = head(job, config).theta_head
    tau = {"equal": theta, "above": theta + 1, "below": theta // 2, "largest": TAU_MAX}[recipe.tau]
    return replace(job, tau_head=min(tau, TAU_MAX))


# -- by a seed ------------------------------------------------------------------------------------
def random_recipe(config: HdpConfig, rng) -> Recipe:
    """A recipe from a numpy random generator."""
    l_q, l_kv = draw_length(config, rng), draw_length(config, rng)
    if rng.random() < 0.3:
        l_kv = l_q
    weights = np.array([6, 3, 1, 1, 1, 1, 0.5, 0.5])
    q, k, v = (str(p) for p in rng.choice(PATTERNS, 3, p=weights / weights.sum()))
    return Recipe(
        l_q=l_q, l_kv=l_kv, valid_q=draw_valid(l_q, rng), valid_kv=draw_valid(l_kv, rng),
        d=8 * int(rng.integers(1, config.d_max // 8 + 1)),
        patterns=(q, k, v),
        importance=Importance.DISTANCE if rng.random() < 0.5 else Importance.MAGNITUDE,
        rho=int(rng.choice(RHOS) if rng.random() < 0.6 else rng.integers(-127, 128)),
        delta=_draw_delta(config, rng),
        scale=draw_scale(rng), tau=str(rng.choice(TAUS, p=[0.5, 0.25, 0.1, 0.1, 0.05])),
        causal=bool(rng.random() < 0.3), drop=bool(rng.random() < 0.3),
        exact=bool(rng.random() < 0.2), dense=bool(rng.random() < 0.12),
        seed=int(rng.integers(1 << 32)))


def _draw_delta(config: HdpConfig, rng) -> int:
    """Of any size up to the largest difference of two integer scores, the ends on purpose."""
    kind = rng.random()
    if kind < 0.2:
        return int(rng.choice([0, 1, DELTA_MAX]))
    return int(2 ** rng.uniform(0, config.int_score_width))


def random_jobs(config: HdpConfig, count: int, seed: int) -> list[HdpJob]:
    """``count`` jobs, always the same for a seed; some share K and V with the one before."""
    return draw_table(lambda rng: build(random_recipe(config, rng), config), count, seed)


def mixed_jobs(config: HdpConfig, count: int, seed: int) -> list[HdpJob | LinearJob]:
    """A few heads, some of which share K and V, then a chain of linear jobs or a few, and so on."""
    rng = np.random.default_rng(seed)
    jobs: list[HdpJob | LinearJob] = []
    while len(jobs) < count:
        if rng.random() < HEADS:
            jobs += random_jobs(config, int(rng.integers(1, 4)), int(rng.integers(1 << 30)))
        else:
            jobs += linear_table(config, rng)
    return jobs[:count]


# -- by hypothesis --------------------------------------------------------------------------------
def job_strategy(config: HdpConfig, l_max: int | None = None):
    """A hypothesis strategy of recipes with lengths up to ``l_max``; ``build`` makes the job."""
    from hypothesis import strategies as st  # needed by tests alone

    return st.builds(
        lambda shape, **choices: Recipe(**shape, **choices),
        shape_strategy(config, PATTERNS, 1e-4, l_max),
        importance=st.sampled_from(Importance), rho=st.integers(-127, 127),
        delta=st.one_of(st.integers(0, 1 << config.int_score_width), st.just(DELTA_MAX)),
        tau=st.sampled_from(TAUS), drop=st.booleans(),
        exact=st.booleans(), dense=st.booleans())


# -- the bench ------------------------------------------------------------------------------------
class HdpBench(EngineBench):
    """Checks of a coprocessor with HDP."""

    preset = "hdp_tiny"

    def random_jobs(self, config: HdpConfig, count: int,
                    seed: int) -> Sequence[HdpJob | LinearJob]:
        return (mixed_jobs if config.linear else random_jobs)(config, count, seed)

    def size(self, job: HdpJob | LinearJob, config: HdpConfig) -> int:
        if isinstance(job, LinearJob):
            return product_of(job).array_cycles(config) // ROW_CYCLES
        return super().size(job, config)

    def wrong_jobs(self, config: HdpConfig,
                   seed: int) -> Iterator[tuple[LinearJob, list[dict[str, int]]]]:
        if config.linear:
            job, kind = plain_job(np.random.default_rng(seed), 16, 32, 32), LinearKind()
            values = described(build_image([job], config), 0, kind, config)
            yield job, list(wrong_fields(values, config))

    def hard_jobs(self, config: HdpConfig, seed: int) -> Sequence[HdpJob | LinearJob]:
        """Full heads of one K and V whose last rows are masked while the next one's scores come,
        by the other importance; one at the threshold of heads, one of a row. Then linear jobs."""
        length = config.l_max
        jobs = [build(Recipe(l_q=length, l_kv=length, valid_q=length, valid_kv=length, d=8,
                             importance=kind, rho=25, delta=2 + n, seed=seed + n, causal=n == 1),
                      config) for n in range(2) for kind in Importance]
        jobs = [replace(job, k=jobs[0].k, v=jobs[0].v, same_kv=n > 0)
                for n, job in enumerate(jobs)]
        more = [build(Recipe(l_q=l_q, l_kv=9, valid_q=l_q, valid_kv=8, d=config.d_max, rho=-25,
                             tau=tau, drop=tau == "above", exact=l_q == 1, seed=seed + l_q),
                      config) for l_q, tau in ((7, "equal"), (6, "above"), (1, "zero"))]
        return [*jobs, *more, *(hard_linear(config, seed) if config.linear else ())]

    def sizes(self) -> list[HdpConfig]:
        return sizes()

    def work(self, job: HdpJob | LinearJob, config: HdpConfig) -> tuple[int, int]:
        if isinstance(job, LinearJob):
            product = product_of(job)
            return (4 * product_cost(product, config).cycles + 8 * product.write_bytes(),
                    product.read_bytes(config))
        pairs = max(job.l_q, 1) * max(job.l_kv, 1)
        return (8 * pairs * max(job.d, 8) // config.multipliers,
                HdpLayout(config).read_bytes(job, True))

    def check_counters(self, registers: Mapping[str, int], jobs: Sequence[HdpJob | LinearJob],
                       results: Sequence[Any], records: Sequence[HdpStatus],
                       config: HdpConfig) -> None:
        """Slots and idle cycles add up to all cycles, and are enough for the work."""
        names = occupancy(config)
        occupied = sum(registers[name] for name in names)
        array_cycles = config.cores * registers["cycles"]
        if occupied != array_cycles:
            raise MismatchError(f"registers {', '.join(names)} must add up to cycles of all "
                                f"cores, {array_cycles}, not {occupied}")
        work = [Work.of(job, result, config) for job, result in zip(jobs, results, strict=True)
                if not isinstance(job, LinearJob)]
        linear = linear_bound([job for job in jobs if isinstance(job, LinearJob)], config)
        least = {
            "integer_slots": sum(w.integer for w in work) / 4,
            "score_slots": sum(w.fraction / 2 + w.full for w in work)
            + config.multipliers * linear,
            "value_slots": sum(w.value for w in work),
        }
        for name, products in least.items():
            needed = products / config.multipliers
            if registers[name] < needed:
                raise MismatchError(f"register {name} is {registers[name]}, but the work needs at "
                                    f"least {needed:g}")


BENCH = HdpBench()
