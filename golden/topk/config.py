# SPDX-License-Identifier: Apache-2.0
"""What can be chosen of a Top-K coprocessor, and every width that follows from it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..survivors import SurvivorConfig, Taps

__all__ = ["TopkConfig"]


class TopkConfig(SurvivorConfig):
    """Parameters of one coprocessor that keeps the K best keys of each row.

    Codes are plain integers of W bits: there is no fraction, the job's scale says what a unit is.

    Parameters
    ----------
    name : str
        Name of the emitted top module and files.
    width : int
        W: bits of a Q, K or V code.
    taps : int
        Dimensions of a key that the dot-product unit takes per cycle, a multiple of 8; by default
        64, or ``d_max`` if that is less. A key of more dimensions takes several cycles.
    k_max : int
        Places of the filter: the largest K of a job; by default 32, or ``l_max`` if that is less.
    d_max, l_max, axi_data_width : int
        As for every engine.
    """

    engine: Literal["topk"] = "topk"
    width: Annotated[int, Field(ge=4, le=16)] = 8
    taps: Taps
    k_max: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda given: min(32, given.get("l_max", 32)))

    @model_validator(mode="after")
    def _places_for_keys(self):
        if self.k_max > self.l_max:
            raise ValueError(f"k_max must be at most l_max, which is {self.l_max}, "
                             f"not {self.k_max!r}")
        return self
