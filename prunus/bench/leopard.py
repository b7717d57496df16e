# SPDX-License-Identifier: Apache-2.0
"""The bench of LeOPArd: real heads at thresholds that prune a given share of their scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prunus.golden.engines import load_config_of
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardJob, LeopardSummary
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.order import balanced
from prunus.golden.leopard.planes import LeopardLayout

from ..commands.digits import spare_bits, threshold_for
from ..engines.leopard import load_jobs
from ..errors import InputError
from ..heads import example_heads, read_arrays, real_scale
from .cases import choose, data_files, nothing_fits
from .columns import Column, length_column, plain, ratio, shown
from .measure import simulated, totals
from .suite import BenchSuite, Progress, Rate

if TYPE_CHECKING:
    from prunus.sim.simulate import Simulation  # not there without a simulator's packages

__all__ = ["NOTES", "SHARES", "SUITE", "LeopardCase", "LeopardSuite", "brief", "cases", "columns",
           "document", "figures", "markdown", "measure", "summary"]

SHARES = (0.0, 0.5, 0.75, 0.9)
QUICK_SHARES, QUICK_HEADS = (0.75,), 2
BASELINE = "leopard_base"
RATED, RATED_SHARES = ("vit_patches", "minilm_sentence"), (0.75, 0.0)   # pruned, dense

NOTES = """\
Every figure is read from counters of the simulated RTL or follows from the specification; every
output word and status record equals the specification's. Codes are shifted left until they fill the
width; one threshold per file prunes the given share of its scores; keys lie in the order that
`golden/leopard/order.py` gives them.

- **cycles**: from the doorbell to the last write response, all heads once. **steady**: what a
  second pass over the same heads adds, when loading overlaps. **bound**: sum over rows of
  chunks * max(digits / N_QK, survivors). **bus**: beats that the busier direction of it needs;
  where they are more than the bound, they are the limit.
- **speed-up**: steady cycles of the baseline's RTL (one full-width unit, no pruning) over these.
- **at 1, at 2...**: share of the keys that are dropped at that digit. **K read**: words of keys
  that were read, of those that reading every digit of every key takes.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class LeopardCase:
    """Heads of one layer at one threshold.

    Members
    -------
    name : str
        The file's and, behind it, the share of scores that are pruned.
    threshold : float
        On the logits.
    """

    name: str
    jobs: list[LeopardJob]
    share: float
    threshold: float


def _heads(path: Path, config: LeopardConfig, quick: bool) -> tuple[list[LeopardJob], float]:
    """The heads of a file, their codes as wide as they may be, and the scale of a logit."""
    try:
        jobs, scale = load_jobs(path, config, None), real_scale(read_arrays(path))
    except InputError as err:
        raise InputError(f"{path.name}: {err}") from None
    if quick:
        jobs = jobs[:QUICK_HEADS]
    shift = spare_bits(jobs, config)
    # The mantissa of the scale stays; its shift makes up for that of the codes.
    jobs = [replace(job, q=job.q << shift, k=job.k << shift,
                    scale=(job.scale[0], min(63, job.scale[1] + 2 * shift))) for job in jobs]
    return balanced(jobs, config), scale / 4**shift


def cases(config: LeopardConfig, *, data: Sequence[Path] = (), quick: bool = False,
          wanted: str | None = None) -> list[LeopardCase]:
    """The examples and the files of ``data``, each at every share.

    Raises
    ------
    InputError
        When a file of ``data`` does not fit or cannot be read, or no case is wanted.
    """
    shares = (0.0,) if not config.pruning else QUICK_SHARES if quick else SHARES
    paths = {path.stem: path for path in example_heads()}
    given = {path.stem: path for path in data_files(data)}
    names = {f"{stem}/{share:g}": (stem, share) for stem in (paths | given) for share in shares}
    heads: dict[str, tuple[list[LeopardJob], float]] = {}
    found = []
    for name in choose(list(names), wanted):
        stem, share = names[name]
        if stem not in heads:
            try:
                heads[stem] = _heads((paths | given)[stem], config, quick)
            except InputError:
                if stem in given:
                    raise
                continue            # an example that the configuration has no room for
        jobs, scale = heads[stem]
        t_int = threshold_for(jobs, share) if share else leopard.threshold_limits(config)[0]
        found.append(LeopardCase(name=name, share=share, threshold=t_int * scale,
                                 jobs=[replace(job, threshold=t_int) for job in jobs]))
    if not found:
        raise nothing_fits(config)
    return found


