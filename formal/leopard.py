# SPDX-License-Identifier: Apache-2.0
"""Early termination of a digit-serial product is exact: the theorem over the integers.

A sum over D dimensions is treated by induction. Each statement is a linear relation between the
sums S = q·k, P_t, Q+ and Q- of :mod:`prunus.golden.leopard.digits`, with Q- = sum max(-q_j, 0), and
takes three
queries: it holds for D = 0 (*base*); it holds for one dimension, for every integer q and every k
of W bits (*element*); and where it holds for sums over some dimensions and for one more, it holds
for their sum (*step*, for any integers at all). Hence it holds for every D.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from prunus.golden.leopard.digits import count, unread

from .query import Query

__all__ = ["MARGINS", "RIGHT", "STATEMENTS", "Margin", "Size", "comparison", "corollary",
           "element_queries", "theorem"]


@dataclass(frozen=True)
class Size:
    """A width W and a digit B."""

    width: int
    digit: int

    @property
    def digits(self) -> int:
        return count(self.width, self.digit)

    def unread(self, t: int) -> int:
        return unread(t, self.width, self.digit)

    def __str__(self) -> str:
        return f"W={self.width} B={self.digit}"


Margin = Callable[[Size, int], tuple[int, int]]
"""Of a size and t: what is added to P_t per unit of Q+ and of Q-."""


def RIGHT(size: Size, t: int) -> tuple[int, int]:  # noqa: N802
    return (1 << size.unread(t)) - 1, 0


def _rest_is_signed(size: Size, t: int) -> tuple[int, int]:
    r = size.unread(t)
    return ((1 << r - 1) - 1, 1 << r - 1) if r else (0, 0)


MARGINS: dict[str, Margin] = {
    "before the first digit": lambda size, t: ((1 << size.width - 1) - 1, 1 << size.width - 1),
    "unread bits taken as signed": _rest_is_signed,
    "Q- in place of Q+": lambda size, t: (0, RIGHT(size, t)[0]),
    "Q- beside Q+": lambda size, t: (RIGHT(size, t)[0],) * 2,
    "dropped": lambda size, t: (0, 0),
    "one step late": lambda size, t: RIGHT(size, t - 1),
    "one step early": lambda size, t: RIGHT(size, min(t + 1, size.digits)),
    "2^r for 2^r - 1": lambda size, t: (1 << size.unread(t), 0),
}
"""Wrong ones, each of which must make proofs fail."""


@dataclass(frozen=True)
class Sums:
    """What a statement speaks of, over some dimensions.

    Members
    -------
    s : ArithRef
        q·k
    p : list of ArithRef
        P_1 .. P_T, at index t - 1
    plus, minus : ArithRef
        Q+, Q-
    best : list of ArithRef
        q·k' with the best key that has the digits of k up to t, at index t - 1.
    """

    s: z3.ArithRef
    p: list[z3.ArithRef]
    plus: z3.ArithRef
    minus: z3.ArithRef
    best: list[z3.ArithRef]

    @classmethod
    def free(cls, size: Size, suffix: str) -> "Sums":
        """Any integers."""
        def vector(name):
            return [z3.Int(f"{name}{t}{suffix}") for t in range(1, size.digits + 1)]
        return cls(z3.Int(f"S{suffix}"), vector("P"), z3.Int(f"Qp{suffix}"),
                   z3.Int(f"Qm{suffix}"), vector("best"))

    @classmethod
    def zero(cls, size: Size) -> "Sums":
        nothing = [z3.IntVal(0)] * size.digits
        return cls(z3.IntVal(0), nothing, z3.IntVal(0), z3.IntVal(0), nothing)

    @classmethod
    def element(cls, size: Size) -> "Sums":
        """One dimension."""
        q, k = z3.Ints("q k")
        tops = [_top(k, size.unread(t)) for t in range(1, size.digits + 1)]
        return cls(q * k, [q * top for top in tops], z3.If(q > 0, q, 0), z3.If(q < 0, -q, 0),
                   [q * _best(size, q, k, t) for t in range(1, size.digits + 1)])

    def __add__(self, other: "Sums") -> "Sums":
        def added(a, b):
            return [x + y for x, y in zip(a, b, strict=True)]
        return Sums(self.s + other.s, added(self.p, other.p), self.plus + other.plus,
                    self.minus + other.minus, added(self.best, other.best))

    def bound(self, size: Size, t: int, margin: Margin) -> z3.ArithRef:
        """U_t"""
        plus, minus = margin(size, t)
        return self.p[t - 1] + plus * self.plus + minus * self.minus


def _top(k, r: int) -> z3.ArithRef:
    """``(k >> r) << r``; division by a positive number rounds down, as an arithmetic shift."""
    return (k / (1 << r)) * (1 << r)


def _best(size: Size, q, k, t: int) -> z3.ArithRef:
    r = size.unread(t)
    return _top(k, r) + z3.If(q > 0, (1 << r) - 1, 0)


def _in_range(size: Size, k) -> tuple[z3.BoolRef, ...]:
    return -(1 << size.width - 1) <= k, k < 1 << size.width - 1


Statement = Callable[[Sums, Size, Margin], Iterator[tuple[str, z3.BoolRef]]]


def _upper(x: Sums, size: Size, margin: Margin):
    for t in range(1, size.digits + 1):
        yield f"S <= U_{t}", x.s <= x.bound(size, t, margin)


def _tight(x: Sums, size: Size, margin: Margin):
    for t in range(1, size.digits + 1):
        yield f"U_{t} is reached", x.best[t - 1] == x.bound(size, t, margin)


def _falling(x: Sums, size: Size, margin: Margin):
    for t in range(1, size.digits):
        yield (f"U_{t + 1} <= U_{t}",
               x.bound(size, t + 1, margin) <= x.bound(size, t, margin))


def _final(x: Sums, size: Size, margin: Margin):
    yield "U_T = S", x.bound(size, size.digits, margin) == x.s


STATEMENTS: dict[str, Statement] = {
    "upper bound": _upper, "tight": _tight, "never increases": _falling, "ends at S": _final}


def element_queries(name: str, size: Size, margin: Margin = RIGHT) -> Iterator[Query]:
    """A statement about one dimension; a wrong margin is refuted here, at D = 1."""
    hypotheses = _in_range(size, z3.Int("k"))
    for label, goal in STATEMENTS[name](Sums.element(size), size, margin):
        yield Query(f"{size} {label}: element", hypotheses, goal)


def theorem(name: str, size: Size, margin: Margin = RIGHT) -> Iterator[Query]:
    """All that proves a statement for every D."""
    statement = STATEMENTS[name]
    yield from element_queries(name, size, margin)
    for label, goal in statement(Sums.zero(size), size, margin):
        yield Query(f"{size} {label}: base", (), goal)
    some, one = Sums.free(size, ""), Sums.free(size, "'")
    for (label, before), (_, last), (_, goal) in zip(
            *(statement(x, size, margin) for x in (some, one, some + one)), strict=True):
        yield Query(f"{size} {label}: step", (before, last), goal)
    if name == "tight":
        yield from _best_is_a_key(size)


def _best_is_a_key(size: Size) -> Iterator[Query]:
    """The key that reaches a bound has W bits and the digits read so far."""
    q, k = z3.Ints("q k")
    for t in range(1, size.digits + 1):
        best, r = _best(size, q, k, t), size.unread(t)
        yield Query(f"{size} U_{t} is reached: by a key", _in_range(size, k),
                    z3.And(*_in_range(size, best), _top(best, r) == _top(k, r)))


def corollary(digits: int) -> Iterator[Query]:
    """Stopping at the first ``U_t < T_int`` drops exactly the keys with ``S < T_int``, if U_1 ..
    U_T are upper bounds of S that never increase and end at it."""
    yield from comparison(digits, lambda bound, threshold: bound < threshold)


def comparison(digits: int, drops: Callable) -> Iterator[Query]:
    """The corollary with any comparison; only ``<`` is right."""
    s, threshold = z3.Ints("S T_int")
    bounds = [z3.Int(f"U{t}") for t in range(1, digits + 1)]
    known = (*(s <= u for u in bounds), bounds[-1] == s,
             *(later <= u for u, later in zip(bounds, bounds[1:], strict=False)))
    dropped = z3.Or(*(drops(u, threshold) for u in bounds))
    yield Query(f"T={digits} no false prune", known, z3.Implies(dropped, s < threshold))
    yield Query(f"T={digits} no missed prune", known, z3.Implies(s < threshold, dropped))
    for t, (u, later) in enumerate(zip(bounds, bounds[1:], strict=False), 1):
        yield Query(f"T={digits} below at {t}, below after", known,
                    z3.Implies(drops(u, threshold), drops(later, threshold)))
