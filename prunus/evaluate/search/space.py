# SPDX-License-Identifier: Apache-2.0
"""What a search may choose of the heads of a model, engine by engine.

A *setting* is a dictionary of parameters, ``field.layer`` or ``field.layer.head``. Each layer, or
each head, is a *unit* with a strength of its own, of which a *step* prunes more.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.hdp.compute import Importance
from prunus.golden.topk.config import TopkConfig

from ...engines.hdp import TAU_MAX
from ...errors import InputError
from ..choices import places
from .trial import LEVELS

__all__ = ["SPACES", "Goal", "Setting", "Space", "Unit"]

Setting = dict[str, Any]
Goal = Literal["blocks", "scores", "heads"]
EVERYTHING = 1.0            # of the quantiles of theta_head: the head is always pruned


@dataclass(frozen=True)
class Unit:
    """A layer, or a head of it."""

    layer: int
    head: int | None = None

    @property
    def name(self) -> str:
        return f"{self.layer}" if self.head is None else f"{self.layer}.{self.head}"


@dataclass(frozen=True)
class Range:
    """A real parameter."""

    low: float
    high: float

    def nearest(self, value: float) -> float:
        """That lies within, of four decimals."""
        return min(max(round(value, 4), self.low), self.high)


Values = Range | tuple          # of a parameter; a tuple has all of them


class Space(ABC):
    """What there is to choose.

    Parameters
    ----------
    config : EngineConfig
    layers, heads : int
        Of the model.
    per : "layer" or "head"
        What has a strength of its own.
    goal : Goal
        What is to be pruned.
    importance : Importance, optional
        The only one of HDP that is tried.
    length : int
        Tokens of the longest text.
    causal : bool
    surveyed : list
        Of :func:`.trial.survey`.
    """

    surveys: ClassVar[bool] = False
    strength: ClassVar[str | None] = None       # the parameter that can be learned

    def __init__(self, config: EngineConfig, layers: int, heads: int, *, per: str, goal: Goal,
                 importance: Importance | None = None, length: int = 0, causal: bool = False,
                 surveyed: Sequence[Sequence[Sequence[float]]] = ()):
        self.config, self.layers, self.heads, self.goal = config, layers, heads, goal
        self.importance, self.length, self.causal = importance, length, causal
        self.surveyed = surveyed
        self.units = [Unit(layer, head) for layer in range(layers)
                      for head in (range(heads) if per == "head" else [None])]

    def heads_of(self, unit: Unit) -> Iterator[int]:
        yield from range(self.heads) if unit.head is None else [unit.head]

    def alike(self, **values: Any) -> Setting:
        """The same parameters for all units, and layers where a parameter belongs to these."""
        return {name: values[name.split(".")[0]] for name in self.values()}

    @abstractmethod
    def values(self) -> dict[str, Values]:
        """All parameters of a setting."""

    @abstractmethod
    def ladder(self) -> list[Setting]:
        """Settings of one parameter: all units alike."""

    def variants(self, setting: Setting) -> list[Setting]:
        """The same strengths with what else may be better."""
        return []

    def learnable(self, setting: Setting) -> bool:
        """What :func:`.learn.learn` can start from."""
        return self.strength is not None

    def numbers(self) -> list[list[int]]:
        """(layers, heads), the number of the unit of each head."""
        found = [[0] * self.heads for _ in range(self.layers)]
        for n, unit in enumerate(self.units):
            for head in self.heads_of(unit):
                found[unit.layer][head] = n
        return found

    def how(self, setting: Setting) -> dict[str, list[bool]]:
        """What is not learned, layer by layer."""
        return {"drop": [True] * self.layers, "exact": [False] * self.layers,
                "balanced": [False] * self.layers}

    def strengths(self, setting: Setting) -> list[float]:
        return [setting[f"{self.strength}.{unit.name}"] for unit in self.units]

    def learned(self, setting: Setting, found: Mapping[str, Sequence[float]]) -> Setting:
        """A setting with what was learned in the place of its own."""
        values = {name: of for name, of in self.values().items() if isinstance(of, Range)}
        new = {f"{name}.{unit.name}": float(value) for name, of in (
            (self.strength, found["strengths"]), ("temperature", found["temperatures"]))
            for unit, value in zip(self.units, of, strict=True)}
        return setting | {name: values[name].nearest(value) for name, value in new.items()}

    def between(self, one: Setting, other: Setting, part: float) -> Setting:
        """On the way from one setting to another: real parameters move, what else there is stays
        that of the first."""
        return one | {name: of.nearest(one[name] + part * (other[name] - one[name]))
                      for name, of in self.values().items() if isinstance(of, Range)}

    @abstractmethod
    def steps(self, setting: Setting, unit: Unit) -> list[Setting]:
        """Changes of a setting by which this unit prunes more."""

    @abstractmethod
    def entries(self, setting: Setting) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Fields ``all`` and ``heads`` of a calibration."""


