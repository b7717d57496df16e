# SPDX-License-Identifier: Apache-2.0
"""Latencies and sizes that the model of cycles repeats, against the hardware's."""

import gc

import pytest

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.timing import cycles, stages
from prunus.golden.hdp.timing.latency import Latency
from prunus.hw.hdp import fetch, ring, row_output
from prunus.hw.hdp.array import Array
from prunus.hw.hdp.buffers import PlaneBuffer
from prunus.hw.hdp.exponentials import RowExponentials
from prunus.hw.hdp.fetch import FetchUponMask, MaskScanner
from prunus.hw.hdp.integer_pass import IntegerPass
from prunus.hw.hdp.issue import Issue
from prunus.hw.hdp.loader import Loader
from prunus.hw.hdp.result_writer import ResultWriter
from prunus.hw.hdp.row_output import RowOutput
from prunus.hw.hdp.rows import RowWalker
from prunus.hw.hdp.score_adder import ScoreAdder
from prunus.hw.hdp.softmax import SoftmaxUnit
from prunus.hw.hdp.sparsity import SparsityEngine
from prunus.hw.hdp.value_array import ValueArray
from prunus.hw.hdp.value_pass import ValuePass
from prunus.hw.shell.arbiter import ReadArbiter
from prunus.hw.shell.descriptor import DescriptorDecoder
from prunus.hw.shell.reader import Reader
from prunus.hw.shell.writer import Writer
from prunus.sim.engines.hdp_sizes import sizes

# Blocks are asked for their latency only and never elaborated; they are dropped here and now.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@pytest.fixture(autouse=True)
def _drop_blocks():
    yield
    gc.collect()


@pytest.mark.parametrize("config", [
    *(config for config in sizes() if config.cores == 1),
    HdpConfig(name="least", d_max=8, l_max=2, multipliers=8),
    HdpConfig(name="most", d_max=128, l_max=1024, multipliers=64),
    *(HdpConfig(name=f"wide{multipliers}", multipliers=multipliers) for multipliers in (128, 256)),
    HdpConfig(name="span32", multipliers=64, integer_span=32),
], ids=lambda config: config.name)
def test_latencies(config):
    latency = Latency(config)
    array, softmax = Array(config=config), SoftmaxUnit(config=config, tag_width=1)
    assert latency.score == array.score_latency
    assert latency.value == (ValueArray.latency if config.own_values else array.value_latency)
    assert latency.exponential + latency.reciprocal == softmax.latency
    assert latency.output == RowOutput(config=config).latency
    read = bool(config.tile)        # the statistics of the row so far
    assert latency.statistics + stages.MASK + read == SparsityEngine(config=config).latency


def test_sizes():
    config = sizes()[0]
    assert stages.ROWS == ring.ROWS
    assert stages.KEPT_AHEAD == fetch.COLUMNS
    assert stages.CHUNKS == row_output.CHUNKS
    assert stages.OPERANDS == 1 + PlaneBuffer.latency
    reader, writer = Reader(config=config), Writer(config=config)
    assert cycles.BURST * 4 == reader.depth == writer.depth
    assert cycles.READ_AHEAD == reader.depth + cycles.BURST


@pytest.mark.parametrize(("block", "text"), [
    (RowWalker, f"one every {stages.WALKER_ROW} cycles"),
    (IntegerPass, f"takes {['no', 'one'][stages.ROW]} more cycle to begin"),
    (SparsityEngine, f"n + ``latency`` cycles after its last group, or n + {stages.MASK + 1} after "
                     "the previous row's"),
    (Issue, "per cycle; latency 1"),
    (MaskScanner, f"per kept column, whichever are more, and {['', '', 'two'][stages.SCAN]} more"),
    (FetchUponMask, "its first operation comes five cycles later, six with groups"),
    (ScoreAdder, "the row's token follows its last block by four cycles, or the announcement of an "
                 "empty row by two"),
    (RowExponentials, f"with {stages.TOKEN_NEXT} idle cycles"),
    (SoftmaxUnit, f"``(n + 1) * 4/softmax_lanes + {stages.SUMMED[0]}`` cycles, in tiles "
                  f"``+ {stages.SUMMED[1]}``"),
    (ValuePass, f"first operation comes {stages.SETTLED + stages.WEIGHTS} cycles after its result"),
    (ResultWriter, f"or {stages.FIRST_BEAT} after its first row is there if that is later, or "
                   f"{stages.FIRST_BEAT} after the job if no rows were computed"),
    (Loader, f"comes {['', 'one', 'two'][stages.REQUEST]} cycles after its command"),
    (Reader, f"the memory's latency and {cycles.READER} cycles"),
    (Writer, f"to its first beat: {cycles.WRITER} cycles"),
    (DescriptorDecoder, f"{cycles.DECODER - 1} cycles from a descriptor's last beat"),
    (ReadArbiter, f"goes on {['', 'a'][cycles.ARBITER]} cycle after it was taken"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_as_the_docstrings_say(block, text):
    """What is no property; the block's own tests hold it to the same."""
    assert text in " ".join(block.__doc__.split())
