# SPDX-License-Identifier: Apache-2.0
"""Maps of pairs, coarse enough for a page: a cell has a square of pairs.

A value that nobody sees is NaN on the way and null on the page.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["PAIRS", "cell_size", "counted", "listed", "merged", "spread"]

PAIRS = 300_000         # that all maps of a page show one by one; of more, cells are larger


def cell_size(heads: Sequence[tuple[int, int]], most: int = PAIRS) -> int:
    """The side of a cell in pairs, a power of 2, for heads of (l_q, l_kv)."""
    side = 1
    while sum(-(-rows // side) * -(-columns // side) for rows, columns in heads) > most:
        side *= 2
    return side


def _squares(x: np.ndarray, side: int, fill: float) -> np.ndarray:
    """(cell rows, side, cell columns, side)."""
    rows, columns = x.shape
    x = np.pad(x, ((0, -rows % side), (0, -columns % side)), constant_values=fill)
    return x.reshape(x.shape[0] // side, side, x.shape[1] // side, side)


def counted(x: np.ndarray, side: int) -> np.ndarray:
    """How many are set in each cell."""
    return _squares(x.astype(np.int64), side, 0).sum(axis=(1, 3))


def merged(x: np.ndarray, side: int, how: str) -> np.ndarray:
    """The ``largest``, ``smallest`` or ``mean`` of what can be seen of each cell."""
    if side == 1:
        return x.astype(float)
    squares = _squares(x.astype(float), side, np.nan)
    cells = squares.transpose(0, 2, 1, 3).reshape(squares.shape[0], squares.shape[2], -1)
    seen = ~np.isnan(cells)
    if how == "mean":
        total = np.where(seen, cells, 0).sum(axis=2)
        found = total / np.maximum(seen.sum(axis=2), 1)
    elif how == "largest":
        found = np.where(seen, cells, -np.inf).max(axis=2)
    else:
        found = np.where(seen, cells, np.inf).min(axis=2)
    return np.where(seen.any(axis=2), found, np.nan)


def spread(x: np.ndarray, side: int) -> np.ndarray:
    """Of shares of a row: what keys of a cell get of a query of it, on average."""
    if side == 1:
        return x.astype(float)
    squares = _squares(x.astype(float), side, np.nan)
    rows = np.nansum(squares, axis=3)                           # (cells, side, cells)
    alive = ~np.isnan(squares).all(axis=3)
    count = alive.sum(axis=1)
    return np.where(count > 0, np.where(alive, rows, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def listed(x: np.ndarray, digits: int | None = None) -> list[list[float | int | None]]:
    """For JSON: None for NaN, integers where there are no digits behind the point."""
    if digits is None:
        return [[None if np.isnan(value) else int(value) for value in row]
                for row in np.asarray(x, float)]
    return [[None if np.isnan(value) else round(float(value), digits) or 0 for value in row]
            for row in x]
