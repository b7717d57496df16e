# SPDX-License-Identifier: Apache-2.0
"""The control of a dot-product unit, by induction: for runs of any length.

Rows are loaded at any time, with any number of keys; offers are taken and rows ended whenever the
unit allows; words of keys and queries are anything. A ghost follows each key that has a place:
whose it is, U - T_int, what was decided. What is shown of one cycle, from any state in which
the invariant holds:

- keys are begun in order, each that the row has for this unit, once, and its words asked for in
  order: a word after the one before has not decided, none after the one that has;
- U - T_int begins with ``start``, and each word takes from it what :class:`DotProduct` says, in
  its place, whatever other keys are under way;
- a key is dropped when that is negative after a digit, and kept if it is not after the last one;
- kept keys are offered in order, each once, with what was left; a row ends when all of its keys
  were decided and offered, with the digits that they took.
"""

from collections.abc import Iterator

import z3
from amaranth.lib import data

from golden.digits import unread
from golden.leopard_config import LeopardConfig
from hw.leopard import dpu, reorder
from hw.leopard.layouts import ROWS, slot_layout

from .query import Query
from .rtl import Step, System

__all__ = ["satisfiable", "unit_control"]


def field(value, layout: data.StructLayout, *path: str):
    """A field of a structure, a term."""
    offset = 0
    for name in path:
        inner = layout[name]
        offset, layout, width = offset + inner.offset, inner.shape, inner.width
    return z3.Extract(offset + width - 1, offset, value)


def _pick(values, at):
    """The value at an index, a term; the last one beyond."""
    result = values[-1]
    for n in range(len(values) - 2, -1, -1):
        result = z3.If(at == n, values[n], result)
    return result


def _resize(term, bits):
    if term.size() >= bits:
        return z3.Extract(bits - 1, 0, term) if term.size() > bits else term
    return z3.ZeroExt(bits - term.size(), term)


