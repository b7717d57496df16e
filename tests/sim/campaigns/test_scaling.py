# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.bounds import Work
from prunus.sim.campaigns import scaling
from prunus.sim.campaigns.scaling import Scaling, main, measure, uneven_jobs, with_cores
from prunus.sim.compare import MismatchError

TINY = load_config("hdp_tiny")


def test_uneven_jobs():
    jobs = uneven_jobs(TINY, 20, 3, 10)
    lengths = {job.l_q for job in jobs}
    assert lengths <= set(range(10, TINY.l_max + 1)) and len(lengths) > 5
    assert all(job.l_q == job.l_kv == job.valid_kv and job.d == TINY.d_max for job in jobs)
    again = uneven_jobs(TINY, 20, 3, 10)
    assert all((a.q == b.q).all() for a, b in zip(jobs, again, strict=True))


def test_with_cores():
    quad = with_cores(TINY, 4)
    assert (quad.name, quad.cores, quad.all_multipliers) == ("hdp_tiny_x4", 4, 32)


def test_balance_is_that_of_heads_in_turn():
    work = [Work(integer=4 * n, fraction=0, full=0, value=0) for n in (8, 2, 3, 4)]
    assert scaling._balance(work, 1) == 1
    assert scaling._balance(work, 2) == 17 / (2 * 9)       # 8 | 2, 3, 4
    assert scaling._balance(work[:1], 4) == 1 / 4


def test_one_core_comes_first():
    with pytest.raises(ValueError, match=r"cores must begin with 1, not \[2\]"):
        measure([], TINY, [2])


def test_table(monkeypatch, capsys):
    lengths = []

    def measured(tables, config, cores):
        assert [len(jobs) for jobs in tables] == [12, 5]
        jobs = tables[0]
        assert (config.axi_data_width, list(cores)) == (256, [1, 4])
        assert (config.name, config.l_max) == ("hdp_tiny_l64_axi256", 64)
        assert max(job.l_q for job in jobs) > TINY.l_max
        lengths.append([job.l_q for job in jobs])
        return [Scaling(heads=heads, cores=n, cycles=1000 // n, speedup=0.9 * n, balance=0.95,
                        bus=0.25, roof=0.95 * n) for n in cores for heads in (12, 5)]

    monkeypatch.setattr(scaling, "measure", measured)
    assert main(["--heads", "12", "5", "--axi", "256", "--l-max", "64", "--cores", "1", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["heads", "cores", "cycles", "speed-up", "roof", "of", "ideal",
                                "balance", "read", "bus"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["5", "1", "1000"], ["5", "4", "250"], ["12", "1", "1000"], ["12", "4", "250"]]
    assert lines[2].split() == ["5", "4", "250", "3.60x", "3.8x", "90.0%", "95.0%", "25.0%"]
    assert main(["--heads", "12", "5", "--axi", "256", "--l-max", "64", "--cores", "1", "4",
                 "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["heads"], row["cores"]) for row in rows] == [(5, 1), (5, 4), (12, 1), (12, 4)]
    assert rows[1]["efficiency"] == pytest.approx(0.9)
    assert main(["--heads", "12", "5", "--axi", "256", "--l-max", "64", "--cores", "1", "4",
                 "--as-they-come"]) == 0
    assert lengths[0] == lengths[1] == sorted(lengths[2], reverse=True) != lengths[2]


def test_a_mismatch_ends_it(monkeypatch, capsys):
    def fail(*_):
        raise MismatchError("job 3 differs")

    monkeypatch.setattr(scaling, "measure", fail)
    assert main(["--heads", "2"]) == 1
    assert "job 3 differs" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--heads", "0"], "--heads must be at least 1"),
    (["--shortest", "33"], "--shortest must lie in 1..32, not 33"),
    (["--l-max", "31"], "--l-max must be an even number in 2..1024, not 31"),
    (["--cores", "2"], "--cores must begin with 1"),
    (["--cores", "3"], "invalid choice: 3"),
    (["--axi", "32"], "invalid choice: 32"),
    (["--seed", "-1"], "--seed must be at least 0, not -1"),
    (["--config", "no"], "config must be a TOML file or one of"),
])
def test_arguments_are_checked(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err
