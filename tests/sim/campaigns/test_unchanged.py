# SPDX-License-Identifier: Apache-2.0
"""The comparison of the Verilog of two commits."""

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


@pytest.mark.parametrize(("later", "code"), [("text", 0), ("another", 1)])
def test_files_are_compared(monkeypatch, capsys, later, code):
    monkeypatch.setattr(unchanged, "_git", lambda *arguments: "0123456789abcdef")
    monkeypatch.setattr(unchanged.Path, "glob", lambda path, pattern: [unchanged.Path("one.toml")])
    monkeypatch.setattr(unchanged, "run", lambda name, tasks, options: [
        Result(tasks[0], ["text", "{}"], "", 0.0), Result(tasks[1], [later, "{}"], "", 0.0)])
    assert unchanged.main(["old"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("one.v: " + ("the same" if code == 0 else "different"))
    assert lines[-1] == f"{2 - code} of 2 files are those of old"
