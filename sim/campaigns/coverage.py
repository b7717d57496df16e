# SPDX-License-Identifier: Apache-2.0
"""Which lines and bits of the emitted Verilog the system tests' kinds of tables never meet.

``python -m prunus.sim.campaigns.coverage`` plays the tables of :mod:`prunus.sim.trials`, and tables
that meet faults (:mod:`prunus.sim.faults`), on the smallest preset of each engine. It compares what
was not met with the lists in ``docs/coverage``, as far as they exist: a row that is not there is an
error. ``--write`` makes the lists anew.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from prunus.console import Parser
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config

from ..coverage import Point, read, uncovered
from ..engines import BENCHES
from ..faults import play
from ..reasons import COVERAGE, UNEXPLAINED, explained, read_list, write_list
from ..session import emitted, open_session
from ..trials import TRIALS
from . import campaign
from .commands import differences

__all__ = ["compare", "cover", "main"]

SEEDS = (1, 2)
FAULT_JOBS = 1500           # of the tables with faults


def cover(config: EngineConfig, trial: int | None, seed: int) -> list:
    """Counts of all points in a trial, or with None in tables with faults: ``[kind, module, line,
    what, count]`` each."""
    with tempfile.TemporaryDirectory(prefix="prunus-coverage-") as folder:
        path = Path(folder) / "coverage.dat"
        stall = 0.0 if trial is None else TRIALS[trial].stall
        with differences(), open_session(config, stall=stall, seed=seed, coverage=path) as session:
            if trial is None:
                play(session, FAULT_JOBS, seed)
            else:
                for batch in TRIALS[trial].batches(config, seed):
                    session.ring(batch)
        return [[p.kind, p.module, p.line, p.what, count] for p, count in read(path).items()]


def compare(rows: Sequence[str], kept: Path) -> tuple[list[str], list[str]]:
    """``(new, gone)``: rows that a list does not have, and those of it that are met now."""
    known = [row for row, _ in read_list(kept)]
    return ([row for row in rows if row not in set(known)],
            [row for row in known if row not in set(rows)])


def _shares(counts: Mapping[Point, int]) -> dict[str, tuple[int, int]]:
    """``(met, all)`` of each kind of point."""
    every, met = Counter(p.kind for p in counts), Counter(p.kind for p, n in counts.items() if n)
    return {kind: (met[kind], every[kind]) for kind in sorted(every)}


def _merged(options: argparse.Namespace, configs: Sequence[EngineConfig]
            ) -> dict[str, Counter[Point]]:
    """Counts by preset, over all trials and seeds."""
    trials: list[tuple[int | None, str]] = [
        (n, f"{trial.name}, stall {trial.stall}") for n, trial in enumerate(TRIALS)]
    tasks = [campaign.Task(f"{config.name}, {name}", cover, (config, trial, seed))
             for config in configs for seed in SEEDS for trial, name in [*trials, (None, "faults")]]
    merged = {config.name: Counter[Point]() for config in configs}
    with closing(campaign.run("coverage", tasks, campaign.options_of(options))) as done:
        for result in done:
            if result.failure:
                raise campaign.CampaignError(f"{result.task.name}: {result.failure}")
            counts = merged[result.task.arguments[0].name]
            for *point, count in result.value:
                counts[Point(*point)] += count
    return merged


@campaign.command
def main(arguments: list[str] | None = None) -> int:
    presets = [bench.preset for bench in BENCHES.values()]
    parser = Parser(prog="python -m prunus.sim.campaigns.coverage", description=__doc__)
    parser.add_argument("--config", choices=presets, action="append",
                        help="a preset; default: all of them")
    parser.add_argument("--write", action="store_true", help="write the lists of docs/coverage")
    parser.add_argument("--json", action="store_true", help="print JSON")
    campaign.add_options(parser)
    options = parser.parse_args(arguments)
    configs = [load_config(name) for name in options.config or presets]
    report: dict[str, dict[str, Any]] = {}
    failed = False
    for name, counts in _merged(options, configs).items():
        rows = uncovered(counts, emitted(load_config(name)), name)
        why = explained(rows, COVERAGE)
        kept = COVERAGE / f"{name}.txt"
        new, gone = compare(rows, kept) if kept.exists() else ([], [])
        if options.write:
            write_list(rows, kept)
            new = gone = []
        failed |= bool(new)
        open_ones = sum(reason == UNEXPLAINED for reason in why.values())
        report[name] = {"points": _shares(counts), "rows": len(rows), "unexplained": open_ones,
                        "new": new, "gone": gone}
    if options.json:
        print(json.dumps(report))
        return 1 if failed else 0
    for name, said in report.items():
        shares = ", ".join(f"{kind} {met} of {every} ({met / every:.1%})"
                           for kind, (met, every) in said["points"].items())
        print(f"{name}: {shares}; {said['rows']} rows are not covered, {said['unexplained']} of "
              "them not explained")
        for row in said["new"]:
            print(f"new: {row}", file=sys.stderr)
        if not (COVERAGE / f"{name}.txt").exists():
            print(f"docs/coverage/{name}.txt, to compare with, is not there: --write makes it")
        if said["gone"]:
            print(f"{len(said['gone'])} rows of docs/coverage/{name}.txt are covered now: "
                  "--write takes them out")
    return 1 if failed else 0


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from prunus.sim.campaigns.coverage import main

    sys.exit(main())
