# SPDX-License-Identifier: Apache-2.0
"""The accumulator that never sees a margin: the same bounds in machine words, without a wrap.

In two's complement of A bits, for one dimension,

    U_1 = (q*d_1 << r_1) + (2**r_1 - 1)*max(q, 0)
    U_t = U_{t-1} - (|q| * (~d_t if q > 0 else d_t) << r_t)

The second line is proved in two parts, because a product of two words is too much for a SAT
solver: how the digits read so far, ``~d`` and ``|q|`` follow from the query, the digits before and
the digit (*bits*), and that the update is right for any words that follow in this way (*ring*).
Modulo 2**A the sum over the dimensions follows term by term. That nothing wraps is proved in
integers: how large a term can be, and that D of them fit A bits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from .leopard import Size
from .query import Query

__all__ = ["UPDATES", "accumulator_width", "first_bound", "sums", "terms", "update",
           "wrong_update"]


def accumulator_width(width: int, d: int) -> int:
    """A: signed bits for codes of ``width`` bits in d dimensions."""
    return 2 * width - 2 + (d - 1).bit_length() + 2


@dataclass(frozen=True)
class Words:
    """Words of A bits that an update is made of.

    Members
    -------
    q, top, next_top : BitVecRef
        The query, the digits of the key read before and after this one, in their places.
    d, taken : BitVecRef
        This digit, and what of it is subtracted.
    magnitude : BitVecRef
        |q|
    """

    q: z3.BitVecRef
    top: z3.BitVecRef
    next_top: z3.BitVecRef
    d: z3.BitVecRef
    taken: z3.BitVecRef
    magnitude: z3.BitVecRef


def _widened(x, bits: int, signed: bool = False) -> z3.BitVecRef:
    return (z3.SignExt if signed else z3.ZeroExt)(bits - x.size(), x)


def _codes(size: Size) -> tuple[z3.BitVecRef, z3.BitVecRef]:
    return z3.BitVec("q", size.width), z3.BitVec("k", size.width)


def _digit(size: Size, k, t: int) -> z3.BitVecRef:
    """The bits of digit t of a code, sign-extended to whole digits."""
    r = size.unread(t)
    padded = z3.SignExt(size.digits * size.digit - size.width, k)
    return z3.Extract(r + size.digit - 1, r, padded)


def _read(size: Size, k, t: int, bits: int) -> z3.BitVecRef:
    r = size.unread(t)
    return (_widened(k, bits, signed=True) >> r) << r


def _actual(size: Size, t: int, bits: int) -> Words:
    """Those of codes q and k at digit t."""
    q, k = _codes(size)
    d = _digit(size, k, t)
    return Words(q=_widened(q, bits, signed=True), top=_read(size, k, t - 1, bits),
                 next_top=_read(size, k, t, bits), d=_widened(d, bits),
                 taken=_widened(z3.If(q > 0, ~d, d), bits),
                 magnitude=_widened(z3.If(q < 0, -q, q), bits))


def _implied(q, top, d, size: Size, t: int, positive: bool) -> Words:
    """The other words by those of the query, the digits before and the digit."""
    return Words(q=q, top=top, d=d, next_top=top + d * (1 << size.unread(t)),
                 taken=(1 << size.digit) - 1 - d if positive else d,
                 magnitude=q if positive else -q)


def _updated(w: Words, size: Size, t: int, plus) -> z3.BoolRef:
    """U_{t-1} less what is taken is U_t."""
    before = w.q * w.top + ((1 << size.unread(t - 1)) - 1) * plus
    after = w.q * w.next_top + ((1 << size.unread(t)) - 1) * plus
    return before - w.magnitude * w.taken * (1 << size.unread(t)) == after


def update(size: Size, d: int = 128) -> Iterator[Query]:
    """The second line, at every digit after the first."""
    bits = accumulator_width(size.width, d)
    code, _ = _codes(size)
    q, top, digit = (z3.BitVec(name, bits) for name in ("q", "top", "d"))
    for t in range(2, size.digits + 1):
        actual = _actual(size, t, bits)
        for positive, sign in ((True, code > 0), (False, code <= 0)):
            label = f"{size} U_{t} of {'positive' if positive else 'other'} q"
            implied = _implied(actual.q, actual.top, actual.d, size, t, positive)
            yield Query(f"{label}: bits", (sign,), z3.And(
                actual.next_top == implied.next_top, actual.taken == implied.taken,
                actual.magnitude == implied.magnitude))
            plus = q if positive else z3.BitVecVal(0, bits)
            words = _implied(q, top, digit, size, t, positive)
            yield Query(f"{label}: ring", (), _updated(words, size, t, plus), ring=True)


def first_bound(size: Size, d: int = 128) -> Iterator[Query]:
    """The first line: the top digit, signed and in its place, is what P_1 has of the key."""
    bits, r = accumulator_width(size.width, d), size.unread(1)
    _, k = _codes(size)
    yield Query(f"{size} U_1: bits", (),
                _widened(_digit(size, k, 1), bits, signed=True) << r == _read(size, k, 1, bits))


Wrong = Callable[[Size, z3.BitVecRef, z3.BitVecRef, int, int], z3.BitVecRef]


def _subtracted(size, q, d, t, bits, *, signed=False, late=0, positive=None):
    """|q| * (~d if q > 0 else d) in its place, with something amiss."""
    condition = q > 0 if positive is None else z3.BoolVal(positive)
    taken = _widened(z3.If(condition, ~d, d), bits, signed)
    return _widened(z3.If(q < 0, -q, q), bits) * taken << size.unread(t) + late * size.digit


UPDATES: dict[str, Wrong] = {
    "d for every q": lambda *a: _subtracted(*a, positive=False),
    "~d for every q": lambda *a: _subtracted(*a, positive=True),
    "digits taken as signed": lambda *a: _subtracted(*a, signed=True),
    "one digit too high": lambda *a: _subtracted(*a, late=1),
    "q for |q|": lambda size, q, d, t, bits: (
        _widened(q, bits, signed=True) * _widened(z3.If(q > 0, ~d, d), bits) << size.unread(t)),
    "nothing taken": lambda size, q, d, t, bits: z3.BitVecVal(0, bits),
}
"""Wrong updates, each of which must be refuted."""


def wrong_update(name: str, size: Size, d: int = 128) -> Query:
    """That an update at the second digit is right, of the bits themselves."""
    bits = accumulator_width(size.width, d)
    q, k = _codes(size)
    wide = _widened(q, bits, signed=True)

    def bound(t):
        return (wide * _read(size, k, t, bits)
                + ((1 << size.unread(t)) - 1) * z3.If(q > 0, wide, 0))

    taken = UPDATES[name](size, q, _digit(size, k, 2), 2, bits)
    return Query(f"{size} {name}", (), bound(1) - taken == bound(2))


def _largest(size: Size) -> int:
    """A product of two codes is no larger than this."""
    return 1 << 2 * size.width - 2


def terms(size: Size) -> Iterator[Query]:
    """How large is all that one dimension adds to a sum."""
    q, k = z3.Ints("q k")
    half, most = 1 << size.width - 1, _largest(size)
    codes = (-half <= q, q < half, -half <= k, k < half)
    plus = z3.If(q > 0, q, 0)
    before = None
    for t in range(1, size.digits + 1):
        r = 1 << size.unread(t)
        product, margin = q * (k / r * r), (r - 1) * plus
        values = {"U": product + margin}
        values |= {"q*d": product, "margin": margin} if t == 1 else {
            "what is taken": before - (product + margin)}
        for name, value in values.items():
            yield Query(f"{size} {name} at digit {t}", codes,
                        z3.And(-most <= value, value <= most))
        before = product + margin


def sums(size: Size, d: int, bits: int | None = None) -> Iterator[Query]:
    """Sums of such terms over up to d dimensions fit ``bits`` bits (default: A), by induction."""
    bits = bits or accumulator_width(size.width, d)
    total, term, n = z3.Ints("total term n")
    most = _largest(size)

    def within(value, count):
        return z3.And(-count * most <= value, value <= count * most)

    yield Query(f"{size} a sum and a term", (within(total, n), within(term, 1)),
                within(total + term, n + 1))
    yield Query(f"{size} D={d} in {bits} bits", (0 <= n, n <= d, within(total, n)),
                z3.And(-(1 << bits - 1) <= total, total < 1 << bits - 1))
