# SPDX-License-Identifier: Apache-2.0
"""Units of codes, from what passes through a layer, and weights rounded one after the other.

A unit is the one of some candidates with the least squared error: clipping what is rare makes
all other steps finer. Weights are rounded as by GPTQ (Frantar et al., 2022): each input's error is
made up for by the inputs that are still to come, as far as they go along with it. Needs torch.
"""

import numpy as np
import torch
from torch import Tensor, nn

from .layers import ACTIVATIONS, CODE_MAX, CODE_MIN, CompressedLinear, Units

__all__ = ["Watched", "activation_unit", "gptq", "quantise", "watch", "weight_units"]

SHARES = np.linspace(0.4, 1.0, 13)      # of the largest value, that codes are made to reach
WEIGHT_SHARES = np.linspace(0.4, 1.0, 25)
KEPT = 1024                             # rows of each step's inputs and outputs that are kept
DAMPING = 0.01                          # of the mean of the inputs' moments
LEAST = 1e-8                            # unit of what is always 0


def _error(values: np.ndarray, unit: np.ndarray | float, zero: int) -> np.ndarray:
    """Mean squared, of values (rows, channels) with units of their own."""
    codes = np.clip(np.floor(values / unit + 0.5) + zero, CODE_MIN, CODE_MAX)
    return ((codes - zero) * unit - values) ** 2


def activation_unit(values: np.ndarray, low: float | None = None) -> tuple[float, int]:
    """Unit and zero of values, one for all.

    ``low`` is the least that matters, where a function makes the same of all below.
    """
    values = np.asarray(values, np.float64).ravel()
    least = min(0.0, float(values.min()) if low is None else max(low, float(values.min())))
    most = max(0.0, float(values.max()))
    if low is not None:
        values = np.maximum(values, least)
    best: tuple[float, float, int] | None = None
    for below in SHARES[::2]:
        for above in SHARES[::2]:
            unit = max((most * above - least * below) / (CODE_MAX - CODE_MIN), LEAST)
            zero = int(np.clip(round(CODE_MIN - least * below / unit), CODE_MIN, CODE_MAX))
            error = float(_error(values, unit, zero).mean())
            if best is None or error < best[0]:
                best = error, unit, zero
    assert best is not None
    return float(best[1]), best[2]


def channel_units(values: np.ndarray) -> np.ndarray:
    """(channels,): of values (rows, channels), with zero at 0."""
    values = np.asarray(values, np.float64)
    most = np.maximum(np.abs(values).max(0), LEAST)
    units = np.stack([most * share / CODE_MAX for share in SHARES])
    errors = np.stack([_error(values, unit, 0).mean(0) for unit in units])
    return units[errors.argmin(0), np.arange(len(most))]


def weight_units(weight: np.ndarray, moments: np.ndarray, bits: int) -> np.ndarray:
    """(n,): of a weight (n, k) whose inputs have these mean squares (n or 1, k)."""
    low, high = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    most = np.maximum(np.abs(weight).max(1), LEAST)
    units = np.stack([most * share / high for share in WEIGHT_SHARES])
    errors = []
    for unit in units:
        codes = np.clip(np.floor(weight / unit[:, None] + 0.5), low, high)
        errors.append(((codes * unit[:, None] - weight) ** 2 * moments).sum(1))
    return units[np.stack(errors).argmin(0), np.arange(len(most))]


def gptq(weight: np.ndarray, moment: np.ndarray, units: np.ndarray, bits: int) -> np.ndarray:
    """Codes of a weight (n, k) whose inputs have the second moment (k, k)."""
    low, high = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    k = weight.shape[1]
    damped = moment + np.eye(k) * max(DAMPING * float(np.trace(moment)) / k, LEAST)
    order = np.argsort(-np.diag(moment), kind="stable")
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    left = np.asarray(weight, np.float64)[:, order].copy()
    codes = np.zeros_like(left)
    for i in range(k):
        codes[:, i] = np.clip(np.floor(left[:, i] / units + 0.5), low, high)
        error = (left[:, i] - codes[:, i] * units) / upper[i, i]
        left[:, i + 1:] -= np.outer(error, upper[i, i + 1:])
    made = np.empty_like(codes)
    made[:, order] = codes
    return made


