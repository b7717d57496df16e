# SPDX-License-Identifier: Apache-2.0
"""Factors of a form that come close to a weight, where its inputs are.

The error is that of the layer's output: E |(W - W^) x|^2 = trace((W - W^) C (W - W^)^T), with C the
second moments of x. Where the mean of x is known, the bias takes what the mean loses, and C is the
covariance. Errors are shares of E |W x|^2.

An SVD has a closed form. The others start from that of a simpler error (C as a Kronecker product
over the dimensions of k) and descend the right one.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import tensorly
from scipy.optimize import minimize
from tensorly.decomposition import parafac, partial_tucker, tensor_train

from .chain import Form, Step, View, dense

__all__ = ["DESCENT", "RIDGE", "Fit", "Stack", "Target", "fit", "rounded", "start", "white"]

RIDGE = 1e-6            # added to C's eigenvalues, as a share of their mean
SEEN = 1e-4             # share of C that a descent may leave out
DESCENT = 30            # iterations; twice as many win 1 to 3% of the error
ALTERNATIONS = 20       # of HOOI and ALS
# Largest codes are these shares of a channel's largest weight; the best one is taken.
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)


def _power(c: np.ndarray, exponent: float) -> np.ndarray:
    """Of a symmetric matrix without negative eigenvalues, a little above zero."""
    values, vectors = np.linalg.eigh(c)
    values = np.maximum(values, 0.0)
    mean = float(values.mean())
    values = values + RIDGE * (mean if mean > 0 else 1.0)
    return (vectors * values**exponent) @ vectors.T


@dataclass(frozen=True, eq=False)
class Target:
    """A weight and the inputs that it sees.

    Members
    -------
    weight : array (n, k)
    moments : array (k, k)
        E[x x^T], mean and all.
    mean : array (k,) or None
        E[x]; None if the bias is to stay as it is.

    Raises
    ------
    ValueError
        If shapes differ, or something is not finite.
    """

    weight: np.ndarray
    moments: np.ndarray
    mean: np.ndarray | None = None

    def __post_init__(self) -> None:
        k = self.weight.shape[-1]
        for name, shape in (("moments", (k, k)), ("mean", (k,))):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"{name} must be of shape {shape}, not {value.shape}")
        if not all(np.isfinite(value).all() for value in (self.weight, self.moments)):
            raise ValueError("weight and moments must be finite")

    @cached_property
    def covariance(self) -> np.ndarray:
        """C of the error."""
        if self.mean is None:
            return self.moments
        return self.moments - np.outer(self.mean, self.mean)

    @cached_property
    def root(self) -> np.ndarray:
        return _power(self.covariance, 0.5)

    @cached_property
    def inverse(self) -> np.ndarray:
        """Of the root."""
        return _power(self.covariance, -0.5)

    @cached_property
    def total(self) -> float:
        """What errors are shares of."""
        return float(np.einsum("ij,jk,ik->", self.weight, self.moments, self.weight,
                               optimize=True)) or 1.0

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The SVD of the weight as its inputs see it."""
        return np.linalg.svd(self.weight @ self.root, full_matrices=False)

    def error(self, close: np.ndarray) -> float:
        """Of another weight (n, k)."""
        off = self.weight - close
        return max(0.0, float(((off @ self.covariance) * off).sum())) / self.total

    def bias(self, close: np.ndarray) -> np.ndarray:
        """To be added to the layer's, so that outputs keep their mean."""
        if self.mean is None:
            return np.zeros(len(self.weight))
        return (self.weight - close) @ self.mean

    @cached_property
    def directions(self) -> np.ndarray:
        """Rows whose products with each other are C, without those that hardly matter."""
        values, vectors = np.linalg.eigh(self.covariance)
        values = np.maximum(values[::-1], 0.0)
        count = int(np.searchsorted(np.cumsum(values), (1 - SEEN) * values.sum())) + 1
        return np.sqrt(values[:count, None]) * vectors[:, ::-1].T[:count]

    def parts(self, k: Sequence[int]) -> list[np.ndarray]:
        """C over each dimension of k, the others summed up; their Kronecker product is about C."""
        return [self._partial(k, m) for m in range(len(k))]

    def _partial(self, k: Sequence[int], m: int) -> np.ndarray:
        before, after = int(np.prod(k[:m])), int(np.prod(k[m + 1:]))
        c = self.covariance.reshape(before, k[m], after, before, k[m], after)
        return np.einsum("aibajb->ij", c)


