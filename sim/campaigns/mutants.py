# SPDX-License-Identifier: Apache-2.0
"""Hundreds of faults in the emitted Verilog, of which the tests must notice nearly all.

``python -m prunus.sim.campaigns.mutants --config hdp_tiny --count 500`` has Yosys put the faults
into one simulator (:mod:`prunus.sim.variants`), plays the tables of :mod:`prunus.sim.trials` with
each until something differs from the coprocessor without a fault, which is held against golden, and
asks the solver which of the others do the same for ever (:mod:`prunus.formal.same`). What is left
plays tables that meet faults of memory and host (:mod:`prunus.sim.faults`), which golden judges.

``--list FILE`` writes the survivors of a report, which ``--output`` has written, into
``docs/mutants``, each with the reason why no input can show it, if ``reasons.toml`` there has one.
"""

import argparse
import json
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from prunus.console import Parser, print_table
from prunus.golden.engine import EngineConfig

from ..compare import MismatchError, check
from ..faults import play
from ..reasons import MUTANTS, UNEXPLAINED, explained, write_list
from ..session import Session, Simulation, open_session
from ..simulators.runner import SimulationError
from ..trials import TRIALS, Trial, difference, limited, slower
from ..variants import SELECT, Fault, Variants, variants, words
from . import campaign
from .commands import add_options, parse, report

__all__ = ["Outcome", "main", "prove", "survivors", "try_faults"]

