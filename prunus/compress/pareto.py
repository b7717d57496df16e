# SPDX-License-Identifier: Apache-2.0
"""Forms of one weight that no other beats in cost and error at once.

There are thousands of forms, and fitting one takes a second. Their errors are estimated first,
from spectra that forms of one shape have in common; the best of each kind are then fitted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from prunus.golden.hdp.config import HdpConfig

from .chain import Form, dense
from .cost import Cost, Energy, edp, form_cost
from .fit import DESCENT, Fit, Stack, Target, fit, rounded, start, white
from .forms import NAMES, dense_form, forms

__all__ = ["MOST", "Candidate", "Estimates", "best_of", "candidates", "front", "screened",
           "stacked"]

MOST = 12               # forms of each kind and width that are fitted
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A form with its factors.

    Members
    -------
    fit : Fit
        In floats.
    cost : Cost
        Fused.
    errors : tuple of float
        As shares of the layer's output, with weights rounded to their bits; one for each weight
        of a stack.
    """

    fit: Fit
    cost: Cost
    errors: tuple[float, ...]

    @property
    def form(self) -> Form:
        return self.fit.form

    @property
    def error(self) -> float:
        """Their mean."""
        return sum(self.errors) / len(self.errors)


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Those that no other is below or equal to in all values, by their numbers. Of equal ones the
    first is kept."""
    if not len(points):
        return []
    values = np.asarray(points, dtype=float).reshape(len(points), -1)
    kept: list[int] = []
    # What comes later in this order beats nothing that came before.
    for number in np.lexsort(values.T[::-1]):
        if not any((values[one] <= values[number]).all() for one in kept):
            kept.append(int(number))
    return sorted(kept)


@dataclass(eq=False)
class Estimates:
    """Errors of forms of one weight without their factors, from what is left out of spectra.

    That of an SVD is exact. For CP it is the SVD's of the same rank, which no CP is below. Those
    of tensors are of C as a Kronecker product, before any descent.
    """

    target: Target
    _kept: dict = field(default_factory=dict)

    def of(self, form: Form) -> float:
        if form.name.startswith("dense"):
            return 0.0
        return {"svd": self._svd, "cp": self._svd, "ttm": self._ttm, "tucker": self._tucker,
                "butterfly": self._butterfly}[form.name](form)

    def _once(self, key: tuple, make: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _svd(self, form: Form) -> float:
        tails = self._once(("svd",), lambda: _left(self.target.spectrum[1]**2))
        return float(tails[min(form.rank[0], len(tails) - 1)] * self._share)

    @cached_property
    def _share(self) -> float:
        """Of the output that is not its mean: what tails are shares of."""
        weight = self.target.weight
        return float(((weight @ self.target.covariance) * weight).sum()) / self.target.total

    def _ttm(self, form: Form) -> float:
        n, k = form.shape
        total = 0.0
        for m, rank in enumerate(form.rank, 1):
            # Where a train is cut, it does not matter how both sides are cut further.
            left = int(np.prod(n[:m])), int(np.prod(k[:m]))
            tails = self._once(("ttm", *left), partial(self._cut, *left))
            total += tails[min(rank, len(tails) - 1)]
        return float(total * self._share)

    def _cut(self, n: int, k: int) -> np.ndarray:
        rows, columns = self.target.weight.shape
        tensor, _ = white(self.target, (n, rows // n), (k, columns // k), (1, 0))
        return _tails(tensor.transpose(0, 2, 1, 3).reshape(n * k, -1).astype(np.float32))

    def _tucker(self, form: Form) -> float:
        """The sum of what each dimension leaves out, of all ranks of the others."""
        n, k = form.shape
        first = form.rank[0] == n[0]
        total = 0.0
        for m, (size, rank) in enumerate(zip((*n, *k), form.rank, strict=True)):
            if rank < size:
                tails = self._once(("tucker", m, size, first), partial(self._mode, m, size, first))
                total += tails[rank]
        return float(min(total, 1.0) * self._share)

    def _mode(self, mode: int, size: int, first: bool) -> np.ndarray:
        """Tails over one dimension of four; others than its neighbour do not matter."""
        weight, c = self.target.weight, self.target.covariance
        if mode < 2:
            # Outputs are (n1, n2) where n1 has no factor, otherwise (n2, n1).
            slow = (mode == 0) == first
            gram = self._once(("outputs",), lambda: weight @ c @ weight.T)
            return _left(np.linalg.eigvalsh(_summed(gram, size, slow))[::-1])
        k = len(c)
        dims = (size, k // size) if mode == 2 else (k // size, size)
        parts = self.target.parts(dims)
        gram = self._once(("inputs",), lambda: weight.T @ weight).reshape(*dims, *dims)
        own, other = parts if mode == 2 else parts[::-1]
        seen = (np.einsum("iajb,ab->ij", gram, other) if mode == 2
                else np.einsum("aibj,ab->ij", gram, other))
        values, vectors = np.linalg.eigh(own)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return _left(np.linalg.eigvalsh(root @ seen @ root)[::-1])

    def _butterfly(self, form: Form) -> float:
        return self.target.error(dense(form, start(form, self.target)))


def _tails(matrix: np.ndarray) -> np.ndarray:
    """Share of the squares that a rank of a matrix leaves out, from rank 0 on."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return _left(np.linalg.eigvalsh(gram)[::-1])


