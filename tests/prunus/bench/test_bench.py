# SPDX-License-Identifier: Apache-2.0
"""``prunus bench`` as a user runs it, on the simulated RTL."""

import contextlib
import json
import os
import sys
import types

import pytest

from prunus import cli
from prunus.bench import plot, report
from prunus.bench.cases import dense, suite
from prunus.bench.measure import figures, measure
from prunus.console import install_hint
from prunus.errors import RunError
from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.bounds import bound_cycles
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.golden.registers import counter_names
from prunus.sim.campaigns import campaign

TINY = load_config("hdp_tiny")
CASES = "kept/d32/0.1,length/8,mode/heads"
NAMES = ["kept/d32/0.1", "length/8", "mode/heads"]
TINY_BENCH = ("--config", "hdp_tiny", "--quick", "--cases", CASES)


@pytest.fixture(autouse=True)
def kept(tmp_path_factory, monkeypatch):
    """Results are kept for a test alone."""
    monkeypatch.setattr(campaign, "build_root", lambda: tmp_path_factory.mktemp("kept"))


def prunus(capfd, *args):
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def simulation(jobs, config=TINY, cycles=1000):
    """A stand-in with plausible counters, of a new cause of idle cycles too."""
    registers = dict.fromkeys(counter_names(TINY), 1) | {"cycles": cycles, "read_bytes": 7}
    return types.SimpleNamespace(registers=registers, cycles=cycles + 50, sim_s=0.5, build_s=0.25)


def made(names=CASES):
    """A result of the bench without simulating."""
    work = suite(TINY, quick=True, wanted=names)
    rows = []
    for case in work.cases:
        tables = [case.jobs, [dense(job) for job in case.jobs]]
        golden = [[hdp.head(job, TINY) for job in jobs] for jobs in tables]
        runs = [simulation(jobs, cycles=20_000 * (n + 1)) for n, jobs in enumerate(tables)]
        rows.append(figures(case, TINY, runs, golden))
    run = {"cycles": 10, "sim_s": 2.0, "cycles_per_s": 5.0, "build_s": 0.5}
    return report.document(rows, run, work, TINY, "prunus bench")


def test_everything_from_the_rtl(capfd, tmp_path):
    """The whole way once: counters of the RTL, checked against the specification."""
    target = tmp_path / "a" / "b"
    code, out, err = prunus(capfd, "bench", *TINY_BENCH, "--json", "-o", target)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["command"] == f"prunus bench --config hdp_tiny --quick --cases {CASES}"
    assert [row["case"] for row in result["cases"]] == NAMES
    run = result["simulation"]
    assert run["cycles_per_s"] == run["cycles"] / run["sim_s"]
    assert run["cycles"] > sum(row["cycles"] + row["dense_cycles"] for row in result["cases"])
    for case, row in zip(suite(TINY, quick=True, wanted=CASES).cases, result["cases"],
                         strict=True):
        twins = [dense(job) for job in case.jobs]
        for jobs, start in ((case.jobs, ""), (twins, "dense_")):
            golden = [hdp.head(job, TINY) for job in jobs]
            assert row[f"{start}bound"] == bound_cycles(jobs, golden, TINY)
            assert row[f"{start}bound"] < row[f"{start}cycles"] < 4 * row[f"{start}bound"]
            assert abs(row[f"{start}model_error"]) < report.MODEL_ERROR
            counters = row[f"{start}counters"]
            assert list(counters) == counter_names(TINY)
            assert counters["jobs_done"] == len(jobs)
        assert row["counters"]["integer_slots"] > 0 == row["dense_counters"]["integer_slots"]
        assert row["read_bytes"] <= row["dense_read_bytes"]
    assert result["cases"][2]["heads_pruned"] == 1
    assert json.loads((target / "bench.json").read_text()) == result
    assert sorted(os.listdir(target)) == ["bench.json", "bench.md", "speedup.png", "speedup.svg"]
    assert (target / "speedup.png").read_bytes().startswith(b"\x89PNG")
    assert "made heads, l = 32, d = 32" in (target / "speedup.svg").read_text()


