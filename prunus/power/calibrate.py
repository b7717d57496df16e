# SPDX-License-Identifier: Apache-2.0
"""The coefficients of the estimate of energy, fitted to what ``prunus power`` counts in gates.

    python -m prunus.power.calibrate

fits them again to the runs that ``python -m prunus.figures --measure energy_fit`` keeps, and writes
the table. What is fitted has the tiny presets alone; the error is that of other runs.
"""

import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.sim.simulators.folders import scratch

from ..files import write_files
from ..heads import read_arrays
from ..run import compute
from .estimate import CLOCK, CYCLES, MEMORY, TABLE, Costs, Load, load_of
from .work import Work, work_of

__all__ = ["CASES", "DATA", "FIT", "HELD_OUT", "Case", "by_case", "coefficients", "error_of",
           "estimated", "least_squares", "load_of_work", "main", "measured", "table_of"]

DATA = TABLE.parents[2] / "docs" / "figures" / "energy_fit.json"
FIT, HELD_OUT = "fit", "held out"
MEASURED = "python -m prunus.figures --measure energy_fit"
FITTED = "python -m prunus.power.calibrate"
# Of what each coefficient is: its unit, and what it is multiplied by.
UNITS = {
    "flip_flop": ("pJ", "flip-flops of the RTL times cycles: clock, what holds, and what moves "
                        "whether or not there is work"),
    "adder": ("pJ", "full adders' worth of arithmetic: a * b of a product, n of a sum of n bits"),
    "read": ("1", "energy of a read of the macros that are read in each cycle, times cycles"),
    "register_file": ("pJ", "bits of register files times cycles"),
    "word": ("1", "bits that are read when wanted, at the mean energy of a macro's bit"),
    "moved": ("1", "bits from and to the memory outside, at the same"),
    "slowdown": ("1", "cycles that heads take at least, of engines without a model of cycles"),
    "start": ("cycles", "once in a table, of the same engines"),
}
DRAM_PJ = 1300 / 64
DRAM = {"value": DRAM_PJ, "unit": "pJ", "of": "bits from and to the memory outside",
        "source": "M. Horowitz, Computing's energy problem, ISSCC 2014: access to 64 bits of DRAM, "
                  "the lower end of 1.3 to 2.6 nJ; not fitted"}


@dataclass(frozen=True)
class Case:
    """A run of ``prunus power``: some heads of a file, cut to their first tokens and dimensions.

    Members
    -------
    part : str
        FIT or HELD_OUT.
    config, file : str
    first, heads, l, d : int
    prune : float or None
        rho of HDP; of the others the share of keys that is pruned. None prunes nothing: on Top-K's
        baseline, as it has no such mode.
    """

    part: str
    config: str
    file: str
    first: int
    heads: int
    l: int          # noqa: E741
    d: int
    prune: float | None

    def work(self, path: Path) -> tuple[Work, EngineConfig]:
        """Heads, as ``prunus power`` takes them, and the configuration."""
        arrays = read_arrays(path)
        q, k, v = (arrays[name][self.first : self.first + self.heads, : self.l, : self.d]
                   for name in "qkv")
        config = load_config(self.config)
        plain = self.prune is None
        given = {"rho": self.prune} if config.engine == "hdp" and not plain else {}
        base = plain and config.engine == "topk"
        with scratch("prunus-energy-") as folder:
            np.savez(folder / "heads.npz", q=q, k=k, v=v, scale=arrays["scale"])
            return work_of(folder / "heads.npz", config, given, dense=plain and not base,
                           baseline=base, share=self.prune or 0.0)


