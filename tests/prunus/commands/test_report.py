# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus report`` on heads of a file: what its page says, and what it refuses."""

import importlib.util
import json
import os
import re
import sys
import types
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from prunus.commands import report as command
from prunus.console import install_hint
from prunus.engines import front_of
from prunus.engines.hdp import Options
from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp import OCCUPANCY
from prunus.golden.hdp.compute import Importance
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.golden.registers import counter_names
from prunus.power.estimate import Costs, load_of
from prunus.power.sizes import sizes
from tests.prunus.test_cli import EXAMPLE, prunus

pytest.importorskip("plotly", reason="needs plotly: pip install -e '.[report]'")

from plotly.offline import get_plotlyjs

SCRIPT = get_plotlyjs()
RECORD = {"model": "m", "task": "sst2", "method": "hdp", "parameters": {"rho": 0.2}, "n": 9,
          "metric": "accuracy", "value": 0.8, "low": 0.6, "high": 0.9, "blocks_pruned": 0.5,
          "scores_pruned": 0.4, "heads_pruned": 0.0, "cycles": 5, "bytes": 6, "preset": "hdp_edge"}
CASES = {
    "hdp": ("hdp_edge", [], Options()),
    "distance": ("hdp_fine", ["--importance", "distance", "--distance", "0.5", "--pruned", "drop"],
                 Options(importance=Importance.DISTANCE, distance=0.5, drop=True)),
    "dense": ("hdp_edge", ["--dense"], Options(dense=True)),
    "tau": ("hdp_edge", ["--tau-head", "9000"], Options(tau_head=9000)),
    "leopard": ("leopard_ae", ["--threshold", "0.5"], 0.5),
    "topk": ("topk_edge", ["--top-k", "5"], 5),
}


def heads(path, *, count=2, l_q=9, l_kv=11, d=8, **more):
    """A small file of heads."""
    random = np.random.default_rng(1)
    arrays = {name: random.integers(-100, 101, (count, rows, d), dtype=np.int8)
              for name, rows in (("q", l_q), ("k", l_kv), ("v", l_kv))}
    np.savez(path, **arrays, scale=2e-4, **more)
    return path


