# SPDX-License-Identifier: Apache-2.0
"""Standard cells of SG13G2: functions, areas, capacitances, energies and delays.

``python -m prunus.synth.pdk.cells LIB`` writes ``cells.json`` beside this file from the Liberty
file of IHP's PDK: of each function the cell of least strength, buffers and inverters of all, the
flip-flop with reset, the latch and the clock gate. Where a table of an arc differs with the state
of other pins, their mean is kept; a table of the clock pin of a flip-flop is kept for each state.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .liberty import Group, LibertyError, numbers, parse

__all__ = ["Arc", "Cell", "Library", "Passive", "library", "main", "yosys_liberty"]

FILE = Path(__file__).with_name("cells.json")
SOURCE = "IHP-Open-PDK, ihp-sg13g2/libs.ref/sg13g2_stdcell/lib/sg13g2_stdcell_typ_1p20V_25C.lib"
LICENSE = "Apache-2.0, Copyright 2024 IHP PDK Authors"
PREFIX = "sg13g2_"
# Beside the cell of least strength of each function.
FUNCTIONS = ("a21o", "a21oi", "a221oi", "a22oi", "and2", "and3", "and4", "mux2", "mux4", "nand2",
             "nand2b", "nand3", "nand3b", "nand4", "nor2", "nor2b", "nor3", "nor4", "o21ai", "or2",
             "or3", "or4", "xnor2", "xor2")
STRENGTHS = ("buf_1", "buf_2", "buf_4", "buf_8", "buf_16", "inv_1", "inv_2", "inv_4", "inv_8",
             "inv_16")
KEPT = (*(f"{name}_1" for name in FUNCTIONS), *STRENGTHS, "dfrbpq_1", "dlhq_1", "lgcp_1",
        "tiehi", "tielo")
# One attribute many times, of which a group keeps the last.
_WIRE_LOAD = re.compile(r'wire_load \("(\w+)"\) \{(.*?)\}', re.S)
_CAPACITANCE = re.compile(r"capacitance : ([\d.e-]+);")
_LENGTH = re.compile(r"fanout_length \((\d+), ([\d.e-]+)\);")
TABLES = {"rise_pj": "rise_power", "fall_pj": "fall_power", "rise_ns": "cell_rise",
          "fall_ns": "cell_fall", "rise_slew_ns": "rise_transition",
          "fall_slew_ns": "fall_transition"}


# -- what the file has ----------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Passive:
    """Energy of an input pin that changes and moves no output.

    Members
    -------
    when : str
        A function of the other pins and the outputs; empty for whatever they are.
    rise, fall : ndarray of float
        pJ by slew of the pin.
    """

    when: str
    rise: np.ndarray
    fall: np.ndarray


@dataclass(frozen=True, eq=False)
class Arc:
    """What an input pin that moves an output costs, and how long it takes.

    Members
    -------
    loads : ndarray of float
        pF, of the columns: they reach as far as the cell is strong.
    rise_pj, fall_pj, rise_ns, fall_ns, rise_slew_ns, fall_slew_ns : ndarray of float
        By slew of the input and load of the output, which rises or falls.
    """

    loads: np.ndarray
    rise_pj: np.ndarray
    fall_pj: np.ndarray
    rise_ns: np.ndarray
    fall_ns: np.ndarray
    rise_slew_ns: np.ndarray
    fall_slew_ns: np.ndarray


@dataclass(frozen=True, eq=False)
class Cell:
    """A standard cell.

    Members
    -------
    name : str
    kind : str
        ``gate``, ``flip-flop``, ``latch`` or ``clock gate``.
    area : float
        um2.
    leakage_pw : float
        Mean over the states of the pins.
    inputs : dict of str to float
        Capacitance in pF.
    output : str
    function : str
        Of a gate, of its input pins.
    arcs : dict of str to Arc
        By the input pin that moves the output.
    passive : dict of str to list of Passive
    """

    name: str
    kind: str
    area: float
    leakage_pw: float
    inputs: dict[str, float]
    output: str
    function: str
    arcs: dict[str, Arc]
    passive: dict[str, list[Passive]]


@dataclass(frozen=True, eq=False)
class Library:
    """Cells of a process, at one corner.

    Members
    -------
    volt : float
    slews : ndarray of float
        ns, of all tables.
    wire_pf : dict of str to list of (int, float)
        By name of a wire-load model: capacitance of a net by the number of pins that it reaches.
    cells : dict of str to Cell
    """

    volt: float
    slews: np.ndarray
    wire_pf: dict[str, list[tuple[int, float]]]
    cells: dict[str, Cell]


@cache
def library(path: Path = FILE) -> Library:
    """What ``cells.json`` says."""
    said = json.loads(path.read_text(encoding="utf-8"))

    def passive(rows: list) -> list[Passive]:
        return [Passive(row["when"], np.array(row["rise_pj"]), np.array(row["fall_pj"]))
                for row in rows]

    cells = {cell["name"]: Cell(
        name=cell["name"], kind=cell["kind"], area=cell["area_um2"],
        leakage_pw=cell["leakage_pw"], inputs=cell["inputs_pf"], output=cell["output"],
        function=cell["function"],
        arcs={pin: Arc(loads=np.array(cell["loads_pf"]),
                       **{key: np.array(table) for key, table in arc.items()})
              for pin, arc in cell["arcs"].items()},
        passive={pin: passive(rows) for pin, rows in cell["passive"].items()})
        for cell in said["cells"]}
    return Library(said["corner"]["volt"], np.array(said["slews_ns"]),
                   {name: [(int(n), pf) for n, pf in rows]
                    for name, rows in said["wire_pf"].items()}, cells)


def yosys_liberty() -> str:
    """The Liberty file that Yosys maps to: gates by area, and the flip-flop."""
    lines = ["library (sg13g2) {"]
    for cell in library().cells.values():
        if cell.kind not in ("gate", "flip-flop"):
            continue
        lines += [f"  cell ({cell.name}) {{", f"    area : {cell.area};"]
        if cell.kind == "flip-flop":
            lines += ['    ff (IQ, IQN) { clocked_on : "CLK"; next_state : "D"; clear : '
                      '"!RESET_B"; }']
        lines += [f"    pin ({pin}) {{ direction : input; {'clock : true; ' * (pin == 'CLK')}}}"
                  for pin in cell.inputs]
        function = cell.function or "IQ"
        lines += [f'    pin ({cell.output}) {{ direction : output; function : "{function}"; }}',
                  "  }"]
    return "\n".join([*lines, "}", ""])


# -- from the PDK ---------------------------------------------------------------------------------
def _when(group: Group) -> str:
    return group.attributes.get("when", "")


def _table(group: Group, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A table, or a number everywhere."""
    found = next(group.all(name), None)
    values = numbers(found.text("values")) if found else [0.0]
    return np.broadcast_to(np.array(values if len(values) == 1 else np.reshape(values, shape)),
                           shape)


