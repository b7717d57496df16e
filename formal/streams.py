# SPDX-License-Identifier: Apache-2.0
"""What every stream block must do, as circuits that watch it, and induction over its states.

A watching circuit follows one element of a stream, or one request, which an input chooses at any
time; so what is shown of it is shown of each. Of the element it knows how many are ahead, of a
request how many beats are.

- :class:`Marked`: what goes in comes out once, in order, unchanged.
- :class:`Run`: so many beats of a request, and no others, come out in the order of the requests;
  the last one is marked as such.
- :func:`waits`: what is offered stays as it is until it is taken.

What always holds of the registers says where the element is: :func:`element_is_inside`,
:func:`request_is_inside` and :class:`Queue` put that in words for Z3.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3
from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from .control import pick
from .query import Query
from .rtl import Step, System

__all__ = ["NARROW", "WIDE", "Claims", "Marked", "Place", "Queue", "Run", "element_is_inside",
           "induction", "oks", "reached", "request_is_inside", "show", "shown", "soon", "waits",
           "wide"]

Claims = Iterator[tuple[str, z3.BoolRef]]
WIDE = 5       # bits of a sum of beats, enough for what a block holds
NARROW = 8      # of a number of places


# -- what a watching circuit shows -------------------------------------------------------------
def oks(*names: str) -> dict[str, wiring.Member]:
    """Members for what is to be shown."""
    return {f"ok_{name}": Out(1) for name in names}


def show(m, top, **claims) -> None:
    """Drives them."""
    m.d.comb += [getattr(top, f"ok_{name}").eq(claim) for name, claim in claims.items()]


# -- circuits that watch ----------------------------------------------------------------------
class Marked:
    """An element of a stream on its way.

    Members
    -------
    inside, kept : Signal
        How many there are, and the element.
    mine : Value
        It is the next to come out.
    known, order : Value
        To be shown: only what went in comes out, and the element comes out as it went in.
    """

    def __init__(self, m, name: str, *, mark, enters, entering, leaves, leaving, most: int):
        inside, ahead = (Signal(range(most + 1), name=f"{name}_{part}")
                         for part in ("inside", "ahead"))
        marked, kept = Signal(name=f"{name}_marked"), Signal(len(Value.cast(entering)),
                                                             name=f"{name}_kept")
        m.d.sync += inside.eq(inside + enters - leaves)
        with m.If(enters & mark & ~marked):
            m.d.sync += [marked.eq(1), kept.eq(entering), ahead.eq(inside - leaves)]
        with m.Elif(marked & leaves):
            m.d.sync += [ahead.eq(ahead - 1)]
            with m.If(ahead == 0):
                m.d.sync += [marked.eq(0), ahead.eq(0)]
        self.inside, self.kept = inside, kept
        self.mine = marked & (ahead == 0)
        self.known = ~leaves | (inside != 0)
        self.order = ~(leaves & marked & (ahead == 0)) | (kept == Value.cast(leaving))


class Run:
    """A request on its way, of which beats come out, ``amount`` at a time.

    Members
    -------
    mine : Value
        What comes out now is of the request.
    left, kept, total, marked : Signal
        Beats of it that have not come out, what else is known of it, beats of all requests,
        and whether there is one.
    known, right, last : Value
        To be shown: only beats of requests come out; they have what is known of their request; the
        last one is marked, and no other.
    """

    def __init__(self, m, name: str, *, mark, enters, beats, entering, leaves, leaving,
                 last=None, amount=1, bits: int = WIDE):
        total, before, left = (Signal(bits, name=f"{name}_{part}")
                               for part in ("total", "before", "left"))
        marked, kept = Signal(name=f"{name}_marked"), Signal(len(Value.cast(entering)),
                                                             name=f"{name}_kept")
        less = Mux(leaves, amount, 0)
        m.d.sync += total.eq(total + Mux(enters, beats, 0) - less)
        with m.If(enters & mark & ~marked):
            m.d.sync += [marked.eq(1), kept.eq(entering), before.eq(total - less),
                         left.eq(beats)]
        with m.Elif(marked & leaves):
            with m.If(before != 0):
                m.d.sync += before.eq(before - amount)
            with m.Else():
                m.d.sync += [left.eq(left - amount), marked.eq(left != amount)]
        self.total, self.left, self.kept, self.marked = total, left, kept, marked
        self.mine = marked & (before == 0)
        mine = leaves & self.mine
        self.known = ~leaves | (total != 0)
        self.right = ~mine | ((Value.cast(leaving) == kept) & (left >= amount))
        self.last = 1 if last is None else ~mine | (last == (left == amount))


def waits(m, name: str, valid, ready, payload):
    """Whether an offer is the one that was not taken in the cycle before, if one was not."""
    waited, was = Signal(name=f"{name}_waited"), Signal(len(Value.cast(payload)),
                                                        name=f"{name}_was")
    m.d.sync += [waited.eq(valid & ~ready), was.eq(payload)]
    return ~waited | (valid & (was == Value.cast(payload)))


def soon(m, name: str, waiting, cycles: int):
    """Whether something has not been waited for in more than so many cycles in a row."""
    count = Signal(range(cycles + 2), name=f"{name}_count")
    m.d.sync += count.eq(Mux(waiting, count + 1, 0))
    return (count < cycles) | ~waiting


# -- what always holds ------------------------------------------------------------------------
def wide(term, bits: int = WIDE):
    """A term of so many bits."""
    return z3.ZeroExt(bits - term.size(), term)


@dataclass(frozen=True)
class Place:
    """A place where an element or beats of a request can be.

    Members
    -------
    there : BoolRef
        It is taken.
    value : BitVecRef or None
        The element.
    beats : BitVecRef or None
        How many there are; none for a single one.
    last : BoolRef or None
        The last beat of a request is among them, as far as the block knows.
    right : BoolRef
        What the block says of them is what is known of the marked request.
    """

    there: z3.BoolRef
    value: z3.BitVecRef | None = None
    beats: z3.BitVecRef | None = None
    last: z3.BoolRef | None = None
    right: z3.BoolRef | None = None

    def size(self, bits: int):
        """Beats, a term of so many bits."""
        return z3.BitVecVal(1, bits) if self.beats is None else wide(self.beats, bits)


class Queue:
    """Registers of a FIFO of Amaranth by the name of the block, in a cycle.

    Members
    -------
    places : list of (BoolRef, BitVecRef)
        Whether it is taken, and the element; the oldest comes first.
    """

    def __init__(self, step: Step, name: str, depth: int, *, buffered: bool = False):
        self.depth = depth - buffered
        self.level = wide(step(f"{name}.inner_level" if buffered else f"{name}.w_level"), NARROW)
        self.read, self.write = (wide(step(f"{name}.{port}__addr"), NARROW)
                                 for port in ("r_port", "w_port"))
        self._cells = [step(f"{name}.storage[{n}]") for n in range(self.depth)]
        self._register = (step(f"{name}.r_rdy") == 1, step(f"{name}.r_data_reg")) if buffered \
            else None
        self.places = [self._register] if buffered else []
        self.places += [(z3.UGT(self.level, n), self._cell(z3.BitVecVal(n, NARROW)))
                        for n in range(self.depth)]

    def _wrapped(self, at):
        return z3.If(z3.UGE(at, self.depth), at - self.depth, at)

    def _cell(self, number):
        return pick(self._cells, self._wrapped(self.read + number))

    def _first(self):
        return z3.If(self._register[0], z3.BitVecVal(1, NARROW), 0) if self._register else 0

    def inside(self):
        """How many elements there are."""
        return self.level + self._first()

    def at(self, number):
        """The element so many behind the oldest."""
        if not self._register:
            return self._cell(number)
        there, value = self._register
        return z3.If(z3.And(there, number == 0), value, self._cell(number - self._first()))

    def well(self):
        """Its pointers go with its level."""
        return z3.And(z3.ULE(self.level, self.depth), z3.ULT(self.read, self.depth),
                      z3.ULT(self.write, self.depth),
                      self.write == self._wrapped(self.read + self.level))


def element_is_inside(step: Step, name: str, places: list[Place]) -> Claims:
    """Where a :class:`Marked` element is; the oldest place comes first."""
    count, marked = z3.BitVecVal(0, WIDE), step(f"{name}_marked") == 1
    ahead, kept = wide(step(f"{name}_ahead")), step(f"{name}_kept")
    is_there = []
    for place in places:
        is_there.append(z3.Implies(z3.And(place.there, count == ahead), place.value == kept))
        count = count + z3.If(place.there, z3.BitVecVal(1, WIDE), z3.BitVecVal(0, WIDE))
    yield f"{name}: so many are inside", wide(step(f"{name}_inside")) == count
    yield f"{name}: where it is", z3.Implies(marked, z3.And(z3.ULT(ahead, count), *is_there))


def request_is_inside(step: Step, name: str, places: list[Place], *, most: int) -> Claims:
    """Where the beats of the request of a :class:`Run` are; the oldest place comes first. No place
    has more than ``most`` beats."""
    marked = step(f"{name}_marked") == 1
    before, left = step(f"{name}_before"), step(f"{name}_left")
    bits, whole = before.size(), before + left
    at = zero = z3.BitVecVal(0, bits)
    parts, sizes = [], []
    for place in places:
        size = place.size(bits)
        end = at + size
        mine = z3.And(marked, place.there, z3.UGE(at, before), z3.ULT(at, whole))
        parts.append(z3.Implies(z3.And(marked, place.there, z3.ULT(at, before)),
                                z3.ULE(end, before)))
        parts.append(z3.Implies(mine, z3.ULE(end, whole)))
        if place.last is not None:
            parts.append(z3.Implies(mine, place.last == (end == whole)))
        if place.right is not None:
            parts.append(z3.Implies(mine, place.right))
        sizes.append(z3.Implies(place.there, z3.And(size != 0, z3.ULE(size, most))))
        at = at + z3.If(place.there, size, zero)
    yield f"{name}: sizes", z3.And(*sizes)
    yield f"{name}: so many are inside", step(f"{name}_total") == at
    yield f"{name}: where they are", z3.And(z3.Implies(marked, z3.And(
        left != 0, z3.ULE(before, at), z3.ULE(left, at - before), z3.ULE(left, most))), *parts)


def induction(system: System, invariant: Callable[[Step], Claims]) -> Iterator[Query]:
    """What is to be shown, and what always holds, after reset and from each cycle to the next."""
    def claims(step: Step) -> list[tuple[str, z3.BoolRef]]:
        return [*step.claims("ok_").items(), *invariant(step)]

    first = Step(system, system.reset(), "reset")
    begin = claims(first)
    yield Query("after reset", tuple(first.claims("assume_").values()),
                z3.And(*(claim for _, claim in begin)), bits=True, parts=tuple(begin))
    now = Step(system, system.free("0"), "0")
    later = Step(system, now.after(), "1")
    known = [claim for _, claim in claims(now)]
    known += [*now.claims("assume_").values(), *later.claims("assume_").values()]
    for claim in claims(later):
        yield Query(f"in each cycle: {claim[0]}", tuple(known), claim[1], bits=True,
                    parts=(claim,))


def _run(system: System, cycles: int) -> tuple[list[Step], tuple[z3.BoolRef, ...]]:
    """So many cycles from reset on, and what is assumed of them."""
    states, steps = system.reset(), []
    for n in range(cycles):
        steps.append(Step(system, states, str(n)))
        states = steps[-1].after()
    return steps, tuple(claim for step in steps for claim in step.claims("assume_").values())


def reached(system: System, cycles: int) -> Iterator[Query]:
    """That nothing comes out within so many cycles after reset, to be refuted."""
    steps, assumed = _run(system, cycles)
    yield Query("nothing comes out", assumed, z3.And(
        *(z3.Not(claim) for step in steps for claim in step.claims("cover_").values())),
        bits=True, parts=(("something does", z3.BoolVal(False)),))


def shown(system: System, cycles: int, resources: int) -> Iterator[Query]:
    """All that is to be shown, at once, within so many cycles after reset: a fault is found
    fast."""
    steps, assumed = _run(system, cycles)
    parts = [(name, z3.And(*(step.claims("ok_")[name] for step in steps)))
             for name in steps[0].claims("ok_")]
    yield Query(f"a run of {cycles} cycles", assumed, z3.And(*(claim for _, claim in parts)),
                bits=True, parts=tuple(parts), resources=resources)
