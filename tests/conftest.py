# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

import os
import signal
from pathlib import Path

# One worker runs per core, so a product must not wait for a second core: OpenBLAS spins there and
# a head takes 80 ms instead of 5. Read when NumPy is first imported, hence before any other import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.waveforms import TRACE, name_of, record

# The machine's load decides how long an example takes; a failure must come back on the next run.
settings.register_profile("prunus", deadline=None, derandomize=True)
settings.load_profile("prunus")

# A job in the background of a shell ignores these, and so would the commands that tests interrupt.
for number, handler in ((signal.SIGINT, signal.default_int_handler),
                        (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(autouse=bool(os.environ.get(TRACE)))
def _waveform(request, monkeypatch):
    """Of every simulation in Amaranth, if somebody asks for them."""
    record(monkeypatch, Path(os.environ[TRACE]).absolute() / name_of(request.node.nodeid))
