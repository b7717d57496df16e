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
from prunus.hw.hdp import tiler
from prunus.hw.shell.descriptor import descriptor_layout

from .control import field
from .streams import NARROW, WIDE, Claims, Marked, Place, Queue, element_is_inside, soon, waits, wide

TILED = load_config("hdp_tiles").model_copy(update={"tile": 8, "l_max": 32, "d_max": 16})
PLANES = {"q_i": "i", "q_f": "f", "out": "out", "k_i": "i", "k_f": "f", "v": "v"}
QUERIES = ("q_i", "q_f", "out")
TILES = TILED.l_max // TILED.held_rows
D8 = TILED.d_max // 8


EXACT = 34      # bits of an address that does not wrap


def step_bytes(plane: str, d8: int) -> int:
    """Bytes from a tile to the next one of a head of ``8 * d8`` dimensions, by golden."""
    return TILED.held_rows * HdpLayout(TILED).row_bytes(PLANES[plane], 8 * d8)


def _outs(*names):
    return {f"ok_{name}": Out(1) for name in names}


class TilerWatch(wiring.Component):
    """Any heads within the limits, and refused ones."""

    def __init__(self):
        self._block = tiler.Tiler(config=TILED)
        super().__init__({
            "i": In(stream.Signature(descriptor_layout(TILED))), "ready": In(1), "mark": In(1),
            "drained": In(1), "theta": In(TILED.theta_head_width), "assume_limits": Out(1),
            "cover_out": Out(1),
            **_outs("known", "stays", "whole", "address", "beyond", "place", "rows")})

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
