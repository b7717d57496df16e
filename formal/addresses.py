# SPDX-License-Identifier: Apache-2.0
"""The address generators of the engines, watched.

Addresses have all their bits; heads, rows and tiles are short, as all that depends on their number
is how often the same is added.
"""

import z3
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engines import load_config
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.records import STATUS_BYTES
from prunus.hw.hdp import tiler
from prunus.hw.shell.descriptor import descriptor_layout

from .control import field
from .streams import (
    NARROW,
    Claims,
    Marked,
    Place,
    Queue,
    element_is_inside,
    oks,
    show,
    soon,
    waits,
    wide,
)

__all__ = ["LoaderWatch", "ResultWatch", "TilerWatch", "head_result_invariant",
           "loader_invariant", "survivor_result_invariant", "tiler_invariant"]

TILED = load_config("hdp_tiles").model_copy(update={"tile": 8, "l_max": 32, "d_max": 16})
PLANES = {"q_i": "i", "q_f": "f", "out": "out", "k_i": "i", "k_f": "f", "v": "v"}
QUERIES = ("q_i", "q_f", "out")
TILES = TILED.l_max // TILED.held_rows
D8 = TILED.d_max // 8


EXACT = 34      # bits of an address that does not wrap
LONG = 16       # bits of the beats of a head


def step_bytes(plane: str, d8: int) -> int:
    """Bytes from a tile to the next one of a head of ``8 * d8`` dimensions, by golden."""
    return TILED.held_rows * HdpLayout(TILED).row_bytes(PLANES[plane], 8 * d8)


