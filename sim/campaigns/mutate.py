# SPDX-License-Identifier: Apache-2.0
"""Are the tests worth anything? Breaks the RTL in known ways and looks who notices.

``python -m prunus.sim.campaigns.mutate`` applies the mutations of
:mod:`prunus.sim.campaigns.mutations` one at a time to a copy of
the sources, runs a short regression of random jobs of its engine on each, and reports which were
caught.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from prunus.console import Parser, print_table
from prunus.golden.engines import engine_of, load_config

from ..compare import MismatchError, check
from ..engines import bench_of
from ..faults import play
from ..session import open_session
from ..simulate import SimulationError, emitted, simulate
from ..simulators.cache import ROOT, build_root
from . import campaign
from .mutations import MUTATIONS, Mutation
from .soak import Chunk, run_chunk

__all__ = ["Outcome", "attempt", "check_table", "main", "mutated_tree", "try_mutation"]

ROOMS = ("configs", "golden", "host", "hw", "prunus", "sim")
CHUNKS = (Chunk(30, 101, 0.0), Chunk(30, 102, 0.3), Chunk(30, 106, 0.0))
FAULTY = Chunk(300, 7, 0.0)         # with faults, of a coprocessor with several kinds of job
CAUGHT, SURVIVED, BROKEN = 3, 0, 4          # exit codes of the regression
TIMEOUT_S = 900


@dataclass(frozen=True)
class Outcome:
    """What became of a mutation, or of the sources as they are: ``caught``, ``survived`` or
    ``broken`` (does not even build)."""

    mutation: Mutation | None
    verdict: str
    seconds: float
    message: str


def check_table(mutations: Sequence[Mutation], root: Path = ROOT) -> None:
    """Raise ValueError unless the old text of each occurs exactly once in its file."""
    for mutation in mutations:
        path = root / mutation.file
        found = path.read_text(encoding="utf-8").count(mutation.old) if path.is_file() else 0
        if found != 1:
            raise ValueError(f"the text of a mutation must occur once in {mutation.file}, not "
                             f"{found} times: {mutation.old!r}")
        if mutation.old == mutation.new:
            raise ValueError(f"a mutation of {mutation.file} changes nothing: {mutation.old!r}")


def mutated_tree(mutation: Mutation | None, target: Path) -> None:
    """A copy of the sources in ``target``, with a mutation or none."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, target / room, symlinks=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
    if mutation:
        path = target / mutation.file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def regression(config_name: str) -> int:
    """The short regression on the sources that are imported; an exit code."""
    config = load_config(config_name)
    try:
        emitted(config)
    except Exception as err:        # whatever a broken source raises
        print(f"{type(err).__name__}: {err}")
        return BROKEN
    try:
        for chunk in CHUNKS:
            run_chunk(chunk, config)
        if len(engine_of(config).kinds_of(config)) > 1:     # kinds meet, and chains break
            jobs = bench_of(config).hard_jobs(config, FAULTY.seed)
            check(simulate(jobs, config), jobs, config)
            with open_session(config, stall=FAULTY.stall, seed=FAULTY.seed) as session:
                play(session, FAULTY.count, FAULTY.seed)
    except (MismatchError, SimulationError) as err:
        print(err)
        return CAUGHT
    return SURVIVED


def try_mutation(mutation: Mutation | None, config_name: str) -> Outcome:
    """Run the regression of a preset on a mutated copy in a process of its own."""
    begin = time.perf_counter()
    scratch = Path(tempfile.mkdtemp(prefix="prunus-mutate-"))
    try:
        mutated_tree(mutation, scratch)
        library = [*build_root().glob("sim/verilated-*")]       # saves most of a build
        for directory in library:
            shutil.copytree(directory, scratch / "build" / "sim" / directory.name)
        env = {**os.environ, "PYTHONPATH": str(scratch), "PRUNUS_BUILD": str(scratch / "build"),
               "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "prunus.sim.campaigns.mutate", "--regression", config_name],
                cwd=scratch, env=env, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False)
            code, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            code, said = CAUGHT, f"no end after {TIMEOUT_S} s"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    verdict = {CAUGHT: "caught", SURVIVED: "survived"}.get(code, "broken")
    lines = said.strip().splitlines() or [""]
    message = lines[-1] if verdict == "broken" else lines[0]
    return Outcome(mutation, verdict, time.perf_counter() - begin, message)


