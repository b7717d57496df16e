# SPDX-License-Identifier: Apache-2.0
"""In which order keys go into memory, so that dot-product units have as much to do as each other.

Key j is read by unit ``j mod N_QK`` for every query of a long head, so a unit with many keys that
survive is the last one in all rows; units take turns where there are copies of keys
(:mod:`prunus.golden.leopard.banks`), but less is left to even out in keys that are dealt out
evenly. Where every query sees every key, their order changes neither outputs nor counts: sums of
integers do not depend on it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .compute import LeopardJob
from .config import LeopardConfig

__all__ = ["balanced", "key_order"]


def key_order(q, k, dpus: int) -> np.ndarray:
    """Indices of keys in the order of memory.

    Keys with a large product with the sum of the queries survive often and take many digits. They
    are dealt out by it, to units 0, 1 ... N - 1, then N - 1 ... 1, 0 and so on.
    """
    order = np.argsort(-(np.asarray(k, np.int64) @ np.asarray(q, np.int64).sum(axis=0)),
                       kind="stable")
    whole = len(order) // dpus * dpus
    rounds = order[:whole].reshape(-1, dpus)
    rounds[1::2] = rounds[1::2, ::-1]
    return np.concatenate([rounds.ravel(), order[whole:]])


def balanced(jobs: Sequence[LeopardJob], config: LeopardConfig) -> list[LeopardJob]:
    """The jobs with their valid keys and values in such an order; causal heads stay as they are.

    Heads that share K and V keep sharing them: the queries of all count, and all must see the
    same keys.
    """
    groups: list[list[LeopardJob]] = []
    for job in jobs:
        if job.same_kv and groups:
            groups[-1].append(job)
        else:
            groups.append([job])
    result = []
    for group in groups:
        first = group[0]
        if not any(job.causal or job.valid_kv != first.valid_kv for job in group):
            queries = np.concatenate([job.q[: job.valid_q] for job in group])
            order = np.arange(first.l_kv)
            order[: first.valid_kv] = key_order(queries, first.k[: first.valid_kv], config.dpus)
            k, v = first.k[order], first.v[order]
            group = [replace(job, k=k, v=v) for job in group]
        result += group
    return result
