# SPDX-License-Identifier: Apache-2.0
"""The accumulator of the hardware: it starts with M_0, and the top digit is taken like any other.

``M_0 = (2**(W-1) - 1)*Q+ + 2**(W-1)*Q-`` is what q·k cannot exceed whatever k is. The first digit,
with its sign bit inverted, takes ``|q| * e_1 << r_1`` from it, where e_1 is the digit, or its
inverse if q > 0, and bits above the sign bit are 0 in both. What is left is U_1; from there on
the digits are those of :mod:`prunus.formal.accumulator`. The accumulator holds the bound less
T_int.
"""

from collections.abc import Callable, Iterable, Iterator

import z3

from .accumulator import accumulator_width
from .leopard import Size
from .query import Query

__all__ = ["DIGITS", "excess", "start", "wrong_start"]


def _top(size: Size, k) -> z3.BitVecRef:
    r = size.unread(1)
    return z3.Extract(r + size.digit - 1, r,
                      z3.SignExt(size.digits * size.digit - size.width, k))


def _first_digit(size: Size, k, positive: bool, *, inverted: bool = True,
                 cleared: bool = True) -> z3.BitVecRef:
    """e_1, B bits."""
    sign = size.width - 1 - size.unread(1)
    e = _top(size, k)
    e = e ^ (1 << sign) if inverted else e
    e = ~e if positive else e
    return e & (2 << sign) - 1 if cleared else e


def _left(size: Size, positive: bool) -> int:
    """M_0 per unit of |q|."""
    return (1 << size.width - 1) - positive


def start(size: Size, d: int = 128) -> Iterator[Query]:
    """The first digit leaves U_1, in words of as many bits as a score in d dimensions has."""
    bits, r = accumulator_width(size.width, d), size.unread(1)
    k, magnitude, top = z3.BitVec("k", size.width), z3.BitVec("m", bits), z3.BitVec("top", bits)
    read = (z3.SignExt(bits - size.width, k) >> r) << r
    for positive in (True, False):
        label = f"{size} M_0 of {'positive' if positive else 'other'} q"
        margin = (1 << r) - 1 if positive else 0
        sign = 1 if positive else -1
        # Per unit of |q|: what is taken is all that M_0 has and U_1 has not.
        e = z3.ZeroExt(bits - size.digit, _first_digit(size, k, positive))
        yield Query(f"{label}: bits", (), e << r == _left(size, positive) - sign * read - margin)
        taken = _left(size, positive) - sign * top - margin
        q = sign * magnitude
        yield Query(f"{label}: ring", (), magnitude * _left(size, positive) - magnitude * taken
                    == q * top + margin * magnitude, ring=True)


def excess(size: Size, dimensions: Iterable[int]) -> Iterator[Query]:
    """M_0 is a sum of terms like any other, and a bound less a threshold has one bit more."""
    q, bound, threshold, n = z3.Ints("q bound threshold n")
    half, most = 1 << size.width - 1, 1 << 2 * size.width - 2
    term = z3.If(q > 0, (half - 1) * q, -half * q)
    yield Query(f"{size} M_0", (-half <= q, q < half), z3.And(-most <= term, term <= most))
    for d in dimensions:
        bits = accumulator_width(size.width, d)
        yield Query(f"{size} D={d} in {bits + 1} bits", (
            0 <= n, n <= d, -n * most <= bound, bound <= n * most,
            -(1 << bits - 1) <= threshold, threshold < 1 << bits - 1),
            z3.And(-(1 << bits) <= bound - threshold, bound - threshold < 1 << bits))


DIGITS: dict[str, Callable[[Size, z3.BitVecRef, bool], z3.BitVecRef]] = {
    "sign not inverted": lambda *a: _first_digit(*a, inverted=False),
    "bits above the sign kept": lambda *a: _first_digit(*a, cleared=False),
}
"""Wrong first digits, each of which must be refuted."""


def wrong_start(name: str, size: Size, d: int = 128) -> Query:
    """That a first digit leaves U_1 of a positive q, where W is no multiple of B."""
    bits, r = accumulator_width(size.width, d), size.unread(1)
    k = z3.BitVec("k", size.width)
    read = (z3.SignExt(bits - size.width, k) >> r) << r
    e = z3.ZeroExt(bits - size.digit, DIGITS[name](size, k, True))
    return Query(f"{size} {name}", (),
                 e << r == _left(size, True) - read - ((1 << r) - 1))
