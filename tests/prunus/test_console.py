# SPDX-License-Identifier: Apache-2.0
"""How commands end, and what terminals of any width and encoding show."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prunus import console
from prunus.bench.suites import suite_of
from prunus.console import Parser, guarded, install_hint, print_lines, print_table
from prunus.engines import FRONTS
from prunus.golden.engines import load_config

ROOT = Path(__file__).resolve().parents[2]


# -- ends -----------------------------------------------------------------------------------------
def ends(capfd, error, **options):
    """Exit code and stderr of a command that is stopped by an error."""
    @guarded(**options)
    def main(arguments=None):
        raise error

    return main([]), capfd.readouterr().err


@pytest.mark.parametrize(("error", "code", "line"), [
    (KeyboardInterrupt(), 130, "interrupted"),
    (MemoryError(), 1, "error: there is not enough memory for this; heads can be run in several "
                       "files"),
    (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 1,
     "error: '/x/y': No space left on device"),
])
def test_whatever_stops_a_command_is_a_line(capfd, error, code, line):
    assert ends(capfd, error) == (code, f"{line}\n")


def test_a_command_may_say_what_is_kept(capfd):
    assert ends(capfd, KeyboardInterrupt(), stopped="stopped") == (130, "stopped\n")


def test_a_fault_of_the_program_comes_out(capfd):
    with pytest.raises(ZeroDivisionError):
        ends(capfd, ZeroDivisionError())


def test_signals_are_as_before(capfd):
    before = signal.getsignal(signal.SIGTERM)
    ends(capfd, MemoryError())
    assert signal.getsignal(signal.SIGTERM) is before


def test_errors_of_usage_are_a_line(capsys):
    parser = Parser(prog="python -m x")
    parser.add_argument("--jobs", type=int)
    for arguments, words in ((["--nope"], "unrecognized arguments: --nope"),
                             (["--jobs", "a"], "argument --jobs: invalid int value: 'a'")):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(arguments)
        assert stop.value.code == 2
        assert capsys.readouterr().err == f"error: {words}; see python -m x -h\n"


SCRIPT = """
import sys, tempfile, time
from prunus.console import guarded

@guarded()
def main(arguments=None):
    with tempfile.TemporaryDirectory(dir=sys.argv[1]):
        print("begun", flush=True)
        time.sleep(60)

sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code", "said"), [
    (signal.SIGTERM, 143, ""), (signal.SIGHUP, 129, ""), (signal.SIGINT, 130, "interrupted\n")])
def test_a_signal_leaves_nothing_behind(tmp_path, number, code, said):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "", said)
    assert os.listdir(tmp_path) == []


def command(*arguments, **options):
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True,
                          check=False, **options)


