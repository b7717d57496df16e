# SPDX-License-Identifier: Apache-2.0
"""The softmax unit on rows that come in tiles."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.softmax import DEN_BITS, reciprocal
from prunus.hw.hdp.softmax import SoftmaxUnit
from tests.hw.softmax.bench import config_like
from tests.hw.softmax.rows import Row, UnitBench

TILE = 8
CONFIGS = {lanes: config_like("hdp_tiny", tile=TILE, softmax_lanes=lanes) for lanes in (1, 2, 4)}


class _Part:
    """Tile ``n`` of a row, of ``keys`` from there on; the largest score is that of the row."""

    def __init__(self, row: Row, n: int, place: int):
        self.row, self.n, self.place = row, n, place
        first, keys = n * TILE, slice(n * TILE, (n + 1) * TILE)
        self.limits = np.clip(row.limits - first, 0, TILE)
        self.columns = np.array([c - first // 2 for c in row.columns
                                 if first <= 2 * c < first + TILE], int)
        self.tile = replace(row, scores=row.scores[:, keys], limits=self.limits,
                            columns=self.columns)
        self.weights = row.weights[:, keys]
        self.keep = row.keep[:, keys]

    @property
    def den(self):
        """Denominators of this tile and those before."""
        row, end = self.row, (self.n + 1) * TILE
        return row.weights[:, :end].sum(axis=1) + row.e0 * np.minimum(row.limits, end)

    def token(self, base, tag):
        whole, own = self.row.token(base, tag), self.tile.token(base, tag)
        own |= {name: whole[name] for name in ("some", "hides", "top")}
        return own | {"row": self.place, "resumes": int(self.n > 0)}

    def result(self, base, tag):
        fields = [("base", base), ("count", len(self.columns)), ("tag", tag)]
        for q, den in enumerate(self.den):
            fields.append((f"e0[{q}]", int(self.row.e0[q])))
            if den == 0 or den >= 1 << DEN_BITS:      # below 1 it is not that of all tiles
                fields.append((f"empty[{q}]", int(den == 0)))
            if den >= 1 << DEN_BITS:
                r, p = reciprocal(den)
                fields += [(f"r[{q}]", int(r)), (f"p[{q}]", int(p))]
        return fields

    def entries(self):
        return [(int(c), *self.weights[:, 2 * c : 2 * c + 2].ravel().tolist())
                for c in self.columns]

    def buffer(self, config):
        return self.tile.buffer(config)


def _row(rng, config):
    spread = int(rng.choice([50, 3000]))
    blocks = config.l_max // 2
    limits = rng.integers(0, config.l_max + 1, 2) if rng.random() < 0.5 else [config.l_max] * 2
    columns = np.flatnonzero(rng.random(blocks) < rng.choice([0.1, 0.5, 1]))
    return Row(scores=rng.integers(-spread, spread, (2, config.l_max)), limits=np.array(limits),
               columns=columns, drop=bool(rng.random() < 0.3), scale=(0xB8AA, 20))


@pytest.mark.parametrize("stalls", [None, {"i": 0.6, "o": 0.8}], ids=["none", "both"])
@pytest.mark.parametrize("lanes", CONFIGS)
def test_strips(lanes, stalls):
    """Strips of several rows, of one, and tiles of one row directly after each other."""
    config = CONFIGS[lanes]
    rng = np.random.default_rng(lanes)
    parts = []
    for rows in (3, 1, 1, 4, 2):
        strip = [_row(rng, config) for _ in range(rows)]
        parts += [_Part(row, n, place) for n in range(config.l_max // TILE)
                  for place, row in enumerate(strip)]
    last = [part for part in parts if part.n == config.l_max // TILE - 1]
    assert all((part.den == part.row.den).all() for part in last)
    UnitBench(SoftmaxUnit(config=config, tag_width=5), config, parts,
              stalls=stalls and (np.random.default_rng(1), stalls)).run()