def figures(case: LeopardCase, config: LeopardConfig, once: "Simulation", twice: "Simulation",
            results: Sequence[LeopardSummary], baseline: int | None) -> dict:
    """The figures of a case, ready for JSON.

    Parameters
    ----------
    once, twice : Simulation
        Of its heads, and of its heads two times.
    baseline : int or None
        Steady cycles of the baseline.
    """
    jobs, counters = case.jobs, once.registers
    keys, bound = sum(r.keys for r in results), leopard.bound_cycles(results, config)
    layout = LeopardLayout(config)
    full = sum(r.keys * layout.key_words(job.d) for job, r in zip(jobs, results, strict=True))
    dropped = leopard.dropped_at(results, config)
    steady = twice.registers["cycles"] - counters["cycles"]
    moved = max(counters["read_bytes"], counters["write_bytes"])
    return {
        "case": case.name, "heads": len(jobs), "l_q": jobs[0].l_q, "l_kv": jobs[0].l_kv,
        "d": jobs[0].d, "pruned": case.share, "threshold": case.threshold,
        "survive": ratio(sum(r.survivors for r in results), keys),
        "digits_per_key": ratio(sum(r.digits_total for r in results), keys),
        "dropped": [ratio(n, keys) for n in dropped],
        "cycles": counters["cycles"], "steady_cycles": steady, "bound": bound,
        "bus_bound": moved // layout.beat_bytes, "over_bound": ratio(steady, bound),
        "baseline_bound": leopard.baseline_cycles(results), "baseline_steady_cycles": baseline,
        "speedup": baseline / steady if baseline else None,
        "key_words": counters["key_words"], "key_words_full": full,
        "digits_wasted": sum(status.digits_wasted(job.d, config)
                             for job, (_, status) in zip(jobs, once.results, strict=True)),
        "counters": counters,
    }


Runs = tuple["Simulation", "Simulation", Sequence[LeopardSummary]]


def _simulate(tables: Mapping[str, Sequence[LeopardJob]], config: LeopardConfig,
              progress: Progress | None) -> dict[str, Runs]:
    """By name: simulations of the jobs once and twice, and what golden gives."""
    runs, results = simulated([(name, [*jobs] * times) for name, jobs in tables.items()
                               for times in (1, 2)], config, progress)
    return {name: (runs[2 * n], runs[2 * n + 1], results[2 * n]) for n, name in enumerate(tables)}


def measure(found: Sequence[LeopardCase], config: LeopardConfig, quick: bool,
            progress: Progress | None = None) -> tuple[list[dict], dict]:
    """The figures of each case, and of the simulation. Raises as :func:`simulated` does."""
    runs = _simulate({case.name: case.jobs for case in found}, config, progress)
    baselines: dict[str, int] = {}
    if config.pruning and not quick:
        base = load_config_of(LeopardConfig, BASELINE).model_copy(update={
            name: getattr(config, name) for name in ("width", "d_max", "l_max", "taps",
                                                     "axi_data_width")} | {"digit": config.width})
        layers = {case.name.rpartition("/")[0]: case.jobs for case in found}
        baselines = {name: twice.registers["cycles"] - once.registers["cycles"]
                     for name, (once, twice, _) in _simulate(layers, base, progress).items()}
    rows = [figures(case, config, *runs[case.name], baselines.get(case.name.rpartition("/")[0]))
            for case in found]
    return rows, totals([run for once, twice, _ in runs.values() for run in (once, twice)])


