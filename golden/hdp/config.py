# SPDX-License-Identifier: Apache-2.0
"""What can be chosen of an HDP coprocessor, and every width that follows from it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .. import softmax
from ..engine import EngineConfig
from ..formats import CodeRange, Digits, Format

__all__ = ["HdpConfig"]


class HdpConfig(EngineConfig):
    """Parameters of one coprocessor with hybrid dynamic pruning.

    Parameters
    ----------
    name : str
        Name of the emitted top module and files.
    width, frac : int
        W and FW: bits of a Q, K or V code and fraction bits of Q and K.
    digits : "truncated" or "rounded"
        How codes of Q and K are split, see :class:`prunus.golden.formats.Format`.
    d_max : int
        Largest head dimension; a job's d is any multiple of 8 up to it.
    l_max : int
        Largest l_q and l_kv of a job, beyond 1024 only with ``tile``.
    tile : int, optional
        Rows of Q, K and V of a head that a core holds, a power of two below ``l_max``. Longer
        heads are worked off in tiles of as many queries and keys; see
        :mod:`prunus.golden.hdp.tiles`.
    multipliers : int
        Full-width multipliers of a core (M): 2 queries x 2 keys x ``taps`` dimensions.
    integer_span : 64 or 32
        Dimensions of a block that an integer operation covers at most; an array with room for more
        works on as many blocks side by side (``group``). With 32, heads of 32 dimensions keep
        arrays of 64 multipliers and more busy.
    softmax_lanes : int
        Exponentials per cycle in a core.
    output_lanes : int
        Dimensions of two queries that are normalised per cycle, at most ``taps``.
    value_array : "shared" or "own"
        P.V takes turns with the scores on the one array, or has as many plain multipliers of its
        own (2 queries x 2 keys x ``taps`` outputs) and runs beside them.
    keep_integer_scores : bool
        Integer scores wait for the mask of their row, so that kept blocks need fraction products
        only; without that memory they are computed again, as full products.
    axi_data_width : int
        Bits of an AXI4 beat.
    cores : int
        Cores behind the one AXI4 master; each computes whole heads.
    linear : bool
        Linear layers are jobs, too, see :mod:`prunus.golden.hdp.linear`.
    """

    engine: Literal["hdp"] = "hdp"
    width: Literal[8, 12] = 8
    frac: Annotated[int, Field(ge=1, le=8)] = 4
    digits: Digits = "truncated"
    l_max: Annotated[int, Field(ge=2, le=4096, multiple_of=2)] = 512
    tile: Literal[8, 16, 32, 64, 128, 256, 512, 1024] | None = None
    multipliers: Literal[8, 16, 32, 64, 128, 256] = 32
    integer_span: Literal[32, 64] = 64
    softmax_lanes: Literal[1, 2, 4] = 2
    output_lanes: Literal[1, 2, 4] = 2
    value_array: Literal["shared", "own"] = "shared"
    keep_integer_scores: bool = True
    cores: Literal[1, 2, 4, 8] = 1
    linear: bool = False

    @model_validator(mode="after")
    def _consistent(self):
        if not 1 <= self.width - self.frac <= 8:
            raise ValueError(f"frac must leave an integer part of 1 to 8 bits of width "
                             f"{self.width}, not {self.frac!r}")
        if self.rounded and self.int_width == 1:
            raise ValueError(f"frac must leave rounded digits an integer part of 2 bits or more "
                             f"of width {self.width}, not {self.frac!r}")
        if self.l_max > 1024 and not self.tile:
            raise ValueError(f"l_max must be at most 1024 without tile, not {self.l_max!r}")
        if self.tile and self.tile >= self.l_max:
            raise ValueError(f"tile must be below l_max {self.l_max}, not {self.tile!r}")
        if self.linear:
            self._check_linear()
        most = min(self.taps, self.axi_data_width // self.out_width)
        if self.output_lanes > most:
            raise ValueError(f"output_lanes must be at most {most}, the dimensions that the array "
                             f"makes and a beat holds, not {self.output_lanes!r}")
        return self

    def _check_linear(self) -> None:
        """Codes of linear jobs lie in the operand buffers as heads have them."""
        for name, wanted in (("width", 8), ("frac", 4), ("digits", "truncated"), ("cores", 1),
                             ("tile", None), ("axi_data_width", 64), ("integer_span", 64)):
            if getattr(self, name) != wanted:
                raise ValueError(f"{name} must be {wanted} with linear, "
                                 f"not {getattr(self, name)!r}")
        for name, least, most in (("l_max", 16, 1024), ("d_max", 16, 128), ("multipliers", 8, 64)):
            value = getattr(self, name)
            if value & value - 1 or not least <= value <= most:
                raise ValueError(f"{name} must be a power of two in {least}..{most} with linear, "
                                 f"not {value!r}")

    # -- the array ---------------------------------------------------------------------------
    @property
    def format(self) -> Format:
        return Format(width=self.width, frac=self.frac, digits=self.digits)

    @property
    def rounded(self) -> bool:
        """Digits of Q and K are rounded and have signs of their own."""
        return self.digits == "rounded"

    def codes_of(self, operand: str) -> CodeRange:
        return self.format if operand in "qk" else self

    def limits_of(self, operand: str) -> str:
        if self.rounded and operand in "qk":
            return (f"codes of {self.width} bits whose rounded integer part fits "
                    f"{self.int_width} bits")
        return super().limits_of(operand)

    @property
    def int_width(self) -> int:
        return self.width - self.frac

    @property
    def low_width(self) -> int:
        """Bits of the lower digit of a product of P.V, about half of W whatever FW is, so that
        all digits are about as wide."""
        return max(self.frac, self.width // 2)

    @property
    def lift(self) -> int:
        """Zeros below F in a lower digit: products of scores have the weights of P.V."""
        return self.low_width - self.frac

    @property
    def all_multipliers(self) -> int:
        """Full-width multipliers in all cores."""
        return self.multipliers * self.cores

    @property
    def own_values(self) -> bool:
        """P.V has an array of its own."""
        return self.value_array == "own"

    @property
    def arrays(self) -> int:
        """Arrays of ``multipliers`` in a core."""
        return 1 + self.own_values

    @property
    def taps(self) -> int:
        """T: dimensions per cycle at full width; 2T in the fraction, 4T in the integer pass."""
        return self.multipliers // 4

    @property
    def group(self) -> int:
        """Blocks of an integer operation, side by side: one covers 4T dimensions of a block, but
        no more than ``integer_span``, so that wide arrays serve short dimensions as well."""
        return max(1, 4 * self.taps // self.integer_span)

    @property
    def int_score_width(self) -> int:
        """Signed bits of an integer score: |I| <= 2**(IW-1)."""
        return 2 * self.int_width - 2 + (self.d_max - 1).bit_length() + 2

    @property
    def theta_width(self) -> int:
        """Bits of a block's theta, the sum of four |integer scores|."""
        return self.int_score_width + 1

    # -- rows, columns and the value path ----------------------------------------------------
    @property
    def blocks(self) -> int:
        """Blocks in a row of blocks of the longest head, or of a tile."""
        return self.held_rows // 2

    @property
    def block_width(self) -> int:
        """Bits of a block index."""
        return max(1, (self.blocks - 1).bit_length())

    @property
    def all_block_width(self) -> int:
        """Bits of a block index in the longest head."""
        return max(1, (self.l_max // 2 - 1).bit_length())

    @property
    def theta_head_width(self) -> int:
        return self.theta_width + 2 * self.all_block_width

    @property
    def column_sum_width(self) -> int:
        """Signed bits of the sum of held_rows codes of V."""
        return self.width - 1 + (self.held_rows - 1).bit_length() + 2

    @property
    def accumulator_width(self) -> int:
        """Signed bits of a row of P.V before it is normalised, background included."""
        return softmax.EXP_FRAC + self.width - 1 + (self.l_max - 1).bit_length() + 3
