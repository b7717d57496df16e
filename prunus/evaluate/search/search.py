# SPDX-License-Identifier: Apache-2.0
"""A search for what prunes most within a loss, or loses least at a pruned share; its confirmation.

Phases try settings, all of them by the divergence from what the model says by itself:

- *ladder*: one parameter, all heads alike.
- *learned*: strengths and temperatures of all heads, by gradients (:mod:`.learn`).
- *between*: on the way from one of these to the next, about where the aim is reached.
- *greedy*: from a good point so far on, the steps that cost least for what they prune, again and
  again. Steps are measured where the search stands, together with all that were taken.
- *tpe*: what Optuna proposes from all of this.

What is tried follows from the seed and from results alone. So the same command does the same again,
and what the study has of it is not computed twice.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from prunus.sim.campaigns import campaign

from ...errors import RunError
from ..calibration import Calibration, Entry
from .learn import learn
from .space import Goal, Setting, Space
from .study import Study
from .trial import Texts, measure

__all__ = ["CONFIRMATIONS", "Aim", "Found", "Search", "Tried", "front", "split"]

TOGETHER = 8            # settings that TPE proposes at a time
MEASURED, TAKEN = 0.3, 0.15         # of the units, in a round of the greedy phase
GREEDY = 0.85           # of the trials, at most, are spent before TPE
NEAR = 0.85             # of the divergence of the best of the ladder: where the greedy phase starts
FAR = 2.5               # times the loss allowed: where the greedy phase turns back
BEYOND = 1.6            # times the loss allowed, and a part of it: where steps are finer
WIDE = 0.04             # about the share wanted: where steps are finer, and the greedy phase ends
PARTS = (0.25, 0.5, 0.75)
CONFIRMATIONS = 6
LESS = 0.93             # of the divergence of what did not hold: what is confirmed next
FREE = 1e-7             # of a divergence, and of a share: nothing

Said = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tried:
    """A setting, and what :func:`.trial.measure` gave for it."""

    setting: Setting
    result: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a search.

    Members
    -------
    best : Tried or None
        What is confirmed; None if nothing holds.
    confirmed : list of (Tried, dict)
        What was confirmed or not, in order, and what the texts of confirmation gave for it.
    front : list of Tried
        Not dominated, by what is pruned.
    trials : int
    """

    best: Tried | None
    confirmed: list[tuple[Tried, dict[str, Any]]]
    front: list[Tried]
    trials: int


