# SPDX-License-Identifier: Apache-2.0
"""One form for each weight of a model: the least predicted loss within a budget.

The budget is on energy times cycles, E * c, which is no sum over weights. But E * c <= L exactly
if some s has s * c + E / s <= 2 * sqrt(L), namely s = sqrt(E / c): for each s that is a knapsack,
which a solver answers, exactly but for a ten-thousandth of the loss. All s of a grid are tried that
may be better, and those of the answers. What lies between two of the grid costs two thousandths of
the budget at most.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from .chain import Form
from .cost import Cost, Energy, edp
from .forms import GRAIN, RUN, fault, heuristic_shape, svd, ttm
from .pareto import Candidate

__all__ = ["GRID", "Assignment", "Option", "assign", "cheapest_loss", "curve", "heuristic",
           "options_of", "silent", "uniform"]

# Joules a cycle, as multiples of those of the dense model.
GRID = tuple(float(2**power) for power in np.arange(-3, 3.01, 0.125))
CLOSER = 4              # times that the answer's own is tried
SLACK = 1e-9            # of a budget that floats may go beyond
GAP = 1e-4              # of a loss that the solver leaves open


@dataclass(frozen=True, eq=False)
class Option:
    """What one weight can become, or some that share their inputs and are stacked.

    Members
    -------
    weights : tuple of str
        Of the model.
    form : Form
    cost : Cost
    loss : float
        Predicted: the error of the output, times what the model loses by such an error.
    """

    weights: tuple[str, ...]
    form: Form
    cost: Cost
    loss: float


def options_of(weights: Sequence[str], found: Iterable[Candidate],
               sensitivity: Mapping[str, float]) -> list[Option]:
    """Of the candidates of a weight, or of a stack.

    Parameters
    ----------
    sensitivity : mapping of str to float
        By weight: the model's loss at an error of 1, if it grows with the error.
    """
    return [Option(tuple(weights), one.form, one.cost, sum(
        sensitivity[name] * error for name, error in zip(weights, one.errors, strict=True)))
        for one in found]


@dataclass(frozen=True, eq=False)
class Assignment:
    """An option for each weight."""

    options: tuple[Option, ...]

    @cached_property
    def cost(self) -> Cost:
        return sum((option.cost for option in self.options), Cost())

    @cached_property
    def loss(self) -> float:
        return sum(option.loss for option in self.options)

    def gain(self, dense: Cost, energy: Energy) -> float:
        """How often energy times cycles of the dense model are those of this one."""
        return edp(dense, energy) / edp(self.cost, energy)

    @property
    def forms(self) -> dict[tuple[str, ...], Form]:
        return {option.weights: option.form for option in self.options}


@contextmanager
def silent() -> Iterator[None]:
    """HiGHS has lines that no option turns off, on the standard output of C."""
    everything = ctypes.CDLL(None)
    sys.stdout.flush()
    everything.fflush(None)
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
    finally:
        everything.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


class _Knapsack:
    """One option for each weight, of the least loss, within a limit of prices."""

    def __init__(self, options: Sequence[Option]):
        self.options = options
        names = sorted({name for option in options for name in option.weights})
        number = {name: row for row, name in enumerate(names)}
        where = [(number[name], column) for column, option in enumerate(options)
                 for name in option.weights]
        rows, columns = zip(*where, strict=True)
        covers = csr_array((np.ones(len(where)), (rows, columns)), (len(names), len(options)))
        self.covers = LinearConstraint(covers, 1, 1)
        # Numbers near one: the solver's tolerances are not relative.
        self.scale = max(abs(option.loss) for option in options) or 1.0

    def _solved(self, prices: Sequence[float], limit: float, whole: bool) -> Any:
        with silent():
            return self._milp(prices, limit, whole)

    def _milp(self, prices: Sequence[float], limit: float, whole: bool) -> Any:
        return milp([option.loss / self.scale for option in self.options],
                    integrality=np.full(len(self.options), int(whole)), bounds=Bounds(0, 1),
                    constraints=[self.covers, LinearConstraint(
                        np.asarray(prices)[None] / limit, -np.inf, 1.0)],
                    options={"mip_rel_gap": GAP, "presolve": not whole})

    def bound(self, prices: Sequence[float], limit: float) -> float:
        """No choice has a smaller loss; infinite if there is none. Shares of options allowed."""
        found = self._solved(prices, limit, whole=False)
        return np.inf if found.x is None else found.fun * self.scale

    def best(self, prices: Sequence[float], limit: float) -> Assignment | None:
        found = self._solved(prices, limit, whole=True)
        if found.x is None:
            return None
        return Assignment(tuple(option for option, taken in zip(
            self.options, found.x, strict=True) if taken > 0.5))


def cheapest_loss(options: Sequence[Option], prices: Sequence[float],
                  limit: float) -> Assignment | None:
    """The options of least loss whose prices add up to the limit at most; None if no choice of
    one for each weight does.

    A mixed-integer program, solved by HiGHS to a hundredth of a percent of the loss.
    """
    return _Knapsack(options).best(prices, limit)


def assign(options: Sequence[Option], dense: Cost, energy: Energy, gain: float, *,
           grid: Sequence[float] = GRID) -> Assignment | None:
    """The least loss at energy times cycles so many times below the dense model's; None if no
    choice reaches that.

    Parameters
    ----------
    options : sequence of Option
        All weights must be in some of them.
    dense : Cost
        Of the model as it is compared with.
    gain : float
        At least so many times.
    """
    cycles, joules = dense.cycles, energy.of(dense)
    shares = [(option.cost.cycles / cycles, energy.of(option.cost) / joules)
              for option in options]
    limit, knapsack = 2 / sqrt(gain), _Knapsack(options)
    best: Assignment | None = None

    def prices(slope: float) -> list[float]:
        return [slope * c + e / slope for c, e in shares]

    def better(one: Assignment | None) -> bool:
        # What the solver lets pass by a rounding is no answer.
        return (one is not None and one.gain(dense, energy) >= gain * (1 - SLACK)
                and (best is None or one.loss < best.loss))

    # Where not even shares of options are better than what is known, no whole ones are.
    bounds = sorted((knapsack.bound(prices(slope), limit), slope) for slope in grid)
    for bound, slope in bounds:
        if bound == np.inf or (best is not None and bound >= best.loss * (1 - GAP)):
            break
        found = knapsack.best(prices(slope), limit)
        if better(found):
            best = found
    for _ in range(CLOSER):
        if best is None:
            break
        slope = sqrt(energy.of(best.cost) / joules / (best.cost.cycles / cycles))
        found = knapsack.best(prices(slope), limit)
        if not better(found):
            break
        best = found
    return best


def curve(options: Sequence[Option], dense: Cost, energy: Energy, gains: Iterable[float],
          price: Callable[[Option], float] | None = None) -> list[Assignment]:
    """The assignments of some gains, those that can be reached.

    Parameters
    ----------
    price : callable, optional
        What the budget is on instead, by option: products, to see what they miss. A gain is then
        one of the sum of that.
    """
    if price is None:
        found = [assign(options, dense, energy, gain) for gain in gains]
    else:
        prices = [price(option) for option in options]
        # Dense weights are the dearest in all that one could count.
        names = {name for option in options for name in option.weights}
        whole = sum(max(price(option) for option in options if option.weights == (name,))
                    for name in names)
        found = [cheapest_loss(options, prices, whole / gain) for gain in gains]
    return [one for one in found if one is not None]


# -- what the search is compared with -------------------------------------------------------------
def uniform(shapes: Mapping[str, tuple[int, int]], share: float, bits: int) -> dict[str, Form]:
    """Two factors for each weight, all with about the same share of its products."""
    found = {}
    for name, (n, k) in shapes.items():
        rank = max(GRAIN, round(share * n * k / (n + k) / GRAIN) * GRAIN)
        found[name] = svd(n, k, rank, bits)
    return found


def heuristic(shapes: Mapping[str, tuple[int, int]], order: int, rank: int,
              bits: int) -> dict[str, Form]:
    """A tensor train for each weight, of the shape that tltorch takes and one rank for all.

    Of the orders of its dimensions the first one that the hardware can run is taken. Raises
    ValueError if there is none.
    """
    found = {}
    for name, (n, k) in shapes.items():
        ns, ks = heuristic_shape(n, k, order)
        tried = [ttm(a, b, (rank,) * (order - 1), bits)
                 for a in (ns, ns[::-1]) for b in (ks, ks[::-1])]
        runs = [form for form in tried if fault(form) is None]
        if not runs:
            raise ValueError(f"weight {name} of {n} x {k} must have a tensor train of {order} "
                             f"dimensions that the hardware can run at rank {rank}, a multiple "
                             f"of {RUN}")
        found[name] = min(runs, key=lambda form: form.products)
    return found
