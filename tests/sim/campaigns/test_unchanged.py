# SPDX-License-Identifier: Apache-2.0
"""The comparison of the Verilog of two commits."""

import tempfile
from pathlib import Path

import pytest

from prunus.golden.engines import load_config
from prunus.hw.verilog.emit import emit
from prunus.sim.campaigns import unchanged
from prunus.sim.campaigns.campaign import Result, TaskError
from prunus.sim.simulators.cache import ROOT


def test_what_the_sources_here_give():
    verilog, description = unchanged.emitted_by(str(ROOT), "here", "leopard_tiny")
    assert verilog == emit(load_config("leopard_tiny")).verilog
    assert '"name": "leopard_tiny"' in description


def test_a_preset_that_is_refused_is_named():
    with pytest.raises(TaskError, match="no_such at here cannot be emitted: error: config must be"):
        unchanged.emitted_by(str(ROOT), "here", "no_such")


def test_a_revision_that_does_not_exist(capsys):
    with pytest.raises(SystemExit) as stop:
        unchanged.main(["no-such-revision"])
    assert stop.value.code == 2
    assert "must be a commit of this repository, not 'no-such-revision'" in capsys.readouterr().err


def test_no_cluster_does_it(capsys):
    with pytest.raises(SystemExit, match="2"):
        unchanged.main(["HEAD", "--scheduler", "tcp://host:1"])
    assert "unrecognized arguments: --scheduler" in capsys.readouterr().err


def test_nothing_is_left_behind(monkeypatch, tmp_path):
    """However it ends: on SIGTERM a command unwinds as here."""
    def stopped(name, tasks, options):
        there = Path(tasks[0].arguments[0])
        assert there.is_relative_to(tmp_path) and (there / "configs" / "hdp_tiny.toml").is_file()
        raise SystemExit(143)
        yield

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(unchanged, "run", stopped)
    before = unchanged._git("worktree", "list")
    with pytest.raises(SystemExit, match="143"):
        unchanged.main(["HEAD"])
    assert unchanged._git("worktree", "list") == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("later", "code"), [("text", 0), ("another", 1)])
def test_files_are_compared(monkeypatch, capsys, later, code):
    monkeypatch.setattr(unchanged, "_git", lambda *arguments: "0123456789abcdef")
    monkeypatch.setattr(unchanged.Path, "glob", lambda path, pattern: [unchanged.Path("one.toml")])
    monkeypatch.setattr(unchanged, "run", lambda name, tasks, options: (
        Result(task, [text, "{}"], "", 0.0) for task, text in zip(
            tasks, ("text", later), strict=True)))
    assert unchanged.main(["old"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("one.v: " + ("the same" if code == 0 else "different"))
    assert lines[-1] == f"{2 - code} of 2 files are those of old"
