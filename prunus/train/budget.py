# SPDX-License-Identifier: Apache-2.0
"""What accuracies of so many sentences say, and which checkpoint a budget allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Candidate", "Comparison", "Perplexity", "choose", "lost", "nearest", "wilson"]

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
        KL divergence from the model as given, mean of the sentences; 0 of a decoder.
    loss : float or None
        Of a decoder, whose sentences are tokens: their loss, summed.
    """

    step: int
    thresholds: tuple[float, ...]
    pruned: float
    correct: int
    agree: int
    divergence: float
    loss: float | None = None


def lost(first: Candidate, candidate: Candidate, total: int) -> float:
    """Points of accuracy, or percent of a decoder's perplexity, below the first candidate."""
    if first.loss is None or candidate.loss is None:
        return 100 * (first.correct - candidate.correct) / total
    return 100 * math.expm1((candidate.loss - first.loss) / total)


def nearest(candidates: Sequence[Candidate], total: int, count: int = 3) -> str:
    """The checkpoints that lose least, in words; of those that lose alike those that prune most.

    The first candidate is the model as it was given.
    """
    first = candidates[0]
    unit = "points" if first.loss is None else "percent of perplexity"
    order = sorted(candidates[1:], key=lambda c: (lost(first, c, total), -c.pruned))
    return ", ".join(f"step {c.step} ({c.pruned:.1%} pruned, {lost(first, c, total):.2f} {unit} "
                     f"lost)" for c in order[:count])


def choose(candidates: Sequence[Candidate], total: int, budget: float) -> Candidate:
    """The candidate that prunes most within ``budget`` points (percent, of perplexity) below the
    first one; of those that prune alike the one that loses least.

    The first candidate, which prunes nothing, is always within the budget.
    """
    # 0.2 points of 1,000 sentences are two of them, whatever floats make of it.
    first, allowed = candidates[0], budget + 1e-7
    within = [c for c in candidates if lost(first, c, total) <= allowed]
    return (max(within, key=lambda c: (c.pruned, -lost(first, c, total)))
            if within else candidates[0])


@dataclass(frozen=True)
class Perplexity:
    """Of texts, whose tokens depend on each other: the intervals are those of a ratio of sums over
    texts (95%).

    Members
    -------
    losses : sequence of float
        Of each text, summed over its tokens.
    tokens : sequence of int
    """

    losses: Sequence[float]
    tokens: Sequence[int]

    @property
    def value(self) -> float:
        return math.exp(self._mean(self.losses)[0])

    def interval(self) -> tuple[float, float]:
        mean, half = self._mean(self.losses)
        return math.exp(mean - half), math.exp(mean + half)

    def lost(self, after: "Perplexity") -> tuple[float, tuple[float, float]]:
        """Percent that it is larger ``after``, on the same texts, and the interval of that."""
        mean, half = self._mean([b - a for a, b in zip(self.losses, after.losses, strict=True)])
        low, value, high = (100 * math.expm1(x) for x in (mean - half, mean, mean + half))
        return value, (low, high)

    def _mean(self, losses: Sequence[float]) -> tuple[float, float]:
        """Per token, and half of its interval; no width of a single text."""
        n, total = len(losses), sum(self.tokens)
        mean = sum(losses) / total
        spread = sum((x - mean * t) ** 2 for x, t in zip(losses, self.tokens, strict=True))
        return mean, Z95 * math.sqrt(n / (n - 1) * spread) / total if n > 1 else 0.0
