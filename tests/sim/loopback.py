# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the coprocessor, so that the benches are tested without building one."""

from pathlib import Path

from prunus.golden.registers import constants

__all__ = ["loopback"]


def loopback(config) -> str:
    """Verilog of loopback.v under the name and constants of a configuration."""
    values = constants(config)
    text = Path(__file__).with_name("loopback.v").read_text(encoding="utf-8")
    text = text.replace("module loopback", f"module {config.name}")
    names = ("version", "format", "limits", "multipliers", "engine", "revision")
    return text.replace(", ".join(f"{name.upper()} = 0" for name in names),
                        ", ".join(f"{name.upper()} = {int(values[name])}" for name in names))
