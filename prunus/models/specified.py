# SPDX-License-Identifier: Apache-2.0
"""The specification of HDP in the place of a model's attention."""

import numpy as np
import torch
from torch import Tensor

from prunus.golden.hdp.compute import HdpJob, head, visible_limits
from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from .attention import Heads
from .hdp import Setting, real_head

__all__ = ["Specified"]


class Specified:
    """Attention as the coprocessor computes it, bit for bit, a job for each head of a text.

    Members
    -------
    kept, total : int
        Blocks that were kept, and visible ones.
    """

    def __init__(self, setting: Setting, base: HdpConfig):
        self.setting, self.config = setting, setting.config(base)
        self.kept = self.total = 0

    def __call__(self, heads: Heads) -> Tensor:
        out = torch.zeros_like(heads.q)
        q, k, v = (x.detach().double().numpy() for x in (heads.q, heads.k, heads.v))
        for n, visible in enumerate(heads.visible.numpy()):
            rows = int(visible[0].any(-1).sum())        # padding is on the right
            for h in range(q.shape[1]):
                job, unit = real_head(q[n, h, :rows], k[n, h, :rows], v[n, h, :rows],
                                      heads.scaling, self.setting, self.config, heads.causal)
                if not h:
                    _check(job, visible)
                result = head(job, self.config)
                self.kept += result.blocks_kept
                self.total += result.blocks_total
                out[n, h, :rows] = torch.from_numpy(
                    result.out * (unit / 2.0**self.config.out_frac))
        return out


def _check(job: HdpJob, visible: np.ndarray) -> None:
    """A job says who sees whom by its lengths and ``causal``. Raises InputError if a model has
    another mask."""
    seen = np.zeros(visible.shape[-2:], bool)
    seen[:job.l_q, :job.l_kv] = np.arange(job.l_kv) < visible_limits(job)[:, None]
    if not (visible == seen).all():
        raise InputError("model must hide padding on the right, and what comes after a query, "
                         "and no other keys")
