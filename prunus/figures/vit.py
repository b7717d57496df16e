# SPDX-License-Identifier: Apache-2.0
"""HDP and Top-K on captured heads of a vision transformer (docs/papers.md).

There are no weights of a vision transformer here, so the error of the heads' outputs stands in for
the accuracy: relative RMS against plain attention in float64 over the values of the file.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from prunus.golden import reference

from ..bench import plot
from ..evaluate.layer import Layer
from ..evaluate.methods.own import Float
from ..heads import read_arrays, real_scale
from . import curves
from .figure import Figure, Heads
from .papers import EDGE, FINE, TOPK, criteria, top_k
from .points import Point

__all__ = ["FIGURES", "FILES", "measure", "points", "rows_of"]

FILES = ("vit_patches", "vit_50_layer3", "vit_257_layer6")
DISTANCES = {"values": (4.0, 2.0, 1.0, 0.5)}


def points() -> list[Point]:
    return [*criteria(DISTANCES), *criteria(DISTANCES, exact=True), *top_k(),
            *(Point(curve="random", method="random", options={"share": share})
              for share in (0.5, 0.75, 0.9)),
            Point(curve="uniform", method="uniform")]


def rows_of(path: Path) -> list[dict]:
    """Of all heads of a file: what is pruned, and the mean of their errors."""
    arrays = read_arrays(path)
    q, k, v = (arrays[name].astype(float) for name in "qkv")
    layer = Layer(number=0, layers=1, text=0, q=q, k=k, v=v, scaling=real_scale(arrays))
    plain = Float().attend(layer).out
    rows = []
    for point in points():
        done = point.make().attend(layer)
        errors = [reference.relative_rms(*pair) for pair in zip(done.out, plain, strict=True)]
        rows.append({"curve": point.curve, "preset": point.preset, "settings": point.options,
                     **done.counts.pruned(), "error": np.mean(errors)})
    return rows


def measure(heads: Heads) -> list[dict]:
    return [{"file": name, "rows": rows_of(path)} for name, path in heads.of(FILES)]


def _plots(document: dict) -> dict[str, Callable]:
    return {"papers_vit.svg": partial(curves.draw_vit, document["data"])} \
        if plot.available() else {}


FIGURES = [Figure(name="papers_vit", about="HDP and Top-K on heads of a vision transformer",
                  measure=measure, table=curves.vit_table, files=FILES,
                  configs=(EDGE, FINE, TOPK), plots=_plots)]
