# SPDX-License-Identifier: Apache-2.0
"""The blocks of linear jobs that make requests, watched."""

import z3
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engines import load_config
from prunus.golden.records import STATUS_BYTES

from .streams import Claims, Marked, oks, show, soon, waits, wide

__all__ = ["LinearLoaderWatch", "LinearOutputWatch", "linear_loader_invariant",
           "linear_output_invariant"]

CONFIG = load_config("heat_tiny")
RECORD = STATUS_BYTES * 8 // CONFIG.axi_data_width
OWED = 5                # bits of the beats of a record


class LinearLoaderWatch(wiring.Component):
    """Any commands and any beats.

    Parameters
    ----------
    block : callable
        Makes the loader of a configuration.
    """

    def __init__(self, *, block):
        self._block = block(config=CONFIG)
        super().__init__({
            "command": In(stream.Signature(self._block.command.payload.shape())),
            "beats": In(stream.Signature(self._block.beats.payload.shape())),
            "ready": In(1), "mark": In(1), "asking": Out(1),
            "offered": Out(len(Cat(*self._said(self._block.req.payload, "job")))),
            "cover_out": Out(1), **oks("known", "order", "operand", "stays", "soon")})

    @staticmethod
    def _said(payload, index: str):
        """What a command and its request have in common."""
        return [payload[name] for name in ("address", "beats", "refused", index)]

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.command), dut.command)
        wiring.connect(m, wiring.flipped(self.beats), dut.beats)
        request, asks = dut.req, Signal(name="asks")
        m.d.comb += [
            request.ready.eq(self.ready), asks.eq(request.valid & self.ready),
            self.cover_out.eq(asks), self.asking.eq(request.valid),
            self.offered.eq(Cat(*self._said(request.payload, "job")))]
        marked = Marked(m, "command", mark=self.mark,
                        enters=self.command.valid & self.command.ready,
                        entering=Cat(*self._said(self.command.payload, "index")),
                        leaves=asks, leaving=self.offered, most=2)
        show(m, self, known=marked.known, order=marked.order,
             operand=~request.payload.record,
             stays=waits(m, "req", request.valid, self.ready, request.payload),
             soon=soon(m, "soon", (marked.inside != 0) & ~request.valid, 0))
        return m


def linear_loader_invariant(step) -> Claims:
    """A command that is taken is the request of the next cycle."""
    asking, offered = (step[step.system.outputs[name]] for name in ("asking", "offered"))
    inside, ahead = (wide(step(f"command_{name}")) for name in ("inside", "ahead"))
    yield "one or none", inside == wide(asking)
    yield "which", z3.Implies(step("command_marked") == 1, z3.And(
        inside == 1, ahead == 0, step("command_kept") == offered))


class LinearOutputWatch(wiring.Component):
    """Any jobs, each held until it is taken, and any words of theirs.

    Parameters
    ----------
    block : callable
        Makes the output of a configuration.
    """

    def __init__(self, *, block):
        self._block = dut = block(config=CONFIG)
        super().__init__({
            "valid": In(1), "job": In(dut.job.shape()),
            "word": In(stream.Signature(dut.word.payload.shape())), "bad": In(1),
            "ready": In(1), "beat_ready": In(1), "owed": Out(OWED), "error": Out(8),
            "short": Out(1),
            "assume_stays": Out(1), "assume_words": Out(1), "cover_out": Out(1),
            **oks("record", "beats", "once", "whole", "stays", "known", "refused")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.word), dut.word)
        request, job = dut.req.payload, self.job
        asks, moves = Signal(name="asks"), Signal(name="moves")
        m.d.comb += [
            dut.valid.eq(self.valid), dut.job.eq(job), dut.bad.eq(self.bad),
            dut.req.ready.eq(self.ready), dut.o.ready.eq(self.beat_ready),
            asks.eq(dut.req.valid & self.ready), moves.eq(dut.o.valid & self.beat_ready),
            self.cover_out.eq(dut.taken), self.error.eq(job.error),
            self.short.eq(self.word.payload.short),
            self.assume_stays.eq(waits(m, "job", self.valid, dut.taken, job)),
            self.assume_words.eq(waits(m, "word", self.word.valid, self.word.ready,
                                       self.word.payload))]
        owed, told = Signal(OWED, name="its_owed"), Signal(name="told")
        m.d.sync += owed.eq(owed + Mux(asks, request.beats, 0) - moves)
        m.d.comb += self.owed.eq(owed)
        with m.If(dut.taken):
            m.d.sync += told.eq(0)
        with m.Elif(asks):
            m.d.sync += told.eq(request.record)
        show(m, self,
             record=~dut.req.valid | (self.valid & (request.job == job.index) & (
                 ~request.record | (request.address == job.status) & ~request.refused)),
             beats=~dut.req.valid | Mux(request.record, request.beats == RECORD,
                                        (request.beats == 1) | (request.beats == 2)),
             once=~dut.req.valid | ~told,
             refused=~dut.req.valid | request.record | (job.error == 0),
             known=Mux(moves, owed != 0, 1) & (~dut.req.valid | (owed == 0)),
             whole=~dut.taken | (told & (owed == 1) & moves),
             stays=waits(m, "req", dut.req.valid, self.ready, request))
        return m


def linear_output_invariant(step) -> Claims:
    """In which state it is: 0 waits for a job, 1 for a word, 2 and 16 have the record, 7, 8, 11 and
    14 request, 9, 10, 12 and 15 have beats."""
    state = step("dut.fsm_state")
    out = {name: step[step.system.outputs[name]] for name in ("owed", "error", "short")}
    idle, waiting, status, record = (state == n for n in (0, 1, 2, 16))
    word = z3.And(z3.Not(idle), z3.Not(waiting), z3.Not(status), z3.Not(record))
    short, more, index = out["short"] == 1, step("dut.more") == 1, wide(step("dut.index"), OWED)
    one = z3.BitVecVal(1, OWED)
    yield "states", z3.And(
        z3.ULE(state, 16), z3.Implies(z3.Not(idle), step("job_waited") == 1),
        z3.Implies(word, step("word_waited") == 1), (step("told") == 1) == record,
        z3.Implies(z3.Or(waiting, word), out["error"] == 0))
    yield "more", z3.And(z3.Implies(state == 7, z3.Not(more)),
                         z3.Implies(z3.And(state == 9, short), z3.Not(more)))
    yield "owed", out["owed"] == z3.If(
        record, RECORD - index, z3.If(
            state == 9, z3.If(z3.Or(short, more), one, one + 1), z3.If(
                z3.Or(state == 10, state == 12, state == 15), one, one - 1)))
    yield "index", z3.Implies(z3.Not(record), index == 0)
