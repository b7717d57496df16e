# SPDX-License-Identifier: Apache-2.0
"""HDP once more, element by element in Python's integers and fractions, as the papers put it.

Shares nothing with prunus.golden.hdp.compute but the reciprocal, so that each checks the other.
"""

from fractions import Fraction
from math import floor, trunc

import numpy as np

from prunus.golden import softmax

__all__ = ["dot", "exponential", "keeps", "normalised", "quantise_pair", "sees", "slow_head"]


def round_half_up(x: Fraction) -> int:
    return floor(x + Fraction(1, 2))


def sees(job, i, j):
    if i >= job.valid_q or j >= job.valid_kv:
        return False
    return not job.causal or j <= i + job.valid_kv - job.valid_q


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def split(row, config):
    frac, cut = config.frac, {"truncated": trunc, "rounded": round_half_up}[config.digits]
    whole = [cut(Fraction(int(x), 2**frac)) for x in row]
    return whole, [int(x) - w * 2**frac for x, w in zip(row, whole, strict=True)]


def block(job, b, c):
    """Visible elements of a block."""
    return [(i, j) for i in (2 * b, 2 * b + 1) for j in (2 * c, 2 * c + 1)
            if i < job.l_q and j < job.l_kv and sees(job, i, j)]


def keeps(theta, rho):
    """Energon's rule on the thetas of the visible blocks of a row."""
    mean = Fraction(sum(theta), len(theta))
    threshold = rho * max(theta) + (1 - rho) * mean if rho >= 0 else \
        -rho * min(theta) + (1 + rho) * mean
    return [t >= threshold for t in theta]


def near(job, b, c, q, k):
    """Whether an element of the block is near the largest integer score of its query."""
    def distance(i, j):
        scores = [dot(q[i][0], k[n][0]) for n in range(job.l_kv) if sees(job, i, n)]
        return max(scores) - dot(q[i][0], k[j][0])
    return any(distance(i, j) <= job.delta for i, j in block(job, b, c))


def exponential(diff, scale):
    mant, shift = scale
    t = min(floor(Fraction(diff * mant, 2**(shift - 12))) + 24, 2**17 - 1)
    z, f = divmod(t, 2**12)
    y = 2**16 - floor(Fraction(f * (43 * 2**12 - 11 * f), 2**14))
    return round_half_up(Fraction(y, 2**z))


def quantise_pair(a, b, e0=0):
    """What two weights become, neither below -e0."""
    shift = 0
    while round_half_up(Fraction(max(abs(a), abs(b)), 2**shift)) > 255:
        shift += 2
    mags = [round_half_up(Fraction(abs(w), 2**shift)) * 2**shift for w in (a, b)]
    return [mag if w >= 0 else -mag if mag <= e0 else -(mag - 2**shift)
            for w, mag in zip((a, b), mags, strict=True)]


def output_row(job, config, i, scores, mask):
    """Row i from its scores and its row of the mask."""
    d, seen = job.d, [j for j in range(job.l_kv) if sees(job, i, j)]
    kept = [j for j in seen if mask[j // 2]]
    zeros = not job.drop and len(kept) < len(seen)
    if not seen:
        return [0] * d
    top = max([scores[j] for j in kept] + ([0] if zeros else []))
    e0 = exponential(top, job.scale) if zeros else 0
    e = {j: exponential(top - scores[j], job.scale) for j in kept}
    weights = dict.fromkeys(seen, e0)
    for c in range(0, job.l_kv, 2):
        pair = quantise_pair(*(e[j] - e0 if j in e else 0 for j in (c, c + 1)), e0)
        for j, w in zip((c, c + 1), pair, strict=True):
            if w:
                weights[j] += w
    num = [sum(w * int(job.v[j, x]) for j, w in weights.items()) for x in range(d)]
    return normalised(num, sum(weights.values()), config)


def normalised(num, den, config):
    """A row of sums over the sum of its weights, in output words."""
    r, p = (int(x) for x in softmax.reciprocal(np.int64(den)))
    limit, out = 2**(config.width + config.out_frac + 2), []
    for n in num:
        n = round_half_up(Fraction(n) / 2**(p - config.out_frac - 1)) \
            if p > config.out_frac else n * 2**(config.out_frac + 1 - p)
        n = max(-limit, min(limit - 1, n))
        n = round_half_up(Fraction(n * r, 2**(softmax.RECIP_BITS + 1)))
        out.append(max(-limit // 4, min(limit // 4 - 1, n)))
    return out


def slow_head(job, config):
    """out, head_kept, theta_head, blocks_kept, blocks_total, theta, mask as
    prunus.golden.hdp.compute.head."""
    frac = config.frac
    q, k = [split(row, config) for row in job.q], [split(row, config) for row in job.k]
    rows, columns = (job.l_q + 1) // 2, (job.l_kv + 1) // 2
    theta = np.zeros((rows, columns), np.int64)
    mask = np.zeros((rows, columns), bool)
    total = 0
    for b in range(rows):
        visible = [c for c in range(columns) if block(job, b, c)]
        total += len(visible)
        if job.dense:
            mask[b, visible] = True
        elif visible:
            theta[b, visible] = [sum(abs(dot(q[i][0], k[j][0])) for i, j in block(job, b, c))
                                 for c in visible]
            mask[b, visible] = [near(job, b, c, q, k) for c in visible] \
                if job.importance == "distance" else \
                keeps([int(t) for t in theta[b, visible]], Fraction(job.rho, 128))
    head_kept = job.dense or int(theta.sum()) >= job.tau_head
    out = np.zeros((job.l_q, job.d), np.int64)
    for i in range(job.l_q if head_kept else 0):
        scores = []
        for j in range(job.l_kv):
            (iq, fq), (ik, fk) = q[i], k[j]
            score = (dot(iq, ik) << 2 * frac) + ((dot(iq, fk) + dot(fq, ik)) << frac)
            scores.append(score + (dot(fq, fk) if job.exact or job.dense else 0))
        out[i] = output_row(job, config, i, scores, mask[i // 2])
    return {"out": out, "head_kept": head_kept, "theta_head": int(theta.sum()),
            "blocks_kept": int(mask.sum()), "blocks_total": total, "theta": theta, "mask": mask}
