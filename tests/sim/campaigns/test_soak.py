# SPDX-License-Identifier: Apache-2.0
import json
from collections import Counter

import pytest

from prunus.sim.campaigns import soak
from prunus.sim.campaigns.soak import Chunk, chunks, main
from prunus.sim.compare import MismatchError
from prunus.sim.faults import COUNTS, KINDS
from prunus.sim.simulate import SimulationError


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    """Nothing that stand-ins give is kept."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))


def main_here(*arguments):
    """The command, in this process."""
    return main([*arguments, "--workers", "0"])


def test_chunks_cover_the_jobs_and_alternate():
    assert chunks(250, 100, 7, 0.3) == [Chunk(100, 7, 0.0), Chunk(100, 8, 0.3), Chunk(50, 9, 0.0)]


def test_summary(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(soak, "run_chunk", lambda chunk, config: seen.append(chunk) or 1000)
    assert main_here("--config", "hdp_tiny", "--jobs", "30", "--chunk", "20", "--seed", "4") == 0
    assert seen == [Chunk(20, 4, 0.3), Chunk(10, 5, 0.0)]
    assert "hdp_tiny: 30 jobs equal golden, 2000 cycles in" in capsys.readouterr().out


def test_json(monkeypatch, capsys):
    monkeypatch.setattr(soak, "run_chunk", lambda chunk, config: 1000)
    assert main_here("--config", "hdp_tiny", "--jobs", "150", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said.pop("seconds") >= 0
    assert said == {"config": "hdp_tiny", "jobs": 150, "cycles": 2000}


def test_a_mismatch_ends_it_with_the_command_to_repeat(monkeypatch, capsys):
    def fail(chunk, config):
        if chunk.seed == 2:
            raise MismatchError("batch 0 of 8 jobs: job 3 differs")
        return 1

    monkeypatch.setattr(soak, "run_chunk", fail)
    assert main_here("--config", "hdp_tiny", "--jobs", "500") == 1
    said = capsys.readouterr().err
    assert "seed 2, stall 0.3: batch 0 of 8 jobs: job 3 differs" in said
    command = said.split("python -m prunus.sim.campaigns.soak ")[1].split()
    monkeypatch.setattr(soak, "run_chunk", lambda chunk, config: repeated.append(chunk) or 1)
    repeated = []
    assert main_here(*command) == 0
    assert repeated == [Chunk(100, 2, 0.3)]
    assert main_here("--config", "hdp_tiny", "--jobs", "500") == 0
    assert [chunk.seed for chunk in repeated] == [2, 3, 4, 5], "others are kept"


def test_a_file_is_named_as_it_was_given(monkeypatch, capsys, tmp_path):
    def fail(chunk, config):
        raise MismatchError("job 3 differs")

    path = tmp_path / "my own.toml"
    path.write_text('name = "mine"\nmultipliers = 8\n')
    monkeypatch.setattr(soak, "run_chunk", fail)
    assert main_here("--config", str(path)) == 1
    assert f" soak --config '{path}' --seed 1 " in capsys.readouterr().err.replace(
        "prunus.sim.campaigns.soak", " soak")


def test_the_other_memory(monkeypatch, capsys):
    def fail(batches, config, *, memory, **options):
        raise SimulationError(f"with {memory}")

    monkeypatch.setattr(soak, "simulate_batches", fail)
    assert main_here("--config", "hdp_tiny", "--jobs", "4", "--memory", "python") == 1
    said = capsys.readouterr().err
    assert "with python" in said and said.rstrip().endswith(" --memory python")


# -- with faults ----------------------------------------------------------------------------------
class _Session:
    """Of a simulation that never is."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@pytest.fixture
def played(monkeypatch):
    """``(stall, jobs, seed)`` of simulations with faults."""
    calls = []
    monkeypatch.setattr(soak, "open_session", lambda config, stall, seed: calls.append(
        (stall, seed)) or _Session())
    monkeypatch.setattr(soak, "play", lambda session, jobs, seed: {
        kind: Counter(jobs=jobs, tables=1, cut=3 * (kind == "reset")) for kind in KINDS})
    return calls


def test_faults(played, capsys):
    assert main_here("--faults", "--config", "hdp_tiny", "--jobs", "1500") == 0
    assert played == [(0.0, 1), (0.3, 2)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t")[:3] == ["faults", "jobs", "owed"]
    assert [line.split("\t")[0] for line in lines[1:-1]] == list(KINDS)
    assert lines[-1].startswith(f"hdp_tiny: {1500 * len(KINDS):,} jobs with faults, each as it ")


def test_faults_as_json(played, capsys, tmp_path):
    file = tmp_path / "soak.json"
    assert main_here("--faults", "--config", "topk_tiny", "--jobs", "10", "--json",
                     "--output", str(file)) == 0
    said = json.loads(capsys.readouterr().out)
    assert json.loads(file.read_text()) == said
    assert said["config"] == "topk_tiny" and said["jobs"] == 10 * len(KINDS)
    assert said["kinds"]["reset"] == dict.fromkeys(COUNTS, 0) | {"jobs": 10, "tables": 1, "cut": 3}


def test_a_fault_that_does_harm_ends_it_with_the_command_to_repeat(played, monkeypatch, capsys):
    def fail(session, jobs, seed):
        raise MismatchError(f"table 7, reset: job 3 differs, {jobs} {seed}")

    monkeypatch.setattr(soak, "play", fail)
    assert main_here("--faults", "--config", "hdp_tiny", "--jobs", "2500", "--seed", "4") == 1
    said = capsys.readouterr().err
    assert "seed 4, stall 0.3: table 7, reset: job 3 differs, 1000 4" in said
    command = said.split("python -m prunus.sim.campaigns.soak ")[1].split()
    assert main_here(*command) == 1
    assert played == [(0.3, 4), (0.3, 4)]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--faults", "--memory", "python"], "--memory must be cpp with --faults, not python"),
    (["--memory", "rust"], "argument --memory: invalid choice: 'rust'"),
    (["--jobs", "0"], "--jobs and --chunk must be at least 1"),
    (["--jobs", "9" * 30], "--jobs must be at most 1,000,000 times --chunk, not 999"),
    (["--stall", "1"], r"--stall must lie in [0, 1)"),
    (["--config", "no"], "config must be a TOML file or one of"),
])
def test_arguments_are_checked(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err
