# SPDX-License-Identifier: Apache-2.0
"""What the configurations of all engines have in common."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import softmax
from .formats import CodeRange

__all__ = ["EngineConfig"]


class EngineConfig(CodeRange, BaseModel):
    """The outside of a coprocessor, and the widths that follow from it whatever makes the scores.

    Parameters
    ----------
    name : str
        Name of the emitted top module and files.
    engine : str
        What makes the scores; tells the configurations apart.
    width : int
        W: bits of a Q, K or V code.
    d_max : int
        Largest head dimension; a job's d is any multiple of 8 up to it.
    l_max : int
        Largest l_q and l_kv of a job.
    axi_data_width : int
        Bits of an AXI4 beat.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    engine: str
    width: int
    d_max: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = 64
    l_max: Annotated[int, Field(ge=2, le=1024, multiple_of=2)] = 512
    axi_data_width: Literal[64, 128, 256, 512] = 64
    tile: None = None       # only some engines work off heads in tiles

    @model_validator(mode="after")
    def _named(self):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", self.name):
            raise ValueError(f"name must be a lower-case identifier, not {self.name!r}")
        return self

    @property
    def score_width(self) -> int:
        """Signed bits of q·k over codes, with a bit to spare: |q·k| <= 2**(score_width - 2)."""
        return 2 * self.width - 2 + (self.d_max - 1).bit_length() + 2

    @property
    def length_width(self) -> int:
        """Bits of a length 0..l_max."""
        return self.l_max.bit_length()

    @property
    def held_rows(self) -> int:
        """Rows of Q, K and V of a head that a core holds."""
        return self.tile or self.l_max

    @property
    def held_width(self) -> int:
        """Bits of a number of rows 0..held_rows."""
        return self.held_rows.bit_length()

    @property
    def denominator_width(self) -> int:
        """Bits of the sum of l_max exponentials."""
        return softmax.EXP_FRAC + self.length_width

    @property
    def out_frac(self) -> int:
        """Fraction bits of an output word, in units of V codes."""
        return 7 if self.width <= 8 else 12

    @property
    def out_width(self) -> int:
        """Bits of an output word in memory."""
        return 16 if self.width <= 8 else 32
