# SPDX-License-Identifier: Apache-2.0
"""Real heads as jobs of HDP."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prunus.golden.formats import Digits
from prunus.golden.hdp.compute import HdpJob, Importance, encode_delta, encode_rho
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import encode_scale

__all__ = ["Codes", "Setting", "real_codes", "real_head"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How blocks are chosen, and what becomes of them; one for all heads of a model.

    Members
    -------
    rho : float or None
        Blocks are chosen by the magnitude of their integer scores.
    distance : float or None
        Blocks are chosen by their distance from the largest integer score of a query, in units of
        the logits. Without either nothing is pruned.
    digits, frac
        As of :class:`prunus.golden.hdp.config.HdpConfig`.
    drop, exact : bool
        As of :class:`prunus.golden.hdp.compute.HdpJob`.
    centred : bool
        The mean of the keys of a head is taken off each of them, which no softmax can tell.
    """

    rho: float | None = None
    distance: float | None = None
    digits: Digits = "truncated"
    frac: int = 4
    drop: bool = False
    exact: bool = False
    centred: bool = True

    def __post_init__(self):
        if self.rho is not None and self.distance is not None:
            raise ValueError(f"rho and distance must not both be given, rho {self.rho} and "
                             f"distance {self.distance}")

    def config(self, base: HdpConfig) -> HdpConfig:
        """``base`` with the digits of this setting."""
        return HdpConfig.model_validate(
            base.model_dump() | {"frac": self.frac, "digits": self.digits})


@dataclass(frozen=True, eq=False)
class Codes:
    """A head in codes, each of Q, K and V in a unit of its own.

    Members
    -------
    q, k, v : ndarray of int, (l, d)
    scale : float
        logit = (q·k over codes) * scale.
    v_scale : float
        The real value of a code of V.
    """

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    scale: float
    v_scale: float


def real_codes(q: np.ndarray, k: np.ndarray, v: np.ndarray, scaling: float, setting: Setting,
               config: HdpConfig) -> Codes:
    """A head of real numbers (l, d), so that the largest of each operand is the largest code.

    ``config`` is that of :meth:`Setting.config`.
    """
    if setting.centred:
        k = k - k.mean(axis=0)
    (q, q_unit), (k, k_unit), (v, v_unit) = (
        config.codes_of(name).fill(x) for name, x in (("q", q), ("k", k), ("v", v)))
    return Codes(q, k, v, q_unit * k_unit * scaling, v_unit)


def real_head(q: np.ndarray, k: np.ndarray, v: np.ndarray, scaling: float, setting: Setting,
              config: HdpConfig, causal: bool = False) -> tuple[HdpJob, float]:
    """The job of a head of real numbers (l, d), and the real value of a code of V.

    Codes are those of :func:`real_codes`.
    """
    codes = real_codes(q, k, v, scaling, setting, config)
    how: dict[str, Any]
    if setting.distance is not None:
        how = {"importance": Importance.DISTANCE,
               "delta": encode_delta(setting.distance, codes.scale, config)}
    elif setting.rho is not None:
        how = {"importance": Importance.MAGNITUDE, "rho": encode_rho(setting.rho)}
    else:
        how = {"dense": True}
    return HdpJob(q=codes.q, k=codes.k, v=codes.v, scale=encode_scale(codes.scale), causal=causal,
                  drop=setting.drop, exact=setting.exact, **how), codes.v_scale