class Unit:
    """Registers of a unit and the ghost beside it, in one cycle.

    Parameters
    ----------
    config : LeopardConfig
    values : callable
        A register by name.
    ghost : dict
        Terms by name.
    index : BitVecRef
    """

    def __init__(self, config: LeopardConfig, values, ghost: dict, index):
        self.config, self.values, self.ghost = config, values, ghost
        self.places = reorder.PENDING
        self.wide = values("reorder.key").size()
        self.index = _resize(index, self.wide)
        self.context = dpu.context_layout(config)
        self.stages = sorted(
            (name for name in values.system.names if name.startswith("stage_")),
            key=lambda name: int(name[6:]))

    # -- rows and their keys
    def slot(self, row, name):
        """A field of the slot of a row."""
        layout, size = slot_layout(self.config), slot_layout(self.config).size
        return field(_pick([z3.Extract(size * n + size - 1, size * n, self.ghost["slots"])
                            for n in range(ROWS)], z3.Extract(1, 0, row)), layout, name)

    def keys(self, row):
        return _resize(self.slot(row, "keys"), self.wide)

    def there(self, row, key):
        """The row is loaded, and the key is one of its keys."""
        return z3.And(row != self.ghost["loaded"], z3.ULT(key, self.keys(row)))

    def cursor(self, row, key):
        """The first key that is there at or behind a key; the first of the row that is not there
        yet, if there is none."""
        for _ in range(ROWS):
            over = z3.And(row != self.ghost["loaded"], z3.UGE(key, self.keys(row)))
            row, key = z3.If(over, row + 1, row), z3.If(over, self.index, key)
        return row, z3.If(row == self.ghost["loaded"], self.index, key)

    def word(self, row, key, digit, chunk):
        """The address of a word: of a key's digit, a chunk."""
        number = z3.UDiv(key - self.index, z3.BitVecVal(self.config.dpus, self.wide)) \
            if self.config.dpus & self.config.dpus - 1 else z3.LShR(
                key - self.index, self.config.dpus.bit_length() - 1)
        base = self.slot(row, "base")
        bits = base.size()
        chunks = _resize(self.slot(row, "last_chunk"), bits) + 1
        return (base + _resize(self.slot(row, "stride"), bits) * _resize(number, bits)
                + _resize(digit, bits) * chunks + _resize(chunk, bits))

    def of(self, name, place):
        """What the ghost knows of the key at a place."""
        return _pick([self.ghost[f"{name}_{n}"] for n in range(self.places)], place)

    def stage(self, name, *path):
        return field(self.values(name), self.context, *path)

    # -- what always holds
    def invariant(self) -> Iterator[tuple[str, z3.BoolRef]]:
        g = self.ghost
        yield "rows", z3.And(z3.ULE(g["loaded"] - g["merged"], ROWS), *(
            z3.Implies(self.live(n), self._possible(z3.BitVecVal(n, 3))) for n in range(ROWS)))
        yield from self._places()
        yield from self._begun()
        yield from self._under_way()
        yield from self._offers()
        yield from self._order()                # takes longest

    def live(self, n):
        """There is a row in the slot that has not been merged."""
        g = self.ghost
        behind = z3.ZeroExt(1, n - z3.Extract(1, 0, g["merged"]))
        return z3.ULT(behind, g["loaded"] - g["merged"])

    def _possible(self, row):
        """What a slot may say of a row."""
        chunks = self.slot(row, "last_chunk")
        stride = self.slot(row, "stride")
        return z3.And(z3.ULE(self.keys(row), self.config.l_max),
                      z3.ULT(_resize(chunks, 8), self.config.chunks),
                      stride == self.config.digits * (_resize(chunks, stride.size()) + 1))

    def _window(self, place):
        """The place is taken."""
        head = self.values("reorder.read__addr")
        pending = self.values("reorder.pending")
        return z3.ULT(_resize(place - head, pending.size()), pending)

    def _places(self):
        v, g = self.values, self.ghost
        pending, head = v("reorder.pending"), v("reorder.read__addr")
        yield "room", z3.And(z3.ULE(pending, self.places),
                             (v("reorder.room") == 1) == (pending != self.places),
                             v("reorder.place") == head + _resize(pending, head.size()))
        known, layout = v("reorder.known"), reorder.decision_layout(self.config)
        for n in range(self.places):
            decided = g[f"decided_{n}"] == 1
            memory = v(f"reorder.decisions[{n}]")
            place = z3.BitVecVal(n, head.size())
            yield f"decision {n}", z3.And(
                (z3.Extract(n, n, known) == 1) == decided,
                z3.Implies(decided, z3.And(self._window(place), *(
                    field(memory, layout, name) == g[f"{name}_{n}"]
                    for name in ("kept", "digit", "excess")))))

            yield f"not lost {n}", z3.Implies(
                z3.And(self._window(place), z3.Not(decided)),
                z3.Or(*(z3.And(self.stage(name, "valid") == 1, self.stage(name, "place") == n)
                        for name in self.stages)))

    def _begun(self):
        """The next key of the unit is the next one there is."""
        v, g = self.values, self.ghost
        row, key, opened = v("signal"), v("key"), v("signal_1") == 1
        at = self.cursor(g["next_row"], g["next_key"])
        yield "next key", z3.If(
            opened, z3.And(row == at[0], key == at[1], self.there(row, key),
                           v("address_1") == self.word(
                               row, key, z3.BitVecVal(0, 1), z3.BitVecVal(0, 1))),
            z3.And(*(a == b for a, b in zip(self.cursor(row, self.index), at, strict=True))))
        yield "next row", z3.And(
            z3.ULE(row - g["merged"], g["loaded"] - g["merged"]),
            z3.ULE(g["next_row"] - g["merged"], g["loaded"] - g["merged"]),
            z3.Implies(g["next_row"] == g["loaded"], g["next_key"] == self.index))

    def _order(self):
        """What has a place is what lies between the key that leaves next and the next one."""
        v, g = self.values, self.ghost
        head, pending = v("reorder.read__addr"), v("reorder.pending")
        row, key = self.cursor(v("reorder.row"), v("reorder.key"))
        after = self.cursor(g["next_row"], g["next_key"])
        for n in range(self.places + 1):
            place = head + n
            if n < self.places:
                yield f"order {n}", z3.Implies(z3.UGT(pending, n), z3.And(
                    self.of("row", place) == row, self.of("key", place) == key,
                    self.there(row, key)))
            yield f"next after {n}", z3.Implies(pending == n, z3.And(
                row == after[0], key == after[1]))
            row, key = self.cursor(row, key + self.config.dpus)

    def _under_way(self):
        v = self.values
        depth = len(self.stages) - 2
        at, stages = v("signature__addr"), self.stages
        yield "delay", z3.ULT(at, depth) if depth & depth - 1 else z3.BoolVal(True)
        for n, name in enumerate(stages, 1):
            valid = self.stage(name, "valid") == 1
            place, digit = self.stage(name, "place"), self.stage(name, "digit")
            row, key = self.of("row", place), self.of("key", place)
            first, acc = self.stage(name, "first") == 1, self.of("left", place)
            chunk = self.stage(name, "query", "chunk") - (n > 1)
            address = self.stage(name, "address") - (n > 1)
            last = self.slot(row, "last_chunk")
            yield f"{name}: place", z3.Implies(valid, z3.And(
                self._window(place), self.of("decided", place) == 0,
                self.stage(name, "query", "slot") == z3.Extract(1, 0, row),
                z3.ULE(digit, self.config.digits - 1), z3.ULE(chunk, last),
                first == z3.And(digit == 0, chunk == 0)))
            yield f"{name}: word", z3.Implies(
                valid, address == self.word(row, key, digit, chunk))
            if n > 1:
                yield f"{name}: ends", z3.Implies(valid, z3.And(
                    (self.stage(name, "last") == 1) == (chunk == last),
                    (self.stage(name, "top") == 1) == (digit == 0)))
            for other in stages[:n - 1]:
                yield f"{name}, {other}", z3.Not(z3.And(
                    valid, self.stage(other, "valid") == 1, place == self.stage(other, "place")))
            if n <= depth:
                turn = z3.BitVecVal(n % depth, at.size())
                back = z3.If(z3.UGE(at, turn), at - turn, at + depth - turn)
                here, begun = _pick([v(f"delay[{i}]") for i in range(depth)], back), first
            elif n == depth + 1:
                here, begun = v("held"), z3.BoolVal(False)
                acc = z3.If(first, self.slot(row, "start"), acc)
            else:
                here, begun = v("signature__data"), z3.BoolVal(False)
            yield f"{name}: left", z3.Implies(z3.And(valid, z3.Not(begun)), here == acc)

    def _offers(self):
        v, g = self.values, self.ghost
        offer, layout = v("reorder.offer"), reorder.offer_layout(self.config)
        ended, row = v("reorder.ended") == 1, v("reorder.row")
        valid = field(offer, layout, "valid") == 1
        yield "row", z3.And(row == g["merged"] + z3.ZeroExt(2, v("reorder.ended")),
                            z3.ULE(row - g["merged"], g["loaded"] - g["merged"]))
        yield "offer", z3.And(valid == (g["offer"] == 1), z3.Implies(valid, z3.And(
            field(offer, layout, "excess") == g["offer_excess"],
            _resize(field(offer, layout, "key"), self.wide) == g["offer_key"],
            g["offer_row"] == g["merged"] + z3.ZeroExt(2, field(offer, layout, "ahead")),
            z3.Or(ended, field(offer, layout, "ahead") == 0))))
        yield "digits", z3.If(ended, z3.And(v("reorder.digits") == g["digits_0"],
                                            v("reorder.total") == g["digits_1"]),
                              z3.And(v("reorder.total") == g["digits_0"], g["digits_1"] == 0))