JUDGED_JOBS = 2500          # of the tables with faults
GROUP = 20                  # faults of a task, which play against the same original
JUDGED_GROUP = 5
MOST = 100_000


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    Members
    -------
    verdict : str
        ``killed``; ``slower``: results are right, but cycles or the counters of them are others;
        ``same``: proved to do what the original does; ``survived``.
    message : str
        What differed, or what the proof stopped at.
    """

    fault: Fault
    verdict: str
    message: str


class _Player(ABC):
    """Simulations, begun again when a fault ends one.

    Members
    -------
    name : str
        Of what is played.
    """

    stall = 0.0
    name = ""

    def __init__(self, config: EngineConfig, made: Variants, seed: int):
        self._config, self._made, self._seed = config, made, seed
        self._stack = ExitStack()
        self._session: Session | None = None

    def close(self) -> None:
        """End what runs; what a fault left a simulation in is of no interest."""
        with suppress(SimulationError):
            self._stack.close()
        self._session = None

    def _restarted(self, number: int) -> Session:
        """A simulation with a fault, out of its reset."""
        if self._session and not self._session.alive:
            self.close()
        if self._session is None:
            self._stack = ExitStack()
            self._session = self._stack.enter_context(open_session(
                self._config, stall=self.stall, seed=self._seed, verilog=self._made.verilog))
        self._session.restart(**{SELECT: number})
        return self._session

    @abstractmethod
    def original(self) -> None:
        """Play without a fault. Raises MismatchError and SimulationError."""

    @abstractmethod
    def play(self, fault: Fault) -> tuple[str, str]:
        """``(what differed, what was slower)``; up to the first table that shows the fault."""


class _Compared(_Player):
    """The tables of a trial: what golden says nothing of is what the original gave."""

    def __init__(self, trial: Trial, config: EngineConfig, made: Variants, seed: int):
        super().__init__(config, made, seed)
        self.stall, self.name = trial.stall, f"{trial.name}, stall {trial.stall}"
        self._batches = trial.batches(config, seed)
        self._want: list[Simulation] = []

    def original(self) -> None:
        session = self._restarted(0)
        for batch in self._batches:
            run = session.ring(batch)
            self._want.append(run)
            plain = not (batch.image and not batch.places) and not batch.reset
            if plain:
                check(run, batch.jobs, self._config)
        self._batches = limited(self._batches, self._want)

    def play(self, fault: Fault) -> tuple[str, str]:
        late = ""
        try:
            session = self._restarted(fault.number)
            for batch, want in zip(self._batches, self._want, strict=True):
                run = session.ring(batch)
                if said := difference(run, want, self._config):
                    return said, late
                # With pauses time depends on when each channel happened to be looked at.
                if not self.stall:
                    late = late or slower(run, want, self._config)
        except SimulationError as err:
            return str(err).splitlines()[0], late
        return "", late


class _Judged(_Player):
    """Tables with faults of memory and host. They come at certain cycles, so that a fault that only
    takes time has other results there; what all results must be is known from golden."""

    name = "faults"

    def original(self) -> None:
        play(self._restarted(0), JUDGED_JOBS, self._seed)

    def play(self, fault: Fault) -> tuple[str, str]:
        try:
            play(self._restarted(fault.number), JUDGED_JOBS, self._seed)
        except (MismatchError, SimulationError) as err:
            return str(err).splitlines()[0], ""
        return "", ""


def try_faults(config: EngineConfig, count: int, seed: int, numbers: Sequence[int]) -> list[dict]:
    """``verdict`` and ``message`` of faults; those that no trial tells from the original survive.
    """
    return _played(config, count, seed, numbers, [
        partial(_Compared, trial) for trial in TRIALS])


def judge_faults(config: EngineConfig, count: int, seed: int, numbers: Sequence[int]
                 ) -> list[dict]:
    """The same by tables that meet faults, which take longer."""
    return _played(config, count, seed, numbers, [_Judged])


def _played(config: EngineConfig, count: int, seed: int, numbers: Sequence[int],
            players: Sequence[Callable[[EngineConfig, Variants, int], _Player]]) -> list[dict]:
    """What each player in turn says of the faults that are left."""
    made = variants(config, count, seed)
    faults = {fault.number: fault for fault in made.faults}
    said: dict[int, tuple[str, str]] = {}
    left = list(numbers)
    for make in players:
        player = make(config, made, seed)
        try:
            player.original()
            for number in left:
                killed, late = player.play(faults[number])
                if killed:
                    said[number] = "killed", f"{player.name}: {killed}"
                elif late and number not in said:
                    said[number] = "slower", late
        except (MismatchError, SimulationError) as err:
            raise campaign.TaskError(f"without a fault, {player.name}: "
                                     f"{str(err).splitlines()[0]}") from None
        finally:
            player.close()
        left = [number for number in left if said.get(number, ("",))[0] != "killed"]
    return [dict(zip(("verdict", "message"), said.get(number, ("survived", "")), strict=True))
            for number in numbers]


# -- proofs ---------------------------------------------------------------------------------------
@cache
def _circuit(config: EngineConfig, count: int, seed: int):
    from prunus.formal.rtl import read
    from prunus.formal.same import Variants as Circuit

    return Circuit(read(words(variants(config, count, seed), config)), SELECT)


def prove(config: EngineConfig, count: int, seed: int, number: int) -> list:
    """``[verdict, outputs that may differ, states that may]`` of a fault."""
    same = _circuit(config, count, seed).compare(number)
    return [same.verdict.value, list(same.differ), same.states]


# -- report ---------------------------------------------------------------------------------------
def _tried(options: argparse.Namespace, faults: Sequence[Fault],
           how: Callable[..., list[dict]], size: int) -> Iterator[Outcome]:
    """What trials say of faults, ``size`` of them a task."""
    config = options.chosen
    groups = [faults[n : n + size] for n in range(0, len(faults), size)]
    tasks = [campaign.Task(f"{how.__name__} {group[0].number}-{group[-1].number}", how,
                           (config, options.count, options.seed, [f.number for f in group]))
             for group in groups]
    with closing(campaign.run(f"mutants-{config.name}", tasks,
                              campaign.options_of(options))) as done:
        for group, result in zip(groups, done, strict=True):
            if result.failure:
                raise campaign.CampaignError(result.failure)
            for fault, value in zip(group, result.value, strict=True):
                yield Outcome(fault, **value)


def _proved(options: argparse.Namespace, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes, with what is proved of those that survived."""
    config = options.chosen
    left = [outcome for outcome in outcomes if outcome.verdict == "survived"]
    tasks = [campaign.Task(f"fault {outcome.fault.number}", prove,
                           (config, options.count, options.seed, outcome.fault.number))
             for outcome in left]
    known: dict[int, Outcome] = {}
    with closing(campaign.run(f"mutants-{config.name}", tasks,
                              campaign.options_of(options))) as done:
        for outcome, result in zip(left, done, strict=True):
            if result.failure:
                raise campaign.CampaignError(result.failure)
            verdict, outputs, states = result.value
            if verdict == "proved":
                known[outcome.fault.number] = replace(outcome, verdict="same")
            else:
                what = " ".join([*outputs, f"{states} states"])
                known[outcome.fault.number] = replace(
                    outcome, message=f"induction {verdict}: {what} may differ")
    return [known.get(outcome.fault.number, outcome) for outcome in outcomes]