def test_figures():
    row = made("kept/d32/0.5")["cases"][0]
    case, = suite(TINY, quick=True, wanted="kept/d32/0.5").cases
    golden = [hdp.head(job, TINY) for job in case.jobs]
    assert (row["heads"], row["l_q"], row["l_kv"], row["d"]) == (2, 32, 32, 32)
    assert row["kappa"] == sum(r.blocks_kept for r in golden) / (2 * 16 * 16)
    assert row["bound"] == bound_cycles(case.jobs, golden, TINY)
    assert row["dense_bound"] == 2 * 2 * 32 * 32 * 32 // 8
    assert row["utilisation"] == row["bound"] / 20_000
    assert row["cycles_per_head"] == 10_000
    assert row["over_bound_per_head"] == 10_000 - row["bound"] / 2
    assert (row["speedup"], row["work_ratio"]) == (2.0, row["dense_bound"] / row["bound"])
    assert row["share_of_work_ratio"] == 2.0 / row["work_ratio"]
    assert row["normalised_cost"] == 20_000 * 8 / (2 * 2 * 32 * 32 * 32)
    assert row["dense_normalised_cost"] == 2 * row["normalised_cost"]


def test_the_model_is_beside_the_cycles():
    """With a mark, and by name, where it is off by more than 5%."""
    result = made("kept/d32/0.5")
    case, = suite(TINY, quick=True, wanted="kept/d32/0.5").cases
    row, = result["cases"]
    for start, jobs, cycles in (("", case.jobs, 20_000),
                                ("dense_", [dense(job) for job in case.jobs], 40_000)):
        model = predict_cycles(jobs, [hdp.head(job, TINY) for job in jobs], TINY)
        assert row[f"{start}model_cycles"] == model
        assert row[f"{start}model_error"] == model / cycles - 1
    row.update(model_error=-0.0501, dense_model_error=0.05)
    texts = {column.title: column.text(row) for column in report.columns()}
    assert (texts["model error"], texts["dense model error"]) == ("-5.0% !", "+5.0%")
    assert report.summary(result)[1:] == ["the model of cycles is off by -5.0%: kept/d32/0.5"]
    row.update(model_error=0.0, dense_model_error=0.06)
    assert report.summary(result)[1:] == [
        "the model of cycles is off by +6.0%: kept/d32/0.5, dense"]


def test_new_counters_get_columns(monkeypatch):
    monkeypatch.setattr(report, "OCCUPANCY", ["value_slots", "idle_dma"])
    titles = [column.title for column in report.columns()]
    assert ("value_slots" in titles, "idle_dma" in titles) == (True, True)
    assert "integer_slots" not in titles and titles.count("cycles") == 1


def test_markdown():
    result = made()
    text = report.markdown(result, ["speedup.svg"])
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert [line.split("|")[1].strip() for line in table[2:]] == NAMES
    assert "![Speed-up over dense](speedup.svg)" in lines
    assert "    prunus bench" in lines
    result["left_out"] = {"length/50": "l must be at most 32"}
    assert "left out: length/50, l must be at most 32" in report.markdown(result)


def test_heads_that_see_nothing():
    """No work, no ratio."""
    work = suite(TINY, quick=True, wanted="mode/padded")
    case, = work.cases
    for job in case.jobs:
        object.__setattr__(job, "valid_kv", 0)
    golden = [hdp.head(job, TINY) for job in case.jobs]
    row = figures(case, TINY, [simulation(case.jobs)] * 2, [golden, golden])
    assert (row["kappa"], row["work_ratio"], row["share_of_work_ratio"]) == (None,) * 3
    assert [column.text(row) for column in report.brief()][4] == "-"


def test_plots_are_reproducible():
    from io import BytesIO

    files = [BytesIO(), BytesIO()]
    for file in files:
        plot.speedup_plot(made(), file, "svg")
    assert files[0].getvalue() == files[1].getvalue()


def fake(monkeypatch, result):
    """The command without a simulation."""
    monkeypatch.setattr("prunus.bench.hdp.measure",
                        lambda cases, config, progress: (result["cases"], result["simulation"]))


def test_table_in_a_pipe(capfd, monkeypatch):
    result = made()
    fake(monkeypatch, result)
    code, out, err = prunus(capfd, "bench", *TINY_BENCH, "--workers", 0)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split("\t") == [column.title for column in report.columns()]
    assert [line.split("\t")[0] for line in lines[1:4]] == NAMES
    assert lines[4:] == ["3 cases on hdp_tiny, 8 multipliers: 10 cycles simulated in 2.0 s, 5 "
                         "cycles per second, the simulator built or found in 0.5 s",
                         *report.summary(result)[1:]]


def test_a_difference_ends_it(capfd, monkeypatch):
    def fail(cases, config, progress):
        raise RunError("mode/heads: job 1 differs")

    monkeypatch.setattr("prunus.bench.hdp.measure", fail)
    assert prunus(capfd, "bench", *TINY_BENCH, "--workers", 0) == (
        1, "", "error: mode/heads: job 1 differs\n")