class _Page(HTMLParser):
    """Scripts by their id, and whatever could fetch something."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.links, self.tags, self._open = {}, [], [], None
        self.feed(text.replace(SCRIPT, ""))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name, value in attrs.items()
                       if name in ("src", "href", "srcset", "action", "data")]
        if tag == "script":
            self._open = attrs.get("id", f"script {len(self.scripts)}")

    def handle_endtag(self, tag):
        if tag == "script":
            self._open = None

    def handle_data(self, data):
        if self._open:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data

    @property
    def data(self):
        return json.loads(self.scripts["prunus-data"])

    @property
    def figures(self):
        return json.loads(self.scripts["prunus-figures"])


def made(capfd, tmp_path, source, *args):
    """A page that must work."""
    target = tmp_path / "page.html"
    code, _, err = prunus(capfd, "report", source, "-o", target, *args)
    assert (code, err) == (0, "")
    return target.read_text(encoding="utf-8")


def golden(case, source):
    preset, _, options = CASES[case]
    config = load_config(preset)
    jobs = front_of(config).load_jobs(source, config, options)
    return config, jobs, [engine_of(config).compute(job, config) for job in jobs]


def listed(array, visible):
    return [[int(x) if seen else None for x, seen in zip(row, rows, strict=True)]
            for row, rows in zip(array, visible, strict=True)]


def seen_by(job):
    """By hand: (l_q, l_kv), who sees whom."""
    return np.array([[i < job.valid_q and j < job.valid_kv
                      and (not job.causal or j <= i + job.valid_kv - job.valid_q)
                      for j in range(job.l_kv)] for i in range(job.l_q)])


def block_seen(seen):
    return np.pad(seen, [(0, n % 2) for n in seen.shape]).reshape(
        (seen.shape[0] + 1) // 2, 2, -1, 2).any(axis=(1, 3))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_page_has_what_golden_gives(capfd, tmp_path, case, causal):
    source = heads(tmp_path / "in.npz", causal=causal, valid_q=[9, 8], valid_kv=[11, 10])
    preset, args, _ = CASES[case]
    data = _Page(made(capfd, tmp_path, source, "--config", preset, *args)).data
    config, jobs, results = golden(case, source)
    assert data["cell"] == 1 and data["config"]["name"] == preset and len(data["heads"]) == 2
    for head, job, result in zip(data["heads"], jobs, results, strict=True):
        seen = seen_by(job)
        blocks = block_seen(seen)
        assert (head["l_q"], head["l_kv"], head["d"]) == (9, 11, 8)
        if config.engine == "hdp":
            assert head["mask_cell"] == 2 == data["mask_cell"]
            assert head["kept"] == result.mask.astype(int).tolist()
            assert head["visible"] == blocks.astype(int).tolist()
            assert head["head_kept"] == result.head_kept
            assert head["blocks"] == [result.blocks_kept * result.head_kept, result.blocks_total]
            assert head["scores"] == [result.pairs_kept * result.head_kept, int(seen.sum())]
            if not job.dense:
                assert head["maps"]["theta"]["z"] == listed(result.theta, blocks)
        else:
            assert head["kept"] == result.mask.astype(int).tolist()
            assert head["visible"] == seen.astype(int).tolist()
            assert head["maps"]["score"]["z"] == listed(result.scores, seen)
            assert head["scores"] == [result.survivors, result.keys]
        if case == "leopard":
            assert head["maps"]["digits"]["z"] == listed(result.digits, seen)
            assert head["rows"]["threshold"] == [job.threshold] * 9
    total = [sum(head["scores"][n] for head in data["heads"]) for n in (0, 1)]
    assert data["kept"]["scores"] == total


@pytest.mark.parametrize("case", ["hdp", "distance", "topk"])
def test_bounds_of_rows_part_kept_and_pruned(capfd, tmp_path, case):
    """What the labels compare decides, exactly as golden's masks do."""
    source = heads(tmp_path / "in.npz")
    preset, args, _ = CASES[case]
    data = _Page(made(capfd, tmp_path, source, "--config", preset, *args)).data
    for head in data["heads"]:
        decides = next(one for one in data["quantities"] if one["key"] == head["quantities"][0])
        values, bounds = head["maps"][decides["key"]]["z"], head["rows"][decides["bound"]]
        assert len(bounds) == len(values)
        said = [[int(value >= bound - 1e-9) if decides["high"] else int(value <= bound)
                 for value in row] for row, bound in zip(values, bounds, strict=True)]
        assert said == head["kept"] and 0 < np.mean(said) < 1


@pytest.mark.parametrize("case", CASES)
def test_probabilities_are_those_of_the_output(capfd, tmp_path, case):
    """Times V they are what golden puts out, within what its last digits are worth."""
    source = heads(tmp_path / "in.npz", causal=True)
    preset, args, _ = CASES[case]
    data = _Page(made(capfd, tmp_path, source, "--config", preset, *args)).data
    config, jobs, results = golden(case, source)
    for head, job, result in zip(data["heads"], jobs, results, strict=True):
        p = np.array([[x or 0 for x in row] for row in head["maps"]["probability"]["z"]])
        alive = result.out.any(axis=1)
        assert np.abs(p[alive].sum(axis=1) - 1).max(initial=0) < 1e-3
        assert np.abs(p @ job.v - result.out / 2.0**config.out_frac).max() < 0.2
        assert [[x is None for x in row] for row in head["maps"]["probability"]["z"]] == (
            ~seen_by(job)).tolist()