def front(tried: Iterable[Tried], share: str) -> list[Tried]:
    """Those that nothing else beats in both the share that is pruned and the divergence."""
    found: list[Tried] = []
    for one in sorted(tried, key=lambda one: (-one.result[share], one.result["divergence"])):
        if not found or one.result["divergence"] < found[-1].result["divergence"]:
            found.append(one)
    return found


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What is wanted: the largest share within a loss, or the least divergence from a share on.

    Parameters
    ----------
    share : str
        What is pruned, a field of results.
    max_loss, target : float
        One of them: of the metric, in its own unit; of the share.
    """

    share: str
    max_loss: float = math.inf
    target: float | None = None

    def met(self, one: Tried) -> bool:
        """On the texts of the search."""
        if self.target is not None:
            return one.result[self.share] >= self.target
        return one.result["lost"] <= self.max_loss

    def candidates(self, tried: Iterable[Tried]) -> list[Tried]:
        """What met it and is not dominated, the best one first."""
        found = front([one for one in tried if self.met(one)], self.share)
        return found if self.target is None else found[::-1]

    def crossed(self, one: Tried, other: Tried) -> bool:
        """Whether what is wanted lies about between them; the other prunes more."""
        if self.target is not None:
            return (one.result[self.share] < self.target + WIDE
                    and other.result[self.share] > self.target - WIDE)
        return (one.result["lost"] < BEYOND * self.max_loss
                and other.result["lost"] > self.max_loss / BEYOND)

    def past(self, one: Tried) -> bool:
        """Far beyond."""
        if self.target is not None:
            return one.result[self.share] > self.target + WIDE
        return one.result["lost"] > FAR * self.max_loss


class Search:
    """The search of a model's calibration.

    Parameters
    ----------
    study : Study
    space : Space
    texts, lessons : Texts
        That it looks at, and that it learns from.
    header : dict
        Fields ``method``, ``preset`` and ``model`` of calibrations.
    config : str
        Of :func:`prunus.golden.engines.load_config`.
    options : campaign.Options
        Where trials are done.
    idle : list
        Of :func:`prunus.sim.campaigns.campaign.lasting`.
    aim : Aim
    trials : int
    seed : int
    said : callable, optional
        Is told of trials, of how many, and the best so far.
    """

    def __init__(self, study: Study, space: Space, texts: Texts, lessons: Texts,
                 header: dict[str, Any], *, config: str, options: campaign.Options, idle: list,
                 aim: Aim, trials: int, seed: int, said: Said | None = None):
        self.study, self.space, self.texts, self.header = study, space, texts, header
        self.lessons = lessons
        self.config, self.options, self.idle = config, options, idle
        self.aim, self.seed, self._said = aim, seed, said
        self.goal: Goal = space.goal
        self.share = aim.share
        self.values = space.values()
        self.ladder = space.ladder()
        self.trials = max(trials, len(self.ladder))
        self.tried: list[Tried] = []
        self._settings: set[str] = set()

    # -- trials ----------------------------------------------------------------------------------
    def calibration(self, setting: Setting, made: dict[str, Any] | None = None) -> Calibration:
        everything, heads = self.space.entries(setting)
        return Calibration(**self.header, all=everything, made=made or {},
                           heads=tuple(Entry.model_validate(entry) for entry in heads))

    def _tasks(self, texts: Texts, settings: Sequence[Setting]) -> list[campaign.Task]:
        # Of the same name wherever it stands, by which a campaign knows what it has done.
        return [campaign.Task("setting", measure, (
            texts, self.calibration(setting).model_dump(mode="json"), self.config))
            for setting in settings]

    def _results(self, texts: Texts, settings: Sequence[Setting]) -> Iterable[dict[str, Any]]:
        for result in campaign.run("calibrate", self._tasks(texts, settings), self.options,
                                   bar=False, idle=self.idle):
            if result.failure:
                raise RunError(f"a trial failed: {result.failure}")
            yield result.value

    def _try(self, settings: Sequence[Setting], phase: str) -> list[Tried]:
        """Try settings, those that the study does not have in a campaign."""
        missing = [setting for n, setting in enumerate(settings)
                   if self.study.result(setting) is None and setting not in settings[:n]]
        results = self._results(self.texts, missing)
        for setting, result in zip(missing, results, strict=True):
            self.study.add(setting, self.values, result, self.goal, phase)
            self._tell()
        found = []
        for setting in settings:
            known = self.study.result(setting)
            assert known is not None
            one = Tried(setting, known)
            found.append(one)
            key = repr(sorted(setting.items()))
            if key not in self._settings:
                self._settings.add(key)
                self.tried.append(one)
        self._tell()
        return found

    def _tell(self) -> None:
        if self._said:
            best = self.aim.candidates(self.tried)[:1]
            note = "".join(f"best {one.result[self.share]:.1%} at {one.result['lost']:.2f}"
                           for one in best)
            self._said(min(len(self.study), self.trials), self.trials, note)

    @property
    def _left(self) -> int:
        return self.trials - len(self.tried)

    # -- phases ----------------------------------------------------------------------------------
    def run(self) -> None:
        """Try as many settings as were asked for."""
        self._try(self.ladder, "ladder")
        start = self._start()
        others = self._try(self.space.variants(start.setting), "variants")
        start = min([start, *others], key=lambda one: one.result["divergence"])
        if self.space.learnable(start.setting):
            learned = self._try([self.space.learned(start.setting, found)
                                 for found in self._learned(start.setting)], "learned")
            self._try(self._between(learned), "between")
            start = self._start()
        self._greedy(start)
        batch = 0
        while self._left > 0:
            proposed = self.study.propose(
                [(one.setting, one.result) for one in self.tried], self.values, self.goal,
                min(TOGETHER, self._left), hash((self.seed, batch)) & 0x7FFFFFFF)
            before = len(self.tried)
            self._try(proposed, "tpe")
            batch += 1
            if len(self.tried) == before:       # a space of few settings is exhausted
                break

    def _learned(self, setting: Setting) -> list[dict[str, list[float]]]:
        """What can be learned from a setting on; the campaign keeps it."""
        if self._said:
            self._said(min(len(self.study), self.trials), self.trials, "learning")
        space = self.space
        [result] = campaign.run("calibrate", [campaign.Task("learn", learn, (
            self.lessons, self.config, space.numbers(), space.strengths(setting),
            space.how(setting), self.seed))], self.options, bar=False, idle=self.idle)
        if result.failure:
            raise RunError(f"learning failed: {result.failure}")
        return result.value

    def _between(self, learned: Sequence[Tried]) -> list[Setting]:
        """About where the aim is reached, settings on the way from one to the next."""
        found = []
        for one, other in pairwise(sorted(learned, key=lambda one: one.result[self.share])):
            if self.aim.crossed(one, other):
                found += [self.space.between(one.setting, other.setting, part)
                          for part in PARTS]
        return found

    def _start(self) -> Tried:
        """A point of those tried so far that meets the aim; within a loss, what prunes most of
        those that have at most NEAR of the divergence of the best one."""
        ladder = list(self.tried)
        met = self.aim.candidates(ladder)
        # Heads go one by one; by theta_head alone they go by chance.
        if self.goal == "heads" or not met:
            return min(ladder, key=lambda one: one.result["divergence"])
        best = met[0]
        if self.aim.target is not None:
            return best
        near = [one for one in ladder
                if one.result["divergence"] <= NEAR * best.result["divergence"]]
        if not near:
            return min(ladder, key=lambda one: one.result["divergence"])
        return max(near, key=lambda one: (one.result[self.share], -one.result["divergence"]))

    def _greedy(self, now: Tried) -> None:
        until = math.floor(GREEDY * self.trials)
        ratios: dict[tuple[str, ...], float] = {}
        units = self.space.units
        far = 0
        while len(self.tried) < until and far < 2:
            moves = {tuple(change): (unit, change) for unit in units
                     for change in self.space.steps(now.setting, unit)}
            order = sorted(moves, key=lambda name: ratios.get(name, -math.inf))
            if not order:
                break
            new = [name for name in order if name not in ratios]
            chosen = order[:max(len(new), math.ceil(MEASURED * len(units)))]
            tried = self._try([now.setting | moves[name][1] for name in chosen], "greedy")
            for name, one in zip(chosen, tried, strict=True):
                ratios[name] = self._ratio(now, one)
            change: Setting = {}
            taken: list = []
            for name in sorted(chosen, key=lambda name: ratios[name]):
                unit, step = moves[name]
                if unit not in taken and math.isfinite(ratios[name]):
                    taken.append(unit)
                    change |= step
                if len(taken) >= math.ceil(TAKEN * len(units)):
                    break
            if not change:
                if len(chosen) == len(order):
                    break
                continue
            now = self._try([now.setting | change], "greedy")[0]
            far = far + 1 if self.aim.past(now) else 0

    def _ratio(self, before: Tried, after: Tried) -> float:
        """Divergence that is paid for what is pruned."""
        more = after.result[self.share] - before.result[self.share]
        paid = after.result["divergence"] - before.result["divergence"]
        if more <= FREE:
            return 0.0 if abs(more) <= FREE and abs(paid) <= FREE else math.inf
        return paid / more

    # -- confirmation ----------------------------------------------------------------------------
    def confirm(self, texts: Texts) -> Found:
        """What meets the aim on the texts of the search, and keeps the loss on these, too, which
        the search never reads."""
        confirmed: list[tuple[Tried, dict[str, Any]]] = []
        best, limit = None, math.inf
        for one in self.aim.candidates(self.tried):
            if len(confirmed) == CONFIRMATIONS:
                break
            if one.result["divergence"] > limit:
                continue
            [result] = self._results(texts, [one.setting])
            confirmed.append((one, result))
            if self.true_loss(result) <= self.aim.max_loss:
                best = one
                break
            limit = LESS * one.result["divergence"]
        return Found(best=best, confirmed=confirmed, front=front(self.tried, self.share),
                     trials=len(self.tried))

    def true_loss(self, result: dict[str, Any]) -> float:
        """Of the metric itself."""
        from ..tasks import TASKS
        from .trial import lost

        return lost(TASKS[self.texts.task], result["own"], result["value"])


def split(keys: Sequence[Any], search: int, confirm: int, seed: int,
          all_to_search: bool = False) -> tuple[list[int], list[int]]:
    """Numbers of texts to search by and to confirm by, drawn; equal texts have equal keys, and
    none is in both. At least half are left to confirm by, unless there are others for that."""
    first: dict[Any, int] = {}
    for n, key in enumerate(keys):
        first.setdefault(key, n)
    drawn = np.random.default_rng(seed).permutation(list(first.values())).tolist()
    search = min(search, len(drawn) if all_to_search else len(drawn) // 2)
    return sorted(drawn[:search]), sorted(drawn[search:search + confirm])
