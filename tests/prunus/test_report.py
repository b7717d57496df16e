# SPDX-License-Identifier: Apache-2.0
"""What stands on a terminal, and what in a pipe."""

import time

import pytest

from prunus import report


@pytest.fixture
def terminal(monkeypatch):
    """Make rich believe in a terminal of 60 columns."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")


ROWS = [["a", "1,000", "x"], ["b", "7", "y"]]


def test_a_table_in_a_pipe_is_whole(capsys):
    report.print_table(["case", "cycles", "more"], ROWS, brief=["case", "cycles"])
    assert capsys.readouterr().out == "case\tcycles\tmore\na\t1,000\tx\nb\t7\ty\n"


def test_a_table_on_a_terminal_is_brief(capsys, terminal):
    report.print_table(["case", "cycles", "more"], ROWS, brief=["case", "cycles"])
    out = capsys.readouterr().out
    assert "cycles" in out and "more" not in out
    line = next(line for line in out.splitlines() if " b " in line)
    assert "     7 " in line        # numbers to the right
    report.print_table(["case", "cycles", "more"], ROWS)
    assert "more" in capsys.readouterr().out


@pytest.mark.parametrize("bar", [report.heads_progress, report.status_line])
def test_no_progress_in_a_pipe(capsys, bar):
    with bar() as progress:
        assert progress is None
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(capsys, terminal):
    with report.heads_progress() as progress:
        progress(3, 8)
    assert "3/8" in capsys.readouterr().err
    with report.heads_progress() as progress:
        progress.stage("emitting Verilog")
        time.sleep(0.3)         # the bar moves ten times a second
    err = capsys.readouterr().err
    assert "emitting Verilog" in err and "/?" not in err and "heads" not in err
    with report.status_line() as progress:
        progress("yosys abc")
    out, err = capsys.readouterr()
    assert (out, "yosys abc" in err) == ("", True)