MINILM, VIT = "minilm_sentence", "vit_patches"
LONG, VIT_3 = "minilm_l128_layer1", "vit_50_layer3"
CASES = (
    *(Case(FIT, config, *of) for config, some in {
        "hdp_tiny": ((MINILM, 0, 3, 24, 32, 25 / 128), (MINILM, 0, 3, 24, 32, None),
                     (MINILM, 3, 1, 8, 8, None), (MINILM, 3, 2, 16, 16, 0.5),
                     (VIT, 0, 1, 32, 32, -0.5), (VIT, 0, 2, 32, 16, 0.9),
                     (VIT, 1, 1, 32, 32, None), (MINILM, 4, 6, 12, 24, 0.25)),
        "leopard_tiny": ((MINILM, 0, 3, 24, 32, 0.75), (MINILM, 0, 3, 24, 32, None),
                         (MINILM, 3, 1, 8, 8, None), (MINILM, 3, 2, 16, 16, 0.5),
                         (VIT, 0, 1, 32, 32, 0.5), (VIT, 0, 2, 32, 16, 0.9),
                         (VIT, 1, 1, 32, 32, None), (MINILM, 4, 6, 12, 24, 0.75)),
        "topk_tiny": ((MINILM, 0, 3, 24, 16, 0.75), (MINILM, 0, 3, 24, 16, None),
                      (MINILM, 3, 1, 8, 8, 0.5), (MINILM, 3, 2, 16, 16, 0.5),
                      (VIT, 0, 1, 32, 16, 0.75), (VIT, 0, 2, 32, 8, 0.9),
                      (VIT, 1, 1, 32, 16, None), (MINILM, 4, 6, 12, 16, 0.75)),
    }.items() for of in some),
    *(Case(HELD_OUT, config, *of) for config, some in {
        "hdp_tiny": ((MINILM, 10, 2, 24, 32, 25 / 128), (VIT_3, 2, 2, 32, 32, 0.6)),
        "hdp_fine_tiny": ((MINILM, 0, 3, 24, 32, 25 / 128),),
        "hdp_small": ((MINILM, 0, 3, 24, 32, 0.5), (VIT, 0, 1, 50, 64, 25 / 128),
                      (VIT, 0, 1, 50, 64, None)),
        "hdp_edge": ((MINILM, 0, 3, 24, 32, 25 / 128), (VIT, 0, 1, 50, 64, 25 / 128),
                     (VIT, 0, 1, 50, 64, None)),
        "leopard_tiny": ((MINILM, 10, 2, 24, 32, 0.6), (LONG, 2, 2, 32, 32, 0.85)),
        "leopard_ae": ((MINILM, 0, 3, 24, 32, 0.75), (VIT, 0, 1, 50, 64, 0.75),
                       (VIT, 0, 1, 50, 64, None)),
        "topk_tiny": ((VIT_3, 2, 2, 32, 16, 0.8),),
        "topk_edge": ((MINILM, 0, 3, 24, 32, 0.75), (VIT, 0, 1, 50, 64, 0.75)),
    }.items() for of in some))


def by_case(rows: Sequence[Mapping[str, Any]]) -> dict[Case, Mapping[str, Any]]:
    """The kept runs in the order of CASES."""
    names = [field.name for field in fields(Case)]
    found = {Case(**{name: row[name] for name in names}): row for row in rows}
    return {case: found[case] for case in CASES if case in found}


def load_of_work(work: Work, machine: EngineConfig) -> Load:
    _, table = engine_of(machine).arrange(work.jobs, machine)
    return load_of(table, compute(table, machine), machine)[0]


def measured(case: Case, path: Path) -> dict[str, Any]:
    """A run, ready for JSON: nJ by kind in gates, and what the estimate knows of it."""
    from .measure import measure

    work, machine = case.work(path)
    found = measure(work, machine, workers=1)
    load = load_of_work(work, machine)
    return asdict(case) | {
        "machine": machine.name, "cycles": found.cycles,
        "nj": {kind: joules * 1e9 for kind, joules in found.by_kind().items()},
        "load": load.as_json()}


# -- fit ------------------------------------------------------------------------------------------
def least_squares(rows: Sequence[Sequence[float]], wanted: Sequence[float],
                   weights: Sequence[float]) -> list[float]:
    """Least squares without negative coefficients: the best of those that some of the columns alone
    have, which is exact and cheap for a few columns."""
    weight = np.array(weights)
    matrix = np.array(rows, float) * weight[:, None]
    target = np.array(wanted) * weight
    count = matrix.shape[1]
    best, least = np.zeros(count), float(target @ target)
    for some in itertools.chain.from_iterable(
            itertools.combinations(range(count), size) for size in range(1, count + 1)):
        part, *_ = np.linalg.lstsq(matrix[:, some], target, rcond=None)
        rest = matrix[:, some] @ part - target
        if (part >= 0).all() and float(rest @ rest) < least:
            least = float(rest @ rest)
            best = np.zeros(count)
            best[list(some)] = part
    return best.tolist()


