# SPDX-License-Identifier: Apache-2.0
"""A linear layer, exact in integers: products, requantisation, activation, residual, view.

Of codes x (m, groups * k) and weights w (groups * span, k)::

    acc[i, j] = sum over k of x[i, g * k + .] * w[j, .]          g = j // span
    t[i, j]   = acc[i, j] + bias[j]
    s[i, j]   = floor(t[i, j] * multiplier[j] / 2^shift[j] + 1/2)
    c[i, j]   = activation(clip(s[i, j], -128, 127))
    y[i, j]   = clip(c[i, j] + floor(r[i, j] * rm / 2^rs + 1/2), -128, 127)

The last line only with a residual r and its scale (rm, rs). An activation is none, ReLU, or a
table of 256 codes, see :mod:`prunus.golden.hdp.linear.tables`. A wide output is t, clipped to 32
bits.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

import numpy as np

from ...jobs import Job
from ..config import HdpConfig

__all__ = ["Activation", "Arrangement", "LinearJob", "LinearResult", "Output", "codes_of_heads",
           "linear"]

CODE = (-128, 127)
WEIGHTS = {8: (-128, 127), 4: (-8, 7)}          # by bits
BIAS = (-(1 << 31), (1 << 31) - 1)
MULTIPLIER_BITS = 16
SHIFT_BITS = 6
TABLE = 256
WORD = 16               # codes that are written together
OUT_FRAC = 7            # of an output word of a head, in units of codes


class Activation(StrEnum):
    """What becomes of a requantised code."""

    NONE = "none"
    RELU = "relu"
    TABLE = "table"         # table[code + 128]


class Output(StrEnum):
    """What comes out, and where it goes."""

    CODES = "codes"         # int8, to memory
    WIDE = "wide"           # int32 sums with their bias, to memory
    DIGITS = "digits"       # int8 as the planes of Q or K of heads that follow, to memory
    HELD = "held"           # int8, stays on the chip: X of the job that follows


class Arrangement(StrEnum):
    """How rows (a, b, c) and channels (p, q) of a product become rows and dimensions of Y."""

    MERGE = "merge"         # rows (a), dimensions (p, b, q)
    SPLIT = "split"         # rows (a, c, p), dimensions (b, q)
    HEADS = "heads"         # rows (p, a), dimensions (q): one head after the other


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearJob(Job):
    """Y = act(requant(X W^T + b)), with a view of Y.

    Parameters
    ----------
    x : ndarray of int, (m, groups * k)
        Codes of 8 bits.
    w : ndarray of int, (groups * span, k)
        Codes of ``bits`` bits. Of several groups channel j belongs to group j // span and sees
        ``k`` dimensions of X alone: a block-diagonal matrix.
    bias, multiplier, shift : ndarray of int, (groups * span,)
        32 bits with a sign, 16 bits and 6 bits without.
    bits : 4 or 8
    groups : int
    activation : Activation, or its text
    table : ndarray of int, (256,), or None
        Codes of the activation ``table``.
    residual : ndarray of int, (m, groups * span), or None
        Codes that are added, in the rows and channels of the product.
    residual_scale : (int, int)
        Multiplier and shift of the residual.
    target : Output, or its text
    arrangement : Arrangement, or its text
    inner, middle : int
        Extents of b and c: row ``(a * inner + b) * middle + c``.
    run : int
        Extent of q; 0 for all channels. Channel ``p * run + q``.
    heads : ndarray of int, (heads, m, d), or None
        Output words of heads, d of them a multiple of 16, that X is made of side by side:
        :func:`codes_of_heads`.
    held : bool
        X is what the job before it held; not read.
    fence : bool
        Begins when all that the jobs before it write has been written: X or the residual may be
        theirs.

    Raises
    ------
    ValueError
        A shape, a code or a choice is not allowed.
    """

    x: np.ndarray
    w: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    bits: int = 8
    groups: int = 1
    activation: Activation = Activation.NONE
    table: np.ndarray | None = None
    residual: np.ndarray | None = None
    residual_scale: tuple[int, int] = (1, 0)
    target: Output = Output.CODES
    arrangement: Arrangement = Arrangement.MERGE
    inner: int = 1
    middle: int = 1
    run: int = 0
    heads: np.ndarray | None = None
    held: bool = False
    fence: bool = False

    def __post_init__(self):
        for name, choices in (("activation", Activation), ("target", Output),
                              ("arrangement", Arrangement)):
            if getattr(self, name) not in list(choices):
                raise ValueError(f"{name} must be {', '.join(choices)}, "
                                 f"not {getattr(self, name)!r}")
            object.__setattr__(self, name, choices(getattr(self, name)))
        object.__setattr__(self, "run", self.run or self.channels)
        self._check_shapes()
        self._check_codes()
        self._check_view()

    def _check_shapes(self) -> None:
        if self.bits not in WEIGHTS:
            raise ValueError(f"bits must be 4 or 8, not {self.bits!r}")
        if self.x.ndim != 2 or self.w.ndim != 2 or not self.x.size or not self.w.size:
            raise ValueError(f"x and w must be matrices, not of shapes {self.x.shape} and "
                             f"{self.w.shape}")
        if self.groups < 1 or self.channels % self.groups:
            raise ValueError(f"groups must divide the {self.channels} channels, "
                             f"not {self.groups!r}")
        if self.x.shape[1] != self.groups * self.k:
            raise ValueError(f"x must have {self.groups} x {self.k} dimensions, as w has, "
                             f"not {self.x.shape[1]}")
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("bias", "multiplier", "shift"),
                                                           (self.channels,))
        if self.activation is Activation.TABLE:
            shapes["table"] = (TABLE,)
        elif self.table is not None:
            raise ValueError("table must be None without activation table")
        if self.residual is not None:
            shapes["residual"] = (self.rows, self.channels)
        if self.heads is not None:
            if self.heads.ndim != 3 or self.heads.shape[2] % WORD or self.held:
                raise ValueError(f"heads must be an array (heads, rows, d) with d a multiple of "
                                 f"{WORD}, of an X that is not held, not of shape "
                                 f"{self.heads.shape}")
            if not np.array_equal(codes_of_heads(self.heads), self.x):
                raise ValueError("x must be the codes of the outputs of heads")
        for name, shape in shapes.items():
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.shape != shape:
                raise ValueError(f"{name} must be an array of shape {shape}, not "
                                 f"{getattr(value, 'shape', value)!r}")

    def _check_codes(self) -> None:
        ranges = {"x": CODE, "w": WEIGHTS[self.bits], "bias": BIAS,
                  "multiplier": (0, (1 << MULTIPLIER_BITS) - 1),
                  "shift": (0, (1 << SHIFT_BITS) - 1), "table": CODE, "residual": CODE}
        values: dict[str, Any] = {name: getattr(self, name) for name in ranges}
        ranges |= {"residual_scale": ranges["multiplier"], "residual shift": ranges["shift"]}
        values["residual_scale"], values["residual shift"] = map(np.array, self.residual_scale)
        for name, (low, high) in ranges.items():
            value = values[name]
            if value is not None and not (low <= value.min() and value.max() <= high):
                raise ValueError(f"{name} must lie in {low}..{high}, not in "
                                 f"{value.min()}..{value.max()}")

    def _check_view(self) -> None:
        for name, whole, of in (("inner * middle", self.rows, self.inner * self.middle),
                                ("run", self.channels, self.run)):
            if of < 1 or whole % of:
                raise ValueError(f"{name} must divide {whole}, not {of}")
        plain = self.inner == self.middle == 1
        if self.middle > 1 and self.arrangement is not Arrangement.SPLIT:
            raise ValueError(f"middle must be 1 unless split, not {self.middle}")
        if self.arrangement is Arrangement.HEADS and not plain:
            raise ValueError(f"inner must be 1 of heads, not {self.inner}")
        if self.target is Output.WIDE and not (plain and self.run == self.channels):
            raise ValueError("a wide output must have no view")
        if (self.target is Output.DIGITS) and self.arrangement is not Arrangement.HEADS:
            raise ValueError(f"arrangement must be heads of digits, not {self.arrangement}")
        if self.transposed and self.residual is not None:
            raise ValueError("residual must be None where rows of the product lie side by side")
        if self.target is Output.HELD and self.arrangement is Arrangement.HEADS:
            raise ValueError("arrangement must be merge or split of what is held, not heads")
        if self.target is Output.WIDE and (
                self.activation is not Activation.NONE or self.residual is not None):
            raise ValueError("a wide output must have no activation and no residual")

    @property
    def rows(self) -> int:
        """m"""
        return self.x.shape[0]

    @property
    def k(self) -> int:
        """Of a group."""
        return self.w.shape[1]

    @property
    def channels(self) -> int:
        return self.w.shape[0]

    @property
    def span(self) -> int:
        """Channels of a group."""
        return self.channels // self.groups

    @property
    def transposed(self) -> bool:
        """Neighbours in a row of Y are rows of the product, not channels."""
        return self.run == 1 and self.inner > 1

    def operands(self) -> dict[str, np.ndarray]:
        x = self.x if self.heads is None else self.heads.reshape(-1, self.heads.shape[2])
        known = {"x": None if self.held else x, "w": self.w, "c": self.channel_bytes(),
                 "r": self.residual}
        return {name: value for name, value in known.items() if value is not None}

    def alone(self) -> Self:
        """The same job with an X that is read, whoever held it."""
        return replace(self, held=False)

    def channel_bytes(self) -> np.ndarray:
        """Rows of 8 bytes: the table, if there is one, then bias, multiplier and shift of each
        channel."""
        words = (np.asarray(self.bias, np.int64) & 0xFFFF_FFFF
                 | np.asarray(self.multiplier, np.int64) << 32
                 | np.asarray(self.shift, np.int64) << 48)
        table = np.zeros(0, np.int8) if self.table is None else np.asarray(self.table, np.int8)
        return np.concatenate([table.view(np.uint8), words.astype("<i8").view(np.uint8)]
                              ).reshape(-1, 8)

    def output_shape(self) -> tuple[int, int]:
        """(rows, dims) of Y, wherever it goes."""
        m, n = self.rows, self.channels
        if self.arrangement is Arrangement.SPLIT:
            return m // self.inner * (n // self.run), self.inner * self.run
        if self.arrangement is Arrangement.HEADS:
            return n // self.run * m, self.run
        return m // self.inner, self.inner * n

    def output(self) -> tuple[int, int]:
        return (0, 0) if self.output_is_held else self.output_shape()

    @property
    def output_is_held(self) -> bool:
        return self.target is Output.HELD

    def view(self, y: np.ndarray) -> np.ndarray:
        """Y of a product (m, channels)."""
        b, c, r = self.inner, self.middle, self.run
        a, p = self.rows // (b * c), self.channels // r
        y = y.reshape(a, b, c, p, r)
        axes = {Arrangement.MERGE: (0, 2, 3, 1, 4), Arrangement.SPLIT: (0, 2, 3, 1, 4),
                Arrangement.HEADS: (3, 0, 1, 2, 4)}[self.arrangement]
        return np.ascontiguousarray(y.transpose(axes).reshape(self.output_shape()))

    def describe(self) -> str:
        return (f"{self.rows} rows, k {self.k}, n {self.span}"
                + (f", {self.groups} groups" if self.groups > 1 else "")
                + f", int{self.bits}, {self.target}")


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearResult:
    """What a linear layer gives.

    Members
    -------
    y : ndarray of int64
        Codes, or wide sums, in the rows and dimensions of the view.
    out : ndarray of int64
        What of it is written to memory; (0, 0) if it is held.
    clipped : int
        Codes of the product that did not fit 8 bits; 0 of wide sums.
    """

    y: np.ndarray
    out: np.ndarray
    clipped: int

    def summary(self) -> "LinearResult":
        return self


def _scaled(value: np.ndarray, multiplier: Any, shift: Any) -> np.ndarray:
    """floor(value * multiplier / 2^shift + 1/2)"""
    product = value * np.asarray(multiplier, np.int64)
    return ((product << 1 >> np.asarray(shift, np.int64)) + 1) >> 1


def codes_of_heads(words: np.ndarray) -> np.ndarray:
    """X (m, heads * d) of output words of heads (heads, m, d): rounded to codes, half up."""
    codes = np.minimum((np.asarray(words, np.int64) + (1 << OUT_FRAC - 1)) >> OUT_FRAC, CODE[1])
    return codes.transpose(1, 0, 2).reshape(words.shape[1], -1)


def sums(job: LinearJob) -> np.ndarray:
    """t: (m, channels) int64. Products in float64 are exact, as sums lie below 2^53."""
    x = np.asarray(job.x, np.float64).reshape(job.rows, job.groups, job.k)
    w = np.asarray(job.w, np.float64).reshape(job.groups, job.span, job.k)
    acc = np.matmul(x.transpose(1, 0, 2), w.transpose(0, 2, 1)).transpose(1, 0, 2)
    return acc.reshape(job.rows, job.channels).astype(np.int64) + np.asarray(job.bias, np.int64)


def linear(job: LinearJob, config: HdpConfig | None = None) -> LinearResult:
    """The law. Nothing of it depends on the configuration."""
    total = sums(job)
    if job.target is Output.WIDE:
        y, clipped = np.clip(total, *BIAS), 0
    else:
        scaled = _scaled(total, job.multiplier, job.shift)
        y = np.clip(scaled, *CODE)
        clipped = int((y != scaled).sum())
        if job.activation is Activation.RELU:
            y = np.maximum(y, 0)
        elif job.activation is Activation.TABLE:
            y = np.asarray(job.table, np.int64)[y - CODE[0]]
        if job.residual is not None:
            more = _scaled(np.asarray(job.residual, np.int64), *job.residual_scale)
            y = np.clip(y + more, *CODE)
    y = job.view(y)
    return LinearResult(y=y, out=np.zeros((0, 0), np.int64) if job.output_is_held else y,
                        clipped=clipped)
