# SPDX-License-Identifier: Apache-2.0
"""What a run of compression is made of."""

import math
from dataclasses import dataclass

from ..errors import InputError

__all__ = ["ROUNDINGS", "Settings"]

ROUNDINGS = "gptq", "nearest"
LEAST = {"seed": ("--seed", 0), "batch": ("--batch", 1), "first": ("--epochs-layers", 0),
         "second": ("--epochs-codes", 0), "held": ("--held-out", 1)}
POSITIVE = {"first_rate": "--rate-layers", "second_rate": "--rate-codes"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Two runs of equal settings on equal files end alike.

    Parameters
    ----------
    seed, batch : int
    first, second : int
        Epochs of the stage in floats and of the one in codes.
    first_rate, second_rate : float
        Learning rates.
    held : int
        Texts that no step sees.
    rounding : str
        Of weights to their first codes: ``gptq`` or ``nearest``.

    Raises
    ------
    InputError
    """

    seed: int = 0
    batch: int = 32
    first: int = 8
    second: int = 4
    first_rate: float = 1e-3
    second_rate: float = 5e-4
    held: int = 2000
    rounding: str = "gptq"

    def __post_init__(self):
        for name, (option, least) in LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{option} must be at least {least}, not {value}")
        for name, option in POSITIVE.items():
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{option} must be above 0, not {value:g}")
        if self.rounding not in ROUNDINGS:
            raise InputError(f"--rounding must be {' or '.join(ROUNDINGS)}, not {self.rounding}")
