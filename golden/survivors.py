# SPDX-License-Identifier: Apache-2.0
"""What engines have in common that choose keys one by one: from survivors to output words."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, model_validator

from . import softmax
from .engine import EngineConfig
from .jobs import AttentionJob, exponentials, matmul, row_tops

__all__ = ["SurvivorConfig", "Taps", "attend"]

# Dimensions that a unit takes per cycle; by default 64, or ``d_max`` if that is less.
Taps = Annotated[int, Field(
    ge=8, le=128, multiple_of=8,
    default_factory=lambda given: min(64, given.get("d_max", 64)))]


class SurvivorConfig(EngineConfig):
    """Parameters of a coprocessor whose back end takes survivors one by one.

    A subclass has a field ``taps`` of type :data:`Taps`, where its own fields have room for it.
    """

    tile: None = None
    if TYPE_CHECKING:       # else it would be a field before those of a subclass
        taps: int

    @model_validator(mode="after")
    def _taps_of_a_row(self):
        if self.taps > self.d_max:
            raise ValueError(f"taps must be at most d_max, which is {self.d_max}, "
                             f"not {self.taps!r}")
        return self

    @property
    def chunks(self) -> int:
        """Cycles that a unit takes for ``d_max`` dimensions."""
        return -(-self.d_max // self.taps)

    @property
    def output_lanes(self) -> int:
        """Dimensions that are normalised per cycle: a beat of output words, at most four."""
        return min(4, self.axi_data_width // self.out_width)

    @property
    def cores(self) -> int:
        """One; several are not built."""
        return 1

    @property
    def accumulator_width(self) -> int:
        """Signed bits of a row of P.V before it is normalised."""
        return softmax.EXP_FRAC + self.width + (self.l_max - 1).bit_length()


def attend(job: AttentionJob, scores, mask, config: SurvivorConfig) -> np.ndarray:
    """(l_q, d): output words of a head from its scores and survivors, (l_q, l_kv) each.

    A row without survivors is zero.
    """
    e = exponentials(scores, mask, row_tops(scores, mask), job.scale)
    # Survivors come one by one and in any order, so each weight has a shift of its own.
    mant, shift = softmax.quantise_pair(e[..., None])
    num = matmul(mant[..., 0] << shift, job.v)
    return softmax.normalise(num, e.sum(axis=1), width=config.width, out_frac=config.out_frac)
