# SPDX-License-Identifier: Apache-2.0
"""The Verilog of configurations, emitted once and kept."""

from collections.abc import Callable
from pathlib import Path

from prunus.golden.engine import EngineConfig

from .cache import build_root, cached, digest, generator

__all__ = ["emitted"]


def emitted(config: EngineConfig, stage: Callable[[str], None] | None = None) -> str:
    """The Verilog of a configuration, kept as long as no source of it changes."""
    key = digest(config.model_dump_json(), generator())
    directory = build_root() / "emitted" / f"{config.name}-{key}"

    def make(work: Path) -> None:
        if stage:
            stage("emitting Verilog")
        # Slow to import, and not needed when the text is kept.
        from prunus.hw.verilog.emit import emit

        (work / f"{config.name}.v").write_text(emit(config).verilog, encoding="utf-8")

    cached(directory, make)
    return (directory / f"{config.name}.v").read_text(encoding="utf-8")
