# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from prunus.console import Parser
from prunus.sim.campaigns.campaign import TaskError
from prunus.sim.campaigns.commands import add_options, differences, parse, report
from prunus.sim.compare import MismatchError
from prunus.sim.simulators.runner import SimulationError


def parsed(*arguments):
    parser = Parser(prog="campaign")
    add_options(parser, config="hdp_tiny", seed="of all")
    return parse(parser, [str(argument) for argument in arguments])


def test_defaults():
    options = parsed()
    assert (options.chosen.name, options.seed, options.json, options.output) == (
        "hdp_tiny", 1, False, None)
    assert parsed("--config", "topk_tiny").chosen.name == "topk_tiny"


@pytest.mark.parametrize(("arguments", "message"), [
    (["--seed", -1], "--seed must be at least 0, not -1"),
    (["--config", "no"], "config must be a TOML file or one of"),
    (["--output", "/dev/null/file"], "--output '/dev/null/file' cannot be written: "),
])
def test_what_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parsed(*arguments)
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_directory_is_no_file(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        parsed("--output", tmp_path)
    assert "cannot be written: Is a directory" in capsys.readouterr().err


def test_a_report_is_written_when_it_is_done(tmp_path, capsys):
    """In a folder that is made; what was there stays until then."""
    path = tmp_path / "new" / "out.json"
    options = parsed("--output", path)
    assert not path.exists()
    assert not report({"jobs": 1}, options) and json.loads(path.read_text()) == {"jobs": 1}
    options = parsed("--output", path, "--json")
    assert json.loads(path.read_text()) == {"jobs": 1} and not capsys.readouterr().out
    assert report({"jobs": 2}, options)
    assert json.loads(path.read_text()) == json.loads(capsys.readouterr().out) == {"jobs": 2}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", [MismatchError, SimulationError])
def test_a_difference_is_the_failure_of_a_task(kind):
    with pytest.raises(TaskError, match="job 3"), differences():
        raise kind("job 3")
    with pytest.raises(KeyError), differences():
        raise KeyError
