# SPDX-License-Identifier: Apache-2.0
"""Only listed state without a reset reaches what controls a design."""

import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engines import load_config
from prunus.hw.boards.ram import BlockMemory
from prunus.hw.parts.copies import kept_copy
from prunus.hw.top import Top

from .unreset import unreset

TINY = load_config("hdp_tiny")
DESIGNS = {
    **{name: lambda name=name: Top(config=load_config(name))
       for name in ("hdp_tiny", "hdp_own_tiny", "hdp_fine_tiny", "leopard_tiny", "topk_tiny")},
    "two cores": lambda: Top(config=TINY.model_copy(update={"cores": 2})),
    "tiles": lambda: Top(config=TINY.model_copy(update={"tile": 8})),
    "memory of a board": lambda: BlockMemory(config=TINY, size=1 << 16),
}
QUEUE = "the head of a queue, looked at only while the queue says that there is one"
REASONS = {
    r".*\.(rows|found|tokens|queue|lengths|jobs|weights|results|marks|answers|fifo) memory": QUEUE,
    r"top\.core(_\d)? memory": "a word of the mask, used two cycles after the scanner asked for it",
    r".*\.array control_\d": "what an operation is, used with its `en`, which has a reset",
    r".*\.row_output (row|end)": "the row whose turn it is, used with its `valid`",
    r".*\.row_output (first|second)": "what is on its way, used with `first_valid`, `second_valid`",
    r".*\.softmax\.reciprocal empty_\d|.*\.weights\.reciprocal empty_\d":
        "a result of arithmetic, which goes with the sum that it was made of",
    r".*\.unit_\d excess": "what is left of a key, used with the `valid` of its stage",
    r".*\.unit_\d\.reorder memory": "decisions, each with a bit of `known`, which has a reset",
}


@pytest.fixture(scope="module")
def found():
    return {name: unreset(make()) for name, make in DESIGNS.items()}


@pytest.mark.parametrize("name", DESIGNS)
def test_only_what_is_listed(name, found):
    unknown = {" ".join(source): sorted(controls) for source, controls in found[name].items()
               if not any(re.fullmatch(pattern, " ".join(source)) for pattern in REASONS)}
    assert unknown == {}


def test_nothing_is_listed_in_vain(found):
    sources = {" ".join(source) for each in found.values() for source in each}
    assert [p for p in REASONS if not any(re.fullmatch(p, source) for source in sources)] == []


class _Copied(wiring.Component):
    """A queue written through a copy."""

    i: In(1)
    o: Out(1)

    def __init__(self, reset_less):
        self._reset_less = reset_less
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFO(width=1, depth=2)
        write = kept_copy(m, self.i, "copy", reset_less=self._reset_less)
        m.d.comb += [queue.w_en.eq(write), queue.r_en.eq(1), self.o.eq(queue.r_data)]
        return m


class _Inherited(wiring.Component):
    """Counts what a queue says; the register is like the queue's output, which has no reset."""

    i: In(3)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.lengths = lengths = fifo.SyncFIFO(width=3, depth=2)
        left = Signal.like(lengths.r_data)
        m.d.comb += [lengths.w_en.eq(1), lengths.w_data.eq(self.i), lengths.r_en.eq(left == 0)]
        m.d.sync += left.eq(left - 1)
        with m.If(lengths.r_en & lengths.r_rdy):
            m.d.sync += left.eq(lengths.r_data)
        m.d.sync += self.o.eq(left != 0)
        return m


def test_what_a_reset_leaves_is_seen():
    found = unreset(_Copied(True))
    assert {"top.queue.w_en", "level", "produce"} <= found["top", "copy"]
    assert ("top", "copy") not in unreset(_Copied(False))
    assert {"top.lengths.r_en", "o"} <= unreset(_Inherited())["top", "left"]
