# SPDX-License-Identifier: Apache-2.0
"""Pipelined sums."""

from amaranth.hdl import Signal

__all__ = ["add_levels", "levels_latency"]


def levels_latency(terms: int) -> int:
    """Cycles of a sum of so many terms with a register after every two levels of adders."""
    return -(-(terms - 1).bit_length() // 2)


def add_levels(m, terms, name: str):
    """The sum of unsigned ``terms``, :func:`levels_latency` cycles later."""
    stage = 0
    while len(terms) > 1:
        registered = []
        for n in range(0, len(terms), 4):
            group = terms[n : n + 4]
            while len(group) > 1:
                group = [a + b for a, b in zip(group[::2], group[1::2], strict=False)] \
                    + group[len(group) & ~1:]
            registered.append(Signal.like(group[0], name=f"{name}_{stage}_{n // 4}",
                                          reset_less=True))
            m.d.sync += registered[-1].eq(group[0])
        terms = registered
        stage += 1
    return terms[0]