class Cycle:
    """A cycle from any state: what goes in, the states before and after, and the ghost's."""

    def __init__(self, config: LeopardConfig, system: System):
        self.config, self.system = config, system
        self.inputs = {name: z3.BitVec(f"{name}@0", width) for name, width in (
            ("take", 1), ("advance", 1), ("load", 1), ("loaded", 3),
            ("slots", slot_layout(config).size * ROWS), ("index", _index_width(config)))}
        self.now = Step(system, system.free("0"), "0")
        self.later = _Later(system, self.now.after())
        index = self.inputs["index"]
        self.before = Unit(config, self.now, ghosts(config, self.now), index)
        self.after = Unit(config, self.later, self._follow(), index)

    def assumed(self) -> list[z3.BoolRef]:
        """Of what surrounds the unit: rows stay until they are merged, and of what is offered
        only the row that is merged is taken."""
        g, i, v = self.before.ghost, self.inputs, self.now
        offer, layout = v("reorder.offer"), reorder.offer_layout(self.config)
        mine = z3.And(field(offer, layout, "valid") == 1, field(offer, layout, "ahead") == 0)
        size = slot_layout(self.config).size
        parts = [z3.Extract(size * n + size - 1, size * n, t) for t in (
            g["slots"], self.after.ghost["slots"]) for n in range(ROWS)]
        return [
            i["slots"] == g["slots"], i["loaded"] == g["loaded"],
            z3.ULT(self.before.index, self.config.dpus),
            z3.Implies(i["take"] == 1, mine),
            z3.Implies(i["advance"] == 1, z3.And(v("reorder.ended") == 1, z3.Not(mine))),
            z3.Implies(i["load"] == 1, g["loaded"] - g["merged"] != ROWS),
            *(z3.Implies(self.before.live(n), parts[n] == parts[ROWS + n]) for n in range(ROWS)),
            *(z3.Implies(self.after.live(n), self.after._possible(z3.BitVecVal(n, 3)))
              for n in range(ROWS)),
        ]

    def _begins(self):
        stage = self.later("stage_1")
        context = self.before.context
        return z3.And(field(stage, context, "valid") == 1, field(stage, context, "first") == 1)

    def _follow(self) -> dict[str, z3.BitVecRef]:
        """The ghost in the next cycle."""
        u, v, i = self.before, self.now, self.inputs
        g = u.ghost
        n = dict(g)
        begins, at = self._begins(), u.cursor(g["next_row"], g["next_key"])
        n["next_row"] = at[0]
        n["next_key"] = z3.If(begins, at[1] + self.config.dpus, at[1])
        head, last, summed = v("reorder.read__addr"), u.stages[-1], u.stages[-2]
        pops = self.later("reorder.read__addr") != head
        place, digit = u.stage(last, "place"), u.stage(last, "digit")
        left = u.of("left", place)
        negative = z3.Extract(left.size() - 1, left.size() - 1, left)
        decides = z3.And(u.stage(last, "valid") == 1, u.stage(last, "last") == 1, z3.Or(
            negative == 1, digit == self.config.digits - 1))
        for p in range(u.places):
            mine = z3.And(begins, v("reorder.place") == p)
            done = z3.And(decides, place == p)
            gone = z3.And(pops, head == p)
            adds = z3.And(u.stage(summed, "valid") == 1, u.stage(summed, "place") == p)
            n[f"row_{p}"] = z3.If(mine, at[0], g[f"row_{p}"])
            n[f"key_{p}"] = z3.If(mine, at[1], g[f"key_{p}"])
            n[f"left_{p}"] = z3.If(adds, self._taken(summed, g[f"left_{p}"]), g[f"left_{p}"])
            n[f"decided_{p}"] = z3.If(z3.Or(mine, gone), z3.BitVecVal(0, 1), z3.If(
                done, z3.BitVecVal(1, 1), g[f"decided_{p}"]))
            n[f"kept_{p}"] = z3.If(done, ~negative, g[f"kept_{p}"])
            n[f"digit_{p}"] = z3.If(done, digit, g[f"digit_{p}"])
            n[f"excess_{p}"] = z3.If(done, z3.Extract(self.config.score_width - 1, 0, left),
                                     g[f"excess_{p}"])
        self._leave(n, pops)
        n["loaded"] = g["loaded"] + z3.ZeroExt(2, i["load"])
        n["merged"] = g["merged"] + z3.ZeroExt(2, i["advance"])
        n["slots"] = z3.BitVec("slots@1", g["slots"].size())
        return n

    def _taken(self, name, left):
        """U - T_int after the word of a stage."""
        u, config = self.before, self.config
        row = u.of("row", u.stage(name, "place"))
        left = z3.If(u.stage(name, "first") == 1, u.slot(row, "start"), left)
        total = _resize(self.now("dot.o"), left.size())
        return left - _pick([total << unread(t + 1, config.width, config.digit)
                             for t in range(config.digits)], u.stage(name, "digit"))

    def _leave(self, n, pops):
        """Keys that leave their place, and the row that is merged."""
        u, g, i = self.before, self.before.ghost, self.inputs
        head = self.now("reorder.read__addr")
        kept = z3.And(pops, u.of("kept", head) == 1)
        row = u.of("row", head)
        n["offer"] = z3.If(kept, z3.BitVecVal(1, 1), g["offer"] & ~i["take"])
        for name in ("row", "key", "excess"):
            n[f"offer_{name}"] = z3.If(kept, u.of(name, head), g[f"offer_{name}"])
        width = g["digits_0"].size()
        spent = z3.If(pops, _resize(u.of("digit", head), width) + 1, z3.BitVecVal(0, width))
        zero = z3.BitVecVal(0, width)
        sums = (g["digits_0"] + z3.If(row == g["merged"], spent, zero),
                g["digits_1"] + z3.If(row != g["merged"], spent, zero))
        n["digits_0"] = z3.If(i["advance"] == 1, sums[1], sums[0])
        n["digits_1"] = z3.If(i["advance"] == 1, zero, sums[1])

    def claims(self) -> Iterator[tuple[str, z3.BoolRef]]:
        """What is claimed of the cycle itself, beside the invariant."""
        u, v, i = self.before, self.now, self.inputs
        g = u.ghost
        at = u.cursor(g["next_row"], g["next_key"])
        head = v("reorder.read__addr")
        pops = self.later("reorder.read__addr") != head
        leaves = u.cursor(v("reorder.row"), v("reorder.key"))
        yield "a key is begun only if it is there", z3.Implies(
            self._begins(), z3.And(u.there(*at), v("reorder.pending") != u.places))
        yield "what leaves was decided", z3.Implies(pops, z3.And(
            self.later("reorder.read__addr") == head + 1, u.of("decided", head) == 1,
            u.of("row", head) == leaves[0], u.of("key", head) == leaves[1],
            z3.Or(u.of("row", head) == g["merged"], z3.And(
                u.of("row", head) == g["merged"] + 1, v("reorder.ended") == 1))))
        yield "an offer stays until it is taken", z3.Implies(
            z3.And(pops, u.of("kept", head) == 1), z3.Or(g["offer"] == 0, i["take"] == 1))
        yield "with its end all of a row is gone", z3.Implies(i["advance"] == 1, z3.And(
            leaves[0] != g["merged"], at[0] != g["merged"],
            z3.Or(g["offer"] == 0, g["offer_row"] != g["merged"]),
            v("reorder.digits") == g["digits_0"]))
        for name, after in zip(u.stages, u.stages[1:], strict=False):
            yield f"{name} goes on", z3.Implies(u.stage(name, "valid") == 1, z3.And(
                self.after.stage(after, "valid") == 1,
                *(self.after.stage(after, part) == u.stage(name, part)
                  for part in ("place", "digit"))))
        yield from self._words()

    def _words(self):
        u, later, last = self.before, self.after, self.before.stages[-1]
        place, ends = u.stage(last, "place"), u.stage(last, "last") == 1
        decided = later.of("decided", place) == 1
        valid, first = u.stage(last, "valid") == 1, u.stages[0]
        asks = z3.And(later.stage(first, "valid") == 1, later.stage(first, "first") == 0)
        digit, chunk = u.stage(last, "digit"), u.stage(last, "query", "chunk")
        yield "the next word is asked for", z3.Implies(z3.And(valid, z3.Not(decided)), z3.And(
            asks, later.stage(first, "place") == place,
            later.stage(first, "digit") == z3.If(ends, digit + 1, digit),
            later.stage(first, "query", "chunk") == z3.If(ends, 0, chunk)))
        yield "none is after the one that decides", z3.Implies(
            z3.Or(decided, z3.Not(valid)), z3.Not(asks))