def brief() -> list[Column]:
    """What fits on a terminal."""
    return [
        plain("case", "case", ""), plain("heads", "heads"), length_column(),
        plain("d", "d"), plain("survive", "survive", ".1%"),
        plain("digits per key", "digits_per_key", ".2f"), plain("cycles", "cycles"),
        plain("steady", "steady_cycles"), plain("bound", "bound"),
        plain("steady / bound", "over_bound", ".3f"), plain("bus", "bus_bound"),
        plain("speed-up", "speedup", ".2f"),
        Column("K read", lambda row: shown(
            ratio(row["key_words"], row["key_words_full"]), ".1%")),
    ]


def columns(config: LeopardConfig) -> list[Column]:
    """All columns."""
    def dropped(digit: int) -> Column:
        return Column(f"at {digit + 1}", lambda row: shown(row["dropped"][digit], ".1%"))

    return [*brief()[:5], plain("threshold", "threshold", ".2f"), *brief()[5:],
            plain("baseline steady", "baseline_steady_cycles"),
            plain("wasted", "digits_wasted"), *map(dropped, range(config.digits))]


def document(rows: Sequence[dict], simulation: dict, config: LeopardConfig,
             command: str) -> dict:
    """All figures, ready for JSON."""
    return {"command": command, "config": config.name,
            "parameters": config.model_dump(exclude={"name"}), "simulation": simulation,
            "cases": list(rows)}


def summary(result: dict) -> list[str]:
    """What was simulated."""
    run, parameters = result["simulation"], result["parameters"]
    return [f"{len(result['cases'])} cases on {result['config']}, {parameters['dpus']} dot-product "
            f"units: {run['cycles']:,} cycles simulated in {run['sim_s']:.1f} s, the simulator "
            f"built or found in {run['build_s']:.1f} s"]


def markdown(result: dict, config: LeopardConfig) -> str:
    """The table and what it means."""
    table = columns(config)
    lines = [f"# Bench of {result['config']}", "", f"    {result['command']}", "",
             *(f"{line}\n" for line in summary(result)),
             "| " + " | ".join(column.title for column in table) + " |",
             "|---" * len(table) + "|"]
    lines += ["| " + " | ".join(column.text(row) for column in table) + " |"
              for row in result["cases"]]
    return "\n".join([*lines, "", NOTES])


class LeopardSuite(BenchSuite):
    """Real heads at shares of scores that are pruned; speed-up over the baseline."""

    def choose(self, config: LeopardConfig, *, data: Sequence[Path], quick: bool,
               wanted: str | None) -> list[LeopardCase]:
        return cases(config, data=data, quick=quick, wanted=wanted)

    def measure(self, work: list[LeopardCase], config: LeopardConfig, quick: bool,
                progress: Progress | None) -> tuple[list[dict], dict]:
        return measure(work, config, quick, progress)

    def document(self, work: list[LeopardCase], rows: Sequence[dict], simulation: dict,
                 config: LeopardConfig, command: str) -> dict:
        return document(rows, simulation, config, command)

    def columns(self, config: LeopardConfig) -> list[Column]:
        return columns(config)

    def brief(self) -> list[Column]:
        return brief()

    def summary(self, result: dict) -> list[str]:
        return summary(result)

    def markdown(self, result: dict, config: LeopardConfig, plots: Sequence[str]) -> str:
        return markdown(result, config)

    def rate(self, config: LeopardConfig, rows_of: Callable[[LeopardCase], dict | None],
             told: Callable[[str], None]) -> Rate:
        """The first of RATED that fits, pruned as far as its case is."""
        there = {case.name: case for case in cases(config)}
        layer = next(layer for layer in RATED if f"{layer}/0" in there)
        found = [there.get(f"{layer}/{share:g}", there[f"{layer}/0"]) for share in RATED_SHARES]
        known = [rows_of(case) for case in found]
        rows = [row for row in known if row is not None]
        if len(rows) < len(found):
            told(found[0].name)
            rows, _ = measure(found, config, quick=True)
        row, dense = rows
        return Rate(jobs=found[0].jobs, row=row, cycles=row["cycles"] / row["heads"],
                    dense_cycles=dense["cycles"] / dense["heads"], kept=row["survive"])


SUITE = LeopardSuite()
