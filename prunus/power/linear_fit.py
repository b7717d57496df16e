# SPDX-License-Identifier: Apache-2.0
"""The rates of :mod:`prunus.power.linear`, fitted to what ``prunus power`` counts in gates.

    python -m prunus.power.linear_fit

fits them again to the runs that ``python -m prunus.figures --measure power_linear`` keeps, and
writes the table. Some runs are held out: the error is theirs.
"""

import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config_of
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear import (
    Cost,
    LinearJob,
    Output,
    Product,
    chain_cost,
    encode_requant,
    linear,
)
from prunus.sim.simulators.folders import scratch

from .calibrate import FIT, HELD_OUT, least_squares, write_table
from .linear import TABLE, Rates

__all__ = ["CASES", "DATA", "LinearCase", "chain", "cost_of", "counted", "error_of", "main",
           "measured", "products", "rates", "table_of",
           "total_nj"]

DATA = TABLE.parents[2] / "docs" / "figures" / "power_linear.json"
MEASURED = "python -m prunus.figures --measure power_linear"
FITTED = "python -m prunus.power.linear_fit"
SPREAD = {8: 32.0, 4: 2.5}      # standard deviation of codes, about that of real layers
OUTPUTS = 40.0                  # of those that come out


@dataclass(frozen=True)
class LinearCase:
    """Linear layers of made codes, one behind the other; what lies between them is held.

    Members
    -------
    part : str
        FIT or HELD_OUT.
    name : str
    rows : int
    dims : tuple of int
        Of X, of what is held, of Y.
    bits : int
    """

    part: str
    name: str
    rows: int
    dims: tuple[int, ...]
    bits: int = 8


def chain(case: LinearCase) -> list[LinearJob]:
    """The jobs of a case, always the same."""
    rng = np.random.default_rng(zlib.crc32(f"{case.name}/{case.rows}/{case.dims}".encode()))
    low = -1 << case.bits - 1
    x = np.clip(np.rint(rng.normal(0, SPREAD[8], (case.rows, case.dims[0]))), -128, 127).astype(int)
    jobs: list[LinearJob] = []
    for k, n in zip(case.dims, case.dims[1:], strict=False):
        w = np.clip(np.rint(rng.normal(0, SPREAD[case.bits], (n, k))), low, -low - 1).astype(int)
        spread = float((x @ w.T).std())
        multiplier, shift = encode_requant(np.full(n, OUTPUTS / spread))
        last = len(jobs) == len(case.dims) - 2
        job = LinearJob(x=x, w=w, bias=np.rint(rng.normal(0, spread / 8, n)).astype(int),
                        multiplier=multiplier, shift=shift, bits=case.bits, held=bool(jobs),
                        target=Output.CODES if last else Output.HELD)
        jobs.append(job)
        x = linear(job).y
    return jobs


def _cases(dense: tuple[int, int], low: tuple[int, int, int]) -> Iterator[LinearCase]:
    """Of a preset: dense and low rank, both widths of weights, a sentence of 25 tokens; few rows;
    and others that nothing is fitted on."""
    for bits in (8, 4):
        yield LinearCase(FIT, f"dense, int{bits}", 25, dense, bits)
        yield LinearCase(FIT, f"low rank, int{bits}", 25, low, bits)
        yield LinearCase(FIT, f"one row, int{bits}", 1, dense, bits)
        yield LinearCase(HELD_OUT, f"wide, int{bits}", 10, (low[1], low[2]), bits)
        yield LinearCase(HELD_OUT, f"narrow, int{bits}", 16, (low[0], low[1]), bits)
        yield LinearCase(HELD_OUT, f"chain of three, int{bits}", 25,
                         (dense[0], low[1], 2 * low[1], dense[1]), bits)


CASES: dict[str, tuple[LinearCase, ...]] = {
    "heat_tiny": tuple(_cases((64, 32), (96, 16, 64))),
    "hdp_edge": tuple(_cases((128, 64), (384, 16, 128)))}


def products(case: LinearCase) -> list[Product]:
    """What the cost of a case depends on."""
    last = len(case.dims) - 2
    return [Product(rows=case.rows, k=k, span=n, bits=case.bits, held_x=number > 0,
                    held_y=number < last)
            for number, (k, n) in enumerate(zip(case.dims, case.dims[1:], strict=False))]


def measured(config: EngineConfig, cases: Sequence[LinearCase]) -> list[dict[str, Any]]:
    """Runs, ready for JSON: counted cycles, and nJ by kind in gates."""
    from .measure import Machine

    machine = Machine(config, clock_gates=True)
    rows = []
    with scratch("prunus-linear-") as folder:
        for number, case in enumerate(cases):
            counts, energy = machine.play(number, chain(case), folder)
            nj = {kind: float(blocks.sum()) * 1e9 for kind, blocks in energy.by_block.items()}
            rows.append(asdict(case) | {
                "config": config.name, "cycles": counts.cycles,
                "compared_bits": counts.compared_bits, "differing_bits": counts.differing_bits,
                "nj": nj})
    return rows


def cost_of(row: Mapping[str, Any]) -> Cost:
    """Of a run, without having seen it."""
    names = [field.name for field in fields(LinearCase)]
    case = LinearCase(**{name: row[name] for name in names})
    return chain_cost(products(case), load_config_of(HdpConfig, row["config"]))


def counted(row: Mapping[str, Any]) -> Cost:
    """Of a run with the cycles of its counter."""
    return replace(cost_of(row), cycles=row["cycles"])


def total_nj(row: Mapping[str, Any]) -> float:
    """On the chip, in gates."""
    return sum(row["nj"].values())


def rates(rows: Sequence[Mapping[str, Any]]) -> Rates:
    """Those that fit the runs of a configuration best, errors as shares of a run's energy."""
    fitted = [(counted(row), total_nj(row)) for row in rows if row["part"] == FIT]
    values = least_squares(
        [[cost.work_cycles, cost.cycles - cost.work_cycles, cost.read_bytes + cost.write_bytes]
         for cost, _ in fitted], [total for _, total in fitted],
        [1 / total for _, total in fitted])
    return Rates(**{name: float(f"{value:.4g}")
                    for name, value in zip(("array", "idle", "byte"), values, strict=True)})


def error_of(row: Mapping[str, Any], of: Rates) -> float:
    """Of an estimate that has not seen the run, against gates."""
    return of.nanojoules(cost_of(row)) / total_nj(row) - 1


def table_of(data: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """By preset: its rates, with their mean and worst error on runs that are held out."""
    table = {}
    for name in dict.fromkeys(row["config"] for row in data):
        rows = [row for row in data if row["config"] == name]
        found = rates(rows)
        errors = [abs(error_of(row, found)) for row in rows if row["part"] == HELD_OUT]
        table[name] = asdict(replace(found, mean_error=float(f"{np.mean(errors):.3g}"),
                                     worst_error=float(f"{max(errors):.3g}")))
    return table


HEAD = """# SPDX-License-Identifier: Apache-2.0
# What linear layers cost in gates of IHP SG13G2 at 1.2 V with clock gates, nJ, by preset: a cycle
# in which the array multiplies, another cycle, a byte that is read or written. Written by
# `python -m prunus.power.linear_fit`; docs/power.md says more.

"""


def main() -> int:
    return write_table(DATA, MEASURED, HEAD, table_of, TABLE)


if __name__ == "__main__":
    sys.exit(main())
