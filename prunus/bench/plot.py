# SPDX-License-Identifier: Apache-2.0
"""Speed-up over dense against the fraction of blocks kept."""

from importlib.util import find_spec
from typing import BinaryIO

import numpy as np

__all__ = ["available", "speedup_plot"]

KINDS = {"svg": {"Date": None}, "png": {}}
MARKERS = "osD^vP*Xdp<>"


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def _series(result: dict) -> dict[str, list[dict]]:
    """The made cases that differ in kappa alone, and each of the real ones, by label."""
    series: dict[str, list[dict]] = {}
    for row in result["cases"]:
        group = row["case"].partition("/")[0]
        if group == "kept":
            series.setdefault(f"made heads, l = {row['l_q']}, d = {row['d']}", []).append(row)
        elif group in ("example", "data") and row["kappa"] is not None:
            name = row["case"].partition("/")[2]
            series.setdefault(f"{name}, l = {row['l_q']}", []).append(row)
    return series


def speedup_plot(result: dict, file: BinaryIO, kind: str) -> None:
    """Draw ``result``'s speed-ups and their bound 8 / (1 + 6 kappa) as ``svg`` or ``png``."""
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    with matplotlib.rc_context({"svg.hashsalt": "prunus", "font.size": 9}):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        kappa = np.linspace(0, 1, 101)
        axes.plot(kappa, 8 / (1 + 6 * kappa), color="black", linewidth=1,
                  label="bound, 8 / (1 + 6 kappa)")
        axes.axhline(1, color="gray", linewidth=0.6, linestyle=":")
        for n, (label, rows) in enumerate(_series(result).items()):
            axes.plot([row["kappa"] for row in rows], [row["speedup"] for row in rows],
                      MARKERS[n % len(MARKERS)], markersize=5, label=label)
        axes.set(xlim=(0, 1.02), ylim=(0, 8.2), xlabel="kappa, fraction of blocks kept",
                 ylabel="speed-up over dense",
                 title=f"{result['config']}: cycles of the same hardware, dense / pruned")
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(file, format=kind, metadata=KINDS[kind], dpi=150)
