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
            e = {j: exponential(scores[best[0]] - scores[j], job.scale) for j in best}
            num = [0] * job.d
            for j, x in e.items():
                w, _ = quantise_pair(x, 0)
                num = [n + w * int(v) for n, v in zip(num, job.v[j], strict=True)]
            out[i] = normalised(num, sum(e.values()), config)
    return {"out": out, "mask": mask, "cycles": cycles}