class _Later:
    """Registers of the next cycle by name."""

    def __init__(self, system: System, states: dict):
        self.system, self._states = system, states

    def __call__(self, name: str):
        return self._states[self.system.names[name]]


def _index_width(config):
    return max(1, (max(2, config.dpus) - 1).bit_length())


def ghosts(config: LeopardConfig, values, zero: bool = False) -> dict[str, z3.BitVecRef]:
    """The ghost's registers: any, or as after reset."""
    wide = values("reorder.key").size()
    widths = {"loaded": 3, "merged": 3, "slots": slot_layout(config).size * ROWS, "next_row": 3,
              "next_key": wide, "offer": 1, "offer_row": 3, "offer_key": wide,
              "offer_excess": config.score_width}
    widths |= {f"digits_{n}": values("reorder.total").size() for n in (0, 1)}
    for n in range(reorder.PENDING):
        widths |= {f"row_{n}": 3, f"key_{n}": wide, f"left_{n}": config.score_width + 1,
                   f"decided_{n}": 1, f"kept_{n}": 1,
                   f"digit_{n}": reorder.decision_layout(config)["digit"].width,
                   f"excess_{n}": config.score_width}
    if not zero:
        return {name: z3.BitVec(f"ghost.{name}", width) for name, width in widths.items()}
    return {name: z3.BitVecVal(0, width) for name, width in widths.items()}