def test_a_pruned_head_keeps_nothing(capfd, tmp_path):
    source = heads(tmp_path / "in.npz")
    data = _Page(made(capfd, tmp_path, source, "--tau-head", 2**32 - 1)).data
    for head in data["heads"]:
        assert not head["head_kept"] and head["blocks"][0] == 0
        assert {x for row in head["maps"]["probability"]["z"] for x in row} == {0}


@pytest.mark.parametrize("case", ["hdp", "leopard", "topk"])
def test_budget_and_energy(capfd, tmp_path, case):
    source = heads(tmp_path / "in.npz")
    preset, args, _ = CASES[case]
    page = _Page(made(capfd, tmp_path, source, "--config", preset, *args))
    data, figures = page.data, page.figures
    config, jobs, results = golden(case, source)
    engine, (pruned, dense) = engine_of(config), data["budget"]["machines"]
    bound = engine.bound_cycles(jobs, results, config)
    assert pruned["bound"] == bound and pruned["counters"] is None
    if case == "hdp":
        assert pruned["cycles"] == predict_cycles(jobs, results, config)
        assert data["budget"]["kind"] == "model"
    else:
        assert pruned["cycles"] == bound and data["budget"]["kind"] == "bound"
    assert sum(span["cycles"] for span in pruned["spans"]) == pruned["cycles"]
    costs = Costs.load()
    assert pruned["picojoules"] == costs.picojoules(load_of(jobs, results, config)[0])
    assert data["budget"]["energy"] == costs.note
    assert dense["cycles"] >= pruned["cycles"]
    assert dense["config"] == ("plain" if case == "topk" else preset)
    bars = {(name, trace["name"]): value for trace in figures["budget"]["data"]
            for name, value in zip(trace["y"], trace["x"], strict=True)}
    for machine in (pruned, dense):
        for span in machine["spans"]:
            assert bars[machine["machine"], span["name"]] == span["cycles"]
    drawn = sum(value for trace in figures["energy"]["data"]
                for name, value in zip(trace["y"], trace["x"], strict=True) if name == "pruned")
    assert drawn == pytest.approx(sum(pruned["picojoules"].values()) / 1000)


@pytest.mark.parametrize("case", ["hdp", "leopard", "topk"])
def test_cycles_of_the_rtl(capfd, tmp_path, monkeypatch, case):
    """Counters as registers have them, summed over tables, and spans that add up to all cycles."""
    preset, args, _ = CASES[case]
    asked = []

    def simulated(tables, config, progress, what):
        asked.append((config.name, [name for name, _ in tables]))
        names = counter_names(config)
        registers = {name: 100 + n for n, name in enumerate(names)}
        registers["cycles"] = (sum(registers[name] for name in OCCUPANCY) // config.cores
                               if config.engine == "hdp" else 1000)
        return [types.SimpleNamespace(registers=registers) for _ in tables], None

    monkeypatch.setattr("prunus.webpage.work.simulated", simulated)
    page = _Page(made(capfd, tmp_path, heads(tmp_path / "in.npz"), "--config", preset, *args,
                      "--backend", "verilator"))
    assert asked == ([(preset, ["pruned, heads"]), ("plain", ["dense, heads"])] if case == "topk"
                     else [(preset, ["pruned, heads", "dense, heads"])])
    assert page.data["budget"]["kind"] == "rtl"
    for machine in page.data["budget"]["machines"]:
        assert machine["cycles"] == machine["counters"]["cycles"]
        if machine["config"] == preset:
            assert machine["picojoules"]["clock"] == pytest.approx(
                Costs.load().values["flip_flop"] * machine["cycles"]
                * sizes(load_config(preset)).flip_flops)
        assert sum(span["cycles"] for span in machine["spans"]) == machine["cycles"]
        idle = {span["key"]: span["cycles"] for span in machine["spans"] if span["idle"]}
        assert idle == {name: value for name, value in machine["counters"].items()
                        if name.startswith("idle_")}
    bounds = [trace for trace in page.figures["budget"]["data"] if trace["type"] == "scatter"]
    assert [set(bound["x"]) for bound in bounds] == [
        {machine["bound"] for machine in page.data["budget"]["machines"]}]


