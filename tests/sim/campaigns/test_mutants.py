# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from prunus.sim.campaigns import campaign, mutants
from prunus.sim.campaigns.mutants import main
from prunus.sim.reasons import MUTANTS, UNEXPLAINED, read_list
from prunus.sim.simulators.cache import ROOT
from prunus.sim.variants import Fault, Variants

FAULTS = tuple(Fault(n, "unit", 10 * n, f"assign y{n} = a;", "and.Y[0] inverted")
               for n in range(1, 26))
VERDICTS = {3: ("survived", ""), 7: ("survived", ""), 9: ("slower", "cycles 8, not 7"),
            11: ("survived", "")}


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Stand-ins: fault 3 is proved the same, 7 is not, 9 is slower, 11 is found by tables with
    faults alone, the rest are killed."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    asked, judged = [], []

    def try_faults(config, count, seed, numbers):
        asked.append(list(numbers))
        return [dict(zip(("verdict", "message"), VERDICTS.get(n, ("killed", "job 0")),
                         strict=True)) for n in numbers]

    monkeypatch.setattr(mutants, "variants",
                        lambda config, count, seed: Variants("", FAULTS[:count], Path()))
    def judge_faults(config, count, seed, numbers):
        judged.extend(numbers)
        return [{"verdict": "killed" if n == 11 else "survived", "message": ""} for n in numbers]

    monkeypatch.setattr(mutants, "try_faults", try_faults)
    monkeypatch.setattr(mutants, "judge_faults", judge_faults)
    monkeypatch.setattr(mutants, "prove", lambda config, count, seed, number: (
        ["proved", [], 0] if number == 3 else ["refuted", ["irq"], 2]))
    yield asked
    assert set(judged) <= {3, 7, 11}


def test_verdicts_and_shares(tried, capsys, tmp_path):
    path = tmp_path / "out.json"
    assert main(["--count", "25", "--json", "--workers", "0", "--output", str(path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(path.read_text())
    assert tried == [list(range(1, 21)), list(range(21, 26))]
    assert {name: said[name] for name in ("killed", "same", "slower", "survived")} == {
        "killed": 22, "same": 1, "slower": 1, "survived": 1}
    assert said["killed_share"] == 22 / 24 and said["noticed_share"] == 23 / 24
    rows = {row["number"]: row for row in said["rows"]}
    assert rows[3]["verdict"] == "same" and rows[11]["verdict"] == "killed"
    assert rows[7]["message"] == "induction refuted: irq 2 states may differ"
    assert main(["--count", "25", "--workers", "0"]) == 0
    said = capsys.readouterr().out
    assert "assign y7 = a;" in said and "assign y3 = a;" not in said
    assert ("hdp_tiny: 25 faults, 1 proved the same; of the others 22 killed (91.7%), 1 seen by "
            "cycles alone (95.8% with them), 1 survived") in said
    assert len(tried) == 2, "what is done is kept"


def test_survivors_are_listed_with_reasons(tried, monkeypatch, capsys, tmp_path):
    """From the report alone: nothing is tried again."""
    path, docs = tmp_path / "out.json", tmp_path / "docs"
    docs.mkdir()
    (docs / "reasons.toml").write_text("""[[reason]]
rows = 'hdp_tiny unit: and.Y.0. inverted: assign y7 '
why = "y7 is not read"
""")
    monkeypatch.setattr(mutants, "MUTANTS", docs)
    main(["--count", "25", "--workers", "0", "--output", str(path)])
    capsys.readouterr()
    before = len(tried)
    assert main(["--list", str(path)]) == 0
    assert capsys.readouterr().out == "hdp_tiny: 1 survivors, 0 of them not explained\n"
    assert read_list(docs / "hdp_tiny.txt") == [
        ("hdp_tiny unit: and.Y[0] inverted: assign y7 = a;", "y7 is not read")]
    assert len(tried) == before


@pytest.mark.parametrize(("text", "message"), [
    (None, "cannot be read: No such file or directory"),
    ("[]", "must be a file that --output has written, not "),
    ("{", "must be a file that --output has written, not "),
])
def test_only_a_report_is_listed(text, message, capsys, tmp_path):
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        main(["--list", str(path)])
    assert message in capsys.readouterr().err


def test_figures_count_the_lists():
    """What pages say is explained and open is what the lists say."""
    kept = json.loads((ROOT / "docs" / "figures" / "mutants.json").read_text())["data"]
    lists = {path.stem: read_list(path) for path in MUTANTS.glob("*.txt")}
    assert {row["config"] for row in kept} == set(lists)
    for row in kept:
        open_ones = sum(why == UNEXPLAINED for _, why in lists[row["config"]])
        assert (row["open"], row["explained"]) == (
            open_ones, len(lists[row["config"]]) - open_ones)
        assert row["faults"] == sum(row[name] for name in (
            "same", "killed", "slower", "explained", "open"))
        assert row["killed_share"] == pytest.approx(row["killed"] / (row["faults"] - row["same"]))


def test_without_proof(tried, capsys):
    assert main(["--count", "25", "--first", "8", "--no-proof", "--workers", "0"]) == 0
    assert "8 faults, 0 proved the same; of the others 6 killed (75.0%)" in capsys.readouterr().out
    assert tried == [list(range(1, 9))]


def test_the_original_must_pass(tried, monkeypatch, capsys):
    def fail(*_):
        raise campaign.TaskError("without a fault, short, stall 0.0: job 0 differs")

    monkeypatch.setattr(mutants, "try_faults", fail)
    assert main(["--count", "5", "--workers", "0"]) == 2
    assert capsys.readouterr().err == ("error: without a fault, short, stall 0.0: job 0 differs\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--count", "0"], "--count must lie in 1..100,000, not 0"),
    (["--count", "5", "--first", "6"], "--first must lie in 1..5, the --count, not 6"),
    (["--seed", "-1"], "--seed must be at least 0, not -1"),
    (["--config", "no"], "config must be a TOML file or one of"),
])
def test_arguments_are_checked(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err
