# SPDX-License-Identifier: Apache-2.0
"""Products of a query with the digits of a key, and what they say about the whole product.

A key's code of W bits is read in digits of B bits, the most significant first, sign-extended to
``W' = ceil(W / B) * B`` bits: the top digit is signed, the others are not. After t digits
``r_t = W' - t*B`` bits are unread; they add between 0 and ``2**r_t - 1`` to the key, whatever its
sign, so that

    P_t = sum_j q_j * ((k_j >> r_t) << r_t)        Q+ = sum_j max(q_j, 0)
    U_t = P_t + (2**r_t - 1) * Q+  >=  q·k

is the least upper bound. U_t never increases and ends at q·k (proofs: ``formal/leopard.py``).
"""

from collections.abc import Iterator

import numpy as np

from ..jobs import matmul

__all__ = ["accumulated_bounds", "count", "planes", "terminate", "unread", "upper_bounds"]


def count(width: int, digit: int) -> int:
    """T: digits of a code."""
    return -(-width // digit)


def unread(t: int, width: int, digit: int) -> int:
    """r_t: bits that t digits leave unread."""
    return (count(width, digit) - t) * digit


def planes(k, *, width: int, digit: int) -> np.ndarray:
    """(T, ...): the digits of codes, first the top one, which is signed."""
    k = np.asarray(k, np.int64)
    shifted = np.stack([k >> unread(t, width, digit)
                        for t in range(1, count(width, digit) + 1)])
    shifted[1:] &= (1 << digit) - 1
    return shifted


def upper_bounds(q, k, *, width: int, digit: int) -> Iterator[np.ndarray]:
    """U_1 .. U_T, each (l_q, l_kv), of codes ``q`` (l_q, d) and ``k`` (l_kv, d)."""
    q, k = np.asarray(q, np.int64), np.asarray(k, np.int64)
    positive = np.maximum(q, 0).sum(axis=1)[:, None]
    for t in range(1, count(width, digit) + 1):
        r = unread(t, width, digit)
        yield matmul(q, ((k >> r) << r).T) + ((1 << r) - 1) * positive


def accumulated_bounds(q, k, *, width: int, digit: int) -> Iterator[np.ndarray]:
    """U_1 .. U_T as an accumulator makes them that never sees a margin after its first digit.

    ``U_1 = 2**r_1 * q·d_1 + (2**r_1 - 1) * Q+``, then
    ``U_t = U_{t-1} - 2**r_t * sum_j |q_j| * (~d_tj if q_j > 0 else d_tj)`` with ``~`` in B bits.
    """
    q = np.asarray(q, np.int64)
    digits = planes(k, width=width, digit=digit)
    r = unread(1, width, digit)
    u = (matmul(q, digits[0].T) << r) + ((1 << r) - 1) * np.maximum(q, 0).sum(axis=1)[:, None]
    yield u
    for t, d in enumerate(digits[1:], 2):
        inverse = d ^ ((1 << digit) - 1)
        taken = matmul(np.maximum(q, 0), inverse.T) + matmul(np.maximum(-q, 0), d.T)
        u = u - (taken << unread(t, width, digit))
        yield u


def terminate(q, k, threshold: int, *, width: int, digit: int):
    """``(digits, scores)`` of every pair (l_q, l_kv).

    ``digits`` is the first t with ``U_t < threshold``, where the key is dropped, and T where
    there is none before. ``scores`` is U_T = q·k, also of pairs that end earlier.
    """
    digits = np.ones((len(q), len(k)), np.int64)
    for bound in upper_bounds(q, k, width=width, digit=digit):
        digits += bound >= threshold
        scores = bound
    return np.minimum(digits, count(width, digit)), scores
