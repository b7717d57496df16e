# SPDX-License-Identifier: Apache-2.0
"""Real heads as codes that fill the width, and the specification's word on them."""

from dataclasses import dataclass

import numpy as np

from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardJob, LeopardResult, encode_threshold
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.softmax import encode_scale

__all__ = ["Quantised", "quantise"]


def _codes(x, valid, config: LeopardConfig) -> tuple[np.ndarray, float]:
    """Codes and the real value of one; what is not valid is 0 and has no say in it."""
    codes, unit = config.fill(np.where(valid, np.asarray(x, np.float64), 0))
    return codes.astype(np.int16), unit


@dataclass(frozen=True, eq=False)
class Quantised:
    """A layer's heads of one or more sentences in codes of W bits.

    Members
    -------
    q, k, v : ndarray of int16, (heads, l, d)
        Sentence by sentence; padding is 0.
    valid : ndarray, (heads,)
        Rows of each head that are not padding.
    units : (float, float, float)
        The real values of a code of q, k and v.
    scale : float
        logit = (q·k over codes) * scale.
    causal : bool
        A query sees no key after it.
    group : int
        Heads of queries in a row that have one head of keys and values; ``k`` and ``v`` repeat it.
    """

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    valid: np.ndarray
    units: tuple[float, float, float]
    scale: float
    causal: bool = False
    group: int = 1

    def arrays(self, threshold: float) -> dict[str, np.ndarray | np.generic]:
        """For an .npz that ``prunus run`` takes, with ``v_scale`` to turn outputs into reals."""
        return {"q": self.q, "k": self.k[::self.group], "v": self.v[::self.group],
                "scale": np.float64(self.scale), "causal": np.bool_(self.causal),
                "valid_q": self.valid, "valid_kv": self.valid,
                "threshold": np.full(len(self.q), threshold, np.float64),
                "v_scale": np.float64(self.units[2])}

    def run(self, threshold: float, config: LeopardConfig) -> list[LeopardResult]:
        """All heads through the specification."""
        scale, t_int = encode_scale(self.scale), encode_threshold(threshold, self.scale, config)
        q, k, v = (x.astype(np.int64) for x in (self.q, self.k, self.v))
        return [leopard.head(LeopardJob(q=q[h], k=k[h], v=v[h], scale=scale, threshold=t_int,
                                        valid_q=int(n), valid_kv=int(n), causal=self.causal),
                             config)
                for h, n in enumerate(self.valid)]

    def real(self, results: list[LeopardResult], config: LeopardConfig) -> np.ndarray:
        """(heads, l, d): outputs as real numbers."""
        return np.stack([r.out for r in results]) * (self.units[2] / 2.0**config.out_frac)


def quantise(q, k, v, valid, scaling: float, config: LeopardConfig, causal: bool = False,
             group: int = 1) -> Quantised:
    """Codes of heads (heads, l, d) of which the first ``valid`` rows of each count.

    Q, K and V have one unit each for all heads, the least that needs no saturation, so that the
    largest of each is a code of full width.
    """
    valid = np.asarray(valid, np.int64)
    rows = (np.arange(np.shape(q)[1]) < valid[:, None])[..., None]
    (q, q_unit), (k, k_unit), (v, v_unit) = (_codes(x, rows, config) for x in (q, k, v))
    return Quantised(q, k, v, valid, (q_unit, k_unit, v_unit), q_unit * k_unit * scaling,
                     causal, group)
