# SPDX-License-Identifier: Apache-2.0
"""What accuracies of so many sentences say, and which checkpoint a budget allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Candidate", "Comparison", "choose", "nearest", "wilson"]

Z95 = 1.959963984540054


def wilson(correct: int, total: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson's score interval)."""
    share, z2 = correct / total, Z95 * Z95 / total
    middle = (share + z2 / 2) / (1 + z2)
    half = Z95 / (1 + z2) * math.sqrt(share * (1 - share) / total + z2 / total / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Comparison:
    """The same sentences under two rules.

    Members
    -------
    before, after : sequence of bool
        Which sentences are right.
    """

    before: Sequence[bool]
    after: Sequence[bool]

    @property
    def lost(self) -> float:
        """Points of accuracy lost; negative if won."""
        return 100 * (sum(self.before) - sum(self.after)) / len(self.before)

    def interval(self) -> tuple[float, float]:
        """The 95% interval of ``lost``, from the sentences that changed (Wald's, for pairs)."""
        n = len(self.before)
        worse = sum(b and not a for b, a in zip(self.before, self.after, strict=True))
        better = sum(a and not b for b, a in zip(self.before, self.after, strict=True))
        half = Z95 * math.sqrt(max(0.0, worse + better - (worse - better) ** 2 / n)) / n
        return self.lost - 100 * half, self.lost + 100 * half


@dataclass(frozen=True)
class Candidate:
    """A checkpoint, as the hard rule sees it on the sentences held out.

    Members
    -------
    step : int
        0 is the model as it was given, without pruning.
    thresholds : tuple of float
        One for each layer.
    pruned : float
        Share of all visible pairs.
    correct : int
        Sentences.
    agree : int
        Sentences of which it says what the model as given says, right or wrong.
    divergence : float
        KL divergence from the model as given, mean of the sentences.
    """

    step: int
    thresholds: tuple[float, ...]
    pruned: float
    correct: int
    agree: int
    divergence: float


def nearest(candidates: Sequence[Candidate], total: int, count: int = 3) -> str:
    """The checkpoints that lose least, in words; of those that lose alike those that prune most.

    The first candidate is the model as it was given.
    """
    base = candidates[0].correct
    order = sorted(candidates[1:], key=lambda c: (base - c.correct, -c.pruned))
    return ", ".join(f"step {c.step} ({c.pruned:.1%} pruned, "
                     f"{100 * (base - c.correct) / total:.2f} points lost)"
                     for c in order[:count])


def choose(candidates: Sequence[Candidate], total: int, budget: float) -> Candidate:
    """The candidate that prunes most within ``budget`` points below the first one; of those that
    prune alike the one that gets most right.

    The first candidate, which prunes nothing, is always within the budget.
    """
    base = candidates[0].correct
    # In whole sentences: 0.2 points of 1,000 are two of them, whatever floats make of it.
    allowed = math.floor(budget * total / 100 + 1e-9)
    within = [c for c in candidates if base - c.correct <= allowed]
    return max(within, key=lambda c: (c.pruned, c.correct)) if within else candidates[0]
