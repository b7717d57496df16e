# SPDX-License-Identifier: Apache-2.0
"""All that has to be proved, and all that must not be provable."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from . import accumulator, leopard, start
from .leopard import Size
from .query import Query, Verdict, decide

__all__ = ["ALL_SIZES", "BROKEN", "DIMENSIONS", "Outcome", "Proof", "check", "proofs"]

ALL_SIZES = [Size(width, digit) for width in range(1, 17) for digit in (1, 2, 3, 4)]
DIMENSIONS = range(8, 129, 8)

BROKEN = {
    "before the first digit": ["tight", "never increases", "ends at S"],
    "unread bits taken as signed": ["upper bound", "tight", "never increases"],
    "Q- in place of Q+": ["upper bound", "tight", "never increases"],
    "Q- beside Q+": ["tight"],
    "dropped": ["upper bound", "tight", "never increases"],
    "one step late": ["tight", "ends at S"],
    "one step early": ["upper bound", "tight", "never increases"],
    "2^r for 2^r - 1": ["tight", "ends at S"],
}
"""Which statements each wrong margin breaks. Without the upper bound keys are pruned that should
survive; where the end is not S some survive that should not; where it is only not tight, a key
takes more digits than it needs."""


@dataclass(frozen=True)
class Proof:
    """Queries that must all be proved, or (``holds`` false) of which one must be refuted.

    Members
    -------
    topic, name : str
        What is proved, and of which size or in which way it is wrong.
    """

    topic: str
    name: str
    queries: Callable[[], Iterable[Query]]
    holds: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a proof went.

    Members
    -------
    undecided : bool
        The solver gave up before anything was refuted; then it has not passed.
    most : int
        Resources that the dearest query took of the solver.
    detail : str
        What is not as it should be; of a claim that was refuted as it should, how.
    """

    proof: Proof
    passed: bool
    undecided: bool
    queries: int
    seconds: float
    most: int
    detail: str


def check(proof: Proof) -> Outcome:
    """Ask the solver until the outcome is known. A claim that is undecided does not keep the next
    one from being refuted."""
    seconds, number, most, undecided = 0.0, 0, 0, ""
    for number, query in enumerate(proof.queries(), 1):
        answer = decide(query)
        seconds, most = seconds + answer.seconds, max(most, answer.resources)
        detail = f"{answer.name}: {answer.verdict}"
        detail += f" by {answer.counterexample}" if answer.counterexample else ""
        if answer.verdict is Verdict.REFUTED:
            return Outcome(proof, not proof.holds, False, number, seconds, most, detail)
        if answer.verdict is Verdict.UNKNOWN and not undecided:
            undecided = f"{answer.name}: undecided ({answer.counterexample})"
    detail = undecided or ("" if proof.holds else "nothing contradicts it")
    return Outcome(proof, proof.holds and not undecided, bool(undecided), number, seconds, most,
                   detail)


def _theorem(sizes: Sequence[Size]) -> Iterator[Proof]:
    for name in leopard.STATEMENTS:
        for size in sizes:
            yield Proof(f"theorem: {name}", str(size),
                        lambda name=name, size=size: leopard.theorem(name, size))
    for digits in sorted({size.digits for size in sizes}):
        yield Proof("corollary: exact termination", f"T={digits}",
                    lambda digits=digits: leopard.corollary(digits))


def _accumulator(sizes: Sequence[Size]) -> Iterator[Proof]:
    def words(size):
        for d in (8, 64, 128):
            yield from accumulator.first_bound(size, d)
            yield from accumulator.update(size, d)

    def started(size):
        for whole in (size, Size(size.width, size.width)):      # full-width units too
            for d in (8, 64, 128):
                yield from start.start(whole, d)

    for size in sizes:
        yield Proof("accumulator: update", str(size), lambda size=size: words(size))
        yield Proof("accumulator: no term is too large", str(size),
                    lambda size=size: accumulator.terms(size))
        yield Proof("accumulator: no sum wraps", str(size), lambda size=size: (
            query for d in DIMENSIONS for query in accumulator.sums(size, d)))
    for size in sizes:
        yield Proof("accumulator: start", str(size), lambda size=size: started(size))
        yield Proof("accumulator: less the threshold", str(size),
                    lambda size=size: start.excess(size, DIMENSIONS))


def _wrong(sizes: Sequence[Size]) -> Iterator[Proof]:
    several = [size for size in sizes if size.digits > 1]
    for margin, statements in BROKEN.items():
        for size in several:
            for name in statements:
                yield Proof(f"must fail: margin {margin}", f"{size} {name}",
                            lambda name=name, size=size, margin=margin: leopard.element_queries(
                                name, size, leopard.MARGINS[margin]), holds=False)
    for digits in sorted({size.digits for size in sizes}):
        yield Proof("must fail: <= for <", f"T={digits}", lambda digits=digits: leopard.comparison(
            digits, lambda bound, threshold: bound <= threshold), holds=False)
    for wrong in accumulator.UPDATES:
        for size in several:
            if size.digit > 1 or wrong != "digits taken as signed":
                yield Proof(f"must fail: {wrong}", str(size), lambda wrong=wrong, size=size: [
                    accumulator.wrong_update(wrong, size)], holds=False)
    for wrong in start.DIGITS:
        for size in sizes:
            if size.width % size.digit or wrong == "sign not inverted":
                yield Proof(f"must fail: {wrong}", str(size), lambda wrong=wrong, size=size: [
                    start.wrong_start(wrong, size)], holds=False)
    for size in sizes:
        for d in (8, 64, 128):
            bits = accumulator.accumulator_width(size.width, d) - 1
            yield Proof("must fail: accumulator one bit narrower", f"{size} D={d}",
                        lambda size=size, d=d, bits=bits: accumulator.sums(size, d, bits),
                        holds=False)


def proofs(sizes: Sequence[Size] = ALL_SIZES,
           broken_sizes: Sequence[Size] | None = None) -> list[Proof]:
    """Of the sizes given; wrong things are tried on ``broken_sizes``, by default the same."""
    wrong = sizes if broken_sizes is None else broken_sizes
    return [*_theorem(sizes), *_accumulator(sizes), *_wrong(wrong)]
