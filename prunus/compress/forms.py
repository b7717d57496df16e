# SPDX-License-Identifier: Apache-2.0
"""The forms of a weight that the coprocessor can run: shapes and ranks of each.

Inputs are tensors of dimensions k1, k2, ..., of which the last is contracted first; outputs are
made in the order that falls out of it, n3, n2, n1. Both orders are free, since any order of a
weight's rows and columns is as good a tensor as another, so nothing is lost by it. With two
dimensions that leaves all paths that go step by step through X.

Dimensions that lie beside each other are 16 long or more in the views that the address generator
makes. Sizes of products are multiples of 8.
"""

from collections.abc import Iterator, Sequence
from math import ceil, isqrt, prod

from prunus.golden.hdp.linear.sizes import LONGEST, MOST_TILE

from .chain import Form, Step, View

__all__ = ["BLOCKS", "GRAIN", "NAMES", "RUN", "butterfly", "cp", "dense_form", "factorised",
           "fault", "forms", "heuristic_shape", "svd", "ttm", "tucker"]

GRAIN = 8               # sizes of products and ranks are multiples of it
RUN = 16                # codes beside each other in a view; sizes of blocks are multiples of it
BLOCKS = (16, 32, 64)   # of neighbouring inputs of a butterfly
NAMES = ("dense", "svd", "tucker", "ttm", "cp", "butterfly")


# -- what the hardware allows ---------------------------------------------------------------------
def _view_fault(view: View, channels: int) -> str | None:
    inner = channels if view.R is None else view.R
    if view.B == view.C == 1 and inner == channels:
        return None                             # nothing moves
    if inner % RUN == 0 or (inner == 1 and view.C == 1 and view.B % RUN == 0):
        return None
    return (f"a view must have R a multiple of {RUN}, or R = 1 with C = 1 and B a multiple of "
            f"{RUN}, not {view}")


def fault(form: Form) -> str | None:
    """Why the hardware cannot run a form; None if it can."""
    for number, step in enumerate(form.steps):
        if step.n % GRAIN or step.k % GRAIN:
            return f"step {number} must have n and k multiples of {GRAIN}, not {step.n}, {step.k}"
        if max(step.groups * step.n, step.groups * step.k) > LONGEST:
            return f"step {number} must have at most {LONGEST} inputs and outputs"
        if step.groups > 1 and (step.k % RUN or step.n % RUN or step.n > MOST_TILE):
            return (f"step {number} must have blocks of multiples of {RUN} inputs and outputs, of "
                    f"the latter at most {MOST_TILE}, not {step.k} and {step.n}")
        found = _view_fault(step.view, step.groups * step.n)
        if found is not None:
            return f"step {number}: {found}"
    return None


# -- the forms ------------------------------------------------------------------------------------
def dense_form(n: int, k: int, bits: int = 8) -> Form:
    return Form(f"dense{bits}", n, k, (Step(n, k, bits=bits),))


def svd(n: int, k: int, rank: int, bits: int = 8) -> Form:
    """Two factors: (rank, k), then (n, rank)."""
    return Form("svd", n, k, (Step(rank, k, bits=bits), Step(n, rank, bits=bits)), rank=(rank,))


def cp(n: Sequence[int], k: Sequence[int], rank: int, bits: int = 8) -> Form:
    """One factor for each dimension, rebuilt to two before they are stored.

    Its chain is that of an SVD of the same rank, which is never further from the weight.
    """
    said = svd(prod(n), prod(k), rank, bits)
    return Form("cp", said.n, said.k, said.steps, shape=(tuple(n), tuple(k)), rank=(rank,))


