# SPDX-License-Identifier: Apache-2.0
"""What golden says of the rows of blocks of a head."""

from dataclasses import dataclass
from random import Random

import numpy as np

from prunus.golden.hdp.compute import HdpJob, visible_limits
from prunus.golden.hdp.config import HdpConfig

__all__ = ["BlockRow", "block_rows", "random_shape", "small_config"]


@dataclass(frozen=True, kw_only=True)
class BlockRow:
    """A row of blocks: ``limit`` of its two queries, and per visible block a bit per element."""

    row: int
    limit: tuple[int, int]
    visible: tuple[int, ...]
    last: bool

    @property
    def columns(self) -> int:
        return len(self.visible)


def block_rows(valid_q: int, valid_kv: int, causal: bool) -> list[BlockRow]:
    """The rows of a head up to the last valid query, with some padding after it."""
    job = HdpJob(q=np.zeros((valid_q + 2, 8)), k=np.zeros((valid_kv + 3, 8)), v=None, scale=(0, 12),
              valid_q=valid_q, valid_kv=valid_kv, causal=causal)
    limits = visible_limits(job)
    elements = np.arange(2 * (valid_kv + 1)) < limits[:, None]
    rows = []
    for row in range((valid_q + 1) // 2):
        pair = elements[2 * row : 2 * row + 2].reshape(2, -1, 2).transpose(1, 0, 2).reshape(-1, 4)
        bits = (pair << np.arange(4)).sum(axis=1)
        assert not np.diff((bits != 0).astype(int)).max(initial=0) > 0
        rows.append(BlockRow(row=row, limit=tuple(limits[2 * row : 2 * row + 2].tolist()),
                             visible=tuple(bits[bits != 0].tolist()),
                             last=2 * row + 2 >= valid_q))
    return rows


def random_shape(rng: Random, l_max: int) -> tuple[int, int, int]:
    """``(valid_q, valid_kv, causal)``, the ends well represented."""
    ends = [1, 2, l_max - 1, l_max]
    return (rng.choice([*ends, rng.randint(1, l_max)]),
            rng.choice([*ends, rng.randint(1, l_max)]), rng.randrange(2))


def small_config(**changes) -> HdpConfig:
    return HdpConfig(**{"name": "test", "multipliers": 8, "d_max": 32, "l_max": 16, **changes})
