# SPDX-License-Identifier: Apache-2.0
"""A cycle of a dot-product unit from any state: :mod:`prunus.formal.control` goes from before to
after."""

from collections.abc import Iterator

import z3

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.digits import unread
from prunus.hw.leopard import reorder
from prunus.hw.leopard.layouts import firsts_layout, slot_layout

from .control import ROWS, Unit, field, pick, resize
from .query import Query
from .rtl import Step, System

__all__ = ["satisfiable", "unit_control"]


class Cycle:
    """A cycle from any state: what goes in, the states before and after, and the ghost's."""

    def __init__(self, config: LeopardConfig, system: System):
        self.config, self.system = config, system
        self.inputs = {name: z3.BitVec(f"{name}@0", width) for name, width in (
            ("take", 1), ("advance", 1), ("load", 1), ("loaded", 3),
            ("slots", slot_layout(config).size * ROWS), ("firsts", firsts_layout(config).size))}
        self.now = Step(system, system.free("0"), "0")
        self.later = _Later(system, self.now.after())
        self.before = Unit(config, self.now, ghosts(config, self.now))
        self.after = Unit(config, self.later, self._follow())

    def assumed(self) -> list[z3.BoolRef]:
        """Of what surrounds the unit: rows stay until they are merged, and of what is offered
        only the row that is merged is taken. The unit's first key of a row is known a cycle before
        the row."""
        g, i, v = self.before.ghost, self.inputs, self.now
        offer, layout = v("reorder.offer"), reorder.offer_layout(self.config)
        mine = z3.And(field(offer, layout, "valid") == 1, field(offer, layout, "ahead") == 0)
        size = slot_layout(self.config).size
        parts = [z3.Extract(size * n + size - 1, size * n, t) for t in (
            g["slots"], self.after.ghost["slots"]) for n in range(ROWS)]
        return [
            i["slots"] == g["slots"], i["loaded"] == g["loaded"],
            i["firsts"] == g["firsts"],
            *(z3.Implies(z3.Or(self.before.live(n), self.after.live(n)),
                         self.before.first(row) == self.after.first(row))
              for n, row in enumerate(z3.BitVecVal(n, 3) for n in range(ROWS))),
            z3.Implies(i["take"] == 1, mine),
            z3.Implies(i["advance"] == 1, z3.And(v("reorder.ended") == 1, z3.Not(mine))),
            z3.Implies(i["load"] == 1, g["loaded"] - g["merged"] != ROWS),
            *(z3.Implies(self.before.live(n), parts[n] == parts[ROWS + n]) for n in range(ROWS)),
            *(z3.Implies(self.after.live(n), self.after.possible(z3.BitVecVal(n, 3)))
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
        for name in ("slots", "firsts"):
            n[name] = z3.BitVec(f"{name}@1", g[name].size())
        return n

    def _taken(self, name, left):
        """U - T_int after the word of a stage."""
        u, config = self.before, self.config
        row = u.of("row", u.stage(name, "place"))
        left = z3.If(u.stage(name, "first") == 1, u.slot(row, "start"), left)
        total = resize(self.now("dot.o"), left.size())
        return left - pick([total << unread(t + 1, config.width, config.digit)
                             for t in range(config.digits)], u.stage(name, "digit"))

    def _leave(self, n, pops):
        """Keys that leave their place, and the row that is merged."""
        u, g, i = self.before, self.before.ghost, self.inputs
        head = self.now("reorder.read__addr")
        kept = z3.And(pops, u.of("kept", head) == 1)
        row = u.of("row", head)
        n["offer"] = z3.If(kept, z3.BitVecVal(1, 1), g["offer"] & ~i["take"])
        what = {"row": row, "key": u.key(row, u.of("key", head)), "excess": u.of("excess", head)}
        for name, value in what.items():
            n[f"offer_{name}"] = z3.If(kept, value, g[f"offer_{name}"])
        width = g["digits_0"].size()
        spent = z3.If(pops, resize(u.of("digit", head), width) + 1, z3.BitVecVal(0, width))
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
        row = v("reorder.row")
        leaves = u.cursor(row, v("reorder.key") - u.first(row))
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


def ghosts(config: LeopardConfig, values, zero: bool = False) -> dict[str, z3.BitVecRef]:
    """The ghost's registers: any, or as after reset."""
    wide = values("reorder.key").size()
    widths = {"loaded": 3, "merged": 3, "slots": slot_layout(config).size * ROWS, "next_row": 3,
              "next_key": wide, "offer": 1, "offer_row": 3, "offer_key": wide,
              "offer_excess": config.score_width, "firsts": firsts_layout(config).size}
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
    first = Unit(config, reset, ghosts(config, reset, zero=True))
    first.ghost["firsts"] = z3.BitVec("firsts", firsts_layout(config).size)
    yield _query("after reset", [], first.invariant())
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
