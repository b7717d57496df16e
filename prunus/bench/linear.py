# SPDX-License-Identifier: Apache-2.0
"""Linear layers of a bench of HDP: alone, in low rank, and in chains with and without what is held.

The sizes are those of a layer with hidden dimension D and 4 D: 384 as in MiniLM, 64 where the
buffers hold no longer rows.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from prunus.golden.engines import engine_of
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear import Cost, LinearJob, Sizes, chain_cost, encode_requant, linear
from prunus.golden.hdp.linear.cost import linear_bound, product_of

from .columns import Column, plain, ratio

if TYPE_CHECKING:
    from prunus.sim.simulate import Simulation  # not there without a simulator's packages

__all__ = ["ROWS", "LinearCase", "brief", "columns", "figures", "is_linear", "made"]

ROWS = 128, 25              # a long input, and the mean sentence
HIDDEN, SMALL = 384, 64     # dimensions
RANK = {HIDDEN: 40, SMALL: 8}
SVD, CORE = 48, 16          # dimensions of what is held; of a core of a tensor train
GROUPS = 32                 # dimensions of a group
SPREAD = {8: 32.0, 4: 2.5}  # standard deviation of codes, about that of real layers
OUTPUTS = 40.0              # of those that come out


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearCase:
    """Linear jobs for one doorbell.

    Members
    -------
    name : str
        ``group/...``.
    jobs : list of LinearJob
    """

    name: str
    jobs: list[LinearJob]

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


def codes(rng: np.random.Generator, shape: tuple[int, int], bits: int = 8) -> np.ndarray:
    """Normally distributed."""
    low = -1 << bits - 1
    return np.clip(np.rint(rng.normal(0, SPREAD[bits], shape)), low, -low - 1).astype(np.int64)


def layer(rng: np.random.Generator, x: np.ndarray, n: int, bits: int = 8, *, groups: int = 1,
          **fields: Any) -> LinearJob:
    """A job of these inputs whose outputs fill their range about as real ones do."""
    k = x.shape[1] // groups
    spread = SPREAD[bits] * float(x.std()) * k**0.5
    multiplier, shift = encode_requant(np.full(n, OUTPUTS / spread))
    bias = np.rint(rng.normal(0, spread / 8, n)).astype(np.int64)
    return LinearJob(x=x, w=codes(rng, (n, k), bits), bias=bias, multiplier=multiplier,
                     shift=shift, bits=bits, groups=groups, **fields)


def chained(rng: np.random.Generator, x: np.ndarray, steps: Sequence[dict[str, Any]],
            fused: bool = True) -> list[LinearJob]:
    """Steps one behind the other; what lies between them is held, or written and read again."""
    jobs: list[LinearJob] = []
    for number, fields in enumerate(steps):
        last = number == len(steps) - 1
        jobs.append(layer(rng, x, **fields, held=fused and number > 0,
                          fence=not fused and number > 0,
                          target="codes" if last or not fused else "held"))
        x = linear(jobs[-1]).y
    return jobs


def _chains(d: int, rows: int) -> dict[str, tuple[tuple[int, int], list[dict[str, Any]]]]:
    """By name: the shape of X, and steps."""
    core = d // CORE
    return {
        "svd": ((rows, d), [{"n": SVD}, {"n": d}]),
        # X as (rows * D / 16, 16); D / 16 rows side by side; 16 channels of each row below another.
        "tt": ((rows * core, CORE), [
            {"n": CORE, "inner": core, "run": CORE},
            {"n": 4 * CORE, "arrangement": "split", "run": CORE}, {"n": d // 4}]),
        "grouped": ((rows, d), [{"n": d, "groups": d // GROUPS}] * 2),
    }


def made(config: HdpConfig, quick: bool) -> dict[str, Callable[[], LinearCase] | str]:
    """Cases by name; a text in place of a case says why there is none."""
    if not config.linear:
        return {}
    d = HIDDEN if Sizes(config).longest_k >= 4 * HIDDEN else SMALL
    found: dict[str, Callable[[], LinearCase] | str] = {}

    def add(name: str, jobs: Callable[[np.random.Generator], list[LinearJob]]) -> None:
        def case() -> LinearCase:
            return LinearCase(name=name, jobs=jobs(np.random.default_rng(zlib.crc32(
                name.removesuffix("/unfused").encode()))))

        found[name] = case

    def single(name: str, m: int, k: int, n: int, bits: int, **fields: Any) -> None:
        add(f"linear/m{m}/k{k}/n{n}/{name}",
            lambda rng: [layer(rng, codes(rng, (m, k)), n, bits, **fields)])

    shapes = [(d, d)] if quick else [(d, d), (d, 4 * d), (4 * d, d)]
    for m in ROWS[1:] if quick else ROWS:
        for k, n in shapes:
            for bits in (8, 4):
                single(f"int{bits}", m, k, n, bits)
    few, rank = ROWS[1], RANK[d]
    for bits in (8, 4):
        for k, n in ((d, rank), (rank, d if quick else 4 * d)):
            single(f"int{bits}", few, k, n, bits)
    single("wide", few, d, d, 4, target="wide")
    for name, (shape, steps) in _chains(d, few).items():
        for bits in (8, 4):
            some = [step | {"bits": bits} for step in steps]
            for ending, fused in (("", True), ("/unfused", False)):
                add(f"chain/m{few}/{name}/int{bits}{ending}", partial(
                    lambda rng, shape, some, fused: chained(rng, codes(rng, shape), some, fused),
                    shape=shape, some=some, fused=fused))
    return found


def is_linear(row: dict) -> bool:
    """Whether a row of a bench is one of linear layers."""
    return "steps" in row


def figures(case: LinearCase, config: HdpConfig, run: "Simulation") -> dict:
    """The figures of a case, ready for JSON."""
    counters, products = run.registers, [product_of(job) for job in case.jobs]
    cost: Cost = chain_cost(products, config)
    bound, cycles = linear_bound(case.jobs, config), counters["cycles"]
    bus = max(counters["read_bytes"], counters["write_bytes"]) // (config.axi_data_width // 8)
    model = engine_of(config).predict_cycles(case.jobs, [None] * len(case.jobs), config)
    assert model is not None
    return {
        "case": case.name, "steps": [{
            "rows": job.rows, "k": job.k, "n": job.channels, "groups": job.groups,
            "bits": job.bits, "held": job.held} for job in case.jobs],
        "products": cost.products, "cycles": cycles, "bound": bound, "bus_bound": bus,
        "limit": "bus" if bus > bound else "array", "utilisation": max(bound, bus) / cycles,
        "array_use": bound / cycles, "array_cycles": cost.array_cycles, "model_cycles": model,
        "model_error": model / cycles - 1, "read_bytes": counters["read_bytes"],
        "write_bytes": counters["write_bytes"],
        "products_per_cycle": ratio(cost.products, cycles), "counters": counters}


def _shape(row: dict) -> str:
    """(rows x) k -> n of each step."""
    return ", ".join(f"{step['rows']} x {step['k']} -> {step['n']}" for step in row["steps"])


def brief() -> list[Column]:
    """What fits on a terminal."""
    return [plain("case", "case", ""), plain("cycles", "cycles"), plain("bound", "bound"),
            plain("bus", "bus_bound"), plain("limit", "limit", ""),
            plain("use", "utilisation", ".1%"), plain("bytes read", "read_bytes"),
            plain("written", "write_bytes")]


def columns(error: Callable[[str, str], Column]) -> list[Column]:
    """All columns; ``error`` makes one of the model's errors."""
    first, rest = brief()[0], brief()[1:]
    return [first, Column("steps", _shape), *rest[:5], plain("array use", "array_use", ".1%"),
            plain("model", "model_cycles"), error("model error", "model_error"),
            plain("products", "products"),
            plain("products / cycle", "products_per_cycle", ".1f"), *rest[5:]]
