# SPDX-License-Identifier: Apache-2.0
"""All methods by name: their options, and what is made of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.config import HdpConfig

from ...engines import FRONTS
from ...errors import InputError
from ..calibration import CHOICES, Calibration, why
from ..choices import Choice, HdpChoice, LeopardChoice
from .base import Hardware, Method
from .energon import Energon
from .hdp import Hdp
from .leopard import Leopard
from .own import Float, Uniform
from .random import Random
from .spatten import Spatten
from .topk import Topk

__all__ = ["METHODS", "Kind", "calibrated", "dense", "make_method"]

ON: dict[str, Callable[..., Hardware]] = {"hdp": Hdp, "leopard": Leopard, "topk": Topk}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A method as the command line knows it.

    Members
    -------
    options : tuple of str
        Those that are its own.
    make : callable
        From a configuration, or None, and the options that were given.
    preset : str or None
        The default of ``--preset``; None of a method without hardware.
    engines : tuple of str
        That compute it.
    """

    about: str
    make: Callable[[Any, dict[str, Any]], Method]
    options: tuple[str, ...] = ()
    preset: str | None = None
    engines: tuple[str, ...] = ()


def _constant(choice: Choice) -> Callable[[int, int], Any]:
    return lambda layer, head: choice


NEEDS = {"leopard": "--threshold", "topk": "--top-k or --keep"}


def _on(engine: str) -> Callable[[EngineConfig, dict[str, Any]], Method]:
    """A method with the same choice for all heads."""
    def make(config: EngineConfig, given: dict[str, Any]) -> Method:
        if engine in NEEDS and not given.keys() - {"temperature"}:
            raise InputError(f"method {engine} needs {NEEDS[engine]}")
        try:
            choice = CHOICES[engine].model_validate(given)
        except ValidationError as err:
            raise InputError(f"method {engine}: {why(err)}") from None
        told = choice.model_dump(mode="json", exclude_none=True, exclude={"dense"})
        return ON[engine](config, _constant(choice), {
            # JSON has no infinities.
            name: str(value) if value in (math.inf, -math.inf) else value
            for name, value in told.items()})
    return make


def dense(config: EngineConfig, given: Mapping[str, Any] | None = None) -> Hardware:
    """Nothing is pruned, on the codes of an engine: every product of HDP in full, or a threshold
    that LeOPArd's keys all reach."""
    made: Hardware = (
        Hdp(config, _constant(HdpChoice(dense=True)), {}) if isinstance(config, HdpConfig)
        else ON["leopard"](config, _constant(LeopardChoice(threshold=float("-inf"))), {}))
    made.name = "dense"                     # type: ignore[misc]
    return made


def _random(_: Any, given: dict[str, Any]) -> Method:
    share = given.get("share")
    if share is None:
        raise InputError("method random needs --share, that of what is pruned")
    if not 0 <= share < 1:
        raise InputError(f"--share must lie in [0, 1), not {share:g}")
    return Random(**given)


def _spatten(_: Any, given: dict[str, Any]) -> Method:
    if not given:
        raise InputError("method spatten needs --token-keep or --head-keep, the share that the "
                         "last layer keeps")
    for name, value in given.items():
        if not 0 < value <= 1:
            raise InputError(f"--{name.replace('_', '-')} must lie in (0, 1], not {value:g}")
    return Spatten(**given)


def _energon(_: Any, given: dict[str, Any]) -> Method:
    alphas = given.get("alpha", [0.0, 0.0])
    if len(alphas) != 2:
        raise InputError(f"--alpha must be given twice, for each round, not {len(alphas)} times")
    for alpha in alphas:
        if not -1 < alpha < 1:
            raise InputError(f"--alpha must lie in (-1, 1), not {alpha:g}")
    return Energon(tuple(alphas))


METHODS: dict[str, Kind] = {
    "float": Kind(about="the model by itself, float32", make=lambda _, given: Float()),
    "dense": Kind(about="quantised, nothing pruned", make=dense, preset=FRONTS["hdp"].preset,
                  engines=("hdp", "leopard")),
    "hdp": Kind(about="hybrid dynamic pruning of blocks and heads", make=_on("hdp"),
                options=("importance", "rho", "distance", "tau_head", "pruned", "exact",
                         "centred", "balanced", "temperature"), preset=FRONTS["hdp"].preset,
                engines=("hdp",)),
    "leopard": Kind(about="thresholds on logits", make=_on("leopard"),
                    options=("threshold", "temperature"),
                    preset=FRONTS["leopard"].preset, engines=("leopard",)),
    "topk": Kind(about="the K best keys of each query", make=_on("topk"),
                 options=("top_k", "keep", "temperature"), preset=FRONTS["topk"].preset,
                 engines=("topk",)),
    "spatten": Kind(about="tokens and heads pruned for all later layers", make=_spatten,
                    options=("token_keep", "head_keep")),
    "energon": Kind(about="keys filtered in two rounds of few bits", make=_energon,
                    options=("alpha",)),
    "uniform": Kind(about="control: all visible keys count alike",
                    make=lambda _, given: Uniform()),
    "random": Kind(about="control: blocks, scores or heads pruned by chance", make=_random,
                   options=("share", "of", "seed")),
}


def _config(kind: Kind, name: str, preset: str | None) -> EngineConfig | None:
    if not kind.engines:
        if preset is not None:
            which = ", ".join(n for n, other in METHODS.items() if other.engines)
            raise InputError(f"--preset belongs to methods with hardware ({which}), not to {name}")
        return None
    assert kind.preset is not None
    config = load_config(preset or kind.preset)
    if engine_of(config).name not in kind.engines:
        raise InputError(f"--preset must be one of engine {' or '.join(kind.engines)} for method "
                         f"{name}, and {config.name} is of engine {engine_of(config).name}")
    return config


def make_method(name: str, preset: str | None, given: Mapping[str, Any]) -> Method:
    """The method of that name; ``given`` has all options by name, None where nothing was said.

    Raises
    ------
    InputError
    """
    kind = METHODS[name]
    said = {option: value for option, value in given.items() if value is not None}
    for option in said:
        if option not in kind.options:
            of = ", ".join(n for n, other in METHODS.items() if option in other.options)
            raise InputError(f"--{option.replace('_', '-')} is an option of method {of}, and "
                             f"--method is {name}")
    return kind.make(_config(kind, name, preset), said)


def calibrated(calibration: Calibration, path: Path, preset: str | None) -> Hardware:
    """The method of a calibration, on the hardware that it names, or another."""
    name = calibration.method
    config = _config(METHODS[name], name, preset or calibration.preset)
    return ON[name](config, calibration.chooser(), {"calibration": Path(path).name})
