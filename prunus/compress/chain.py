# SPDX-License-Identifier: Apache-2.0
"""A linear layer as a chain of matrix products: what its steps are, and how they are run.

Each step multiplies rows with a small weight. Its output is then read as a reshaped, permuted
tensor, which is the X of the next step. SVD, Tucker, tensor trains and butterflies are all such
chains; a dense layer is one of a single step.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["CHANNEL_BYTES", "Form", "Step", "View", "apply", "dense"]

CHANNEL_BYTES = 8       # bias, multiplier and shift of an output channel


@dataclass(frozen=True)
class View:
    """How a step's output is read. Rows are (a, b, c), channels are (p, q).

    The default changes nothing. ``split`` reads rows (a, c, p) and channels (b, q); otherwise rows
    are (a) and channels (p, b, q), and C is 1.

    Members
    -------
    B, C : int
        Extents of b and c; that of a follows from the rows.
    R : int or None
        Extent of q; None is that of all channels, and p has none.
    split : bool
    """

    B: int = 1
    C: int = 1
    R: int | None = None
    split: bool = False

    def shape(self, rows: int, channels: int) -> tuple[int, int]:
        """Rows and channels as they are read. Raises ValueError if the extents do not divide."""
        inner = channels if self.R is None else self.R
        if self.B < 1 or self.C < 1 or inner < 1 or rows % (self.B * self.C) or channels % inner:
            raise ValueError(f"view must divide {rows} rows and {channels} channels, not {self}")
        if not self.split and self.C != 1:
            raise ValueError(f"view must have C = 1 where it merges, not {self.C}")
        outer = channels // inner
        if self.split:
            return rows // self.B * outer, self.B * inner
        return rows // self.B, outer * self.B * inner

    def read(self, y: Any) -> Any:
        """Of an array or a tensor (rows, channels)."""
        rows, channels = y.shape
        shape = self.shape(rows, channels)
        inner = channels if self.R is None else self.R
        outer = channels // inner
        if self.split:
            y = y.reshape(rows // self.B // self.C, self.B, self.C, outer, inner)
            return y.swapaxes(1, 2).swapaxes(2, 3).reshape(shape)
        return y.reshape(rows // self.B, self.B, outer, inner).swapaxes(1, 2).reshape(shape)


@dataclass(frozen=True)
class Step:
    """One matrix product: rows of ``groups * k`` inputs become rows of ``groups * n`` outputs.

    Members
    -------
    n, k : int
        Outputs and inputs, of each group. The weight is (groups * n, k).
    groups : int
        Blocks on the diagonal; each group of inputs has a weight of its own.
    bits : int
        Of a weight's code: 8 or 4.
    view : View
        How its output is read.
    """

    n: int
    k: int
    groups: int = 1
    bits: int = 8
    view: View = View()

    @property
    def shape(self) -> tuple[int, int]:
        """Of its weight."""
        return self.groups * self.n, self.k

    @property
    def parameters(self) -> int:
        return self.groups * self.n * self.k

    @property
    def weight_bytes(self) -> int:
        """Of its codes, and of what goes with each output channel."""
        return self.parameters * self.bits // 8 + CHANNEL_BYTES * self.groups * self.n

    def multiply(self, weight: Any, x: Any) -> Any:
        """X (rows, groups * k) times the weight; arrays and tensors alike."""
        if self.groups == 1:
            return x @ weight.swapaxes(0, 1)
        x = x.reshape(-1, self.groups, self.k).swapaxes(0, 1)
        y = x @ weight.reshape(self.groups, self.n, self.k).swapaxes(1, 2)
        return y.swapaxes(0, 1).reshape(-1, self.groups * self.n)


@dataclass(frozen=True)
class Form:
    """A weight (n, k) as a chain.

    Members
    -------
    name : str
        ``dense8``, ``dense4``, ``svd``, ``tucker``, ``ttm``, ``cp`` or ``butterfly``.
    n, k : int
        Outputs and inputs of the layer. The chain may have more: its inputs are then filled with
        zeros, and its last outputs are left out.
    steps : tuple of Step
    split : int
        X (rows, k) is read as (rows * split, k / split).
    shape : tuple of tuple of int
        Of the tensor that W is taken for: dimensions of n and those of k, the first of a layer's
        inputs or outputs changing slowest.
    rank : tuple of int

    Raises
    ------
    ValueError
        If a step does not take what the one before it gives.
    """

    name: str
    n: int
    k: int
    steps: tuple[Step, ...]
    split: int = 1
    shape: tuple[tuple[int, ...], ...] = ()
    rank: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a form must have at least one step")
        self._rows          # noqa: B018 - raises if the steps do not fit each other

    @cached_property
    def _rows(self) -> tuple[int, ...]:
        """Of each step, for one row of X; then those of the output."""
        first = self.steps[0]
        rows, channels, found = self.split, first.groups * first.k, []
        for number, step in enumerate(self.steps):
            if channels != step.groups * step.k:
                raise ValueError(f"step {number} must take {channels} channels, not "
                                 f"{step.groups} x {step.k}")
            found.append(rows)
            rows, channels = step.view.shape(rows, step.groups * step.n)
        if rows != 1 or channels < self.n or self.inputs < self.k:
            raise ValueError(f"steps must make 1 row of {self.n} outputs from {self.k} inputs, not "
                             f"{rows} of {channels} from {self.inputs}")
        return (*found, rows)

    @property
    def inputs(self) -> int:
        """Of the chain; those after ``k`` are zero."""
        first = self.steps[0]
        return self.split * first.groups * first.k

    @property
    def outputs(self) -> int:
        """Of the chain; those after ``n`` are left out."""
        rows, last = self._rows[-2], self.steps[-1]
        return last.view.shape(rows, last.groups * last.n)[1]

    def rows(self, rows: int) -> tuple[int, ...]:
        """Of each step, for so many rows of X."""
        return tuple(rows * own for own in self._rows[:-1])

    @property
    def products(self) -> int:
        """Of one row of X."""
        return sum(rows * step.parameters
                   for rows, step in zip(self._rows, self.steps, strict=False))

    @property
    def parameters(self) -> int:
        return sum(step.parameters for step in self.steps)

    @property
    def weight_bytes(self) -> int:
        return sum(step.weight_bytes for step in self.steps)

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def of_plain(cls, said: dict[str, Any]) -> "Form":
        """From what :meth:`plain` gave, also by way of JSON."""
        steps = tuple(Step(**(step | {"view": View(**step["view"])})) for step in said["steps"])
        return cls(**(said | {"steps": steps, "rank": tuple(said["rank"]),
                              "shape": tuple(tuple(part) for part in said["shape"])}))


def apply(form: Form, weights: Sequence[Any], x: Any,
          between: Callable[[int, Any], Any] | None = None) -> Any:
    """X (..., k) through the chain: (..., n). Arrays and tensors of torch alike.

    Parameters
    ----------
    form : Form
    weights : sequence
        Of each step, (groups * n, k). Codes or floats, whatever multiplies with X.
    x : array or tensor
    between : callable, optional
        From a step's number and its output (rows, channels), before it is read by the step's view,
        to what takes its place: a bias, a quantiser.
    """
    lead = x.shape[:-1]
    if x.shape[-1] != form.k or len(weights) != len(form.steps):
        raise ValueError(f"form must have X (..., {form.k}) and {len(form.steps)} weights, not "
                         f"{tuple(x.shape)} and {len(weights)}")
    x = x.reshape(-1, form.k)
    if form.inputs > form.k:
        # Not by np.pad: tensors have no such function, and both can be assigned to.
        filled = (np.zeros((x.shape[0], form.inputs), x.dtype) if isinstance(x, np.ndarray)
                  else x.new_zeros((x.shape[0], form.inputs)))
        filled[:, :form.k] = x
        x = filled
    x = x.reshape(-1, form.inputs // form.split)
    for number, (step, weight) in enumerate(zip(form.steps, weights, strict=True)):
        x = step.multiply(weight, x)
        if between is not None:
            x = between(number, x)
        x = step.view.read(x)
    return x[:, :form.n].reshape((*lead, form.n))


def dense(form: Form, weights: Sequence[Any]) -> np.ndarray:
    """The weight (n, k) that the chain multiplies with."""
    return apply(form, weights, np.eye(form.k)).T
