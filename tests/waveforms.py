# SPDX-License-Identifier: Apache-2.0
"""PRUNUS_TRACE=FOLDER has every test of a block write the waveform of its simulation."""

import functools
import re
from pathlib import Path

from amaranth.sim import Simulator

__all__ = ["TRACE", "name_of", "record"]

TRACE = "PRUNUS_TRACE"


def name_of(test: str) -> str:
    """A file for a test by its node, such as tests/hw/test_top.py::test_reader[2]."""
    return re.sub(r"[^\w.=-]+", "-", test.removeprefix("tests/")).strip("-") + ".vcd"


def record(monkeypatch, path: Path) -> None:
    """Have simulators write ``path``, of several the last one: a test ends with what fails.

    Tests make their simulators where they need them, so that this is done to the class.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    run = Simulator.run

    @functools.wraps(run)
    def recorded(self):
        with self.write_vcd(str(path)):
            run(self)

    monkeypatch.setattr(Simulator, "run", recorded)