def ttm(n: Sequence[int], k: Sequence[int], ranks: Sequence[int], bits: int = 8) -> Form:
    """A tensor train of matrices, also called block TT: a core (n_m, k_m) for each dimension.

    W[(n_N, ..., n_1), (k_1, ..., k_N)]; ``ranks`` are those between the cores, one less than
    there are dimensions. Cores are contracted from the last to the first.
    """
    last = len(n) - 1
    steps, done = [], 1
    for m in range(last, -1, -1):
        left, right = (ranks[m - 1] if m else 1), (ranks[m] if m < last else 1)
        # Rows are (X and dimensions left of m, then outputs that are done).
        view = (View(B=k[m - 1], C=done, R=left, split=True) if m else View(B=done))
        steps.append(Step(n[m] * left, k[m] * right, bits=bits, view=view))
        done *= n[m]
    return Form("ttm", prod(n), prod(k), tuple(steps), split=prod(k[:-1]),
                shape=(tuple(n), tuple(k)), rank=tuple(ranks))


def tucker(n: tuple[int, int], k: tuple[int, int], ranks: tuple[int, int, int, int],
           bits: int = 8) -> Form:
    """A core with a factor on each side: ``ranks`` of n1, n2, k1, k2.

    W[(n2, n1), (k1, k2)], or [(n1, n2), (k1, k2)] where n1 keeps all its dimensions. A rank that
    equals its dimension has no factor, the core has what it would do.
    """
    (n1, n2), (k1, k2), (a1, a2, b1, b2) = n, k, ranks
    steps, split = [], 1
    channels = k1 * k2
    if b2 < k2:
        split = k1
        # Rows (X, k1): a factor of k1 wants it in the channels, alone; the core wants (k1, b2).
        view = View(B=k1) if b1 == k1 else View(B=k1, R=1, split=True)
        steps.append(Step(b2, k2, bits=bits, view=view))
        channels = k1 * b2
        if b1 < k1:
            steps.append(Step(b1, k1, bits=bits, view=View(B=b2)))
            channels = b1 * b2
    elif b1 < k1:
        raise ValueError("tucker must have a factor of k2 where k1 has one")
    view = View()
    if a2 < n2:
        view = View(R=a2, split=True)
    elif a1 < n1:
        raise ValueError("tucker must have a factor of n2 where n1 has one")
    steps.append(Step(a1 * a2, channels, bits=bits, view=view))
    if a2 < n2:
        if a1 < n1:
            steps.append(Step(n2, a2, bits=bits, view=View(B=a1, R=1, split=True)))
            steps.append(Step(n1, a1, bits=bits, view=View(B=n2)))
        else:
            steps.append(Step(n2, a2, bits=bits, view=View(B=a1)))
    return Form("tucker", n1 * n2, k1 * k2, tuple(steps), split=split, shape=((n1, n2), (k1, k2)),
                rank=tuple(ranks))


def butterfly(n: int, k: int, block: int, bits: int = 8) -> Form:
    """Two stages of blocks: within ``block`` neighbouring inputs, then across them.

    Inputs and outputs are filled up until there are multiples of 16 blocks, and of outputs of
    each. Between the stages channels (g, i) become (i, g): a view cannot do that by itself, so
    that a step with the unit matrix stands between two.
    """
    across, each = (ceil(size / block / RUN) * RUN for size in (k, n))
    steps = (Step(block, block, groups=across, bits=bits, view=View(R=block, split=True)),
             Step(block, block, bits=bits, view=View(B=across, R=1)),
             Step(each, across, groups=block, bits=bits))
    return Form("butterfly", n, k, steps, shape=((block, each), (across, block)))