class _Plain(Space):
    """A space of one real parameter a unit."""

    field: ClassVar[str]

    @abstractmethod
    def falls(self, unit: Unit) -> Sequence[float]:
        """Values that prune more and more."""

    @abstractmethod
    def pruned_by(self, value: float) -> float:
        """Rises with what is pruned."""

    def values(self) -> dict[str, Values]:
        found: dict[str, Values] = {}
        for unit in self.units:
            values = self.falls(unit)
            found[f"{self.field}.{unit.name}"] = Range(min(values), max(values))
        return found

    def steps(self, setting: Setting, unit: Unit) -> list[Setting]:
        name = f"{self.field}.{unit.name}"
        now = self.pruned_by(setting[name])
        following = next((value for value in self.falls(unit)
                          if self.pruned_by(value) > now + 1e-9), None)
        return [] if following is None else [{name: following}]

    def entries(self, setting: Setting) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return {}, [_entry(unit, {self.field: setting[f"{self.field}.{unit.name}"]})
                    for unit in self.units]


def _entry(unit: Unit, fields: Mapping[str, Any]) -> dict[str, Any]:
    where: dict[str, Any] = {"layer": unit.layer}
    return where | ({} if unit.head is None else {"head": unit.head}) | dict(fields)


# -- HDP ------------------------------------------------------------------------------------------
DISTANCES = (8.0, 6.0, 5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.0)
RHOS = (-0.8, -0.6, -0.4, -0.2, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PRUNED = ("zero", "drop")
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)     # of texts in which a head is pruned
TEMPERATURES = Range(0.5, 2.0)


class HdpSpace(Space):
    """Of each unit ``distance`` or ``rho``, and ``tau``, the share of texts in which the head is
    pruned, from 0 to 1, and ``temperature``; of each layer ``importance``, ``pruned``, ``exact``
    and ``balanced``."""

    surveys = True
    strength = "distance"

    @property
    def kinds(self) -> list[Importance]:
        return list(Importance) if self.importance is None else [self.importance]

    def values(self) -> dict[str, Values]:
        found: dict[str, Values] = {}
        for layer in range(self.layers):
            found[f"importance.{layer}"] = tuple(map(str, self.kinds))
            found[f"pruned.{layer}"] = PRUNED
            found[f"exact.{layer}"] = (False, True)
            found[f"balanced.{layer}"] = (False, True)
        for unit in self.units:
            if Importance.DISTANCE in self.kinds:
                found[f"distance.{unit.name}"] = Range(min(DISTANCES), max(DISTANCES))
            if Importance.MAGNITUDE in self.kinds:
                found[f"rho.{unit.name}"] = Range(min(RHOS), max(RHOS))
            found[f"tau.{unit.name}"] = Range(0.0, EVERYTHING)
            found[f"temperature.{unit.name}"] = TEMPERATURES
        return found

    def ladder(self) -> list[Setting]:
        return [self._alike(kind, value, pruned)
                for kind in self.kinds for pruned in PRUNED
                for value in (DISTANCES if kind is Importance.DISTANCE else RHOS)[::2]] + [
                    self._alike(kind, (DISTANCES if kind is Importance.DISTANCE else RHOS)[0],
                                PRUNED[0], share)
                    for kind in self.kinds if self.goal == "heads" for share in SHARES]

    def variants(self, setting: Setting) -> list[Setting]:
        return [setting | {f"{name}.{layer}": value for layer in range(self.layers)}
                for name, value in (("exact", True), ("balanced", False))]

    def learnable(self, setting: Setting) -> bool:
        return self.goal != "heads" and all(
            setting[f"importance.{layer}"] == Importance.DISTANCE for layer in range(self.layers))

    def how(self, setting: Setting) -> dict[str, list[bool]]:
        layers = range(self.layers)
        return {"drop": [setting[f"pruned.{layer}"] == "drop" for layer in layers],
                **{name: [setting[f"{name}.{layer}"] for layer in layers]
                   for name in ("exact", "balanced")}}

    def _alike(self, kind: Importance, value: float, pruned: str, tau: float = 0.0) -> Setting:
        by_distance = kind is Importance.DISTANCE
        return self.alike(importance=str(kind), pruned=pruned, exact=False, balanced=True,
                          tau=tau, temperature=1.0,
                          distance=value if by_distance else DISTANCES[0],
                          rho=RHOS[0] if by_distance else value)

    def steps(self, setting: Setting, unit: Unit) -> list[Setting]:
        tau = f"tau.{unit.name}"
        if setting[tau] >= EVERYTHING:
            return []
        found = [{tau: EVERYTHING}]
        if self.goal == "heads":
            return found
        by_distance = setting[f"importance.{unit.layer}"] == Importance.DISTANCE
        name = f"{'distance' if by_distance else 'rho'}.{unit.name}"
        ladder = DISTANCES if by_distance else RHOS
        more = [value for value in ladder if (
            value < setting[name] - 1e-9 if by_distance else value > setting[name] + 1e-9)]
        return ([{name: more[0]}] if more else []) + found

    def entries(self, setting: Setting) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        entries: list[dict[str, Any]] = []
        for layer in range(self.layers):
            entries.append({"layer": layer, "pruned": setting[f"pruned.{layer}"],
                            "exact": setting[f"exact.{layer}"],
                            "balanced": setting[f"balanced.{layer}"]})
        for unit in self.units:
            importance = setting[f"importance.{unit.layer}"]
            field = "distance" if importance == Importance.DISTANCE else "rho"
            entries.append(_entry(unit, {
                field: setting[f"{field}.{unit.name}"],
                "temperature": setting[f"temperature.{unit.name}"]}))
            share = setting[f"tau.{unit.name}"]
            for head in self.heads_of(unit) if share > 0 else []:
                entries.append({"layer": unit.layer, "head": head,
                                "tau_head": self._tau(unit.layer, head, share)})
        return {}, entries

    def _tau(self, layer: int, head: int, share: float) -> int:
        """The least that prunes this share of the texts of the survey."""
        if share >= EVERYTHING:
            return TAU_MAX
        levels = self.surveyed[layer][head]
        return min(TAU_MAX, int(levels[math.floor(share * len(levels))]))


