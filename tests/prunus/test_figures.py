# SPDX-License-Identifier: Apache-2.0
"""Figures of the documents: what stands in the pages is what is kept, and comes out again."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from prunus.bench import plot
from prunus.errors import InputError
from prunus.figures.__main__ import faults, main
from prunus.figures.figure import (
    ROOT,
    Compared,
    Figure,
    Heads,
    changes,
    compared,
    header,
    load,
    measured,
    save,
    table,
)
from prunus.figures.pages import places, rendered, unmarked
from prunus.figures.registry import FIGURES
from prunus.golden.engines import load_config
from prunus.heads import EXAMPLES

CAPTURED = Path(os.environ.get("PRUNUS_DATA", ROOT.parent / "shared" / "data"))
HEADS = Heads.under(CAPTURED if [*(CAPTURED / "qkv").glob("*.npz")] else None)
# Of hdp_edge before it had linear layers; their pages say so.
WITHOUT_LINEAR = ("fpga_table", "simulation_speed", "energy_fit", "power_large")
# Of presets before they were changed; their pages say so.
BEFORE = {("fpga_table", "hdp_ecp5"): {"value_array": "shared", "integer_span": 64}}
KEPT = [figure for figure in FIGURES.values() if figure.of is None]


def again(which: Compared) -> list:
    return [pytest.param(figure, id=figure.name) for figure in KEPT if figure.compared is which]


def check_again(figure: Figure) -> None:
    kept = load(figure)
    fresh, _ = measured(figure, HEADS, kept)
    assert [*changes(*(compared(figure, one["data"]) for one in (kept, fresh)))] == []


# -- the documents --------------------------------------------------------------------------------
def test_the_pages_have_the_figures_that_are_kept():
    assert faults(ROOT) == []


@pytest.mark.parametrize("figure", again(Compared.SIM))
def test_what_the_specification_gives_is_what_is_kept(figure):
    check_again(figure)


@pytest.mark.large
@pytest.mark.parametrize("figure", again(Compared.LARGE))
def test_what_rtl_and_synthesis_give_is_what_is_kept(figure):
    check_again(figure)


def hardware(name, parameters):
    """The configuration of kept parameters; those that are younger have their defaults."""
    return type(load_config(name))(name=name, **parameters)


@pytest.mark.parametrize("figure", KEPT, ids=lambda figure: figure.name)
def test_figures_are_those_of_the_presets_and_heads_of_today(figure):
    """Also of what is too long to be measured by a test."""
    kept = load(figure)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept.get("measured", "2026-01-01"))
    if figure.bench is not None:
        name, = figure.configs
        assert hardware(name, kept["data"]["parameters"]) == load_config(name)
    else:
        want = header(figure)
        configurations = want.pop("configurations")
        assert {key: kept[key] for key in want} == want
        assert kept["configurations"].keys() == configurations.keys()
        for name, parameters in kept["configurations"].items():
            config = load_config(name)
            if figure.name in WITHOUT_LINEAR and "linear" not in parameters:
                config = config.model_copy(update={"linear": False}) if config.engine == "hdp" \
                    else config
            config = config.model_copy(update=BEFORE.get((figure.name, name), {}))
            assert hardware(name, parameters) == config
    for name, digest in kept.get("heads", {}).items():
        if name in HEADS.found:
            assert digest == hashlib.sha256(HEADS.found[name].read_bytes()).hexdigest(), name


def test_no_data_without_a_figure():
    kept = [figure for figure in KEPT if figure.bench is None]
    there = {path.name for path in (ROOT / "docs" / "figures").iterdir()}
    assert {name for name in there if not name.endswith(".svg")} == {
        figure.path(ROOT).name for figure in kept}
    if plot.available():
        drawn = {name for figure in kept if figure.plots for name in figure.plots(load(figure))}
        assert {name for name in there if name.endswith(".svg")} == {
            name for name in drawn if "/" not in name}


# -- places ---------------------------------------------------------------------------------------
PAGE = """\
# Page

<!-- figures: a -->
| old |
<!-- end figures -->

