# SPDX-License-Identifier: Apache-2.0
"""A configuration of one's own, emitted to Verilog and put into an Amaranth design.

The design has the coprocessor and a counter of its interrupts. The two files go to the folder
named on the command line, or to build/own_design. Then a head runs through the whole design on
Verilator; this needs what head_on_rtl.py needs:

    python examples/own_design.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from head_in_numpy import made_head, made_job

from prunus.golden import hdp, registers
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.instance import CoprocessorInstance
from prunus.hw.shell.axi import AXI4, AXI4Lite, connect_flat, flat_members
from prunus.hw.verilog.emit import emit, to_verilog
from prunus.sim.simulate import simulate_batches

# 16 multipliers, heads of up to 64 rows of 32 dimensions, beats of 128 bits.
CONFIG = HdpConfig(name="my_attention", multipliers=16, l_max=64, d_max=32, axi_data_width=128)


class Design(wiring.Component):
    """A user's design: the coprocessor's buses go out, its interrupts are counted."""

    def __init__(self):
        super().__init__({
            **flat_members("s_axil", AXI4Lite(registers.ADDRESS_BITS).flip()),
            **flat_members("m_axi", AXI4(32, CONFIG.axi_data_width)),
            "irq": Out(1),
            "doorbells_done": Out(16),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.attention = attention = CoprocessorInstance(config=CONFIG)
        connect_flat(m, self, "s_axil", attention.control)
        connect_flat(m, self, "m_axi", attention.memory)
        before = Signal()
        m.d.sync += [before.eq(attention.irq),
                     self.doorbells_done.eq(self.doorbells_done + (attention.irq & ~before))]
        m.d.comb += self.irq.eq(attention.irq)
        return m


def main(folder: Path) -> None:
    coprocessor = emit(CONFIG).verilog
    design, _ = to_verilog(Design(), "my_design")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("my_attention.v", coprocessor), ("my_design.v", design)):
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    job = made_job(*made_head(seed=1))
    # The bench finds the ports of the coprocessor at the design's own top.
    simulation, = simulate_batches([[job]], CONFIG.model_copy(update={"name": "my_design"}),
                                   verilog=coprocessor + design)
    (out, _), = simulation.results
    assert np.array_equal(out, hdp.ENGINE.compute(job, CONFIG).out)
    print(f"a head through my_design: {simulation.registers['cycles']} cycles, equal to the "
          "specification")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/own_design"))
