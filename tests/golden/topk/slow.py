# SPDX-License-Identifier: Apache-2.0
"""Top-K once more, pair by pair in Python's integers and fractions.

Shares with prunus.golden.topk.compute only the reciprocal.
"""

import numpy as np

from tests.golden.hdp.slow import dot, exponential, normalised, quantise_pair, sees

__all__ = ["slow_head"]


def slow_head(job, config):
    """mask, out and the bound on cycles."""
    out = np.zeros((job.l_q, job.d), np.int64)
    mask = np.zeros((job.l_q, job.l_kv), bool)
    cycles = 0
    for i in range(job.l_q):
        q = [int(x) for x in job.q[i]]
        scores = {j: dot(q, [int(x) for x in job.k[j]])
                  for j in range(job.l_kv) if sees(job, i, j)}
        cycles += len(scores) * len(range(0, job.d, config.taps))
        best = sorted(scores, key=lambda j: (-scores[j], j))[: job.top_k]
        mask[i, best] = True
        if best:
            weights = {j: quantise_pair(exponential(scores[best[0]] - scores[j], job.scale), 0)[0]
                       for j in best}
            num = [sum(w * int(job.v[j, x]) for j, w in weights.items()) for x in range(job.d)]
            out[i] = normalised(num, sum(weights.values()), config)
    return {"out": out, "mask": mask, "cycles": cycles}
