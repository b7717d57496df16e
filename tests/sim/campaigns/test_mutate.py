# SPDX-License-Identifier: Apache-2.0
import json
from types import SimpleNamespace

import pytest

from prunus.golden.engines import preset_names
from prunus.sim.campaigns import mutate
from prunus.sim.campaigns.mutate import CAUGHT, SURVIVED, Outcome, check_table, mutated_tree
from prunus.sim.campaigns.mutations import MUTATIONS, Mutation
from prunus.sim.engines import BENCHES
from prunus.sim.simulators.cache import ROOT

FINE = Mutation("golden/hdp/planes.py", "if kind == self.signed_kind and self.signs_beside:",
                "if self.signs_beside:", "another version")


def test_the_table_fits_the_sources():
    check_table(MUTATIONS)


@pytest.mark.parametrize(("mutation", "times"), [
    (Mutation("golden/hdp/planes.py", "import", "export", "everywhere"), r"\d+"),
    (Mutation("golden/hdp/planes.py", "no such text", "x", "nowhere"), "0"),
    (Mutation("golden/missing.py", "a", "b", "no file"), "0"),
])
def test_a_text_that_does_not_occur_once_is_an_error(mutation, times):
    with pytest.raises(ValueError, match=f"must occur once in {mutation.file}, not {times} times"):
        check_table([FINE, mutation])


def test_a_mutation_that_changes_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"a mutation of golden/hdp/planes\.py changes nothing"):
        check_table([Mutation(FINE.file, FINE.old, FINE.old, "")])


def test_the_copy_differs_in_the_mutation_alone(tmp_path):
    mutated_tree(FINE, tmp_path)
    for room in mutate.ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            name = path.relative_to(ROOT)
            text = path.read_text()
            if str(name) == FINE.file:
                text = text.replace(FINE.old, FINE.new)
            assert (tmp_path / name).read_text() == text


def _process(monkeypatch, code, said):
    """A regression that ends so; the folder and environment it was started in."""
    seen = {}

    def run(command, *, cwd, env, **_):
        seen.update(command=command, cwd=cwd, env=env, text=(cwd / FINE.file).read_text())
        return SimpleNamespace(returncode=code, stdout=said)

    monkeypatch.setattr(mutate.subprocess, "run", run)
    return seen


@pytest.mark.parametrize(("code", "verdict", "message"), [
    (CAUGHT, "caught", "first"), (SURVIVED, "survived", "first"), (1, "broken", "last"),
])
def test_verdicts(monkeypatch, code, verdict, message):
    seen = _process(monkeypatch, code, "first\nmiddle\nlast\n")
    outcome = mutate.try_mutation(FINE, "leopard_tiny")
    assert (outcome.verdict, outcome.message) == (verdict, message)
    assert seen["command"][-2:] == ["--regression", "leopard_tiny"]
    assert f"        {FINE.new}" in seen["text"] and FINE.old not in seen["text"]
    assert seen["env"]["PYTHONPATH"] == str(seen["cwd"])
    assert not seen["cwd"].exists()


def test_a_filter_that_fits_nothing(capsys):
    with pytest.raises(SystemExit, match="2"):
        mutate.main(["--only", "no such mutation"])
    assert capsys.readouterr().err.startswith(
        "error: --only must occur in the file or the reason of a mutation, not 'no such mutation'")


def test_every_mutation_meets_jobs_of_its_engine():
    assert {mutation.config for mutation in MUTATIONS if not mutation.preset} == {
        bench.preset for bench in BENCHES.values()}
    for mutation in MUTATIONS:
        if mutation.preset:
            assert mutation.config == mutation.preset in preset_names("hdp")
            continue
        room = mutation.file.split("/")[1]
        assert (room in ("leopard", "survivors")) == (mutation.config == "leopard_tiny")
        assert (room == "topk") == (mutation.config == "topk_tiny")


def test_reports(monkeypatch, tmp_path, capsys):
    survivor = Mutation(FINE.file, "return ()", "return () or () # |", "harmless")
    tried = []

    def outcome(mutation, config_name):
        tried.append((mutation, config_name))
        return Outcome(mutation, "caught" if mutation is FINE else "survived", 1.0,
                       "job 0 differs")

    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(mutate, "MUTATIONS", (FINE, survivor))
    monkeypatch.setattr(mutate, "try_mutation", outcome)
    path = tmp_path / "docs" / "mutations.md"
    assert mutate.main(["--json", "--markdown", str(path), "--workers", "0"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["verdict"] for row in rows] == ["caught", "survived"]
    assert tried == [(None, "hdp_tiny"), (FINE, "hdp_tiny"), (survivor, "hdp_tiny")]
    text = path.read_text()
    assert "1 of 2 are caught" in text
    assert (r"| golden/hdp/planes.py | `return ()` | `return () or () # \|` | harmless | survived |"
            in text)
    assert mutate.main(["--only", "version", "--workers", "0"]) == 0
    assert "another version" in capsys.readouterr().out
    assert len(tried) == 3, "both are kept"


@pytest.mark.parametrize("verdict", ["caught", "broken"])
def test_without_a_mutation_all_must_pass(monkeypatch, tmp_path, capsys, verdict):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    monkeypatch.setattr(mutate, "MUTATIONS", (FINE,))
    monkeypatch.setattr(mutate, "try_mutation",
                        lambda mutation, name: Outcome(mutation, verdict, 1.0, "job 0 differs"))
    assert mutate.main(["--workers", "0"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said == "without a mutation the regression of hdp_tiny must pass: job 0 differs"
    assert not list(tmp_path.glob("campaigns/*/*"))