# -- LeOPArd --------------------------------------------------------------------------------------
class LeopardSpace(_Plain):
    """Of each unit a ``threshold`` and a ``temperature``."""

    surveys = True
    field = strength = "threshold"

    def _level(self, unit: Unit, share: float) -> float:
        """The logit below which a share of those of the unit lies."""
        rows = [self.surveyed[unit.layer][head] for head in self.heads_of(unit)]
        return float(np.interp(share, LEVELS, np.mean(rows, axis=0)))

    @property
    def _bounds(self) -> tuple[float, float]:
        """Below and above all logits."""
        everything = np.array(self.surveyed)
        return float(everything[..., 0].min()) - 1, float(everything[..., -1].max()) + 1

    def values(self) -> dict[str, Values]:
        return {f"{name}.{unit.name}": values for unit in self.units for name, values in (
            ("threshold", Range(*self._bounds)), ("temperature", TEMPERATURES))}

    def entries(self, setting: Setting) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return {}, [_entry(unit, {name: setting[f"{name}.{unit.name}"]
                                  for name in ("threshold", "temperature")})
                    for unit in self.units]

    def falls(self, unit: Unit) -> Sequence[float]:
        return [*(self._level(unit, share) for share in LEVELS), self._bounds[1]]

    def pruned_by(self, value: float) -> float:
        return value

    def ladder(self) -> list[Setting]:
        """One level for all heads, and one share of the logits of each."""
        low, high = self._bounds
        step = max(0.25, (high - low) / 20)
        return [*(self.alike(threshold=float(value), temperature=1.0)
                  for value in np.arange(low, high, step)),
                *(self.alike(threshold=0.0, temperature=1.0) | {
                    f"threshold.{unit.name}": self._level(unit, share) for unit in self.units}
                  for share in LEVELS[::2])]


# -- Top-K ----------------------------------------------------------------------------------------
KEEPS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02)


class TopkSpace(_Plain):
    """Of each unit ``keep``, the share of its scores."""

    field = "keep"
    config: TopkConfig

    def falls(self, unit: Unit) -> Sequence[float]:
        limits = np.arange(1, self.length + 1) if self.causal else np.full(
            self.length, self.length)
        fit = [keep for keep in KEEPS if places(limits, keep) <= self.config.k_max]
        if not fit:
            raise InputError(f"texts must not be so long that {KEEPS[-1]:g} of the keys are more "
                             f"than the {self.config.k_max} places of {self.config.name}, and one "
                             f"has {self.length} tokens: --length cuts them")
        return fit

    def pruned_by(self, value: float) -> float:
        return -value

    def ladder(self) -> list[Setting]:
        return [self.alike(keep=keep) for keep in self.falls(self.units[0])]


SPACES: dict[str, type[Space]] = {
    "hdp": HdpSpace, "leopard": LeopardSpace, "topk": TopkSpace}