def test_a_missing_simulator_is_named(capfd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cocotb", None)
    for name in [name for name in sys.modules if name.startswith(("prunus.sim.sim",
                                                                  "prunus.sim.compare"))]:
        monkeypatch.delitem(sys.modules, name)
    said = refused(capfd, tmp_path, EXAMPLE, "--backend", "verilator")
    assert re.fullmatch(r"report --backend verilator needs the Python package '\w+': "
                        + re.escape(install_hint("sim")), said), said


def test_figures_of_kept(capfd, tmp_path):
    page = _Page(made(capfd, tmp_path, heads(tmp_path / "in.npz")))
    blocks = page.figures["kept-heads"]["data"][0]
    assert blocks["y"] == [part / whole for part, whole in (
        head["blocks"] for head in page.data["heads"])]
    assert blocks["customdata"] == [head["blocks"] for head in page.data["heads"]]


# -- many pairs -----------------------------------------------------------------------------------
def test_many_pairs_are_shown_in_cells(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("prunus.webpage.content.cell_size", lambda heads: 4)
    source = heads(tmp_path / "in.npz", causal=True)
    text = made(capfd, tmp_path, source, "--config", "leopard_ae", "--threshold", 0.5)
    data = _Page(text).data
    assert "a cell of the maps stands for 4 × 4 pairs" in text and data["cell"] == 4
    _, jobs, results = golden("leopard", source)
    for head, job, result in zip(data["heads"], jobs, results, strict=True):
        seen = seen_by(job)
        for i, row in enumerate(head["visible"]):
            for j, count in enumerate(row):
                part = np.s_[4 * i:4 * i + 4, 4 * j:4 * j + 4]
                assert count == seen[part].sum() and head["kept"][i][j] == result.mask[part].sum()
                score, digits = (head["maps"][key]["z"][i][j] for key in ("score", "digits"))
                if not count:
                    assert score is None and digits is None
                    continue
                assert score == result.scores[part][seen[part]].max()
                assert digits == pytest.approx(result.digits[part][seen[part]].mean(), abs=0.01)
        assert head["scores"] == [result.survivors, result.keys]
    whole = _Page(made(capfd, tmp_path, source, "--config", "hdp_edge")).data["heads"]
    assert [len(head["kept"]) for head in whole] == [3, 3]


def test_the_size_of_a_page_has_a_bound(capfd, tmp_path):
    source = heads(tmp_path / "in.npz", count=4, l_q=512, l_kv=512)
    text = made(capfd, tmp_path, source, "--config", "leopard_ae", "--threshold", 0)
    assert _Page(text).data["cell"] == 2
    assert len(text.encode()) - len(SCRIPT.encode()) < 6e6


@pytest.mark.parametrize("case", CASES)
def test_heads_that_see_nothing(capfd, tmp_path, case):
    """Or next to it: one query, and no key."""
    source = heads(tmp_path / "in.npz", l_q=1, l_kv=3, valid_kv=[0, 1])
    preset, args, _ = CASES[case]
    for head in _Page(made(capfd, tmp_path, source, "--config", preset, *args)).data["heads"][:1]:
        assert head["scores"] == [0, 0]
        assert head["maps"]["probability"]["z"] == [[None] * 3]


# -- one file, and nothing from outside -----------------------------------------------------------
def test_nothing_comes_from_the_network(capfd, tmp_path):
    text = made(capfd, tmp_path, heads(tmp_path / "in.npz"))
    own = text.replace(SCRIPT, "")
    assert _Page(text).links == ["data:,"]
    assert not re.search(r"https?:|url\(|@import|//[a-z]", own.replace("// ", ""))
    assert "default-src 'none'" in text and SCRIPT in text


def test_the_same_heads_give_the_same_bytes(capfd, tmp_path):
    source = heads(tmp_path / "in.npz")
    assert made(capfd, tmp_path, source) == made(capfd, tmp_path, source)


HOSTILE = "</script><img src=x onerror=alert(1)>&\"'<!--\u2028<a href='javascript:1'>"


def test_hostile_names_are_escaped(capfd, tmp_path):
    name = "<b onclick=x>&'\"<!--<script>.npz"
    source = heads(tmp_path / name)
    points = tmp_path / "e.json"
    points.write_text(json.dumps(RECORD | {"model": HOSTILE, "parameters": {HOSTILE: HOSTILE}}))
    page = _Page(made(capfd, tmp_path, source, "--evaluation", points))
    assert page.data["settings"][0] == ["heads", name]
    assert page.data["curve"]["records"][0]["model"] == HOSTILE
    assert "img" not in page.tags and page.tags.count("script") == 4 and "a" not in page.tags
    assert page.links == ["data:,"]
    trace = page.figures["curve"]["data"][0]
    assert not re.search(r"<(?!/?b>|br>)", trace["text"][0] + trace["name"])
    assert "&lt;img" in trace["name"]


# -- points from files ----------------------------------------------------------------------------
def test_evaluations_are_points(capfd, tmp_path):
    points = tmp_path / "e.json"
    more = RECORD | {"blocks_pruned": 0.7, "scores_pruned": 0.2, "value": 0.7}
    line = RECORD | {"method": "float", "value": 0.9}
    points.write_text("\n".join(json.dumps(one) for one in (RECORD, more, line)) + "\n")
    page = _Page(made(capfd, tmp_path, heads(tmp_path / "in.npz"), "--evaluation", points))
    line, trace = page.figures["curve"]["data"]
    assert set(line["y"]) == {0.9} and line["name"].startswith("float")
    assert trace["x"] == [0.2, 0.4] and trace["y"] == [0.7, 0.8]
    assert trace["error_y"]["array"] == pytest.approx([0.2, 0.1])
    assert trace["error_y"]["arrayminus"] == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize(("text", "message"), [
    ("", "evaluation '.*' must hold what prunus evaluate --json prints, and is empty"),
    ("{", "must hold what prunus evaluate --json prints: Invalid JSON"),
    ("[]", "must hold what prunus evaluate --json prints: Input should be an object"),
    (json.dumps({**RECORD, "value": None}), "value: Input should be a valid number, not None"),
    (json.dumps({**RECORD, "high": float("inf")}), "high: Input should be a finite number"),
    (json.dumps({**RECORD, "blocks_pruned": 1.5}), "blocks_pruned: .* less than or equal to 1"),
    (json.dumps({**RECORD, "metric": "f1"}), "metric: Input should be 'accuracy', .*, not 'f1'"),
    (json.dumps({k: v for k, v in RECORD.items() if k != "low"}), "low: Field required"),
    (json.dumps(RECORD) + "\n" + json.dumps(RECORD | {"metric": "mcc"}),
     "evaluations of one page must have one metric, not accuracy and mcc"),
])
def test_bad_evaluations(capfd, tmp_path, text, message):
    points = tmp_path / "e.json"
    points.write_text(text)
    said = refused(capfd, tmp_path, heads(tmp_path / "in.npz"), "--evaluation", points)
    assert re.search(message, said), said


# -- bad input ------------------------------------------------------------------------------------
def refused(capfd, tmp_path, source, *args):
    """The one line; an existing page stays as it was."""
    target = tmp_path / "page.html"
    target.write_text("old")
    before = sorted(os.listdir(tmp_path))
    code, out, err = prunus(capfd, "report", source, "-o", target, *args)
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("error: "), err
    assert target.read_text() == "old" and sorted(os.listdir(tmp_path)) == before
    return err[7:-1]


@pytest.mark.parametrize(("args", "message"), [
    (["--config", "none"], "config must be a TOML file or one of .*, not 'none'"),
    (["--config", "topk_edge"], "top_k is missing: give --top-k"),
    (["--threshold", "1"], "--threshold is an option of engine leopard, and config hdp_edge"),
    (["--rho", "2"], r"rho must lie in \(-1, 1\), not 2.0"),
    (["--dense", "--rho", "0"], "--dense and --rho contradict each other"),
    (["--backend", "serial"], "'serial' is not one of 'golden', 'verilator'"),
    (["--data", "x"], "--data belongs to a model, and '.*' is no directory"),
    (["--task", "sst2"], "--task belongs to a model"),
    (["--text", "x"], "--text belongs to a model"),
    (["--limit", "3"], "--limit belongs to a model"),
    (["--not-centred"], "--centred belongs to a model"),
    (["--keep", "0.1"], "--keep belongs to a model"),
    (["--sweep", "0.1"], "--sweep belongs to a model"),
    (["--evaluation", "none.json"], "evaluation 'none.json' cannot be read: No such file"),
])
def test_bad_options(capfd, tmp_path, args, message):
    said = refused(capfd, tmp_path, EXAMPLE, *args)
    assert re.search(message, said), said


@pytest.mark.parametrize(("args", "message"), [
    ([], "--data must be given for a model, and '.*' is a directory"),
    (["--data", "x"], "--task must be given for a model"),
    (["--config", "hdp_edge"], "--config belongs to heads of a file, .*: a model has --preset"),
    (["--dense"], "--dense belongs to heads of a file"),
    (["--data", "x", "--task", "sst2"], "--method must be one of float, "),
    (["--data", "x", "--task", "sst2", "--method", "hdp", "--limit", "0"],
     "--limit must be at least 1, not 0"),
    (["--data", "x", "--task", "sst2", "--method", "hdp", "--length", "1"],
     "--length must be at least 2, not 1"),
    (["--data", "x", "--task", "sst2", "--method", "hdp", "--threshold", "1"],
     "--threshold is an option of method leopard, and --method is hdp"),
    (["--data", "x", "--task", "sst2", "--calibration", "none.toml"],
     "calibration 'none.toml' cannot be read"),
])
def test_bad_options_of_models(capfd, tmp_path, args, message):
    (tmp_path / "model").mkdir()
    said = refused(capfd, tmp_path, tmp_path / "model", *args)
    assert re.search(message, said), said


def test_bad_sources(capfd, tmp_path):
    assert "cannot be read" in refused(capfd, tmp_path, tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    assert "must be an .npz archive" in refused(capfd, tmp_path, tmp_path / "bad.npz")
    code, _, err = prunus(capfd, "report", EXAMPLE, "-o", tmp_path / "none" / "page.html")
    assert code == 2 and "must lie in an existing directory" in err
    source = heads(tmp_path / "in.npz")
    before = source.read_bytes()
    code, _, err = prunus(capfd, "report", source, "-o", source)
    assert code == 2 and "must not be the input file" in err and source.read_bytes() == before


def test_plotly_that_is_missing(capfd, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(command.util, "find_spec",
                        lambda name: None if name == "plotly" else find(name))
    assert refused(capfd, tmp_path, EXAMPLE) == (
        f"report needs the Python package 'plotly': {install_hint('report')}")


def test_json_is_the_data_of_the_page(capfd, tmp_path):
    source, target = heads(tmp_path / "in.npz"), tmp_path / "page.html"
    code, out, _ = prunus(capfd, "report", source, "-o", target, "--json")
    assert code == 0 and json.loads(out) == _Page(target.read_text(encoding="utf-8")).data


def test_what_a_page_is_made_of_is_in_the_package():
    assert {path.suffix for path in Path(command.__file__).parents[1].glob("webpage/page.*")} == {
        ".py", ".js", ".css"}
