# SPDX-License-Identifier: Apache-2.0
"""Where the energy of heads goes: a bar for each run, by kind, and its largest blocks."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from prunus.console import install_hint

from ..errors import InputError

__all__ = ["check_plot", "energy_plot"]

FORMATS: dict[str, dict] = {"svg": {"Date": None}, "png": {}}
COLOURS = {"datapath": "#4477aa", "clock": "#ccbb44", "memory": "#ee6677", "leakage": "#bbbbbb"}
MOST_BLOCKS = 12


def check_plot(path: Path) -> None:
    """Raises InputError for a name of another kind, or without matplotlib."""
    if path.suffix[1:] not in FORMATS:
        raise InputError(f"plot {str(path)!r} must end in .svg or .png")
    if find_spec("matplotlib") is None:
        raise InputError(f"--plot needs the Python package 'matplotlib': {install_hint('plot')}")


def energy_plot(runs: Sequence[Mapping[str, Any]], file: BinaryIO, kind: str) -> None:
    """Draw summaries of runs as ``svg`` or ``png``: on the left by kind, on the right the blocks of
    the first."""
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    with matplotlib.rc_context({"svg.hashsalt": "prunus", "font.size": 9}):
        figure = Figure(figsize=(9, max(3.2, 0.5 * len(runs) + 2.2)), layout="constrained")
        kinds, blocks = figure.subplots(1, 2)
        labels = [run.get("label") or run["config"] for run in runs]
        left = [0.0] * len(runs)
        for name, colour in COLOURS.items():
            width = [run["nj"][name] / run["heads"] for run in runs]
            kinds.barh(labels, width, left=left, color=colour, label=name)
            left = [a + b for a, b in zip(left, width, strict=True)]
        kinds.invert_yaxis()
        kinds.set(xlabel="nJ per head", title="by kind")
        kinds.legend(frameon=False, fontsize=8)
        first = runs[0]
        some = list(first["blocks"].items())[:MOST_BLOCKS]
        blocks.barh([name for name, _ in some],
                    [value / first["heads"] for _, value in some], color="#4477aa")
        blocks.invert_yaxis()
        blocks.set(xlabel="nJ per head", title=f"blocks of {labels[0]}")
        figure.savefig(file, format=kind, metadata=FORMATS[kind], dpi=150)