def _summed(gram: np.ndarray, size: int, slow: bool) -> np.ndarray:
    """A symmetric matrix over one of two dimensions, the other summed up."""
    if slow:
        return np.einsum("iaja->ij", gram.reshape(size, -1, size, len(gram) // size))
    return np.einsum("aiaj->ij", gram.reshape(-1, size, len(gram) // size, size))


def _left(values: np.ndarray) -> np.ndarray:
    """Of squares, the largest first, the share that so many of them leave out."""
    values = np.maximum(values, 0.0)
    left = values.sum() - np.concatenate([[0.0], np.cumsum(values)])
    return np.maximum(left, 0.0) / (values.sum() or 1.0)


def screened(found: Sequence[tuple[Form, float, float]], most: int = MOST) -> list[Form]:
    """Of (form, cost, estimate) those of the front, at most so many, evenly over the costs."""
    if not found:
        return []
    kept = sorted((found[number] for number in front([(cost, error) for _, cost, error in found])),
                  key=lambda one: one[1])
    if len(kept) > most:
        costs = np.log([cost for _, cost, _ in kept])
        wanted = np.linspace(costs[0], costs[-1], most)
        kept = [kept[number] for number in sorted({int(np.abs(costs - one).argmin())
                                                   for one in wanted})]
    return [form for form, _, _ in kept]


def candidates(target: Target, rows: int, config: HdpConfig, energy: Energy, *,
               names: Sequence[str] = NAMES, bits: Sequence[int] = (8, 4), most: int = MOST,
               iterations: int = DESCENT, progress: Progress | None = None,
               everything: bool = False) -> list[Candidate]:
    """The Pareto set of a weight over cycles, energy and error.

    CP is left out where SVD is there: at the same cost its error is no smaller.

    Parameters
    ----------
    rows : int
        Of X.
    names, bits
        As in :func:`.forms.forms`.
    most : int
        Forms of each kind and width that are fitted; all of the SVDs, which have a closed form.
    everything : bool
        All that were fitted, CP too, and those that others beat.
    """
    if not everything and "svd" in names:
        names = [name for name in names if name != "cp"]
    chosen = _chosen(target, rows, config, energy, names, bits, most)
    fitted: dict[tuple, Fit] = {}
    found = []
    for number, form in enumerate(chosen):
        # Widths share their factors.
        key = (form.name, form.shape, form.rank)
        if key not in fitted:
            fitted[key] = fit(form, target, iterations)
        own = replace(fitted[key], form=form)
        found.append(Candidate(own, form_cost(form, rows, config),
                               (target.error(dense(form, rounded(own))),)))
        if progress is not None:
            progress(number + 1, len(chosen))
    return found if everything else best_of(found, energy)


def best_of(found: Sequence[Candidate], energy: Energy) -> list[Candidate]:
    """The Pareto set of candidates of one weight or stack."""
    return [found[number] for number in front(
        [(one.cost.cycles, energy.of(one.cost), *one.errors) for one in found])]


def stacked(stack: Stack, rows: int, config: HdpConfig, energy: Energy, *,
            bits: Sequence[int] = (8, 4)) -> list[Candidate]:
    """The Pareto set of weights with the same inputs as one weight: dense, and SVDs whose first
    factor they have in common."""
    target, found = stack.target, []
    n, k = target.weight.shape
    for form in forms(n, k, ("dense", "svd"), bits):
        own = stack.back(fit(form, target))
        found.append(Candidate(own, form_cost(form, rows, config),
                               tuple(stack.errors(dense(form, rounded(own))))))
    return best_of(found, energy)


def _chosen(target: Target, rows: int, config: HdpConfig, energy: Energy, names: Sequence[str],
            bits: Sequence[int], most: int) -> list[Form]:
    """What is worth fitting."""
    n, k = target.weight.shape
    limit = edp(form_cost(dense_form(n, k), rows, config), energy)
    estimates = Estimates(target)
    groups: dict[tuple[str, int], list[tuple[Form, float]]] = {}
    for form in forms(n, k, names, bits):
        cost = edp(form_cost(form, rows, config), energy)
        if cost <= limit:
            groups.setdefault((form.name, form.steps[0].bits), []).append((form, cost))
    chosen = []
    for (name, _), found in groups.items():
        if name == "svd":
            chosen += [form for form, _ in found]
        else:
            chosen += screened([(form, cost, estimates.of(form)) for form, cost in found], most)
    return chosen