@dataclass(frozen=True, eq=False)
class Stack:
    """Weights with the same inputs, as one: Q, K and V of a layer.

    Members
    -------
    targets : tuple of Target
        With the same moments and mean.
    shares : tuple of float
        How much the error of each matters. Factors in common are fitted to that.
    """

    targets: tuple[Target, ...]
    shares: tuple[float, ...]

    @cached_property
    def sizes(self) -> list[float]:
        """What rows of each weight are multiplied by while they are fitted."""
        return [float(np.sqrt(share / target.total)) for share, target in zip(
            self.shares, self.targets, strict=True)]

    @cached_property
    def target(self) -> Target:
        """What is fitted."""
        first = self.targets[0]
        return Target(np.concatenate([size * target.weight for size, target in zip(
            self.sizes, self.targets, strict=True)]), first.moments, first.mean)

    def rows(self) -> list[slice]:
        ends = np.cumsum([0, *(len(target.weight) for target in self.targets)])
        return [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]

    def back(self, found: "Fit") -> "Fit":
        """A fit of the target, as one of the weights. Outputs must be those of its last step."""
        *inner, last = found.weights
        scale = np.concatenate([np.full(len(target.weight), 1 / size) for size, target in zip(
            self.sizes, self.targets, strict=True)])
        return replace(found, weights=(*inner, scale[:, None] * last), bias=scale * found.bias)

    def errors(self, close: np.ndarray) -> list[float]:
        """Of each weight, from all of them (n, k)."""
        return [target.error(close[rows]) for target, rows in zip(
            self.targets, self.rows(), strict=True)]


@dataclass(frozen=True, eq=False)
class Fit:
    """Factors that were found.

    Members
    -------
    form : Form
    weights : tuple of arrays
        Of each step, (groups * n, k).
    error : float
        As a share of the layer's output.
    bias : array (n,)
        What is added to the layer's bias.
    """

    form: Form
    weights: tuple[np.ndarray, ...]
    error: float
    bias: np.ndarray


def _found(form: Form, weights: Sequence[np.ndarray], target: Target) -> Fit:
    close = dense(form, weights)
    return Fit(form, tuple(weights), target.error(close), target.bias(close))


