# SPDX-License-Identifier: Apache-2.0
"""The control of a dot-product unit, by induction: for runs of any length.

Rows are loaded at any time, with any number of keys, of which any of the first N_QK may be the
unit's first one in each row; offers are taken and rows ended whenever the
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

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard import dpu, reorder
from prunus.hw.leopard.layouts import firsts_layout, slot_layout

__all__ = ["ROWS", "Unit", "field", "pick", "resize"]

ROWS = 4        # ``rows`` of what is proved: rows are counted in three bits


def field(value, layout: data.StructLayout, *path: str):
    """A field of a structure, a term."""
    offset = 0
    for name in path:
        inner = layout[name]
        offset, layout, width = offset + inner.offset, inner.shape, inner.width
    return z3.Extract(offset + width - 1, offset, value)


def pick(values, at):
    """The value at an index, a term; the last one beyond."""
    result = values[-1]
    for n in range(len(values) - 2, -1, -1):
        result = z3.If(at == n, values[n], result)
    return result


def resize(term, bits):
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
        Terms by name. A key of the unit is known by its distance from the first one of its row.
    """

    def __init__(self, config: LeopardConfig, values, ghost: dict):
        self.config, self.values, self.ghost = config, values, ghost
        self.places = reorder.PENDING
        self.wide = values("reorder.key").size()
        self.context = dpu.context_layout(config)
        self.stages = sorted(
            (name for name in values.system.names if name.startswith("stage_")),
            key=lambda name: int(name[6:]))

    # -- rows and their keys
    def slot(self, row, name):
        """A field of the slot of a row."""
        layout, size = slot_layout(self.config), slot_layout(self.config).size
        return field(pick([z3.Extract(size * n + size - 1, size * n, self.ghost["slots"])
                            for n in range(ROWS)], z3.Extract(1, 0, row)), layout, name)

    def keys(self, row):
        return resize(self.slot(row, "keys"), self.wide)

    def first(self, row):
        """The unit's first key of a row."""
        size = firsts_layout(self.config).size // ROWS
        return resize(pick([z3.Extract(size * n + size - 1, size * n, self.ghost["firsts"])
                            for n in range(ROWS)], z3.Extract(1, 0, row)), self.wide)

    def key(self, row, distance):
        """The key so far from the first one."""
        return self.first(row) + distance

    def there(self, row, distance):
        """The row is loaded, and the key is one of its keys."""
        return z3.And(row != self.ghost["loaded"],
                      z3.ULT(self.key(row, distance), self.keys(row)))

    def cursor(self, row, distance):
        """The first key that is there at or behind a key; the first of the row that is not there
        yet, if there is none."""
        for _ in range(ROWS):
            over = z3.And(row != self.ghost["loaded"], z3.Not(self.there(row, distance)))
            row, distance = z3.If(over, row + 1, row), z3.If(over, 0, distance)
        return row, z3.If(row == self.ghost["loaded"], 0, distance)

    def word(self, row, distance, digit, chunk):
        """The address of a word: of a key's digit, a chunk."""
        number = z3.UDiv(distance, z3.BitVecVal(self.config.dpus, self.wide)) \
            if self.config.dpus & self.config.dpus - 1 else z3.LShR(
                distance, self.config.dpus.bit_length() - 1)
        base = self.slot(row, "base")
        bits = base.size()
        chunks = resize(self.slot(row, "last_chunk"), bits) + 1
        return (base + resize(self.slot(row, "stride"), bits) * resize(number, bits)
                + resize(digit, bits) * chunks + resize(chunk, bits))

    def of(self, name, place):
        """What the ghost knows of the key at a place."""
        return pick([self.ghost[f"{name}_{n}"] for n in range(self.places)], place)

    def stage(self, name, *path):
        return field(self.values(name), self.context, *path)

    # -- what always holds
    def invariant(self) -> Iterator[tuple[str, z3.BoolRef]]:
        g = self.ghost
        yield "rows", z3.And(z3.ULE(g["loaded"] - g["merged"], ROWS), *(
            z3.Implies(self.live(n), self.possible(z3.BitVecVal(n, 3))) for n in range(ROWS)))
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

    def possible(self, row):
        """What a slot may say of a row, and which key may be the unit's first."""
        chunks = self.slot(row, "last_chunk")
        stride = self.slot(row, "stride")
        return z3.And(z3.ULE(self.keys(row), self.config.l_max),
                      z3.ULT(self.first(row), self.config.dpus),
                      z3.ULT(resize(chunks, 8), self.config.chunks),
                      stride == self.config.digits * (resize(chunks, stride.size()) + 1))

    def _window(self, place):
        """The place is taken."""
        head = self.values("reorder.read__addr")
        pending = self.values("reorder.pending")
        return z3.ULT(resize(place - head, pending.size()), pending)

    def _places(self):
        v, g = self.values, self.ghost
        pending, head = v("reorder.pending"), v("reorder.read__addr")
        yield "room", z3.And(z3.ULE(pending, self.places),
                             (v("reorder.room") == 1) == (pending != self.places),
                             v("reorder.place") == head + resize(pending, head.size()))
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
        row, key, opened = v("row"), v("key"), v("opened") == 1
        at = self.cursor(g["next_row"], g["next_key"])
        none = z3.BitVecVal(0, self.wide)
        yield "next key", z3.If(
            opened, z3.And(row == at[0], key == self.key(*at), self.there(*at),
                           v("address_1") == self.word(
                               *at, z3.BitVecVal(0, 1), z3.BitVecVal(0, 1))),
            z3.And(*(a == b for a, b in zip(self.cursor(row, none), at, strict=True))))
        yield "next row", z3.And(
            z3.ULE(row - g["merged"], g["loaded"] - g["merged"]),
            z3.ULE(g["next_row"] - g["merged"], g["loaded"] - g["merged"]),
            z3.Implies(g["next_row"] == g["loaded"], g["next_key"] == 0))

    def _order(self):
        """What has a place is what lies between the key that leaves next and the next one."""
        v, g = self.values, self.ghost
        head, pending = v("reorder.read__addr"), v("reorder.pending")
        row = v("reorder.row")
        row, key = self.cursor(row, v("reorder.key") - self.first(row))
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
        at, stages = v("write__addr"), self.stages
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
                here, begun = pick([v(f"delay[{i}]") for i in range(depth)], back), first
            elif n == depth + 1:
                here, begun = v("held"), z3.BoolVal(False)
                acc = z3.If(first, self.slot(row, "start"), acc)
            else:
                here, begun = v("write__data"), z3.BoolVal(False)
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
            resize(field(offer, layout, "key"), self.wide) == g["offer_key"],
            g["offer_row"] == g["merged"] + z3.ZeroExt(2, field(offer, layout, "ahead")),
            z3.Or(ended, field(offer, layout, "ahead") == 0))))
        yield "digits", z3.If(ended, z3.And(v("reorder.digits") == g["digits_0"],
                                            v("reorder.total") == g["digits_1"]),
                              z3.And(v("reorder.total") == g["digits_0"], g["digits_1"] == 0))
