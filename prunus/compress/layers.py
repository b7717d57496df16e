# SPDX-License-Identifier: Apache-2.0
"""A compressed layer that learns: a chain of factors, in floats or as the coprocessor rounds it.

Quantised, the forward pass makes the very integers of linear jobs, in floats that hold them
exactly; gradients go straight through what rounds. Needs torch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from prunus.golden.hdp.linear.tables import activation_table, encode_requant

from ..models.coded import CodedLinear, CodedStep
from .chain import Form, apply

__all__ = ["ACTIVATIONS", "CompressedLinear", "Units"]

CODE_MIN, CODE_MAX = -128, 127
EXACT = 2**24           # integers up to it are exact in float32, in whatever order they are added
SPAN = CODE_MAX - CODE_MIN


# Functions that a table can hold: of a number, and of tensors.
ACTIVATIONS: dict[str, tuple[Callable[[float], float], Callable[[Tensor], Tensor]]] = {
    "gelu": (lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)), nn.functional.gelu),
    "relu": (lambda x: max(x, 0.0), nn.functional.relu),
    "tanh": (math.tanh, torch.tanh),
}


def _table(function: Callable[[float], float], unit: float, zero: int, out_unit: float,
           out_zero: int) -> np.ndarray:
    """The codes of a function whose argument and value have zeros of their own."""
    return activation_table(lambda x: function(x - zero * unit) + out_zero * out_unit, unit,
                            out_unit)


def _within(x: Tensor, low: int, high: int) -> tuple[Tensor, Tensor | None]:
    """Of whole numbers those within bounds, and which were outside; None if there were none."""
    inside = x.clamp(low, high)
    outside = inside != x
    return inside, outside if outside.any() else None


def _masked(gradient: Tensor, outside: Tensor | None) -> Tensor:
    return gradient if outside is None else gradient.masked_fill(outside, 0.0)


class _Round(torch.autograd.Function):
    """Halves up, within bounds; the gradient of what lies within."""

    @staticmethod
    def forward(ctx, x: Tensor, low: int, high: int) -> Tensor:
        inside, ctx.outside = _within((x + 0.5).floor_(), low, high)
        return inside

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _masked(gradient, ctx.outside), None, None


class _Requantise(torch.autograd.Function):
    """``floor(t * ratio + 1/2)`` within int8, in float64, which is exact: a ratio has 16 bits, t
    and the product have few enough."""

    @staticmethod
    def forward(ctx, t: Tensor, ratio: Tensor) -> Tensor:
        codes = (t.double() * ratio if t.dtype == torch.float64 else t.double().mul_(ratio))
        codes, ctx.outside = _within(codes.add_(0.5).floor_().float(), CODE_MIN, CODE_MAX)
        ctx.save_for_backward(ratio)
        ctx.dtype = t.dtype
        return codes

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (ratio,) = ctx.saved_tensors
        return (_masked(gradient, ctx.outside) * ratio.float()).to(ctx.dtype), None


class _Look(torch.autograd.Function):
    """Entries of a table of 256; the gradient is the slope of its function."""

    @staticmethod
    def forward(ctx, codes: Tensor, table: Tensor, slope: Tensor) -> Tensor:
        places = (codes - CODE_MIN).int().reshape(-1)
        ctx.save_for_backward(places, slope)
        return table.index_select(0, places).reshape(codes.shape)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        places, slope = ctx.saved_tensors
        return slope.index_select(0, places).reshape(gradient.shape).mul_(gradient), None, None


@dataclass(frozen=True, eq=False)
class Units:
    """What the codes of a layer mean, once that is chosen.

    Members
    -------
    x : (float, int)
        Unit and zero of X: a code c means ``(c - zero) * unit``.
    weights : list of ndarray, (groups * n,)
        Units of each step's weight, one for each output channel.
    between : list of float
        Units of what each step but the last gives; their zero is 0.
    y : ndarray of float, (channels,)
        Units of what the last step gives, one for each output channel; one for all where a table
        takes it.
    y_zero : int
        Of what the last step gives.
    out : (float, int), optional
        Unit and zero of what the table gives.
    """

    x: tuple[float, int]
    weights: Sequence[np.ndarray]
    between: Sequence[float]
    y: np.ndarray
    y_zero: int = 0
    out: tuple[float, int] | None = None


class CompressedLinear(nn.Module):
    """In the place of a linear layer.

    Parameters
    ----------
    form : Form
    weights : sequence of Tensor
        Factors, one for each step.
    bias : Tensor, (n,)
        Of the layer.
    activation : str, optional
        Of :data:`ACTIVATIONS`: what follows the layer, as a table of the coprocessor.

    Members
    -------
    units : Units or None
        Floats are multiplied as long as there are none, and codes then.
    seen : callable or None
        Called with each step's number, its X and its output before any activation.
    """

    def __init__(self, form: Form, weights: Sequence[Tensor], bias: Tensor,
                 activation: str | None = None):
        super().__init__()
        self.form, self.activation = form, activation
        self.weights = nn.ParameterList([nn.Parameter(weight.detach().float().clone())
                                         for weight in weights])
        self.biases = nn.ParameterList([
            nn.Parameter(torch.zeros(step.groups * step.n)) for step in form.steps])
        bias = bias.detach().float()
        self.rest: nn.Parameter | None = None
        if self.whole(form):
            with torch.no_grad():
                self.biases[-1][:form.n] = bias
        elif activation is None:
            self.rest = nn.Parameter(bias.clone())
            self.biases[-1].requires_grad_(False)
        else:
            raise ValueError("a table needs a last step with a channel for each output")
        self.units: Units | None = None
        self.seen: Callable[[int, Tensor, Tensor], None] | None = None

    @staticmethod
    def whole(form: Form) -> bool:
        """The last step has a channel for each output, and can add the layer's bias."""
        last = form.steps[-1]
        return form.rows(1)[-1] == 1 and last.view.shape(1, last.groups * last.n)[0] == 1 and (
            last.groups * last.n >= form.n)

    # -- units -----------------------------------------------------------------------------------
    def fix(self, units: Units) -> None:
        """Multiply codes of these units from now on."""
        self.units = units
        count = len(self.form.steps)
        self._weight_units = [torch.tensor(unit, dtype=torch.float32)[:, None]
                              for unit in units.weights]
        inputs = [units.x[0], *units.between]
        outputs = [*(np.array(unit) for unit in units.between), np.asarray(units.y, np.float64)]
        self._sums = [inputs[n] * np.asarray(units.weights[n], np.float64) for n in range(count)]
        self._bias_units = [torch.tensor(unit) for unit in self._sums]
        coded = [encode_requant(unit / out) for unit, out in zip(self._sums, outputs, strict=True)]
        self._encoded = coded
        self._ratios = [torch.tensor(multiplier * 2.0 ** -shift.astype(np.float64))
                        for multiplier, shift in coded]
        self._table = None
        if self.activation is not None:
            assert units.out is not None
            unit, zero = float(np.max(units.y)), units.y_zero
            function = ACTIVATIONS[self.activation][0]
            self._table = _table(function, unit, zero, *units.out)
            # The slope of the function itself: that of the rounded table is steps.
            x = (np.arange(CODE_MIN, CODE_MAX + 1) - zero) * unit
            step = 1e-4 * unit
            slope = [(function(v + step) - function(v - step)) / (2 * step) for v in x]
            self._look = (torch.tensor(self._table, dtype=torch.float32),
                          torch.tensor(slope, dtype=torch.float32) * (unit / units.out[0]))

    def weight_codes(self, number: int) -> Tensor:
        """Of a step's weight, as floats."""
        most = 2 ** (self.form.steps[number].bits - 1)
        return _Round.apply(self.weights[number] / self._weight_units[number], -most, most - 1)

    def bias_codes(self, number: int) -> Tensor:
        """Of a step's bias, as float64."""
        assert self.units is not None
        bias = self.biases[number].double()
        last = number == len(self.form.steps) - 1
        if last and self.units.y_zero:
            bias = bias + self.units.y_zero * float(np.max(self.units.y))
        return _Round.apply(bias / self._bias_units[number], -2**31 + 1, 2**31 - 1)

    # -- the passes ------------------------------------------------------------------------------
    def forward(self, x: Tensor) -> Tensor:
        y = self._floats(x) if self.units is None else self._codes(x)
        return y if self.rest is None else y + self.rest

    def _floats(self, x: Tensor) -> Tensor:
        last = len(self.form.steps) - 1

        def between(number: int, y: Tensor) -> Tensor:
            y = y + self.biases[number]
            if number == last and self.activation is not None:
                y = ACTIVATIONS[self.activation][1](y)
            return y

        if self.seen is not None:
            self._show(x)
        return apply(self.form, list(self.weights), x, between)

    def _show(self, x: Tensor) -> None:
        """Tell ``seen`` what passes through each step."""
        form = self.form
        rows = x.detach().reshape(-1, form.k)
        rows = nn.functional.pad(rows, (0, form.inputs - form.k))
        rows = rows.reshape(-1, form.inputs // form.split)
        for number, step in enumerate(form.steps):
            y = step.multiply(self.weights[number].detach(), rows) + self.biases[number].detach()
            assert self.seen is not None
            self.seen(number, rows, y)
            rows = step.view.read(y)

    def _codes(self, x: Tensor) -> Tensor:
        units = self.units
        assert units is not None
        unit, zero = units.x
        count = len(self.form.steps)
        # Codes less their zero throughout: where the inputs are filled up with zeros, these mean
        # zero. The job adds what that comes to with its bias.
        codes = _Round.apply(x / torch.tensor(unit, dtype=torch.float32), CODE_MIN - zero,
                             CODE_MAX - zero)
        weights = [self.weight_codes(number) for number in range(count)]
        biases = [self.bias_codes(number) for number in range(count)]
        exact = all(
            SPAN * float(weight.detach().abs().sum(1).max()) + float(bias.detach().abs().max())
            < EXACT for weight, bias in zip(weights, biases, strict=True))
        wide = torch.float32 if exact else torch.float64
        out_zero = 0 if units.out is None else units.out[1]

        def between(number: int, acc: Tensor) -> Tensor:
            y = _Requantise.apply(acc + biases[number].to(wide), self._ratios[number])
            if number == count - 1 and self.activation is not None:
                y = _Look.apply(y, *self._look)
            return y.to(wide)

        y = apply(self.form, [weight.to(wide) for weight in weights], codes.to(wide), between)
        return (y.float() - out_zero) * self._y_unit()

    def _y_unit(self) -> Tensor:
        """(n,): what a code of Y means."""
        units = self.units
        assert units is not None
        if units.out is not None:
            return torch.full((self.form.n,), units.out[0], dtype=torch.float32)
        return torch.tensor(self._outputs(units.y), dtype=torch.float32)

    def _outputs(self, channels: np.ndarray) -> np.ndarray:
        """(n,): a number of each channel of the last step, of each output that it becomes."""
        form, last = self.form, self.form.steps[-1]
        rows = form.rows(1)[-1]
        whole = np.broadcast_to(np.asarray(channels, np.float64), (rows, last.groups * last.n))
        return last.view.read(whole).reshape(-1)[:form.n]

    # -- the result ------------------------------------------------------------------------------
    def coded(self) -> CodedLinear:
        """The layer in codes."""
        units, form = self.units, self.form
        assert units is not None
        steps = []
        with torch.no_grad():
            for number, (step, (multiplier, shift)) in enumerate(
                    zip(form.steps, self._encoded, strict=True)):
                weight = self.weight_codes(number).numpy().astype(np.int8)
                bias = self.bias_codes(number).numpy().astype(np.int64)
                if number == 0:
                    bias = bias - units.x[1] * weight.astype(np.int64).sum(1)
                view, shape = step.view, bias.shape
                steps.append(CodedStep(
                    weight=weight, bias=bias.astype(np.int32),
                    multiplier=np.broadcast_to(multiplier, shape).astype(np.int32),
                    shift=np.broadcast_to(shift, shape).astype(np.int8),
                    table=None if self._table is None or number < len(form.steps) - 1 else
                    self._table.astype(np.int8),
                    bits=step.bits, groups=step.groups,
                    arrangement="split" if view.split else "merge", inner=view.B,
                    middle=view.C, run=view.R or 0))
        return CodedLinear(
            n=form.n, k=form.k, inputs=form.inputs, split=form.split, steps=tuple(steps),
            x_unit=float(np.float32(units.x[0])), x_zero=units.x[1],
            y_unit=self._y_unit().numpy(), y_zero=0 if units.out is None else units.out[1],
            rest=None if self.rest is None else self.rest.detach().numpy().copy())