MODULES = ["prunus.sim.campaigns.matrix", "prunus.sim.campaigns.mutate",
           "prunus.sim.campaigns.scaling", "prunus.sim.campaigns.soak",
           "prunus.sim.campaigns.unchanged", "prunus.sim.board", "prunus.fpga.netlist",
           "prunus.fpga.table", "formal", "prunus"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_help_and_errors_of_a_line(module):
    """Whatever the encoding of the terminal is."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = command(module, "-h", env=env)
    assert done.returncode == 0 and done.stdout.lower().startswith(b"usage: ")
    done = command(module, "--no-such-option", env=env)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert done.stderr.startswith(b"error: ")


@pytest.mark.parametrize("arguments", [["presets"], ["presets", "--json"], ["-h"]], ids=str)
def test_nobody_reads_to_the_end(arguments):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run([sys.executable, "-m", "prunus", *arguments], cwd=ROOT,
                              stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "prunus", "presets"], cwd=ROOT, stdout=full,
                              stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (
        1, b"error: the output cannot be written: No space left on device\n")


def test_an_interrupt_while_prunus_starts():
    process = subprocess.Popen([sys.executable, "-X", "importtime", "-m", "prunus", "presets"],
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.endswith("| pydantic_core\n") or "typing_inspection" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    said = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, said) == (130, ["interrupted"])


# -- hints ----------------------------------------------------------------------------------------
def test_the_command_that_installs(monkeypatch, tmp_path):
    monkeypatch.setattr(console, "ROOT", tmp_path)
    assert install_hint("sim") == "pip install 'prunus[sim]'"       # a wheel
    (tmp_path / "pyproject.toml").touch()
    assert install_hint("sim") == "pip install -e '.[sim]'"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert install_hint("sim") == "make dev"
    assert install_hint("models") == "make models"


# -- tables ---------------------------------------------------------------------------------------
@pytest.fixture
def terminal(monkeypatch):
    """Make rich believe in a terminal of so many columns."""
    def of(columns):
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("TTY_INTERACTIVE", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(columns))
    return of


COLUMNS = ["case", "a long name of a column", "cycles", "share of all", "and one more"]
ROWS = [["vit_patches [7]", "1,234,567", "12", "99.9%", "text of some length"],
        ["b", "7", "1,000,000", "-", ""]]


def shown(capsys):
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("columns", [200, 80, 60, 40, 20, 5])
def test_nothing_is_cut(capsys, terminal, columns):
    terminal(columns)
    print_table(COLUMNS, ROWS, title="a title [x]")
    out = shown(capsys)
    for text in [*COLUMNS, *ROWS[0], *ROWS[1], "a title [x]"]:
        assert text in out
    assert "…" not in out
    if columns >= 60:
        assert max(map(len, out.splitlines())) <= columns


def test_parts_of_a_table_have_its_first_column(capsys, terminal):
    terminal(60)
    print_table(COLUMNS, ROWS)
    out = shown(capsys)
    assert out.count("vit_patches [7]") > 1
    terminal(30)
    print_table(COLUMNS, ROWS)
    assert "cycles: 12\nshare of all: 99.9%\n" in shown(capsys)


def test_lines_are_not_cut(capsys, terminal):
    terminal(20)
    print_lines([("heads [1]", "a text of more than twenty columns [a]"), ("b", "1")])
    assert shown(capsys) == "heads [1]  a text of more than twenty columns [a]\nb          1\n"


ASCII = """
from prunus.report import print_lines, print_table, status_line
with status_line() as told:
    told("working")
print_table(["case", "q\\u00b7k"], [["a", "1"]])
print_lines([("a", "\\u00b7")])
"""


def test_a_terminal_that_knows_ascii_only(terminal):
    terminal(80)
    done = subprocess.run(
        [sys.executable, "-c", "from prunus.console import guarded\n@guarded()\n"
         f"def main(a=None):\n    exec({ASCII!r})\nmain()"], cwd=ROOT, capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() and b"q\\xb7k" in done.stdout and b"+-" in done.stdout
    assert b"working" in done.stderr and b"\\u" not in done.stderr


# -- every command that prints a table ------------------------------------------------------------
def on_a_terminal(columns, *arguments, encoding="utf-8"):
    """What a command says on a terminal of so many columns."""
    env = {**os.environ, "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "TERM": "xterm",
           "NO_COLOR": "1", "COLUMNS": str(columns), "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-m", "prunus", *arguments], cwd=ROOT, env=env,
                          capture_output=True, check=False, encoding=encoding)
    assert done.returncode == 0, done.stderr
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def in_a_pipe(*arguments):
    done = subprocess.run([sys.executable, "-m", "prunus", *arguments], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    return done.stdout


VIT = "examples/vit_patches.npz"
TABLES = [["energy", VIT], ["digits", VIT], ["fpga"]]


@pytest.mark.parametrize("columns", [200, 80, 40])
@pytest.mark.parametrize("arguments", TABLES, ids=lambda words: words[0])
def test_a_terminal_shows_all_that_a_pipe_gets(arguments, columns):
    shown, lines = on_a_terminal(columns, *arguments), in_a_pipe(*arguments).splitlines()
    table = [line.split("\t") for line in lines if "\t" in line]
    assert len(table) > 2 and "…" not in shown
    for row in table:
        for text in row:
            assert text in shown, text
    if columns == 80:
        assert max(len(line) for line in shown.splitlines() if "an estimate" not in line) <= 80


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("columns", [80, 40])
def test_presets_on_a_terminal(columns, encoding):
    shown = on_a_terminal(columns, "presets", encoding=encoding)
    assert max(map(len, shown.splitlines())) <= columns
    words = " ".join(shown.split())
    configs = json.loads(in_a_pipe("presets", "--json"))
    places = [words.index(f" {config['name']} {config['description'][:8]}") for config in configs]
    assert places == sorted(places)         # one after the other, by engine
    for config, begin, end in zip(configs, places, [*places[1:], None], strict=True):
        said = words[begin:end]
        assert config["description"] in said
        sizes = FRONTS[config["engine"]].sizes
        for name in sizes:
            assert config[name] is None or re.search(rf"\b{name} {config[name]}(,|$| )", said)


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("config", ["hdp_tiny", "leopard_tiny", "topk_tiny"])
def test_tables_of_benches(capsys, terminal, config, columns):
    """Of figures that are as long as they come."""
    suite = suite_of(load_config(config))
    titles = [column.title for column in suite.brief()]
    rows = [[f"example/a_long_name_of_a_file/{n}", *("1,234,567" for _ in titles[1:])]
            for n in range(3)]
    terminal(columns)
    print_table(titles, rows)
    out = shown(capsys)
    assert "…" not in out
    assert out.count("1,234,567") == 3 * (len(titles) - 1)
    assert all(row[0] in out for row in rows) and all(title in out for title in titles)


def test_presets_json_has_all_fields():
    for config in json.loads(in_a_pipe("presets", "--json")):
        fields = load_config(config["name"]).model_dump()
        assert config == fields | {"description": config["description"]}
        assert config["description"] and "description" not in fields
