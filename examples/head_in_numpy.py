# SPDX-License-Identifier: Apache-2.0
"""A head of attention from NumPy through the specification of HDP.

Says what pruning keeps, and how far the output is from exact attention. Run it anywhere:

    python examples/head_in_numpy.py
"""

import math

import numpy as np

from prunus.golden import hdp, softmax
from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import HdpJob, encode_rho

ROWS, DIMS = 64, 32         # l and d
Q_STEP = 1 / 16             # of one code of Q and K: four fraction bits, as hdp_edge has them
V_STEP = 1 / 32             # of one code of V: any step will do


def made_head(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Q, K and V, each (rows, DIMS) float64: every query looks for one of the keys."""
    rng = np.random.default_rng(seed)
    k, v = rng.normal(size=(2, rows, DIMS))
    q = k[rng.permutation(rows)] + 0.5 * rng.normal(size=(rows, DIMS))
    return 2 * q, 2 * k, v


def codes(x: np.ndarray, step: float) -> np.ndarray:
    """Signed codes of 8 bits; what does not fit is clipped."""
    return np.clip(np.rint(x / step), -128, 127).astype(np.int64)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Exact attention in float64."""
    logits = q @ k.T / math.sqrt(DIMS)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) @ v


def made_job(q: np.ndarray, k: np.ndarray, v: np.ndarray, rho: float = 0.2) -> HdpJob:
    """A job of the coprocessor. The logit of a pair is ``(q·k over codes) * scale``."""
    scale = Q_STEP * Q_STEP / math.sqrt(DIMS)
    return HdpJob(q=codes(q, Q_STEP), k=codes(k, Q_STEP), v=codes(v, V_STEP),
                  scale=softmax.encode_scale(scale), rho=encode_rho(rho))


def main() -> None:
    config = load_config("hdp_edge")
    q, k, v = made_head(seed=1)
    exact = attention(q, k, v)
    for rho in (-0.9, 0, 0.2, 0.4):
        result = hdp.ENGINE.compute(made_job(q, k, v, rho), config)
        out = result.out / 2**config.out_frac * V_STEP
        error = np.sqrt(np.mean((out - exact) ** 2) / np.mean(exact**2))
        print(f"rho {rho:4}: {result.blocks_kept / result.blocks_total:6.1%} of the blocks kept, "
              f"error of the output {error:.1%}")


if __name__ == "__main__":
    main()
