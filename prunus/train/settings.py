# SPDX-License-Identifier: Apache-2.0
"""What a run of training is made of."""

import math
from dataclasses import dataclass

from ..errors import InputError

__all__ = ["Settings"]

# Option and least value; what is learned from or with must be more than that.
LEAST = {"budget": ("--budget-accuracy", 0),
         "budget_perplexity": ("--budget-perplexity", 0), "steps": ("--steps", 1),
         "every": ("--every", 1), "batch": ("--batch", 1), "seed": ("--seed", 0),
         "strength": ("--strength", 0)}
POSITIVE = {"held_out": "--held-out", "rate": "--rate", "weight_rate": "--weight-rate",
            "sharpness": "--sharpness", "depth": "--depth", "slope": "--slope",
            "temperature": "--temperature"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Two runs of equal settings on equal files end alike.

    Parameters
    ----------
    seed, steps, batch : int
    every : int
        A checkpoint is tried after each ``every`` steps and after the last one.
    weights : bool
        Train the weights, too.
    budget : float
        Points of accuracy that may be lost on the sentences held out.
    budget_perplexity : float
        Percent of a decoder's perplexity that may be lost instead.
    held_out : float
        Their share.
    start, rate, weight_rate : float
        First threshold of each layer; learning rates.
    strength : float
        lambda of the regulariser at the last step; it grows from zero.
    sharpness, depth, slope : float
        s, c and k_0.
    distil, temperature : float
        Share of the teacher in the loss, and the temperature of its probabilities.

    Raises
    ------
    InputError
    """

    seed: int
    steps: int
    every: int
    batch: int
    weights: bool
    budget: float
    held_out: float
    start: float
    rate: float
    weight_rate: float
    strength: float
    sharpness: float
    depth: float
    slope: float
    distil: float
    temperature: float
    budget_perplexity: float = 1.0

    def __post_init__(self):
        for name, (option, least) in LEAST.items():
            value = getattr(self, name)
            if not least <= value < math.inf:
                raise InputError(f"{option} must be at least {least}, not {value:g}")
        for name, option in POSITIVE.items():
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{option} must be above 0, not {value:g}")
        if self.held_out >= 1:
            raise InputError(f"--held-out must be below 1, not {self.held_out:g}")
        if not 0 <= self.distil <= 1:
            raise InputError(f"--distil must lie in 0..1, not {self.distil:g}")
        if not math.isfinite(self.start):
            raise InputError(f"--start must be finite, not {self.start:g}")
