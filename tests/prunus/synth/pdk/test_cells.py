# SPDX-License-Identifier: Apache-2.0
"""Standard cells: the data file is what IHP's Liberty file says, and so is what Yosys gets."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from prunus.synth.pdk import cells
from prunus.synth.pdk.cells import library, yosys_liberty
from prunus.synth.pdk.liberty import LibertyError, parse
from tests.prunus.power.small import OUTPUT

ROOT = Path(__file__).resolve().parents[4]
LIB = Path(os.environ.get("PRUNUS_PDK", ROOT.parent / "shared" / "pdk")) / "sg13g2_typ.lib"
needs_lib = pytest.mark.skipif(not LIB.exists(), reason=f"no {LIB} (PRUNUS_PDK says where)")


@needs_lib
def test_the_data_file_is_that_of_the_liberty_file():
    assert cells.FILE.read_text() == cells._text(cells.extract(LIB.read_text(encoding="utf-8")))


@needs_lib
def test_the_command_writes_the_file(tmp_path, monkeypatch):
    written = tmp_path / "cells.json"
    monkeypatch.setattr(cells, "FILE", written)
    assert cells.main([str(LIB)]) == 0
    assert json.loads(written.read_text()) == cells.extract(LIB.read_text(encoding="utf-8"))


@needs_lib
def test_figures_of_cells():
    """Read from the Liberty file once more, by its names."""
    root = parse(LIB.read_text(encoding="utf-8"))
    assert library().volt == root.number("nom_voltage") == 1.2
    seen = set()
    for cell in root.all("cell"):
        if cell.name in library().cells:
            one = library().cells[cell.name]
            seen.add(cell.name)
            assert (one.area, one.leakage_pw) == (
                cell.number("area"), cell.number("cell_leakage_power"))
            assert one.inputs == {pin.name: pin.number("capacitance") for pin in cell.all("pin")
                                  if pin.text("direction") == "input"}
    assert seen == set(library().cells)


def state(when, rise, fall, pin=""):
    said = f'when : "{when}"; ' if when else ""
    said += f'related_pin : "{pin}"; ' if pin else ""
    return (f'internal_power() {{ {said}rise_power(t) {{ values ("{rise}"); }} '
            f'fall_power(t) {{ values ("{fall}"); }} }}\n')


def read(body):
    return cells._cell(parse(f"library(x) {{ {body} }}").first("cell"), [1.0, 2.0])


def test_states_of_other_pins_are_averaged():
    """Unless a table is for all states, which is then the only one that counts."""
    timing = 'timing() {{ related_pin : "{}"; \
        cell_rise(t) {{ index_1 ("1,2"); index_2 ("5,6"); values ("1,2", "3,4"); }} }}'
    found = read(f"""cell(XOR) {{ area : 3; cell_leakage_power : 7;
        pin(A) {{ direction : input; capacitance : 0.5; }}
        pin(B) {{ direction : input; capacitance : 0.25; }}
        pin(Y) {{ direction : output; function : "(A^B)";
        {state("B", "1,2,3,4", "8", "A")} {state("!B", "3,4,5,6", "10", "A")}
        {state("A", "1,1,1,1", "1", "B")} {state("", "5,6,7,8", "2", "B")}
        {timing.format("A")} {timing.format("B")} }} }}""")
    assert (found["area_um2"], found["leakage_pw"], found["kind"]) == (3, 7, "gate")
    assert found["inputs_pf"] == {"A": 0.5, "B": 0.25}
    assert (found["output"], found["function"]) == ("Y", "(A^B)")
    a, b = found["arcs"]["A"], found["arcs"]["B"]
    assert (a["rise_pj"], a["fall_pj"]) == ([[2, 3], [4, 5]], [[9, 9], [9, 9]])
    assert (b["rise_pj"], b["fall_pj"]) == ([[5, 6], [7, 8]], [[2, 2], [2, 2]])
    assert (a["rise_ns"], a["fall_ns"]) == ([[1, 2], [3, 4]], [[0, 0], [0, 0]])
    assert (found["passive"], found["loads_pf"]) == ({}, [5, 6])


def test_states_of_a_clock_are_kept():
    found = read(f"""cell(DFF) {{ area : 3; cell_leakage_power : 7;
        ff(IQ, IQN) {{ clocked_on : "CLK"; next_state : "D"; }}
        pin(CLK) {{ direction : input; capacitance : 0.5;
        {state("(D * !Q)", "1,2", "3")} {state("", "4,5", "6,7")} }}
        pin(Q) {{ direction : output; function : "IQ"; }} }}""")
    assert (found["kind"], found["function"]) == ("flip-flop", "")
    assert found["passive"] == {"CLK": [
        {"when": "(D * !Q)", "rise_pj": [1, 2], "fall_pj": [3, 3]},
        {"when": "", "rise_pj": [4, 5], "fall_pj": [6, 7]}]}


def test_kinds():
    kinds = {cell.kind for cell in library().cells.values()}
    assert kinds == {"gate", "flip-flop", "latch", "clock gate"}
    named = {kind: [c.name for c in library().cells.values() if c.kind == kind] for kind in kinds}
    assert named["flip-flop"] == ["sg13g2_dfrbpq_1"] and named["latch"] == ["sg13g2_dlhq_1"]
    assert named["clock gate"] == ["sg13g2_lgcp_1"]
    for cell in library().cells.values():
        assert set(cell.arcs) <= set(cell.inputs) and set(cell.passive) <= set(cell.inputs)
        if cell.kind == "gate":
            assert cell.output == OUTPUT.get(cell.name, "X")
            assert set(cell.arcs) == set(cell.inputs)       # every pin moves the output


def test_tables_are_of_the_axes():
    shape = len(library().slews), 7
    assert (np.diff(library().slews) > 0).all()
    for cell in library().cells.values():
        for arc in cell.arcs.values():
            assert {table.shape for name, table in vars(arc).items() if name != "loads"} == {shape}
            assert arc.loads.shape == shape[1:] and (np.diff(arc.loads) > 0).all()
            # As far as the cell is strong.
            assert arc.loads[-1] == pytest.approx(0.3 * int(cell.name.rpartition("_")[2]))
        for rows in cell.passive.values():
            assert {row.rise.shape for row in rows} == {shape[:1]}


@pytest.mark.parametrize(("rows", "message"), [
    ("2, 3", r"tables must be of slews \[1.0, 2.0\], not 2, 3")])
def test_tables_of_other_slews_are_refused(rows, message):
    with pytest.raises(LibertyError, match=message):
        read(f"""cell(INV) {{ pin(A) {{ direction : input; capacitance : 1; }}
            pin(Y) {{ direction : output; function : "!A"; timing() {{ related_pin : "A";
            cell_rise(t) {{ index_1 ("{rows}"); index_2 ("1,2"); values ("1,2", "3,4"); }} }} }}
            }}""")


def test_wires_grow_with_the_pins_that_they_reach():
    """Lengths times the capacitance of a unit, which the file says once a model."""
    assert library().wire_pf["10k"] == [(1, 0.00447), (5, 0.026817), (20, 0.11448)]
    for name, rows in library().wire_pf.items():
        assert [pins for pins, _ in rows] == [1, 5, 20]
        assert name == "Zero" or rows[0][1] < rows[1][1] < rows[2][1]


def test_what_yosys_maps_to():
    """Gates with their areas and functions, and a flip-flop whose reset is low; nothing else."""
    root = parse(yosys_liberty())
    found = {cell.name: cell for cell in root.all("cell")}
    wanted = {name: cell for name, cell in library().cells.items()
              if cell.kind in ("gate", "flip-flop")}
    assert list(found) == list(wanted)
    for name, cell in found.items():
        said = wanted[name]
        assert cell.number("area") == said.area
        sides = {pin.name: pin.text("direction") for pin in cell.all("pin")}
        assert sides == {**dict.fromkeys(said.inputs, "input"), said.output: "output"}
        assert cell.first("pin", said.output).text("function") == (said.function or "IQ")
    flop = found["sg13g2_dfrbpq_1"]
    ff = flop.first("ff")
    assert (ff.text("clocked_on"), ff.text("next_state"), ff.text("clear")) == (
        "CLK", "D", "!RESET_B")
    assert [pin.name for pin in flop.all("pin") if "clock" in pin.attributes] == ["CLK"]
