# SPDX-License-Identifier: Apache-2.0
"""The registry: which engines there are, and the presets of all of them."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from . import hdp, leopard, topk
from .engine import Engine, EngineConfig

__all__ = ["ENGINES", "ConfigError", "engine_of", "load_config", "load_config_of", "make_config",
           "preset_names"]

ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (hdp.ENGINE, leopard.ENGINE, topk.ENGINE)}
DEFAULT = hdp.ENGINE.name       # of a configuration that names none

Config = TypeVar("Config", bound=EngineConfig)

PRESETS = Path(__file__).resolve().parent.parent / "configs"


class ConfigError(ValueError):
    """A configuration that cannot be read or contradicts itself; the text is for the user."""


def engine_of(config: EngineConfig) -> Engine:
    """The engine of a configuration."""
    return ENGINES[config.engine]


def make_config(fields: Mapping[str, Any]) -> EngineConfig:
    """The configuration of these fields, ``engine`` among them, as ``model_dump`` gives them."""
    return ENGINES[fields["engine"]].Config(**fields)


def preset_names(engine: str | None = None) -> list[str]:
    """All presets, or those of an engine."""
    names = sorted(path.stem for path in PRESETS.glob("*.toml"))
    return names if engine is None else [n for n in names if load_config(n).engine == engine]


def _fields(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"config {str(path)!r} cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"config {str(path)!r} is not TOML: {err}") from None


def load_config(which: str | Path, engine: str | None = None) -> EngineConfig:
    """The preset of that name, or the TOML file at that path, of that engine if one is given.

    Without ``engine`` in it a file is one of ``DEFAULT``. Raises ConfigError.
    """
    path = Path(which)
    if path.suffix != ".toml":
        if str(which) not in preset_names():
            raise ConfigError(f"config must be a TOML file or one of {', '.join(preset_names())}, "
                              f"not {str(which)!r}")
        path = PRESETS / f"{which}.toml"
    fields = {"name": path.stem, "engine": DEFAULT, **_fields(path)}
    kind = fields["engine"]
    if not isinstance(kind, str) or kind not in ENGINES:
        raise ConfigError(f"config {str(path)!r}: engine must be one of {', '.join(ENGINES)}, "
                          f"not {kind!r}")
    if engine not in (None, kind):
        raise ConfigError(f"config must be one of engine {engine} here, and {str(which)!r} is of "
                          f"engine {kind}")
    try:
        return make_config(fields)
    except ValidationError as err:
        first = err.errors()[0]
        field = ".".join(str(x) for x in first["loc"])
        where = f"{field}: " if field else ""
        got = f", not {first['input']!r}" if field and first["type"] != "missing" else ""
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"config {str(path)!r}: {where}{message}{got}") from None


def load_config_of(kind: type[Config], which: str | Path) -> Config:
    """That of the engine with this kind of configuration. Raises ConfigError."""
    config = load_config(which, engine=kind.model_fields["engine"].default)
    assert isinstance(config, kind)
    return config
