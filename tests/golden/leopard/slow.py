# SPDX-License-Identifier: Apache-2.0
"""LeOPArd once more, pair by pair in Python's integers and fractions.

Knows nothing of margins: a bound is the largest product that the unread bits of a key allow, found
by writing them all as zeros and all as ones. Shares with prunus.golden.leopard.compute only the
reciprocal.
"""

from fractions import Fraction

import numpy as np

from tests.golden.hdp.slow import dot, exponential, normalised, quantise_pair, sees

__all__ = ["slow_bounds", "slow_head"]


def bits(code, width):
    """Two's complement, most significant bit first."""
    return format(code & (2**width - 1), f"0{width}b")


def value(text):
    return int(text, 2) - (2**len(text) if text[0] == "1" else 0)


def slow_bounds(q, k, width, digit):
    """The largest q·k' over all keys k' that agree with k in the digits read, by their number."""
    padded = -(-width // digit) * digit
    bounds = []
    for read in range(digit, padded + 1, digit):
        total = 0
        for x, code in zip(q, k, strict=True):
            text = bits(code, padded)[:read]
            total += max(x * value(text + fill * (padded - read)) for fill in "01")
        bounds.append(total)
    return bounds


def slow_head(job, config, threshold, scale):
    """mask, digits, out and the bound on cycles, with ``threshold`` and ``scale`` fractions."""
    out = np.zeros((job.l_q, job.d), np.int64)
    mask, digits = (np.zeros((job.l_q, job.l_kv), np.int64) for _ in range(2))
    cycles = Fraction(0)
    for i in range(job.l_q):
        q = [int(x) for x in job.q[i]]
        scores = {}
        for j in range(job.l_kv):
            if not sees(job, i, j):
                continue
            k = [int(x) for x in job.k[j]]
            bounds = slow_bounds(q, k, config.width, config.digit)
            below = [t for t, u in enumerate(bounds, 1)
                     if config.pruning and u * scale < threshold]
            digits[i, j] = below[0] if below else len(bounds)
            if not config.pruning or dot(q, k) * scale >= threshold:
                scores[j] = dot(q, k)
        mask[i, list(scores)] = 1
        cycles += max(Fraction(int(digits[i].sum()), config.dpus), len(scores))
        if scores:
            weights = {j: quantise_pair(exponential(max(scores.values()) - s, job.scale), 0)[0]
                       for j, s in scores.items()}
            num = [sum(w * int(job.v[j, x]) for j, w in weights.items()) for x in range(job.d)]
            out[i] = normalised(num, sum(weights.values()), config)
    return {"out": out, "mask": mask.astype(bool), "digits": digits, "cycles": cycles}