class Watched:
    """What passed through a layer: second moments of each step's inputs, and some rows."""

    def __init__(self, layer: CompressedLinear):
        self.layer, steps = layer, layer.form.steps
        self.moments = [torch.zeros(step.groups, step.k, step.k, dtype=torch.float64)
                        for step in steps]
        self.rows = [0] * len(steps)
        self.x: list[Tensor] = []
        self.outputs: list[list[Tensor]] = [[] for _ in steps]

    def __call__(self, number: int, x: Tensor, y: Tensor) -> None:
        step = self.layer.form.steps[number]
        parts = x.reshape(len(x), step.groups, step.k).transpose(0, 1).double()
        self.moments[number] += parts.transpose(1, 2) @ parts
        kept = self.rows[number]
        self.rows[number] += len(x)
        if kept < KEPT:
            if number == 0:
                self.x.append(x[:KEPT - kept].clone())
            self.outputs[number].append(y[:KEPT - kept].clone())

    def moment(self, number: int) -> np.ndarray:
        """(groups, k, k) of a step's inputs."""
        return (self.moments[number] / max(1, self.rows[number])).numpy()

    def output(self, number: int) -> np.ndarray:
        return torch.cat(self.outputs[number]).numpy()

    def inputs(self) -> np.ndarray:
        return torch.cat(self.x).numpy()


def watch(model: nn.Module, run) -> dict[str, Watched]:
    """What passes through each compressed layer of a model while ``run`` runs it."""
    layers = {name: module for name, module in model.named_modules()
              if isinstance(module, CompressedLinear)}
    watched = {name: Watched(layer) for name, layer in layers.items()}
    for name, layer in layers.items():
        layer.seen = watched[name]
    try:
        with torch.no_grad():
            run()
    finally:
        for layer in layers.values():
            layer.seen = None
    return watched


def _activation_low(name: str) -> float | None:
    """Below it a function of :data:`ACTIVATIONS` is as good as constant."""
    return {"gelu": -4.0, "relu": 0.0}.get(name)


def quantise(layer: CompressedLinear, seen: Watched, x: tuple[float, int] | None = None,
             rounding: str = "gptq") -> None:
    """Choose a layer's units, and round its weights to codes of theirs.

    ``x`` are unit and zero of its inputs where another layer's table has made them.
    """
    form = layer.form
    last = len(form.steps) - 1
    units_w = []
    for number, step in enumerate(form.steps):
        weight = layer.weights[number].detach().double().numpy()
        moment = seen.moment(number)
        diagonal = np.repeat(np.diagonal(moment, axis1=1, axis2=2), step.n, axis=0)
        own = weight_units(weight, diagonal, step.bits)
        units_w.append(own)
        if rounding == "gptq":
            codes = np.concatenate([
                gptq(weight[g * step.n:(g + 1) * step.n], moment[g],
                     own[g * step.n:(g + 1) * step.n], step.bits)
                for g in range(step.groups)])
            with torch.no_grad():
                layer.weights[number].copy_(torch.tensor(codes * own[:, None]))
    between = [float(channel_units(seen.output(number).reshape(-1, 1))[0])
               for number in range(last)]
    y = seen.output(last)
    if layer.activation is None:
        layer.fix(Units(x or activation_unit(seen.inputs()), units_w, between, channel_units(y)))
        return
    unit, zero = activation_unit(y, _activation_low(layer.activation))
    made = ACTIVATIONS[layer.activation][1](torch.tensor(y)).numpy()
    layer.fix(Units(x or activation_unit(seen.inputs()), units_w, between,
                    np.full(y.shape[1], unit), zero, activation_unit(made)))
