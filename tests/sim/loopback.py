# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the coprocessor, so that the benches are tested without building one."""

from pathlib import Path

from golden.registers import constants

__all__ = ["loopback"]


def loopback(config, fault: int = 0) -> str:
    """Verilog of loopback.v under the name and constants of a configuration."""
    values = constants(config)
    text = Path(__file__).with_name("loopback.v").read_text(encoding="utf-8")
    text = text.replace("module loopback", f"module {config.name}")
    return text.replace("FAULT = 0, FORMAT = 0, LIMITS = 0, MULTIPLIERS = 0",
                        f"FAULT = {fault}, FORMAT = {values['format']}, "
                        f"LIMITS = {values['limits']}, MULTIPLIERS = {values['multipliers']}")