# -- where to start -------------------------------------------------------------------------------
def white(target: Target, n: Sequence[int], k: Sequence[int],
           order: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """W as a tensor (n1, n2, ..., k1, k2, ...) whose plain error is about the right one, and what
    takes each dimension of k back. ``order`` is that of n in W's rows."""
    tensor = target.weight.reshape(*(n[m] for m in order), *k)
    back = [order.index(m) for m in range(len(n))]
    tensor = tensor.transpose(*back, *range(len(n), len(n) + len(k)))
    undo = []
    for m, part in enumerate(target.parts(k)):
        tensor = np.moveaxis(np.tensordot(tensor, _power(part, 0.5), (len(n) + m, 0)), -1,
                             len(n) + m)
        undo.append(_power(part, -0.5))
    return tensor, undo


def _start_svd(form: Form, target: Target) -> list[np.ndarray]:
    rank, = form.rank
    u, s, vt = target.spectrum
    half = np.sqrt(s[:rank])
    return [(half[:, None] * vt[:rank]) @ target.inverse, u[:, :rank] * half]


def _start_ttm(form: Form, target: Target) -> list[np.ndarray]:
    n, k = form.shape
    count = len(n)
    tensor, undo = white(target, n, k, range(count - 1, -1, -1))
    pairs = [axis for m in range(count) for axis in (m, count + m)]
    tensor = tensor.transpose(pairs).reshape([a * b for a, b in zip(n, k, strict=True)])
    ranks, weights = [1, *form.rank, 1], []
    found = tensor_train(tensor, rank=ranks)
    for m in range(count):
        core = np.zeros((ranks[m], n[m], k[m], ranks[m + 1]))
        given = np.asarray(found[m])
        left, right = given.shape[0], given.shape[2]        # fewer, if W has no more
        core[:left, :, :, :right] = np.einsum(
            "anbc,bd->andc", given.reshape(left, n[m], k[m], right), undo[m])
        weights.append(core.transpose(1, 0, 2, 3).reshape(n[m] * ranks[m], k[m] * ranks[m + 1]))
    return weights[::-1]


def _start_tucker(form: Form, target: Target) -> list[np.ndarray]:
    (n1, _), (k1, k2) = form.shape
    a1, a2, b1, b2 = form.rank
    keeps = a1 == n1
    tensor, undo = white(target, form.shape[0], form.shape[1], (0, 1) if keeps else (1, 0))
    # What keeps all its dimensions has no factor.
    modes = [mode for mode in range(4) if form.rank[mode] < tensor.shape[mode]]
    with warnings.catch_warnings():         # of ranks that the others leave no use for
        warnings.filterwarnings("ignore", "Trying to compute SVD", UserWarning)
        (core, found), _ = partial_tucker(tensor, [form.rank[mode] for mode in modes], modes,
                                          n_iter_max=ALTERNATIONS)
    factors = dict(zip(modes, found, strict=True))
    for mode, back in zip((2, 3), undo, strict=True):
        if mode in factors:
            factors[mode] = back.T @ factors[mode]
        else:
            core = np.moveaxis(np.tensordot(back, core, (1, mode)), 0, mode)
    weights = []
    if b2 < k2:
        weights.append(factors[3].T)
        if b1 < k1:
            weights.append(factors[2].T)
            core = core.transpose(0, 1, 3, 2)
    weights.append(core.reshape(a1 * a2, b1 * b2))
    if a2 < form.shape[0][1]:
        weights.append(factors[1])
        if not keeps:
            weights.append(factors[0])
    return weights


def _start_butterfly(form: Form, target: Target) -> list[np.ndarray]:
    (block, each), (across, _) = form.shape
    filled = np.zeros((block * each, across * block))
    filled[:form.n, :form.k] = target.weight
    # Of each output group i and input group g: the outputs by the inputs have rank 1.
    w = filled.reshape(block, each, across, block).transpose(0, 2, 1, 3)
    scale = np.ones(across * block)
    scale[:form.k] = np.sqrt(np.maximum(np.diag(target.covariance), 1e-12))
    u, s, vt = np.linalg.svd(w * scale.reshape(1, across, 1, block), full_matrices=False)
    half = np.sqrt(s[:, :, 0])
    first = half[:, :, None] * vt[:, :, 0] / scale.reshape(1, across, block)    # (i, g, j)
    second = half[:, :, None] * u[:, :, :, 0]                                   # (i, g, h)
    return [first.transpose(1, 0, 2).reshape(across * block, block), np.eye(block),
            second.transpose(0, 2, 1).reshape(block * each, across)]


def _khatri_rao(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a[:, None] * b[None]).reshape(-1, a.shape[1])


def _start_cp(form: Form, target: Target) -> list[np.ndarray]:
    """A factor of each dimension: n1, n2, k1, k2."""
    n, k = form.shape
    tensor, undo = white(target, n, k, range(len(n)))
    begin = "svd" if form.rank[0] <= min(tensor.shape) else "random"
    scale, factors = parafac(tensor, form.rank[0], n_iter_max=3 * ALTERNATIONS, init=begin,
                             random_state=0, tol=1e-6)
    found = [np.asarray(factor) for factor in factors]
    for m, back in enumerate(undo):
        found[len(n) + m] = back.T @ found[len(n) + m]
    found[0] = found[0] * np.asarray(scale)
    return found


def _steps_of_cp(factors: Sequence[np.ndarray]) -> list[np.ndarray]:
    n1, n2, k1, k2 = factors
    return [_khatri_rao(k1, k2).T, _khatri_rao(n1, n2)]


def start(form: Form, target: Target) -> list[np.ndarray]:
    """Weights of the steps before any descent."""
    if form.name.startswith("dense"):
        return [target.weight]
    if form.name == "cp":
        return _steps_of_cp(_start_cp(form, target))
    return {"svd": _start_svd, "ttm": _start_ttm, "tucker": _start_tucker,
            "butterfly": _start_butterfly}[form.name](form, target)


# -- the descent ----------------------------------------------------------------------------------
def _unread(view: View, z: np.ndarray, rows: int, channels: int) -> np.ndarray:
    """The output that a view shows as ``z``."""
    inner = channels if view.R is None else view.R
    outer, b, c = channels // inner, view.B, view.C
    if view.split:
        z = z.reshape(rows // b // c, c, outer, b, inner).transpose(0, 3, 1, 2, 4)
    else:
        z = z.reshape(rows // b, outer, b, inner).swapaxes(1, 2)
    return z.reshape(rows, channels)


def _back(step: Step, weight: np.ndarray, x: np.ndarray,
          dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of a step's weight and input."""
    if step.groups == 1:
        return dy.T @ x, dy @ weight
    xs = x.reshape(-1, step.groups, step.k).swapaxes(0, 1)
    dys = dy.reshape(-1, step.groups, step.n).swapaxes(0, 1)
    dx = dys @ weight.reshape(step.groups, step.n, step.k)
    return ((dys.swapaxes(1, 2) @ xs).reshape(step.shape),
            dx.swapaxes(0, 1).reshape(x.shape))


class _Chain:
    """The error of a chain and its gradient."""

    def __init__(self, form: Form, target: Target):
        self.form = form
        x = target.directions
        self.wanted = x @ target.weight.T
        filled = np.zeros((len(x), form.inputs))
        filled[:, :form.k] = x
        self.x = filled.reshape(-1, form.inputs // form.split)
        self.scale = float((self.wanted**2).sum()) or 1.0

    def forward(self, weights: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
        """The input of each step, and the output of the last as it is read."""
        seen, x = [], self.x
        for step, weight in zip(self.form.steps, weights, strict=True):
            seen.append(x)
            x = step.view.read(step.multiply(weight, x))
        return seen, x

    def __call__(self, weights: Sequence[np.ndarray]) -> tuple[float, list[np.ndarray]]:
        seen, y = self.forward(weights)
        off = y[:, :self.form.n] - self.wanted
        dz = np.zeros_like(y)
        dz[:, :self.form.n] = 2 / self.scale * off
        found = []
        for step, weight, x in zip(self.form.steps[::-1], weights[::-1], seen[::-1], strict=True):
            dy = _unread(step.view, dz, len(x), step.groups * step.n)
            dw, dz = _back(step, weight, x, dy)
            found.append(dw)
        return float((off**2).sum()) / self.scale, found[::-1]


def _minimise(begin: Sequence[np.ndarray],
              of: Callable[[list[np.ndarray]], tuple[float, list[np.ndarray]]],
              iterations: int) -> list[np.ndarray]:
    """L-BFGS over arrays."""
    ends = np.cumsum([value.size for value in begin])[:-1]
    shapes = [value.shape for value in begin]

    def arrays(flat: np.ndarray) -> list[np.ndarray]:
        return [part.reshape(shape)
                for part, shape in zip(np.split(flat, ends), shapes, strict=True)]

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        error, gradients = of(arrays(flat))
        return error, np.concatenate([gradient.ravel() for gradient in gradients])

    found = minimize(value, np.concatenate([value.ravel() for value in begin]), jac=True,
                     method="L-BFGS-B", options={"maxiter": iterations, "ftol": 1e-7,
                                                 "gtol": 1e-12})
    return arrays(found.x)


def _descended(form: Form, target: Target, weights: list[np.ndarray],
               iterations: int) -> list[np.ndarray]:
    """Each step's weight is seen through the root of what comes into it, so that all directions
    are about as steep."""
    chain = _Chain(form, target)
    free = [number for number, _ in enumerate(weights)
            if not (form.name == "butterfly" and number == 1)]      # the unit matrix
    seen, _ = chain.forward(weights)
    roots, undo = {}, {}
    for number in free:
        step, x = form.steps[number], seen[number]
        if step.groups == 1:
            c = x.T @ x / len(x)
            roots[number], undo[number] = _power(c, 0.5), _power(c, -0.5)
        else:
            size = float(np.sqrt((x**2).mean())) or 1.0
            roots[number], undo[number] = size * np.eye(step.k), np.eye(step.k) / size

    def seen_as(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = list(weights)
        for number, part in zip(free, parts, strict=True):
            found[number] = part @ undo[number]
        return found

    def of(parts: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
        error, gradients = chain(seen_as(parts))
        return error, [gradients[number] @ undo[number] for number in free]

    return seen_as(_minimise([weights[number] @ roots[number] for number in free], of, iterations))


def _descended_cp(form: Form, target: Target, factors: list[np.ndarray],
                  iterations: int) -> list[np.ndarray]:
    chain = _Chain(form, target)

    def of(parts: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
        error, (inner, outer) = chain(_steps_of_cp(parts))
        n1, n2, k1, k2 = parts
        outer = outer.reshape(len(n1), len(n2), -1)
        inner = inner.T.reshape(len(k1), len(k2), -1)
        return error, [np.einsum("abr,br->ar", outer, n2), np.einsum("abr,ar->br", outer, n1),
                       np.einsum("abr,br->ar", inner, k2), np.einsum("abr,ar->br", inner, k1)]

    return _minimise(factors, of, iterations)


def _better(a: Fit, b: Fit) -> Fit:
    return a if a.error <= b.error else b


def fit(form: Form, target: Target, iterations: int = DESCENT) -> Fit:
    """The factors of a form, in floats.

    Parameters
    ----------
    iterations : int
        Of the descent; 0 keeps the start.

    Raises
    ------
    ValueError
        If the form is not one of that weight.
    """
    if (form.n, form.k) != target.weight.shape:
        raise ValueError(f"form must be one of a weight {target.weight.shape}, not "
                         f"{(form.n, form.k)}")
    with tensorly.backend_context("numpy", local_threadsafe=True):
        if form.name == "cp":
            factors = _start_cp(form, target)
            best = _found(form, _steps_of_cp(factors), target)
            if not iterations:
                return best
            later = _steps_of_cp(_descended_cp(form, target, factors, iterations))
            return _better(best, _found(form, later, target))
        weights = start(form, target)
    best = _found(form, weights, target)
    if not iterations or form.name not in ("ttm", "tucker", "butterfly"):
        return best
    later = _descended(form, target, weights, iterations)
    return _better(best, _found(form, later, target))


def rounded(found: Fit) -> list[np.ndarray]:
    """Weights of as many bits as the form's steps have, each output channel with a scale of its
    own: to the nearest code, without training. What training wins back is not in it."""
    return [_rounded(weight, step.bits)
            for weight, step in zip(found.weights, found.form.steps, strict=True)]


def _rounded(weight: np.ndarray, bits: int) -> np.ndarray:
    largest = (1 << (bits - 1)) - 1
    peak = np.abs(weight).max(axis=1, keepdims=True)
    peak = np.where(peak > 0, peak, 1.0)
    best, least = weight, np.full(len(weight), np.inf)
    for clip in CLIPS:
        scale = peak * clip / largest
        close = np.clip(np.rint(weight / scale), -largest - 1, largest) * scale
        off = ((close - weight) ** 2).sum(axis=1)
        best = np.where((off < least)[:, None], close, best)
        least = np.minimum(off, least)
    return best