def attempt(mutation: Mutation | None, config_name: str) -> dict:
    """The same as a task. What is no verdict on a mutation is a failure, and not kept."""
    outcome = try_mutation(mutation, config_name)
    value = {name: getattr(outcome, name) for name in ("verdict", "seconds", "message")}
    if outcome.verdict not in (("caught", "survived") if mutation else ("survived",)):
        raise campaign.TaskError(outcome.message, value)
    return value


def _outcome(result: campaign.Result) -> Outcome:
    broken = {"verdict": "broken", "seconds": 0.0, "message": result.failure}
    return Outcome(result.task.arguments[0], **result.value or broken)


def _markdown(outcomes: Sequence[tuple[Mutation, Outcome]]) -> str:
    caught = sum(outcome.verdict == "caught" for _, outcome in outcomes)
    jobs = sum(chunk.count for chunk in CHUNKS)
    configs = sorted({mutation.config for mutation, _ in outcomes})
    lines = ["# Mutations", "",
             f"`python -m prunus.sim.campaigns.mutate` breaks the RTL in {len(outcomes)} ways, one "
             f"at a time, and runs {jobs}",
             f"random jobs of its engine (`{'`, `'.join(configs)}`) on each, some of them with "
             f"random stalls. {caught} of {len(outcomes)} are caught.", "",
             "| file | instead of | stands | why | verdict |", "|---|---|---|---|---|"]
    for mutation, outcome in outcomes:
        cells = (mutation.file, f"`{mutation.old}`", f"`{mutation.new}`", mutation.why,
                 outcome.verdict)
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|")
                                       for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _report(outcomes: Sequence[tuple[Mutation, Outcome]], options: argparse.Namespace) -> None:
    if options.json:
        rows = [{**asdict(mutation), "config": mutation.config, "verdict": o.verdict,
                 "seconds": round(o.seconds, 1), "message": o.message} for mutation, o in outcomes]
        print(json.dumps(rows, indent=2))
    else:
        print_table(["file", "why", "verdict", "s", "what the regression said"],
                    [[mutation.file, mutation.why, o.verdict, f"{o.seconds:.0f}", o.message]
                     for mutation, o in outcomes], keys=2)
    if options.markdown:
        path = Path(options.markdown)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_markdown(outcomes), encoding="utf-8")


@campaign.command
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="python -m prunus.sim.campaigns.mutate", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--markdown", metavar="FILE", help="also write FILE, docs/mutations.md")
    parser.add_argument("--only", metavar="TEXT", help="mutations whose file or reason has TEXT")
    parser.add_argument("--regression", metavar="CONFIG", help=argparse.SUPPRESS)
    campaign.add_options(parser)
    options = parser.parse_args(arguments)
    if options.regression:
        return regression(options.regression)
    chosen = [m for m in MUTATIONS if not options.only or options.only in f"{m.file} {m.why}"]
    if not chosen:
        parser.error("--only must occur in the file or the reason of a mutation, not "
                     f"{options.only!r}")
    check_table(chosen)
    tasks = [campaign.Task(f"{name} as it is", attempt, (None, name))
             for name in sorted({mutation.config for mutation in chosen})]
    tasks += [campaign.Task(mutation.why, attempt, (mutation, mutation.config))
              for mutation in chosen]
    outcomes: list[tuple[Mutation, Outcome]] = []
    with closing(campaign.run("mutate", tasks, campaign.options_of(options))) as done:
        for result in done:
            outcome, name = _outcome(result), result.task.arguments[1]
            if outcome.mutation:
                outcomes.append((outcome.mutation, outcome))
                if sys.stderr.isatty():
                    print(f"{len(outcomes)}/{len(chosen)} {outcome.verdict}: "
                          f"{outcome.mutation.file}, {outcome.mutation.why}", file=sys.stderr)
            elif outcome.verdict != "survived":
                print(f"without a mutation the regression of {name} must pass: "
                      f"{outcome.message}", file=sys.stderr)
                return 1
    _report(outcomes, options)
    return 0 if all(outcome.verdict == "caught" for _, outcome in outcomes) else 1


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from prunus.sim.campaigns.mutate import main

    sys.exit(main())
