# SPDX-License-Identifier: Apache-2.0
"""A core file of FuseSoC for an emitted coprocessor, and the testbench of its simulation."""

from pathlib import Path

from prunus import __version__
from prunus.golden import registers
from prunus.golden.engine import EngineConfig

from .gating import ClockGate

__all__ = ["bench", "core"]


def core(config: EngineConfig, gate: ClockGate | None = None) -> str:
    """``NAME.core``: the files, and the targets ``lint`` (Verilator) and ``sim``.

    These two have the model of ``gate``, which synthesis takes from the process.
    """
    text = Path(__file__).with_name("fusesoc.core").read_text(encoding="utf-8")
    if gate:
        text = text.replace("  bench:\n", f"  clock_gate:\n    files: [{gate.cell}.v]\n"
                            "    file_type: verilogSource-2005\n  bench:\n")
        text = text.replace("[waivers, rtl]", "[waivers, rtl, clock_gate]")
        text = text.replace("[rtl, bench]", "[rtl, clock_gate, bench]")
    return text.replace("NAME", config.name).replace("VERSION", __version__)


def bench(config: EngineConfig) -> str:
    """``NAME_tb.v``: reads each register that tells coprocessors apart and compares it."""
    text = Path(__file__).with_name("fusesoc_tb.v").read_text(encoding="utf-8")
    values = registers.constants(config)
    checks = [f"        check(8'h{register.address:02x}, 32'h{values[register.name]:08x});"
              for register in registers.register_map(config) if register.name in values]
    return (text.replace("NAME", config.name).replace("DATA", str(config.axi_data_width))
            .replace("        CHECKS", "\n".join(checks)))