# -- all of them ----------------------------------------------------------------------------------
def factorised(value: int, count: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as so many factors of 2 or more, in order."""
    if count == 1:
        yield (value,)
        return
    for first in range(2, value // 2 + 1):
        if value % first == 0:
            for rest in factorised(value // first, count - 1):
                if rest[0] > 1:
                    yield (first, *rest)


def _primes(value: int, most: int) -> list[int]:
    """The smallest first; what is left after so many of them is the last."""
    found: list[int] = []
    for prime in range(2, isqrt(value) + 1):
        while value % prime == 0 and value > prime and len(found) < most:
            found.append(prime)
            value //= prime
    return [*found, value]


def heuristic_shape(n: int, k: int, order: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What tltorch takes for a weight of that size: prime factors, of which the two smallest are
    multiplied until there are as many as wanted."""
    ks = _primes(k, k)
    ns = _primes(n, len(ks))
    count = min(order, len(ns), len(ks))

    def merged(factors: list[int]) -> tuple[int, ...]:
        while len(factors) > count:
            a, b, *rest = sorted(factors)
            factors = [a * b, *rest]
        return tuple(sorted(factors))

    return merged(ns), merged(ks)


def _ranks(low: int, high: int, many: int) -> list[int]:
    """Multiples of ``low`` below ``high``, denser where they are small."""
    found, value = [], low
    while value < high:
        found.append(value)
        value += max(low, value // many // low * low)
    return found


def _svds(n: int, k: int, bits: int) -> Iterator[Form]:
    for rank in range(GRAIN, n * k // (n + k), GRAIN):
        yield svd(n, k, rank, bits)


def _cps(n: int, k: int, bits: int) -> Iterator[Form]:
    shape = heuristic_shape(n, k, 2)
    for rank in range(GRAIN, n * k // (n + k), GRAIN):
        yield cp(*shape, rank, bits)


def _ttms(n: int, k: int, bits: int) -> Iterator[Form]:
    for cores in (2, 3):
        for ns in factorised(n, cores):
            for ks in factorised(k, cores):
                if ks[-1] % GRAIN or ns[0] % GRAIN:
                    continue
                inner = [min(prod(ns[:m]) * prod(ks[:m]), prod(ns[m:]) *
                             prod(ks[m:])) for m in range(1, cores)]
                for rank in _ranks(RUN, min(inner) + 1, 4):
                    yield ttm(ns, ks, (rank,) * (cores - 1), bits)


def _tuckers(n: int, k: int, bits: int) -> Iterator[Form]:
    for n1, n2 in factorised(n, 2):
        for k1, k2 in factorised(k, 2):
            outer = [(n1, a2) for a2 in _ranks(RUN, n2, 4)] + [(n1, n2)]
            outer += [(a1, a2) for a2 in _ranks(RUN, n2, 2) for a1 in _ranks(RUN, n1, 2)]
            inner = [(k1, b2) for b2 in _ranks(RUN, k2, 4)] + [(k1, k2)]
            inner += [(b1, b2) for b2 in _ranks(RUN, k2, 2) for b1 in _ranks(RUN, k1, 2)]
            for a in outer:
                for b in inner:
                    if a != (n1, n2) or b != (k1, k2):
                        yield tucker((n1, n2), (k1, k2), (*a, *b), bits)


def _butterflies(n: int, k: int, bits: int) -> Iterator[Form]:
    for block in BLOCKS:
        if block < k:               # else nothing lies across
            yield butterfly(n, k, block, bits)


_MAKERS = {"svd": _svds, "tucker": _tuckers, "ttm": _ttms, "cp": _cps, "butterfly": _butterflies}


def forms(n: int, k: int, names: Sequence[str] = NAMES,
          bits: Sequence[int] = (8, 4)) -> Iterator[Form]:
    """All forms of a weight that the hardware can run and that have fewer products than W.

    Dense ones are among them, of whatever bits. Raises ValueError.
    """
    if n % GRAIN or k % GRAIN or n < 1 or k < 1:
        raise ValueError(f"a weight must have multiples of {GRAIN} outputs and inputs, not {n} "
                         f"and {k}")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"forms must be some of {', '.join(NAMES)}, not {unknown[0]!r}")
    for width in bits:
        for name in names:
            if name == "dense":
                yield dense_form(n, k, width)
                continue
            for form in _MAKERS[name](n, k, width):
                if form.products < n * k and fault(form) is None:
                    yield form
