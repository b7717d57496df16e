# SPDX-License-Identifier: Apache-2.0
"""The bench of Top-K: real heads at a few numbers of keys kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prunus.golden.survivors import SurvivorLayout
from prunus.golden.topk.compute import TopkJob, TopkSummary, bound_cycles
from prunus.golden.topk.config import TopkConfig
from prunus.golden.topk.kind import TopkKind

from ..engines.topk import load_jobs
from ..errors import InputError
from ..heads import example_heads
from .cases import choose, data_files, nothing_fits
from .columns import Column, length_column, plain, ratio
from .measure import simulated, totals
from .suite import BenchSuite, Progress, Rate

__all__ = ["KEPT", "NOTES", "SUITE", "TopkCase", "TopkSuite"]

KEPT = (4, 8, 16, 32)
QUICK_KEPT, QUICK_HEADS = (8,), 2
RATED, RATED_KEPT = ("vit_patches", "minilm_sentence"), 16

NOTES = """\
Every figure is read from counters of the simulated RTL or follows from the specification; every
output word and status record equals the specification's.

- **cycles**: from the doorbell to the last write response, all heads once. **steady**: what a
  second pass over the same heads adds, when loading overlaps. **bound**: a chunk of `taps`
  dimensions of a visible key in every cycle. **bus**: beats that the busier direction of it needs;
  where they are more than the bound, they are the limit.
- **survive**: share of the visible keys that are kept.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class TopkCase:
    """Heads of one layer and how many keys each query keeps."""

    name: str
    jobs: list[TopkJob]


def _heads(path: Path, config: TopkConfig, quick: bool) -> list[TopkJob]:
    try:
        jobs = load_jobs(path, config, 1)
    except InputError as err:
        raise InputError(f"{path.name}: {err}") from None
    return jobs[:QUICK_HEADS] if quick else jobs


def _figures(case: TopkCase, config: TopkConfig, once, twice,
             results: Sequence[TopkSummary]) -> dict:
    """The figures of a case, ready for JSON; ``twice`` is the simulation of its heads two times."""
    jobs, counters = case.jobs, once.registers
    layout: SurvivorLayout = TopkKind().layout(config)
    bound, steady = bound_cycles(results, config), twice.registers["cycles"] - counters["cycles"]
    return {
        "case": case.name, "heads": len(jobs), "l_q": jobs[0].l_q, "l_kv": jobs[0].l_kv,
        "d": jobs[0].d, "top_k": jobs[0].top_k,
        "survive": ratio(sum(r.survivors for r in results), sum(r.keys for r in results)),
        "cycles": counters["cycles"], "steady_cycles": steady, "bound": bound,
        "over_bound": ratio(steady, bound),
        "bus_bound": max(counters["read_bytes"], counters["write_bytes"]) // layout.beat_bytes,
        "counters": counters,
    }


class TopkSuite(BenchSuite):
    """The examples and files of heads, each at every number of KEPT that the filter holds."""

    def choose(self, config: TopkConfig, *, data: Sequence[Path], quick: bool,
               wanted: str | None) -> list[TopkCase]:
        kept = [k for k in (QUICK_KEPT if quick else KEPT) if k <= config.k_max] or [config.k_max]
        paths = {path.stem: path for path in example_heads()}
        given = {path.stem: path for path in data_files(data)}
        names = {f"{stem}/{k}": (stem, k) for stem in (paths | given) for k in kept}
        heads: dict[str, list[TopkJob]] = {}
        found = []
        for name in choose(list(names), wanted):
            stem, k = names[name]
            if stem not in heads:
                try:
                    heads[stem] = _heads((paths | given)[stem], config, quick)
                except InputError:
                    if stem in given:
                        raise
                    continue        # an example that the configuration has no room for
            found.append(TopkCase(name=name, jobs=[replace(job, top_k=k) for job in heads[stem]]))
        if not found:
            raise nothing_fits(config)
        return found

    def measure(self, work: list[TopkCase], config: TopkConfig, quick: bool,
                progress: Progress | None) -> tuple[list[dict], dict]:
        runs, results = simulated([(case.name, [*case.jobs] * times) for case in work
                                   for times in (1, 2)], config, progress)
        rows = [_figures(case, config, runs[2 * n], runs[2 * n + 1], results[2 * n])
                for n, case in enumerate(work)]
        return rows, totals(runs)

    def document(self, work: list[TopkCase], rows: Sequence[dict], simulation: dict,
                 config: TopkConfig, command: str) -> dict:
        return {"command": command, "config": config.name,
                "parameters": config.model_dump(exclude={"name"}), "simulation": simulation,
                "cases": list(rows)}

    def columns(self, config: TopkConfig) -> list[Column]:
        return self.brief()

    def brief(self) -> list[Column]:
        return [
            plain("case", "case", ""), plain("heads", "heads"),
            length_column(),
            plain("d", "d"), plain("K", "top_k"), plain("survive", "survive", ".1%"),
            plain("cycles", "cycles"), plain("steady", "steady_cycles"),
            plain("bound", "bound"), plain("steady / bound", "over_bound", ".3f"),
            plain("bus", "bus_bound"),
        ]

    def summary(self, result: dict) -> list[str]:
        run, parameters = result["simulation"], result["parameters"]
        return [f"{len(result['cases'])} cases on {result['config']}, {parameters['taps']} "
                f"dimensions a cycle: {run['cycles']:,} cycles simulated in {run['sim_s']:.1f} s, "
                f"the simulator built or found in {run['build_s']:.1f} s"]

    def markdown(self, result: dict, config: TopkConfig, plots: Sequence[str]) -> str:
        table = self.columns(config)
        lines = [f"# Bench of {result['config']}", "", f"    {result['command']}", "",
                 *(f"{line}\n" for line in self.summary(result)),
                 "| " + " | ".join(column.title for column in table) + " |",
                 "|---" * len(table) + "|"]
        lines += ["| " + " | ".join(column.text(row) for column in table) + " |"
                  for row in result["cases"]]
        return "\n".join([*lines, "", NOTES])

    def rate(self, config: TopkConfig, rows_of: Callable[[TopkCase], dict | None],
             told: Callable[[str], None]) -> Rate:
        """The first of RATED that fits; cycles do not depend on K, so dense ones are the same."""
        wanted = ",".join(f"{stem}/{min(RATED_KEPT, config.k_max)}" for stem in RATED)
        jobs = {case.name: case for case in self.choose(config, data=(), quick=False,
                                                        wanted=wanted)}
        case = next(jobs[name] for name in wanted.split(",") if name in jobs)
        row = rows_of(case)
        if row is None:
            told(case.name)
            (row,), _ = self.measure([case], config, False, None)
        cycles = row["cycles"] / row["heads"]
        return Rate(jobs=case.jobs, row=row, cycles=cycles, dense_cycles=cycles,
                    kept=row["survive"])


SUITE = TopkSuite()
