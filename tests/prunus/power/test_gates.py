# SPDX-License-Identifier: Apache-2.0
"""Coprocessors as gates: the script, what is kept, areas."""

import re

import pytest

from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.hw.verilog.emit import emit
from prunus.hw.verilog.gating import LEAST_GATED, ClockGate
from prunus.power import gates as module
from prunus.power.gates import _script, gates
from prunus.synth import peak
from prunus.synth.macros import is_macro, macro, register_file_um2
from prunus.synth.pdk.cells import library
from tests.prunus.power.small import mapped

TINY = load_config("hdp_tiny")


def test_clock_gates_come_before_flip_flops_are_mapped():
    plain, gated = (_script("t", ["a", "b"], with_gates) for with_gates in (False, True))
    assert "clockgate" not in plain and "keep_hierarchy 1 a b" in plain
    lines = gated.splitlines()
    at = lines.index(f"clockgate -pos sg13g2_lgcp_1 GATE:CLK:GCLK -min_net_size {LEAST_GATED}")
    assert lines[at - 1] == "dffunmap -srst-only" and "dfflibmap" in lines[at + 2]
    assert [line for line in lines if re.match(r"opt\b", line)] == [
        "opt -nodffe -nosdff", "opt -nosdff", "opt -nosdff", "opt -nosdff -fast -full",
        "opt -nosdff -fast"]
    assert lines[-1] == plain.splitlines()[-1] == "write_json netlist.json"


@pytest.mark.parametrize(("width", "gated"), [(LEAST_GATED - 1, False), (LEAST_GATED, True)])
def test_few_flip_flops_get_none(width, gated):
    """A clock gate costs about what one flip-flop does."""
    name = f"few{width}"
    design = mapped(name, f"module {name}(input clk, input e, input [{width - 1}:0] d, output reg "
                    f"[{width - 1}:0] q); always @(posedge clk) if (e) q <= d; endmodule\n",
                    clock_gates=True)
    assert len(design.netlist().gates) == gated


@pytest.mark.large
@pytest.mark.parametrize("name", ["hdp_tiny", "topk_tiny"])
def test_as_many_are_gated_as_in_the_emitted_text(name):
    """Of Verilog that is emitted with clock gates the share of flip-flops behind them is the same.

    What is mapped has fewer flip-flops, as equal ones are one.
    """
    config = load_config(name)
    clocks = [bank.gate >= 0 for bank in gates(config, clock_gates=True).netlist.banks]
    mapped = sum(clock.sum() for clock in clocks), sum(clock.size for clock in clocks)
    emitted = emit(config, ClockGate("icg", "EN", "CK", "ECK")).metadata["clock_gates"]
    assert 0.8 * emitted["flip_flops"] < mapped[1] <= emitted["flip_flops"]
    assert emitted["gated_flip_flops"] / emitted["flip_flops"] == pytest.approx(
        mapped[0] / mapped[1], abs=0.02)


def test_the_gates_of_a_preset():
    """Areas are those of its cells, and of macros and register files."""
    found = gates(TINY)
    cells = library().cells
    netlist = found.netlist
    logic = sum(cells[netlist.names[driver]].area for driver in netlist.driver
                if driver >= 0 and netlist.names[driver] in cells)
    assert found.logic_um2 == pytest.approx(logic) == pytest.approx(1.17e6, rel=0.1)
    memory = 0.0
    kinds = {True: 0, False: 0}
    for one in netlist.memories:
        small = not is_macro(one)
        kinds[small] += 1
        memory += (register_file_um2(one.words, one.width, len(one.reads), one.clocked) if small
                   else macro(one.words, one.width, True).area_um2)
    assert found.memory_um2 == pytest.approx(memory)
    assert all(kinds.values())
    assert any(path[-1:] == ("array",) for path in netlist.blocks)


def test_gates_are_made_once(monkeypatch):
    gates(TINY)
    monkeypatch.setattr(module, "yosys", lambda *args: pytest.fail("again"))
    seen = []
    gates(TINY, progress=seen.append)
    assert seen == ["reading gates"]


def test_a_preset_too_large_for_memory(monkeypatch, tmp_path):
    """Refused before Yosys starts, with an estimate."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    text = "module hdp_tiny(\n);\nendmodule\n"
    monkeypatch.setattr(module, "emitted", lambda *args: text)
    monkeypatch.setattr(module, "yosys", lambda *args: pytest.fail("started"))
    monkeypatch.setattr(peak, "available_bytes", lambda: 10 * 2**20)
    with pytest.raises(InputError, match=r"^config 'hdp_tiny' may need 200 MiB of memory for "
                       r"its synthesis, and 10 MiB are there$"):
        gates(TINY)
    assert not list((tmp_path / "synth").glob("hdp_tiny*/netlist.json"))