def unit_control(config: LeopardConfig, system: System) -> Iterator[Query]:
    """The invariant holds after reset, and from each cycle to the next; so do the claims."""
    reset = _Later(system, system.reset())
    index = z3.BitVec("index", _index_width(config))
    first = Unit(config, reset, ghosts(config, reset, zero=True), index)
    first.ghost["next_key"] = first.index
    yield _query("after reset", [z3.ULT(first.index, config.dpus)], first.invariant())
    cycle = Cycle(config, system)
    known = [claim for _, claim in cycle.before.invariant()] + cycle.assumed()
    yield _query("in each cycle", known, cycle.claims())
    for part in cycle.after.invariant():        # some of them take long beside others
        yield _query("from cycle to cycle", known, [part])


def satisfiable(config: LeopardConfig, system: System) -> Iterator[Query]:
    """That nothing is as :func:`unit_control` assumes, to be refuted."""
    cycle = Cycle(config, system)
    busy = [cycle.before.stage(name, "valid") == 1 for name in cycle.before.stages[:2]]
    known = [claim for _, claim in cycle.before.invariant()] + cycle.assumed() + busy
    yield _query("the invariant", known, [("two keys are under way", z3.BoolVal(False))])


def _query(name, known, claims):
    claims = tuple(claims)
    return Query(name, tuple(known), z3.And(*(claim for _, claim in claims)), bits=True,
                 parts=claims)