text
"""


def test_a_table_takes_its_place():
    new = rendered(PAGE, "p.md", {"a": table(["x"], [["1"]])})
    assert new == PAGE.replace("| old |\n", "\n| x |\n|---|\n| 1 |\n\n")
    assert rendered(new, "p.md", {"a": table(["x"], [["1"]])}) == new


def test_marks_in_a_fence_are_text():
    assert places(f"```\n{PAGE}```\n", "p.md") == []


@pytest.mark.parametrize("text, message", [
    (PAGE.replace("<!-- end figures -->\n", ""),
     "p.md:3: figures a have no end mark '<!-- end figures -->'"),
    (PAGE.replace("| old |", "<!-- figures: b -->"),
     "p.md:4: figures b begin before the end mark of figures a"),
    ("<!-- end figures -->\n", "p.md:1: an end mark without a beginning"),
    ("x <!-- figures: a -->\n", "p.md:1: a mark of figures must be '<!-- figures: NAME -->' or "
     "'<!-- end figures -->', alone on its line, not 'x <!-- figures: a -->'"),
    ("<!-- figure: a -->\n", "p.md:1: a mark of figures must be '<!-- figures: NAME -->' or "
     "'<!-- end figures -->', alone on its line, not '<!-- figure: a -->'"),
    (PAGE.replace(": a", ": b"), "p.md:3: figures must be one of a, not 'b'"),
])
def test_bad_marks(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        rendered(text, "p.md", {"a": ""})


FOUND = "| case | cycles |\n|---|---|\n| a | 1,234 |\n| b | **2.5x** |\n"


@pytest.mark.parametrize("text, found", [
    (FOUND, ["p.md:1: a table of figures (1,234, **2.5x**...)"]),
    ("<!-- figures: a -->\n" + FOUND + "<!-- end figures -->\n", []),
    ("<!-- not measured -->\n\n" + FOUND, []),
    ("| field | bits |\n|---|---|\n| a | 3 |\n| b | 0x10 |\n", []),
    ("<!-- figures: a -->\n<!-- end figures -->\n" + FOUND, ["p.md:3: a table of figures"]),
])
def test_a_table_of_figures_needs_marks(text, found):
    lines = [*unmarked(text, "p.md")]
    assert len(lines) == len(found)
    assert [*unmarked(text, "docs/notes/2026-11-23-boards.md")] == []
    assert all(line.startswith(start) for line, start in zip(lines, found, strict=True))


# -- the command ----------------------------------------------------------------------------------
@pytest.fixture
def root(tmp_path) -> Path:
    """A repository whose README has all figures."""
    for part in ("figures", "bench"):
        shutil.copytree(ROOT / "docs" / part, tmp_path / "docs" / part)
    names = [name for name, figure in FIGURES.items() if figure.page is None]
    (tmp_path / "README.md").write_text("# All\n" + "".join(
        f"\n<!-- figures: {name} -->\n<!-- end figures -->\n" for name in names))
    assert main([], tmp_path) == 0
    return tmp_path


def test_check_after_writing(root, capsys):
    assert main(["--check"], root) == 0
    assert "| `minilm_sentence` (12) | 24 | 32 | 31.1% |" in (root / "README.md").read_text()
    assert (root / "docs" / "fpga_table.md").read_text() == (
        ROOT / "docs" / "fpga_table.md").read_text()
    path = root / "README.md"
    path.write_text(path.read_text().replace("31.1%", "31.2%"))
    capsys.readouterr()
    assert main(["--check"], root) == 1
    assert capsys.readouterr().out == ("README.md: its figures are not those of docs/figures: make "
                                       "figures writes them\n")


def test_check_of_a_page_that_a_command_writes(root, capsys):
    (root / "docs" / "bench" / "bench.md").write_text("# Bench\n")
    capsys.readouterr()
    assert main(["--check"], root) == 1
    assert capsys.readouterr().out.startswith("docs/bench/bench.md: its figures")


def test_check_of_a_figure_that_stands_nowhere(root, capsys):
    path = root / "README.md"
    path.write_text(re.sub(r"<!-- figures: energy -->.*?<!-- end figures -->", "",
                           path.read_text(), flags=re.DOTALL))
    capsys.readouterr()
    assert main(["--check"], root) == 1
    assert capsys.readouterr().out == ("figures energy stand in no page: put "
                                       "'<!-- figures: energy -->' where they belong\n")


def test_the_list_says_what_measures_a_figure(root, capsys):
    """Also those that follow from the data of another one."""
    capsys.readouterr()
    assert main(["--list"], root) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = {first.split()[0]: second.split("; ")[-1]
                for first, second in zip(lines[::2], lines[1::2], strict=True)}
    assert commands.keys() == FIGURES.keys()
    for name, figure in FIGURES.items():
        assert commands[name] == FIGURES[figure.of or name].command
    assert commands["papers_blocks_claims"].endswith(
        "--measure papers_blocks --models DIR --texts DIR")


def test_measuring_says_what_changed(root, capsys, monkeypatch):
    monkeypatch.delenv("PRUNUS_DATA", raising=False)
    path = root / "docs" / "figures" / "leopard_copies.json"
    kept = json.loads(path.read_text())
    kept["data"][0]["4"] += 1
    path.write_text(json.dumps(kept))
    capsys.readouterr()
    assert main(["--measure", "leopard_copies"], root) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["leopard_copies: [0].4: 127 -> 126"]
    assert json.loads(path.read_text())["data"][0]["4"] == 126


def test_measuring_without_all_heads_keeps_the_other_rows(root, capsys, monkeypatch):
    monkeypatch.delenv("PRUNUS_DATA", raising=False)
    path = root / "docs" / "figures" / "hdp_error.json"
    before = json.loads(path.read_text())
    capsys.readouterr()
    assert main(["--measure", "hdp_error"], root) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["hdp_error: minilm_l128_layer1, minilm_l256_layer4, vit_257_layer6, "
                        "vit_50_layer3 are not there, their rows are those of before"]
    after = json.loads(path.read_text())
    assert (after["data"], after["heads"]) == (before["data"], before["heads"])
    assert after["earlier"] == dict.fromkeys(
        ("minilm_l128_layer1", "minilm_l256_layer4", "vit_257_layer6", "vit_50_layer3"),
        before["measured"])


@pytest.mark.parametrize("arguments, message", [
    (["--measure", "nonsense"], "figures must be some of run_examples, hdp_error"),
    (["--measure", "train_engine"],
     "figure train_engine is not measured by this command: prunus accuracy"),
    (["--measure", "hdp_error", "--data", "nowhere"],
     "data must be a directory of .npz files, and 'nowhere' holds none"),
])
def test_bad_input(root, capsys, arguments, message):
    capsys.readouterr()
    assert main(arguments, root) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1


def test_a_first_measurement_needs_all_heads():
    with pytest.raises(InputError, match="figure hdp_error needs the heads minilm_l128_layer1, "):
        measured(FIGURES["hdp_error"], Heads.under(None), None)


def test_data_of_a_bench_have_their_pictures_beside_them(tmp_path):
    figure = FIGURES["bench_hdp_edge"]
    save(figure, load(figure), tmp_path)
    assert sorted(path.name for path in (tmp_path / "docs" / "bench").iterdir()) == [
        "bench.json", "speedup.png", "speedup.svg"]
    assert load(figure, tmp_path) == load(figure)


def test_many_changes_are_told_in_short(root, capsys):
    path = root / "docs" / "figures" / "train_runs.json"
    path.write_text(path.read_text().replace("0.9577", "0.9578"))
    capsys.readouterr()
    assert main(["--measure", "train_runs"], root) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "train_runs: [0].held_out.before: 0.9578 -> 0.9577"
    assert len(said) <= 22


def test_damaged_data(root, capsys):
    (root / "docs" / "figures" / "energy.json").write_text("[]")
    assert main([], root) == 2
    assert "cannot be read: not one that this command wrote" in capsys.readouterr().err


def test_outside_a_checkout(tmp_path, capsys):
    assert main([], tmp_path) == 2
    assert "figures are those of a checkout" in capsys.readouterr().err


def test_examples_are_there_without_data():
    assert {"minilm_sentence", "vit_patches", "layer5"} <= set(Heads.under(None).found)
    assert EXAMPLES.is_dir()
