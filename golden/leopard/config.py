# SPDX-License-Identifier: Apache-2.0
"""What can be chosen of a LeOPArd coprocessor, and every width that follows from it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..survivors import SurvivorConfig, Taps
from . import digits

__all__ = ["LeopardConfig"]


class LeopardConfig(SurvivorConfig):
    """Parameters of one coprocessor with learned thresholds and bit-serial early termination.

    Codes are plain integers of W bits: there is no fraction, the job's scale says what a unit is.

    Parameters
    ----------
    name : str
        Name of the emitted top module and files.
    width : int
        W: bits of a Q, K or V code.
    digit : int
        B: bits of a key that a dot-product unit takes per cycle, 1 to 4; or W, which makes it a
        full-width unit. The last digit is filled up where W is no multiple of B.
    dpus : int
        N_QK: digit-serial dot-product units, all on one query.
    rows : int
        Queries whose keys may be under way at once, a power of two: a unit that has begun its keys
        of one begins those of the next. Short rows need more of them, since a survivor is under
        way for ``digits`` times the latency of a unit.
    taps : int
        Dimensions of a digit that a unit takes per cycle, a multiple of 8; by default 64, or
        ``d_max`` if that is less. A digit of more dimensions takes several cycles.
    pruning : bool
        Without it every visible key survives whatever the threshold: the baseline.
    d_max, l_max, axi_data_width : int
        As for every engine.
    """

    engine: Literal["leopard"] = "leopard"
    width: Annotated[int, Field(ge=4, le=16)] = 12
    digit: Annotated[int, Field(ge=1)] = 2
    dpus: Annotated[int, Field(ge=1, le=32)] = 6
    rows: Literal[2, 4, 8, 16] = 8
    taps: Taps
    pruning: bool = True

    @model_validator(mode="after")
    def _consistent(self):
        if self.digit > 4 and self.digit != self.width:
            raise ValueError(f"digit must be 1 to 4, or the width {self.width} for full-width "
                             f"units, not {self.digit!r}")
        return self

    @property
    def digits(self) -> int:
        """T: digits of a key, ceil(W / B)."""
        return digits.count(self.width, self.digit)

    @property
    def padded_width(self) -> int:
        """W': bits of a key sign-extended to whole digits."""
        return self.digits * self.digit

    @property
    def threshold_width(self) -> int:
        """Signed bits of the threshold register: those of a score, which leave room for a
        threshold that no score reaches and for one that every score reaches."""
        return self.score_width
