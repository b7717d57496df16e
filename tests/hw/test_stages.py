# SPDX-License-Identifier: Apache-2.0
"""Latencies and sizes that the model of cycles repeats, against the hardware's."""

import pytest

from golden import cycles, stages
from golden.config import Config
from hw.hdp import fetch, ring, row_output
from hw.hdp.array import Array
from hw.hdp.buffers import PlaneBuffer
from hw.hdp.row_output import RowOutput
from hw.shell.reader import Reader
from hw.shell.writer import Writer
from hw.softmax.unit import SoftmaxUnit
from sim.matrix import matrix


@pytest.mark.parametrize("config", [
    *matrix(), Config(name="least", d_max=8, l_max=2, multipliers=8),
    Config(name="most", d_max=128, l_max=1024, multipliers=64)], ids=lambda config: config.name)
def test_latencies(config):
    latency = stages.Latency(config)
    array, softmax = Array(config=config), SoftmaxUnit(config=config, tag_width=1)
    assert latency.score == array.score_latency
    assert latency.value == array.value_latency
    assert latency.exponential + latency.reciprocal == softmax.latency
    assert latency.output == RowOutput(config=config).latency


def test_sizes():
    config = matrix()[0]
    assert stages.ROWS == ring.ROWS
    assert stages.KEPT_AHEAD == fetch.COLUMNS
    assert stages.CHUNKS == row_output.CHUNKS
    assert stages.OPERANDS == 1 + PlaneBuffer.latency
    reader, writer = Reader(config=config), Writer(config=config)
    assert cycles.BURST * 4 == reader.depth == writer.depth
    assert cycles.READ_AHEAD == reader.depth + cycles.BURST
