# SPDX-License-Identifier: Apache-2.0
"""The registry of front ends: which engine reads its heads and tells of them in which way."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of

from ..errors import InputError
from . import hdp, leopard, topk
from .front import EngineFront

__all__ = ["FRONTS", "chosen_options", "engine_parameters", "front_of", "with_engine_options",
           "with_parameters"]

FRONTS: dict[str, EngineFront] = {
    "hdp": hdp.FRONT, "leopard": leopard.FRONT, "topk": topk.FRONT}


def front_of(config: EngineConfig) -> EngineFront:
    """Of a configuration's engine."""
    return FRONTS[config.engine]


def _parameters(front: EngineFront) -> dict[str, inspect.Parameter]:
    return {name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(front.options).parameters.items()}


def with_engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of its ``**options``, the options of all engines."""
    return with_parameters(command, engine_parameters().values())


def engine_parameters() -> dict[str, inspect.Parameter]:
    """The options of all engines, by name."""
    added: dict[str, inspect.Parameter] = {}
    for front in FRONTS.values():
        added |= _parameters(front)
    return added


def with_parameters(command: Callable[..., None],
                    added: Iterable[inspect.Parameter]) -> Callable[..., None]:
    """Give a command these parameters in place of its ``**options``."""
    signature = inspect.signature(command)
    own = [parameter for parameter in signature.parameters.values()
           if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                  for parameter in [*own, *added]]
    command.__signature__ = signature.replace(                      # type: ignore[attr-defined]
        parameters=parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def chosen_options(config: EngineConfig, given: dict[str, Any]) -> Any:
    """What the configuration's engine makes of its options.

    Raises
    ------
    InputError
        An option of another engine is given, or options contradict each other.
    """
    mine = _parameters(front_of(config))
    for name, front in FRONTS.items():
        for option, parameter in _parameters(front).items():
            if option not in mine and given[option] != parameter.default:
                raise InputError(f"--{option.replace('_', '-')} is an option of engine {name}, and "
                                 f"config {config.name} is of engine {engine_of(config).name}")
    return front_of(config).options(**{name: given[name] for name in mine})
