# SPDX-License-Identifier: Apache-2.0
"""Measures of what a model says of texts, and their intervals.

A measure takes ``items``, two numbers of each text, and ``weights`` (..., texts) that say how often
each text counts.
"""

from collections.abc import Callable

import numpy as np

__all__ = ["METRICS", "Measure", "accuracy", "difference_interval", "interval", "mcc",
           "perplexity"]

RESAMPLES = 4000            # of the texts, by the bootstrap
SEED = 0
EDGES = 2.5, 97.5           # percentiles of a 95% interval

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


def accuracy(weights: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The share of sentences (said, label) that is right."""
    return weights @ (items[:, 0] == items[:, 1]) / weights.sum(-1)


def mcc(weights: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Matthews' correlation of sentences (said, label) of two classes; 0 where all are said to be
    alike."""
    said, label = items.T.astype(bool)
    tp, tn, fp, fn = (weights @ pairs.astype(float) for pairs in (
        said & label, ~said & ~label, said & ~label, ~said & label))
    under = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(under > 0, (tp * tn - fp * fn) / np.sqrt(np.where(under > 0, under, 1)), 0)


def perplexity(weights: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Per predicted token, of documents (sum of losses, tokens)."""
    losses, tokens = (weights @ items).T
    return np.exp(losses / tokens)


METRICS: dict[str, Measure] = {"accuracy": accuracy, "mcc": mcc, "perplexity": perplexity}


def _drawn(texts: int) -> np.ndarray:
    """(resamples, texts): how often each text is drawn, always the same for as many texts."""
    weights = np.random.default_rng(SEED).multinomial(texts, np.full(texts, 1 / texts), RESAMPLES)
    return weights.astype(float)


def interval(measure: Measure, items: np.ndarray) -> tuple[float, float]:
    """The 95% interval of a measure by the bootstrap over texts."""
    low, high = np.percentile(measure(_drawn(len(items)), items), EDGES)
    return float(low), float(high)


def difference_interval(measure: Measure, before: np.ndarray, after: np.ndarray,
                        relative: bool) -> list[float]:
    """The 95% interval of the difference of ``after`` to ``before``, texts drawn in pairs.

    ``relative`` differences are shares of ``before``.
    """
    weights = _drawn(len(before))
    old, new = (measure(weights, items) for items in (before, after))
    return [float(edge) for edge in np.percentile((new - old) / (old if relative else 1), EDGES)]