def test_what_is_measured_is_kept(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(campaign, "build_root", lambda: tmp_path)
    fake(monkeypatch, made())
    first = prunus(capfd, "bench", *TINY_BENCH, "--json", "--workers", 0)
    monkeypatch.setattr("prunus.bench.hdp.measure", None)
    assert prunus(capfd, "bench", *TINY_BENCH, "--json", "--workers", 0) == first


def test_heads_are_counted_on_a_terminal(capfd, monkeypatch):
    """In this process, unless workers are asked for."""
    told = []

    @contextlib.contextmanager
    def progress():
        yield lambda done, total: told.append((done, total))

    def measured(cases, config, progress):
        progress(1, 2)
        return made()["cases"], made()["simulation"]

    fake(monkeypatch, made())
    monkeypatch.setattr("prunus.bench.command.heads_progress", progress)
    monkeypatch.setattr("prunus.bench.hdp.measure", measured)
    code, _, err = prunus(capfd, "bench", *TINY_BENCH, "--json")
    assert (code, err, told) == (0, "", [(1, 2)])


def test_the_command_in_the_document_can_be_given_again(capfd, monkeypatch, tmp_path):
    fake(monkeypatch, made())
    (tmp_path / "my own.toml").write_text('name = "mine"\nmultipliers = 8\n')
    code, out, _ = prunus(capfd, "bench", "--config", tmp_path / "my own.toml", "--quick",
                          "--workers", 0, "--json")
    assert code == 0
    assert json.loads(out)["command"] == "prunus bench --config 'my own.toml' --quick"


def test_without_matplotlib(capfd, monkeypatch, tmp_path):
    fake(monkeypatch, made())
    monkeypatch.setattr("prunus.bench.plot.available", lambda: False)
    code, _, err = prunus(capfd, "bench", *TINY_BENCH, "--workers", 0, "-o", tmp_path)
    assert code == 0
    assert err == ("no plot: it needs the Python package 'matplotlib': "
                   f"{install_hint('plot')}\n")
    assert sorted(os.listdir(tmp_path)) == ["bench.json", "bench.md"]
    assert "![" not in (tmp_path / "bench.md").read_text()


@pytest.mark.parametrize(("args", "message"), [
    (["--config", "hdp_huge"], "config must be a TOML file or one of"),
    (["--cases", "speed"], "cases must occur in one of example/"),
    (["--data", "none.npz"], "data 'none.npz' must be .npz files or directories of them, and "
                             "does not exist"),
    (["--workers", "1", "--scheduler", "tcp://a:1"], "--workers and --scheduler contradict"),
    (["-o", "file"], "output 'file' cannot be made: File exists"),
    (["--cases"], "Option '--cases' requires an argument"),
])
def test_bad_options(capfd, monkeypatch, tmp_path, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("old")
    code, out, err = prunus(capfd, "bench", "--quick", *args)
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_missing_simulator_is_named(capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "cocotb", None)
    for name in [n for n in sys.modules if n.startswith("prunus.sim.sim")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = prunus(capfd, "bench", *TINY_BENCH, "--workers", 0)
    assert code == 2
    assert err == f"error: bench needs the Python package 'cocotb': {install_hint('sim')}\n"


def test_failures_name_the_case(monkeypatch):
    """Of the simulator, which counts doorbells, and of the comparison."""
    from prunus.sim import compare, simulate

    cases = suite(TINY, quick=True, wanted=CASES).cases

    def fail(batches, config, progress):
        raise simulate.SimulationError("hdp_tiny, batch 3: no interrupt after 9 cycles")

    monkeypatch.setattr(simulate, "simulate_batches", fail)
    with pytest.raises(RunError, match=r"hdp_tiny, length/8, dense: no interrupt after 9 cycles"):
        measure(cases, TINY)

    def differ(run, jobs, config, whole):
        if jobs is cases[2].jobs:
            raise compare.MismatchError("job 1: out[0, 0] must be 1, not 2")
        return [hdp.head(job, config) for job in jobs]

    monkeypatch.setattr(simulate, "simulate_batches",
                        lambda batches, config, progress: [simulation(jobs) for jobs in batches])
    monkeypatch.setattr(compare, "check", differ)
    with pytest.raises(RunError, match=r"^mode/heads: job 1: out\[0, 0\] must be 1, not 2"):
        measure(cases, TINY)