class TilerWatch(wiring.Component):
    """Any heads within the limits, and refused ones."""

    def __init__(self):
        self._block = tiler.Tiler(config=TILED)
        super().__init__({
            "i": In(stream.Signature(descriptor_layout(TILED))), "ready": In(1), "mark": In(1),
            "drained": In(1), "theta": In(TILED.theta_head_width), "assume_limits": Out(1),
            "cover_out": Out(1),
            **oks("known", "stays", "whole", "address", "beyond", "place", "rows")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        tile, given = dut.o.payload, self.i.payload
        ends = Signal(name="ends")
        m.d.comb += [
            dut.o.ready.eq(self.ready), dut.drained.eq(self.drained), dut.theta.eq(self.theta),
            ends.eq(dut.o.valid & self.ready & tiler.is_head(tile)),
            self.assume_limits.eq((given.error != 0) | (
                (given.d8 != 0) & (given.d8 <= D8) & (given.l_q <= TILED.l_max)
                & (given.l_kv <= TILED.l_max) & (given.valid_q <= given.l_q)
                & (given.valid_kv <= given.l_kv)))]
        head = Marked(m, "head", mark=self.mark, enters=self.i.valid & self.i.ready,
                      entering=given, leaves=ends, leaving=0, most=tiler.JOBS)
        job = data.View(descriptor_layout(TILED), head.kept)
        offered = Signal(name="offered")
        is_tile = ~tiler.is_head(tile)
        m.d.comb += [offered.eq(dut.o.valid & head.mine), self.cover_out.eq(offered & is_tile)]
        rows = TILED.held_rows
        past = Signal(NARROW, name="past")      # keys in tiles before
        begin = Signal(NARROW, name="begin")    # queries in strips before
        m.d.comb += [begin.eq(tile.strip * rows),
                     past.eq(job.valid_kv - job.valid_q + begin - tile.offset)]
        right, fits = [], []
        for name in PLANES:
            one = Signal(EXACT, name=f"step_{name}")
            with m.Switch(job.d8):
                for d8 in range(1, D8 + 1):
                    with m.Case(d8):
                        m.d.comb += one.eq(step_bytes(name, d8))

            def at(first, base=job[name], one=one):
                """The exact address of a tile that begins at a row."""
                return base + sum(Mux(first == n * rows, n * one, 0) for n in range(1, TILES))

            ending = job.valid_q if name in QUERIES else job.valid_kv
            exact, last = (Signal(EXACT, name=f"{part}_{name}") for part in ("exact", "last"))
            m.d.comb += [exact.eq(at(begin if name in QUERIES else past)),
                         last.eq(at((ending - 1) & ~(rows - 1) & 0xff))]
            right.append(exact == tile[name])
            fits.append(last < 1 << 32)
        mine = ~(offered & is_tile)
        m.d.comb += [
            self.ok_known.eq(head.known),
            self.ok_stays.eq(waits(m, "o", dut.o.valid, self.ready, tile)),
            self.ok_whole.eq(~offered | (tile.phase != tiler.Phase.WHOLE)
                             | Cat(tile[name] == job[name] for name in PLANES).all()),
            self.ok_address.eq(mine | tile.beyond | Cat(right).all()),
            self.ok_beyond.eq(mine | ~tile.beyond | ~Cat(fits).all()),
            self.ok_place.eq(mine | ((begin < job.valid_q) & (past < job.valid_kv)
                                     & ((past & (rows - 1)) == 0))),
            self.ok_rows.eq(mine | ((tile.valid_q <= rows) & (tile.valid_kv <= rows)
                                    & (begin + tile.valid_q <= job.valid_q)
                                    & (past + tile.valid_kv <= job.valid_kv))),
        ]
        return m


def tiler_invariant(step) -> Claims:
    """In which state it is: 1 to 3 have a tile, 4 closes, 5 decides."""
    layout = descriptor_layout(TILED)
    length, rows = TILED.length_width, TILED.held_rows
    offset = tiler.tile_layout(TILED)["offset"].shape
    at_layout = data.StructLayout({
        "phase": tiler.Phase, "strip": tiler.strip_width(TILED), "first": 1, "again": 1,
        "beyond": 1, "l_q": length, "queries": length, "keys": length, "offset": offset,
        "strip_offset": offset,
        **dict.fromkeys(("q_i", "q_f", "out", "k_i", "k_f", "v"), 32)})
    size_layout = data.StructLayout({
        "queries": TILED.held_width, "keys": TILED.held_width, "more_queries": 1, "more_keys": 1,
        "seen": 1})
    jobs = Queue(step, "dut.jobs", tiler.JOBS)
    job = jobs.at(z3.BitVecVal(0, NARROW))
    state = step("dut.fsm_state")
    has_tile = z3.And(state != 0, z3.ULE(state, 3))

    def of(value, shape, name, bits=NARROW):
        part = field(value, shape, name)
        if part.size() > bits:
            return part
        is_signed = name.endswith("offset")
        return (z3.SignExt if is_signed else z3.ZeroExt)(bits - part.size(), part)

    def at(name):
        return of(step("dut.at"), at_layout, name)

    def of_job(name):
        return of(job, layout, name)

    def limits(value):
        return z3.Or(field(value, layout, "error") != 0, z3.And(
            field(value, layout, "d8") != 0, z3.ULE(field(value, layout, "d8"), D8),
            z3.ULE(field(value, layout, "l_q"), TILED.l_max),
            z3.ULE(field(value, layout, "l_kv"), TILED.l_max),
            z3.ULE(field(value, layout, "valid_q"), field(value, layout, "l_q")),
            z3.ULE(field(value, layout, "valid_kv"), field(value, layout, "l_kv"))))

    yield "the FIFO", jobs.well()
    yield from element_is_inside(step, "head", [Place(*place) for place in jobs.places])
    yield "limits", z3.And(*(z3.Implies(there, limits(value)) for there, value in jobs.places))
    yield "states", z3.And(z3.ULE(state, 5), z3.Implies(state != 0, z3.And(
        jobs.level != 0, field(job, layout, "error") == 0,
        of_job("valid_q") != 0, of_job("valid_kv") != 0)))
    begin, past = of_job("valid_q") - at("queries"), of_job("valid_kv") - at("keys")
    yield "place", z3.Implies(z3.Or(has_tile, state == 5), z3.And(
        at("phase") != tiler.Phase.WHOLE.value, z3.ULT(at("phase"), tiler.Phase.CLOSE.value),
        z3.ULE(at("queries"), of_job("valid_q")), at("queries") != 0,
        z3.ULE(at("keys"), of_job("valid_kv")), at("keys") != 0,
        z3.ZeroExt(NARROW - at_layout["strip"].width, field(step("dut.at"), at_layout, "strip"))
        * rows == begin, z3.Extract(2, 0, past) == 0,
        at("strip_offset") == of_job("valid_kv") - of_job("valid_q") + begin,
        at("offset") == at("strip_offset") - past))
    size = step("dut.size")
    sized = z3.Or(state == 2, state == 3)
    yield "size", z3.Implies(sized, z3.And(
        (of(size, size_layout, "more_queries") == 1) == z3.UGT(at("queries"), rows),
        z3.Implies(of(size, size_layout, "more_keys") == 1, z3.UGT(at("keys"), rows)),
        of(size, size_layout, "queries") == z3.If(z3.UGT(at("queries"), rows), rows,
                                                  at("queries")),
        of(size, size_layout, "keys") == z3.If(z3.UGT(at("keys"), rows), rows, at("keys"))))
    steps = data.StructLayout(dict.fromkeys(("q_i", "q_f", "out", "k_i", "k_f", "v"), 32))
    right, fits, stepped = [], [], []
    for name in PLANES:
        one = z3.BitVecVal(step_bytes(name, 1), EXACT)
        for d8 in range(2, D8 + 1):
            one = z3.If(of_job("d8") == d8, z3.BitVecVal(step_bytes(name, d8), EXACT), one)

        def exact(first, name=name, one=one):
            result = wide(field(job, layout, name), EXACT)
            for n in range(1, TILES):
                result = result + z3.If(first == n * rows, n * one, 0)
            return result

        mine, ending = (begin, "valid_q") if name in QUERIES else (past, "valid_kv")
        right.append(wide(field(step("dut.at"), at_layout, name), EXACT) == exact(mine))
        last = exact((of_job(ending) - 1) & ~z3.BitVecVal(rows - 1, NARROW))
        fits.append(z3.Extract(EXACT - 1, 32, last) == 0)
        stepped.append(wide(field(step("dut.step"), steps, name), EXACT) == one)
    beyond = field(step("dut.at"), at_layout, "beyond") == 1
    yield "steps", z3.Implies(has_tile, z3.And(*stepped))
    yield "addresses", z3.Implies(z3.And(z3.Or(has_tile, state == 5), z3.Not(beyond)),
                                  z3.And(*right))
    yield "beyond", z3.Implies(z3.And(z3.Or(has_tile, state == 5), beyond),
                               z3.Not(z3.And(*fits)))


class LoaderWatch(wiring.Component):
    """Any commands within the limits; each is held until it is taken.

    Parameters
    ----------
    block : callable
        Makes the loader of a configuration.
    config : EngineConfig
    layout : Layout
        Golden's, for the beats of a row.
    kinds : dict
        Golden's kind of a plane by its name.
    """

    def __init__(self, *, block, config, layout, kinds: dict[str, str]):
        self._block, self._config = block(config=config), config
        self._layout, self._kinds = layout, kinds
        super().__init__({
            "command": In(stream.Signature(self._block.command.payload.shape())),
            "beats": In(stream.Signature(self._block.beats.payload.shape())), "ready": In(1),
            "wanted": Out(NARROW), "count": Out(NARROW),
            "assume_limits": Out(1), "assume_stays": Out(1), "cover_out": Out(1),
            **oks("address", "operand", "length", "once", "stays", "soon")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.command), dut.command)
        wiring.connect(m, wiring.flipped(self.beats), dut.beats)
        command, request = self.command.payload, dut.req.payload
        asks = Signal(name="asks")
        m.d.comb += [
            dut.req.ready.eq(self.ready), asks.eq(dut.req.valid & self.ready),
            self.cover_out.eq(asks), self.count.eq(command.rows),
            self.assume_limits.eq(~self.command.valid | (
                (command.rows != 0) & (command.d8 != 0)
                & (command.d8 <= self._config.d_max // 8)
                & (command.plane.as_value() < len(self._kinds)))),
            self.assume_stays.eq(waits(m, "command", self.command.valid, self.command.ready,
                                       command))]
        planes = command.shape()["plane"].shape
        for name, kind in self._kinds.items():
            for d8 in range(1, self._config.d_max // 8 + 1):
                with m.If((command.plane == planes[name]) & (command.d8 == d8)):
                    m.d.comb += self.wanted.eq(self._layout.row_beats(kind, 8 * d8))
        show(m, self, address=~dut.req.valid | (self.command.valid & (
                request.address == command.address) & (request.job == command.job)),
            operand=~request.record,
            length=~dut.req.valid | (request.beats == command.rows * self.wanted),
            once=self.command.ready == asks,
            stays=waits(m, "req", dut.req.valid, self.ready, request),
            soon=soon(m, "soon", self.command.valid & ~dut.req.valid, 2))
        return m


def loader_invariant(step) -> Claims:
    """In which state it is: 0 waits for a command, 1 counts, 2 requests."""
    state = step("dut.fsm_state")
    wanted, length = (step[step.system.outputs[name]] for name in ("wanted", "count"))
    held = step("command_waited") == 1
    yield "states", z3.And(z3.ULE(state, 2), z3.Implies(state != 0, held),
                           (step("dut.req__valid") == 1) == (state == 2))
    row, rows = step("dut.row_beats"), step("dut.rows")
    yield "a row", z3.Implies(state == 1, z3.And(
        wide(row, NARROW) == wanted, wide(rows, NARROW) == length))
    yield "on its way", wide(step("soon_count"), NARROW) == z3.If(
        state == 1, z3.BitVecVal(1, NARROW), z3.If(
            z3.And(state == 2, step("req_waited") == 0), z3.BitVecVal(2, NARROW), 0))


class ResultWatch(wiring.Component):
    """Any heads within the limits, each held until it is taken; rows come when they like.

    Parameters
    ----------
    block : wiring.Component
        The result writer.
    config : EngineConfig
    layout : Layout
        Golden's, for the beats of a row.
    """

    def __init__(self, *, block, config, layout):
        self._block, self._config, self._layout = block, config, layout
        self._several = isinstance(block.rows, list)
        super().__init__({
            "job": In(stream.Signature(block.job.payload.shape())),
            "valid": In(2), "ready": In(1), "beat_ready": In(1), "error": In(8),
            "complete": In(1), "wanted": Out(NARROW), "owed": Out(LONG), "length": Out(NARROW),
            "assume_limits": Out(1), "assume_stays": Out(1), "assume_final": Out(1),
            "cover_out": Out(1), **oks("address", "beats", "once", "whole", "stays", "known")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.job), dut.job)
        job, request, config = self.job.payload, dut.req.payload, self._config
        asks, moves, ends = (Signal(name=name) for name in ("asks", "moves", "ends"))
        rows = dut.rows if self._several else [dut.rows]
        final = Signal(name="final")
        m.d.sync += final.eq(self.complete & ~ends)
        if self._several:
            m.d.comb += [dut.error.eq(self.error), dut.complete.eq(self.complete)]
        m.d.comb += [
            dut.req.ready.eq(self.ready), dut.o.ready.eq(self.beat_ready),
            *(row.valid.eq(self.valid[n]) for n, row in enumerate(rows)),
            asks.eq(dut.req.valid & self.ready), moves.eq(dut.o.valid & self.beat_ready),
            ends.eq(self.job.valid & self.job.ready), self.cover_out.eq(ends),
            self.length.eq(job.l_q),
            self.assume_limits.eq(~self.job.valid | (
                (job.d8 != 0) & (job.d8 <= config.d_max // 8) & (job.l_q <= config.l_max)
                & (job.valid_q <= job.l_q) & (job.l_q != 0))),
            self.assume_stays.eq(waits(m, "job", self.job.valid, self.job.ready, job)),
            # What is final stays so until the head is taken.
            self.assume_final.eq(~final | self.complete)]
        for d8 in range(1, config.d_max // 8 + 1):
            with m.If(job.d8 == d8):
                m.d.comb += self.wanted.eq(self._layout.row_beats("out", 8 * d8))
        owed = Signal(LONG, name="its_owed")
        written, told = Signal(name="written"), Signal(name="told")
        m.d.sync += owed.eq(owed + Mux(asks, request.beats, 0) - moves)
        m.d.comb += self.owed.eq(owed)
        with m.If(ends):
            m.d.sync += [written.eq(0), told.eq(0)]
        with m.Elif(asks):
            m.d.sync += [written.eq(written | ~request.record), told.eq(told | request.record)]
        record = STATUS_BYTES * 8 // config.axi_data_width
        show(m, self,
            address=~dut.req.valid | (self.job.valid & (request.job == job.index) & (
                request.address == Mux(request.record, job.status, job.out))),
            beats=~dut.req.valid | (request.beats == Mux(
                request.record, record, job.l_q * self.wanted)),
            once=~dut.req.valid | (~told & (request.record | ~written)),
            known=Mux(moves, owed != 0, 1) & (~dut.req.valid | (owed == 0)),
            whole=~ends | (told & (owed == 1) & moves),
            stays=waits(m, "req", dut.req.valid, self.ready, request))
        return m


def survivor_result_invariant(step) -> Claims:
    """In which state it is: 0 waits for a head, 1 counts, 3 requests, 4 has rows, 2 and 5 have the
    record."""
    state = step("dut.fsm_state")
    out = {name: step[step.system.outputs[name]] for name in ("wanted", "owed", "length")}
    held = step("job_waited") == 1
    owed, told, written = out["owed"], step("told") == 1, step("written") == 1
    zero = z3.BitVecVal(0, LONG)
    left = z3.Extract(LONG - 1, 0, step("dut.left"))
    idle, counts, status, requests, has_rows, record = (state == n for n in (0, 1, 2, 3, 4, 5))
    yield "states", z3.And(
        z3.ULE(state, 5), z3.Implies(z3.Not(idle), held),
        z3.Implies(z3.Or(idle, counts, requests), z3.Not(written)), z3.Not(z3.And(
            told, z3.Not(record))), z3.Implies(record, told))
    yield "row", z3.Implies(counts, wide(step("dut.row_beats"), NARROW) == out["wanted"])
    product = wide(out["length"], 20) * wide(out["wanted"], 20)
    yield "beats", z3.And(
        z3.Implies(requests, z3.And(step("dut.beats") == product, step("dut.left") == product)),
        z3.Implies(has_rows, z3.And(z3.Extract(19, LONG, step("dut.left")) == 0, left != 0)))
    index = wide(step("dut.index"), LONG)
    beats = STATUS_BYTES * 8 // 64
    yield "owed", owed == z3.If(has_rows, left, z3.If(record, beats - index, zero))
    yield "index", z3.And(z3.ULT(index, beats), z3.Implies(z3.Not(record), index == 0))


def head_result_invariant(step) -> Claims:
    """In which state it is: 0 waits for a head, 1 for its first row, 3 counts, 5 requests, 4 has
    rows, 2 and 6 have the record."""
    state = step("dut.fsm_state")
    out = {name: step[step.system.outputs[name]] for name in ("wanted", "owed", "length")}
    held = step("job_waited") == 1
    owed, told, written = out["owed"], step("told") == 1, step("written") == 1
    idle, waiting, status, counts, has_rows, requests, record = (state == n for n in range(7))
    last, row, beat = (wide(step(f"dut.{name}"), LONG) for name in ("last_beat", "row", "beat"))
    length, wanted = wide(out["length"], LONG), wide(out["wanted"], LONG)
    good = step("dut.error_1") == 0
    yield "states", z3.And(
        z3.ULE(state, 6), z3.Implies(z3.Not(idle), held), z3.Implies(told, record),
        z3.Implies(record, told), z3.Implies(z3.Or(idle, waiting, counts, requests),
                                             z3.Not(written)))
    begins = z3.Or(waiting, counts, requests)
    yield "row", z3.And(
        z3.Implies(z3.Or(begins, has_rows), last == wanted - 1),
        z3.Implies(begins, row == 0), z3.Implies(z3.Not(has_rows), beat == 0),
        z3.Implies(has_rows, z3.And(z3.ULE(beat, last), written == good)),
        z3.Implies(z3.And(has_rows, z3.UGE(row, wide(step("dut.computed_rows"), LONG)),
                          z3.Or(z3.UGE(row, length), z3.Not(good))), beat == 0),
        z3.Implies(requests, good),
        z3.Implies(requests, step("dut.beats") == wide(out["length"], 20)
                   * wide(out["wanted"], 20)))
    index, beats = wide(step("dut.index"), LONG), STATUS_BYTES * 8 // 64
    yield "owed", owed == z3.If(
        z3.And(has_rows, written, z3.ULT(row, length)), (length - row) * wanted - beat,
        z3.If(record, beats - index, z3.BitVecVal(0, LONG)))
    yield "index", z3.And(z3.ULT(index, beats), z3.Implies(z3.Not(record), index == 0))
