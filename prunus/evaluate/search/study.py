# SPDX-License-Identifier: Apache-2.0
"""What a search has tried: an Optuna study in a file, and settings that Optuna proposes."""

import json
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ...errors import InputError
from .space import Range, Setting, Values

__all__ = ["Study"]

NAME = "calibrate"
DIRECTIONS = ("maximize", "minimize")       # the pruned share, the divergence
# What is kept of a trial.
KEPT = ("divergence", "lost", "own", "value", "blocks_pruned", "scores_pruned", "heads_pruned")


def _distribution(values: Values) -> BaseDistribution:
    return (FloatDistribution(values.low, values.high) if isinstance(values, Range) else
            CategoricalDistribution(values))


def _key(setting: Setting) -> str:
    return json.dumps(setting, sort_keys=True)


class Study:
    """All trials of a search.

    Parameters
    ----------
    path : Path
        SQLite; made if missing.
    of : mapping
        What is searched. A study of something else is refused.

    Members
    -------
    known : int
        Trials that the file had when it was opened.

    Raises
    ------
    InputError
    """

    def __init__(self, path: Path, of: Mapping[str, Any]):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.path, self._done = path, dict[str, dict[str, Any]]()
        try:
            # A path has signs that mean something else in a URL: ? and %, and braces to Optuna.
            storage = optuna.storages.RDBStorage("sqlite:///study", engine_kwargs={
                "creator": lambda: sqlite3.connect(path, check_same_thread=False)})
            self._kept = optuna.create_study(
                study_name=NAME, storage=storage, directions=DIRECTIONS, load_if_exists=True)
            self._check(of)
            for trial in self._kept.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
                self._done[_key(trial.params)] = dict(trial.user_attrs)
        except (SQLAlchemyError, RuntimeError, AssertionError) as err:
            raise InputError(f"study {str(path)!r} cannot be used: "
                             f"{(str(err).strip() or type(err).__name__).splitlines()[0]}"
                             ) from None
        self.known = len(self._done)

    def _check(self, of: Mapping[str, Any]) -> None:
        there = self._kept.user_attrs
        if not there:
            for name, value in of.items():
                self._kept.set_user_attr(name, value)
            return
        for name, value in of.items():
            if there.get(name) != value:
                raise InputError(f"study {str(self.path)!r} is of another {name}, "
                                 f"{_short(there.get(name))}, and this is {_short(value)}: --study "
                                 "names another file")

    def __len__(self) -> int:
        return len(self._done)

    # -- trials ----------------------------------------------------------------------------------
    def result(self, setting: Setting) -> dict[str, Any] | None:
        """Of a setting that was tried."""
        return self._done.get(_key(setting))

    def add(self, setting: Setting, values: Mapping[str, Values], result: Mapping[str, Any],
            goal: str, phase: str) -> dict[str, Any]:
        """Keep the result of a setting, on the disk, too."""
        kept = {name: result[name] for name in KEPT} | {"phase": phase}
        self._kept.add_trial(_trial(setting, values, kept, goal))
        self._done[_key(setting)] = kept
        return kept

    # -- proposals -------------------------------------------------------------------------------
    @staticmethod
    def propose(tried: Sequence[tuple[Setting, Mapping[str, Any]]], values: Mapping[str, Values],
                goal: str, count: int, seed: int) -> list[Setting]:
        """What TPE would try next, given these trials; the same again for the same seed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")         # of what Optuna calls experimental
            sampler = optuna.samplers.TPESampler(seed=seed, multivariate=False,
                                                 constant_liar=False)
            study = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
            study.add_trials([_trial(setting, values, result, goal)
                              for setting, result in tried])
            distributions = {name: _distribution(value) for name, value in values.items()}
            return [study.ask(distributions).params for _ in range(count)]


def _trial(setting: Setting, values: Mapping[str, Values], result: Mapping[str, Any],
           goal: str) -> optuna.trial.FrozenTrial:
    return create_trial(
        params=setting, distributions={name: _distribution(values[name]) for name in setting},
        values=[result[f"{goal}_pruned"], result["divergence"]], user_attrs=dict(result))


def _short(value: Any) -> str:
    return str(value) if len(str(value)) <= 60 else f"{str(value)[:57]}..."
