# SPDX-License-Identifier: Apache-2.0
"""Single blocks, and what stands around them while they are placed and routed."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp import (
    array,
    column_sum,
    core,
    fetch,
    integer_pass,
    issue,
    layouts,
    loader,
    result_writer,
    row_output,
    scheduler,
    score_adder,
    sparsity,
    value_array,
    value_pass,
)
from prunus.hw.hdp import softmax as unit
from prunus.hw.shell import csr, dispatch, reader, writer
from prunus.hw.top import Top

__all__ = ["BLOCKS", "Harness"]

BLOCKS: dict[str, Callable[[HdpConfig], wiring.Component]] = {
    "top": lambda c: Top(config=c),
    "core": lambda c: core.HdpCore(config=c),
    "array": lambda c: array.Array(config=c),
    "issue": lambda c: issue.Issue(config=c),
    "loader": lambda c: loader.Loader(config=c),
    "scheduler": lambda c: scheduler.Scheduler(config=c),
    "integer_pass": lambda c: integer_pass.IntegerPass(config=c),
    "sparsity": lambda c: sparsity.SparsityEngine(config=c),
    "fetch": lambda c: fetch.FetchUponMask(config=c),
    "score_adder": lambda c: score_adder.ScoreAdder(config=c),
    "softmax": lambda c: unit.SoftmaxUnit(config=c, tag_width=layouts.row_tag_layout(c).size),
    "value_array": lambda c: value_array.ValueArray(config=c),
    "value_pass": lambda c: value_pass.ValuePass(config=c),
    "column_sum": lambda c: column_sum.ColumnSum(config=c),
    "row_output": lambda c: row_output.RowOutput(config=c),
    "result_writer": lambda c: result_writer.ResultWriter(config=c),
    "csr": lambda c: csr.Csr(config=c),
    "dispatch": lambda c: dispatch.Dispatcher(config=c),
    "reader": lambda c: reader.Reader(config=c, tag_width=loader.tag_layout().size + 1),
    "writer": lambda c: writer.Writer(config=c),
}


class Harness(wiring.Component):
    """A block between registers: its inputs are shifted in, its outputs captured and shifted out.

    The registers stand in place of its neighbours, and because it has more ports than a package
    has pins.

    Parameters
    ----------
    block : wiring.Component

    Members
    -------
    i, load : In(1)
    o : Out(1)
    """

    i: Signal
    load: Signal
    o: Signal

    def __init__(self, *, block: wiring.Component):
        self._block = block
        super().__init__({"i": In(1), "load": In(1), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self._block
        ports = [(member.flow, value) for _, member, value in block.signature.flatten(block)]
        inputs = Cat(value for flow, value in ports if flow == In)
        outputs = Cat(value for flow, value in ports if flow == Out)
        driven, captured = Signal(len(inputs)), Signal(len(outputs))
        m.d.sync += [
            driven.eq(Cat(self.i, driven)),
            captured.eq(Mux(self.load, outputs, captured >> 1)),
        ]
        m.d.comb += [inputs.eq(driven), self.o.eq(captured[0])]
        return m
