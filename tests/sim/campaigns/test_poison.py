# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from prunus.golden.engines import load_config
from prunus.sim.campaigns import poison
from prunus.sim.campaigns.poison import KINDS, Chunk, chunks, main, run_pairs
from prunus.sim.compare import MismatchError
from prunus.sim.engines import BENCHES


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("preset", [bench.preset for bench in BENCHES.values()])
def test_a_few_pairs(preset, stall):
    """Of each kind, on the RTL of each engine; cycles of all that have a table of their own."""
    compared, timed = run_pairs(Chunk(len(KINDS), 5, stall), load_config(preset))
    assert compared == timed == (0 if stall else len(KINDS) - 1)


def test_a_slower_second_job_is_seen(monkeypatch):
    monkeypatch.setattr(poison, "slower", lambda got, want, config: "cycles 2, not 1")
    assert run_pairs(Chunk(1, 5, 0.0), load_config("topk_tiny")) == (1, 0)


def test_another_result_of_the_second_job_is_seen(monkeypatch):
    monkeypatch.setattr(poison, "difference", lambda got, want, config: "job 0: another output")
    with pytest.raises(MismatchError, match="pair 0, the first good: job 0: another output"):
        run_pairs(Chunk(1, 5, 0.0), load_config("topk_tiny"))


def test_chunks_cover_the_pairs():
    assert chunks(60, 7) == [Chunk(25, 7, 0.0), Chunk(25, 8, 0.3), Chunk(10, 9, 0.0)]


def test_reports(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    monkeypatch.setattr(poison, "run_pairs", lambda chunk, config: (chunk.count, chunk.count - 1))
    assert main(["--config", "hdp_tiny", "--pairs", "30", "--json", "--workers", "0"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["pairs"], said["compared"], said["timed"]) == (30, 30, 28)

    def fail(chunk, config):
        raise MismatchError("pair 3, the first refused: another output")

    monkeypatch.setattr(poison, "run_pairs", fail)
    assert main(["--pairs", "30", "--seed", "9", "--workers", "0"]) == 1
    said = capsys.readouterr().err
    assert "seed 9, stall 0.0: pair 3, the first refused: another output" in said
    assert said.strip().endswith("poison --config hdp_tiny --pairs 30 --seed 9")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--pairs", "0"], "--pairs must lie in 1..10,000,000, not 0"),
    (["--seed", "-1"], "--seed must be at least 0, not -1"),
    (["--config", "no"], "config must be a TOML file or one of"),
])
def test_arguments_are_checked(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err
