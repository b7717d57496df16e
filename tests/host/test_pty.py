# SPDX-License-Identifier: Apache-2.0
"""The whole way: the command, the serial port, the pins of the UART, the RTL, and back."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus import cli
from prunus.engines import leopard
from prunus.engines.hdp import Options, load_jobs
from prunus.golden.engines import load_config
from prunus.host import LinkError, open_serial
from prunus.sim.board import BoardSimulation, Faults
from tests.host.board import head_of

HDP, LEOPARD = load_config("hdp_tiny"), load_config("leopard_tiny")
ENGINES = pytest.mark.parametrize("config", [HDP, LEOPARD], ids=lambda config: config.engine)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "minilm_sentence.npz"
# Each head takes a table of its own, and those of LeOPArd have their output over operands.
MEMORY = {"hdp": 8192, "leopard": 2560}
HEADS = 2
THRESHOLD = 0.5
TIMEOUT_S = 20.0        # a busy machine simulates slowly


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Some heads of a sentence, as a file and as jobs of an engine."""
    path = tmp_path_factory.mktemp("heads") / "in.npz"
    with np.load(EXAMPLE) as data:
        arrays = dict(data)
    np.savez(path, **{name: a[:HEADS] if a.ndim == 3 else a for name, a in arrays.items()})
    return path, {"hdp": load_jobs(path, HDP, Options()),
                  "leopard": leopard.load_jobs(path, LEOPARD, THRESHOLD)}


def _board(config, **options):
    return BoardSimulation(config, memory_bytes=MEMORY[config.engine], **options)


@ENGINES
def test_command(capfd, tmp_path, heads, monkeypatch, config):
    """After garbage on the line, and after a session that somebody left in the middle."""
    import serial

    import prunus.host as driver

    path, jobs = heads
    fields = {"hdp": ["theta_head"], "leopard": ["survivors", "digits_total"]}[config.engine]
    options = {"hdp": [], "leopard": ["--threshold", str(THRESHOLD)]}[config.engine]
    monkeypatch.setattr(driver, "open_serial", lambda *args, **options: open_serial(
        *args, **options, timeout_s=TIMEOUT_S))
    with _board(config) as board:
        with serial.Serial(board.port, 1_000_000) as port:
            port.write(Random(1).randbytes(100) + b"\xC0\x05\x01\x02")
        with pytest.raises(SystemExit) as stop:
            cli.main(["run", str(path), str(tmp_path / "out.npz"), "--config", config.name,
                      "--backend", "serial", "--port", board.port, "--json", *options])
    out, err = capfd.readouterr()
    assert (stop.value.code or 0, err) == (0, "")
    results = [head_of(job, config) for job in jobs[config.engine]]
    with np.load(tmp_path / "out.npz") as data:
        assert_array_equal(data["out"], [result.out for result in results])
        for field in fields:
            assert_array_equal(data[field], [getattr(result, field) for result in results])
        cycles = int(data["cycles"])
    summary = json.loads(out)
    assert (summary["backend"], summary["heads"], summary["cycles"]) == ("serial", HEADS, cycles)
    assert summary["bound_cycles"] < cycles < 4 * summary["bound_cycles"]


@ENGINES
def test_a_line_that_loses_and_changes_bytes(heads, config):
    jobs = heads[1][config.engine]
    faults = Faults(drop=0.0004, flip=0.0004, insert=0.0004, seed=2)
    with (_board(config, faults=faults) as board,
          open_serial(board.port, config, timeout_s=TIMEOUT_S, retries=30) as opened):
        results, counters = opened.run(jobs)
        assert opened.transport.link.repeated > 3
        assert opened.transport.link.damaged > 3
    for (out, status), job in zip(results, jobs, strict=True):
        assert_array_equal(out, head_of(job, config).out)
        assert status.done
    assert counters["jobs_done"] == HEADS


def test_a_line_too_bad_is_reported():
    with (_board(HDP, faults=Faults(flip=0.5)) as board,
          pytest.raises(LinkError, match="the board does not answer: SYNC was sent 3 times")):
        open_serial(board.port, HDP, timeout_s=0.3, retries=2)