def _mean(groups: Sequence[Group], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Over the states of other pins; without them, if the file says that, too."""
    some = [g for g in groups if next(g.all(name), None)]
    plain = [g for g in some if not _when(g)]
    chosen = [_table(g, name, shape) for g in plain or some]
    return np.mean(chosen, axis=0) if chosen else np.zeros(shape)


def _rounded(table: np.ndarray) -> Any:
    return np.round(table, 7).tolist()


def _arcs(output: Group, inputs: Sequence[str], shape: tuple[int, int]) -> dict:
    found = {}
    for pin in inputs:
        powers = [g for g in output.all("internal_power") if g.text("related_pin") == pin]
        timings = [g for g in output.all("timing") if g.text("related_pin") == pin
                   and g.attributes.get("timing_type", "combinational") in (
                       "combinational", "rising_edge", "falling_edge")]
        if powers and timings:
            found[pin] = {key: _rounded(_mean(powers if key.endswith("pj") else timings, name,
                                              shape))
                          for key, name in TABLES.items()}
    return found


def _passive(pin: Group, size: int) -> list[dict]:
    return [{"when": _when(group),
             "rise_pj": _rounded(_table(group, "rise_power", (size,))),
             "fall_pj": _rounded(_table(group, "fall_power", (size,)))}
            for group in pin.all("internal_power")]


def _leakage(cell: Group) -> float:
    return cell.number("cell_leakage_power")


def _kind(cell: Group) -> str:
    if next(cell.all("ff"), None):
        return "flip-flop"
    if next(cell.all("latch"), None):
        return "latch"
    return "clock gate" if "clock_gating_integrated_cell" in cell.attributes else "gate"


def _loads(output: Group, slews: Sequence[float]) -> list[float]:
    """The columns of all tables of an output; its rows must be ``slews``."""
    axes = {(table.text("index_1"), table.text("index_2"))
            for kind in ("timing", "internal_power") for group in output.all(kind)
            for table in group.groups if "index_2" in table.attributes}
    if not axes:
        return []
    ((rows, columns),) = axes
    if numbers(rows) != list(slews):
        raise LibertyError(f"tables must be of slews {list(slews)}, not {rows}")
    return numbers(columns)


def _cell(cell: Group, slews: Sequence[float]) -> dict:
    pins = [pin for pin in cell.all("pin") if pin.text("direction") != "internal"]
    inputs = [pin for pin in pins if pin.text("direction") == "input"]
    output = next(pin for pin in pins if pin.text("direction") == "output")
    names = [pin.name for pin in inputs]
    kind, loads = _kind(cell), _loads(output, slews)
    return {
        "name": cell.name, "kind": kind, "area_um2": cell.number("area"),
        "leakage_pw": _leakage(cell),
        "inputs_pf": {pin.name: pin.number("capacitance") for pin in inputs},
        "output": output.name,
        "function": output.text("function") if kind == "gate" else "",
        "loads_pf": loads, "arcs": _arcs(output, names, (len(slews), len(loads))),
        "passive": {pin.name: rows for pin in inputs if (rows := _passive(pin, len(slews)))}}


def _wires(text: str) -> dict:
    """By wire-load model: pF of a net that reaches 1, 5 and 20 pins, length times that of a unit.
    """
    found = {}
    for name, body in _WIRE_LOAD.findall(text):
        each = float(_CAPACITANCE.search(body)[1])       # type: ignore[index]
        found[name] = [[int(pins), round(float(length) * each, 7)]
                       for pins, length in _LENGTH.findall(body)]
    return found


def extract(text: str) -> dict:
    """What is kept of IHP's Liberty file."""
    root = parse(text)
    cells = {cell.name.removeprefix(PREFIX): cell for cell in root.all("cell")}
    sample = next(next(cells["nand2_1"].first("pin", "Y").all("timing")).all("cell_rise"))
    slews = numbers(sample.text("index_1"))
    return {
        "made_by": "python -m prunus.synth.pdk.cells LIB",
        "source": SOURCE, "revision": root.text("revision"), "license": LICENSE,
        "corner": {"process": "typical", "volt": root.number("nom_voltage"),
                   "celsius": root.number("nom_temperature")},
        "units": {"inputs_pf": "pF", "loads_pf": "pF, of the columns of arcs",
                  "leakage_pw": "pW, the mean over states of the pins",
                  "rise_pj": "pJ of a rising output by slew of the input and load, without that of "
                             "the load; of passive by slew alone"},
        "slews_ns": slews, "wire_pf": _wires(text),
        "cells": [_cell(cells[name], slews) for name in KEPT]}


def _text(said: dict) -> str:
    """A line for each cell."""
    def line(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    fields = [f'"{name}": {line(value)}' for name, value in said.items() if name != "cells"]
    cells = ",\n".join(map(line, said["cells"]))
    return "{" + ",\n".join([*fields, f'"cells": [\n{cells}\n]']) + "}\n"


def main(arguments: Sequence[str]) -> int:
    (path,) = arguments
    FILE.write_text(_text(extract(Path(path).read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