def _total(row: Mapping[str, Any]) -> float:
    """pJ."""
    return 1000 * sum(row["nj"].values())


def coefficients(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Those that fit the runs best, errors as shares of a run's energy or cycles."""
    parts = [(row, Load(**row["load"])) for row in rows if row["part"] == FIT]
    weights = [1 / _total(row) for row, _ in parts]
    found: dict[str, float] = {}

    def fit(names: Sequence[str], columns: Callable[[Load, float], list[float]],
            kinds: Sequence[str]) -> None:
        found.update(zip(names, least_squares(
            [columns(load, row["cycles"]) for row, load in parts],
            [1000 * sum(row["nj"][kind] for kind in kinds) for row, _ in parts], weights),
            strict=True))

    fit(CLOCK, Load.logic, ("datapath", "clock", "leakage"))
    fit(MEMORY, Load.memory, ("memory",))
    timed = [(row, load) for row, load in parts if load.model_cycles is None]
    found.update(zip(CYCLES, least_squares(
        [[load.busy_cycles, 1] for _, load in timed],
        [row["cycles"] - load.first_cycles for row, load in timed],
        [1 / row["cycles"] for row, _ in timed]), strict=True))
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def estimated(row: Mapping[str, Any], costs: Costs) -> dict[str, float]:
    """pJ of a run on the chip and its cycles, as ``prunus energy`` says without having seen it."""
    load = Load(**row["load"])
    groups = costs.picojoules(load)
    return {"cycles": costs.cycles(load), "memory": groups["memory"],
            "total": sum(groups.values()) - groups["dram"]}


def error_of(row: Mapping[str, Any], costs: Costs) -> float:
    """Of the energy on the chip, against gates."""
    return estimated(row, costs)["total"] / _total(row) - 1


def table_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The table, with the error on what it was not fitted on."""
    values = coefficients(rows)
    fitted = [row for row in rows if row["part"] == FIT]
    about = (f"{len(fitted)} runs on "
             f"{', '.join(dict.fromkeys(row['config'] for row in fitted))}; {MEASURED}, {FITTED}")
    table: dict[str, Any] = {
        name: {"value": value, "unit": UNITS[name][0], "of": UNITS[name][1], "source": about}
        for name, value in values.items()} | {"dram": DRAM}
    costs = Costs(values | {"dram": DRAM_PJ}, {}, {})
    errors = [abs(error_of(row, costs)) for row in rows if row["part"] == HELD_OUT]
    table["error"] = {"mean": float(f"{np.mean(errors):.3g}"),
                      "worst": float(f"{max(errors):.3g}"), "runs": len(errors)}
    return table


HEAD = """# SPDX-License-Identifier: Apache-2.0
# What things cost in gates of IHP SG13G2 at 1.2 V, fitted to what `prunus power` counts. Written by
# `python -m prunus.power.calibrate`; docs/energy.md has the model and its error.

"""


def write_table(data: Path, measured: str, head: str, table: Callable[[Any], Mapping[str, Any]],
                target: Path) -> int:
    """Fit a table to kept runs and write it; the exit code of the command that does."""
    try:
        rows = json.loads(data.read_text(encoding="utf-8"))["data"]
        text = head + tomli_w.dumps(table(rows))
    except (OSError, ValueError, LookupError, TypeError) as err:
        reason = getattr(err, "strerror", None) or "not what is measured"
        print(f"error: runs {str(data)!r} cannot be read: {reason} ({measured})", file=sys.stderr)
        return 2
    write_files({target: lambda file: file.write(text.encode())})
    return 0


def main() -> int:
    return write_table(DATA, MEASURED, HEAD, table_of, TABLE)


if __name__ == "__main__":
    sys.exit(main())
