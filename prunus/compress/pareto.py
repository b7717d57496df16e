# SPDX-License-Identifier: Apache-2.0
"""Forms of one weight that no other beats in cost and error at once.

There are thousands of forms, and fitting one takes a second. Their errors are estimated first,
from spectra that forms of one shape have in common; the best of each kind are then fitted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from prunus.golden.hdp.config import HdpConfig

from .chain import Form, dense
from .cost import Cost, Energy, edp, form_cost
from .fit import DESCENT, Fit, Target, fit, rounded, start, white
from .forms import NAMES, forms

__all__ = ["Candidate", "Estimates", "candidates", "front", "screened"]

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
    error : float
        As a share of the layer's output, with weights rounded to their bits.
    """

    fit: Fit
    cost: Cost
    error: float

    @property
    def form(self) -> Form:
        return self.fit.form


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Those that no other is below or equal to in all values, by their numbers. Of equal ones the
    first is kept."""
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
        tails = self._once(("svd",), lambda: _tails(self.target.weight @ self.target.root))
        return float(tails[min(form.rank[0], len(tails) - 1)] * self._share())

    def _share(self) -> float:
        """Of the output that is not its mean: what tails are shares of."""
        weight = self.target.weight
        return float(((weight @ self.target.covariance) * weight).sum()) / self.target.total

    def _ttm(self, form: Form) -> float:
        n, k = form.shape
        total = 0.0
        for m, rank in enumerate(form.rank, 1):
            tails = self._once(("ttm", n, k, m), lambda m=m: _tails(self._unfolded(n, k, m)))
            total += tails[min(rank, len(tails) - 1)]
        return total * self._share()

    def _unfolded(self, n: Sequence[int], k: Sequence[int], m: int) -> np.ndarray:
        tensor, _ = white(self.target, n, k, range(len(n) - 1, -1, -1))
        count = len(n)
        left = [*range(m), *range(count, count + m)]
        right = [axis for axis in range(2 * count) if axis not in left]
        return tensor.transpose(*left, *right).reshape(
            int(np.prod([tensor.shape[axis] for axis in left])), -1)

    def _tucker(self, form: Form) -> float:
        keeps = form.rank[0] == form.shape[0][0]
        kept = self._once(("tucker", *form.shape, keeps), lambda: self._powers(form, keeps))
        return max(0.0, 1.0 - float(kept[tuple(rank - 1 for rank in form.rank)])) * self._share()

    def _powers(self, form: Form, keeps: bool) -> np.ndarray:
        """Share of the squares in each corner of the core, with all ranks kept."""
        n, k = form.shape
        core, _ = white(self.target, n, k, (0, 1) if keeps else (1, 0))
        for mode in range(4):
            flat = np.moveaxis(core, mode, 0).reshape(core.shape[mode], -1)
            _, vectors = np.linalg.eigh(flat @ flat.T)
            core = np.moveaxis(np.tensordot(vectors[:, ::-1], core, (0, mode)), 0, mode)
        power = core**2
        for mode in range(4):
            power = power.cumsum(axis=mode)
        return (power / power[-1, -1, -1, -1]).astype(np.float32)

    def _butterfly(self, form: Form) -> float:
        return self.target.error(dense(form, start(form, self.target)))


def _tails(matrix: np.ndarray) -> np.ndarray:
    """Share of the squares that a rank leaves out, from rank 0 on."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    values = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)
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


def candidates(target: Target, rows: int, config: HdpConfig, energy: Energy = Energy(), *,
               names: Sequence[str] = NAMES, bits: Sequence[int] = (8, 4), most: int = MOST,
               iterations: int = DESCENT, progress: Progress | None = None,
               everything: bool = False) -> list[Candidate]:
    """The Pareto set of a weight over cycles, energy and error.

    Parameters
    ----------
    rows : int
        Of X.
    names, bits
        As in :func:`.forms.forms`.
    most : int
        Forms of each kind and width that are fitted.
    everything : bool
        All that were fitted, also those that others beat.
    """
    n, k = target.weight.shape
    dense_edp = edp(form_cost(next(iter(forms(n, k, ("dense",), (max(bits),)))), rows, config),
                    energy)
    chosen = _chosen(target, rows, config, energy, names, bits, most, dense_edp)
    fitted: dict[tuple, Fit] = {}
    found = []
    for number, form in enumerate(chosen):
        # Widths share their factors.
        key = (form.name, form.shape, form.rank)
        if key not in fitted:
            fitted[key] = fit(form, target, iterations)
        same = fitted[key]
        own = Fit(form, same.weights, same.error, same.bias)
        found.append(Candidate(own, form_cost(form, rows, config), rounded(own, target).error))
        if progress is not None:
            progress(number + 1, len(chosen))
    if everything:
        return found
    return [found[number] for number in front(
        [(one.cost.cycles, energy.of(one.cost), one.error) for one in found])]


def _chosen(target: Target, rows: int, config: HdpConfig, energy: Energy, names: Sequence[str],
            bits: Sequence[int], most: int, limit: float) -> list[Form]:
    """What is worth fitting."""
    estimates = Estimates(target)
    groups: dict[tuple[str, int], list[tuple[Form, float, float]]] = {}
    for form, cost in _costs(target, rows, config, energy, names, bits):
        if cost <= limit:
            groups.setdefault((form.name, form.steps[0].bits), []).append((form, cost, 0.0))
    return [form for found in groups.values() for form in screened(
        [(form, cost, estimates.of(form)) for form, cost, _ in found], most)]


def _costs(target: Target, rows: int, config: HdpConfig, energy: Energy, names: Sequence[str],
           bits: Sequence[int]) -> Iterator[tuple[Form, float]]:
    for form in forms(*target.weight.shape, names, bits):
        yield form, edp(form_cost(form, rows, config), energy)