def _judged(options: argparse.Namespace, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes, with what tables with faults say of those that survived so far."""
    left = [outcome.fault for outcome in outcomes if outcome.verdict == "survived"]
    killed = {said.fault.number: said for said in _tried(options, left, judge_faults, JUDGED_GROUP)
              if said.verdict == "killed"}
    return [killed.get(outcome.fault.number, outcome) for outcome in outcomes]


def _summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Numbers of each verdict and the share of those not proved the same that were noticed."""
    count = Counter(outcome.verdict for outcome in outcomes)
    other = len(outcomes) - count["same"]
    return {"faults": len(outcomes), "killed": count["killed"], "slower": count["slower"],
            "same": count["same"], "survived": count["survived"],
            "killed_share": count["killed"] / other if other else 1.0,
            "noticed_share": (count["killed"] + count["slower"]) / other if other else 1.0}


def _rows(outcomes: Sequence[Outcome]) -> list[dict]:
    return [{**asdict(outcome.fault), "verdict": outcome.verdict, "message": outcome.message}
            for outcome in outcomes]


def survivors(report: Mapping[str, Any]) -> list[str]:
    """Faults of a report that nothing noticed, a row each, without their numbers."""
    return sorted(f"{report['config']} {row['module']}: {row['what']}: {row['text']}"
                  for row in report["rows"] if row["verdict"] == "survived")


def _list(path: Path, parser: argparse.ArgumentParser) -> int:
    """Write the survivors of a report, with reasons, and say how many have none."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        name, rows = said["config"], survivors(said)
    except OSError as err:
        parser.error(f"--list {str(path)!r} cannot be read: {err.strerror}")
    except (ValueError, KeyError, TypeError):
        parser.error(f"--list must be a file that --output has written, not {str(path)!r}")
    write_list(rows, MUTANTS / f"{name}.txt")
    unknown = [row for row, why in explained(rows, MUTANTS).items() if why == UNEXPLAINED]
    print(f"{name}: {len(rows)} survivors, {len(unknown)} of them not explained")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m prunus.sim.campaigns.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="of faults")
    parser.add_argument("--first", type=int, metavar="N", help="try the first N of them alone")
    parser.add_argument("--no-proof", action="store_true",
                        help="do not ask which survivors do the same as the original")
    parser.add_argument("--list", type=Path, metavar="FILE",
                        help="write docs/mutants from a report, and do no more")
    add_options(parser, config="hdp_tiny", seed="of the choice of faults and of jobs")
    options = parse(parser, arguments)
    options.parser = parser
    if not 1 <= options.count <= MOST:
        parser.error(f"--count must lie in 1..{MOST:,}, not {options.count}")
    if options.first is not None and not 1 <= options.first <= options.count:
        parser.error(f"--first must lie in 1..{options.count}, the --count, not {options.first}")
    return options


def _report(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    summary = _summary(outcomes)
    if report({"config": options.chosen.name, "count": options.count, "seed": options.seed,
               **summary, "rows": _rows(outcomes)}, options):
        return
    open_ones = [o for o in outcomes if o.verdict in ("slower", "survived")]
    if open_ones:
        print_table(["fault", "module", "line", "what", "verdict", "message", "text"],
                    [[str(o.fault.number), o.fault.module, str(o.fault.line), o.fault.what,
                      o.verdict, o.message, o.fault.text] for o in open_ones], keys=3)
    print(f"{options.chosen.name}: {summary['faults']} faults, {summary['same']} proved the same; "
          f"of the others {summary['killed']} killed ({summary['killed_share']:.1%}), "
          f"{summary['slower']} seen by cycles alone ({summary['noticed_share']:.1%} with them), "
          f"{summary['survived']} survived")


@campaign.command
def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    if options.list:
        return _list(options.list, options.parser)
    faults = variants(options.chosen, options.count, options.seed).faults
    outcomes = list(_tried(options, faults[: options.first], try_faults, GROUP))
    if not options.no_proof:
        outcomes = _proved(options, outcomes)
    outcomes = _judged(options, outcomes)
    _report(outcomes, options)
    return 0


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from prunus.sim.campaigns.mutants import main

    sys.exit(main())
