# SPDX-License-Identifier: Apache-2.0
"""Codes for the tests of the Top-K engine."""

import numpy as np

from prunus.golden.topk.config import TopkConfig

__all__ = ["codes"]


def codes(rng: np.random.Generator, config: TopkConfig, *shape: int) -> np.ndarray:
    """Random codes, a few of them extreme."""
    values = rng.integers(config.min_code, config.max_code + 1, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice(
        [config.min_code, config.max_code, 0, -1, 1], shape), values)
