# SPDX-License-Identifier: Apache-2.0
"""The specification of HDP in the place of a model's attention."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunus.golden.hdp.compute import Importance, head
from prunus.golden.hdp.config import HdpConfig

from .attention import Heads
from .hdp import Setting, real_codes, real_head

__all__ = ["Specified", "captured"]


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
        for n, rows in enumerate(heads.rows()):
            for h in range(q.shape[1]):
                job, unit = real_head(q[n, h, :rows], k[n, h, :rows], v[n, h, :rows],
                                      heads.scaling, self.setting, self.config, heads.causal)
                result = head(job, self.config)
                self.kept += result.blocks_kept
                self.total += result.blocks_total
                out[n, h, :rows] = torch.from_numpy(
                    result.out * (unit / 2.0**self.config.out_frac))
        return out


def captured(heads: Heads, setting: Setting, base: HdpConfig) -> dict[str, Any]:
    """Heads as arrays for an .npz that ``prunus run`` takes, a text after the other, with
    ``v_scale`` to turn outputs into reals. What :attr:`Setting.drop` and ``exact`` say is of the
    run."""
    config = setting.config(base)
    valid = np.array(heads.rows())
    (texts, count), longest = heads.q.shape[:2], int(valid.max())
    q, k, v = (x.detach().double().numpy() for x in (heads.q, heads.k, heads.v))
    shape = (texts * count, longest, q.shape[-1])
    codes = {name: np.zeros(shape, np.int16) for name in "qkv"}
    scale, v_scale = np.zeros((2, texts * count))
    for n, rows in enumerate(valid):
        for h in range(count):
            at = n * count + h
            head_codes = real_codes(q[n, h, :rows], k[n, h, :rows], v[n, h, :rows],
                                    heads.scaling, setting, config)
            for name, plane in codes.items():
                plane[at, :rows] = getattr(head_codes, name)
            scale[at], v_scale[at] = head_codes.scale, head_codes.v_scale
    how: dict[str, Any] = {}
    if setting.distance is not None:
        how = {"importance": str(Importance.DISTANCE), "distance": setting.distance}
    elif setting.rho is not None:
        how = {"importance": str(Importance.MAGNITUDE), "rho": setting.rho}
    valid = np.repeat(valid, count)
    return {"q": codes["q"], "k": codes["k"][::heads.group], "v": codes["v"][::heads.group],
            "scale": scale, "v_scale": v_scale, "valid_q": valid, "valid_kv": valid,
            "causal": np.bool_(heads.causal), **how}
