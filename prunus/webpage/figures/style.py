# SPDX-License-Identifier: Apache-2.0
"""What all figures have in common. Colours of text and grid come from the page, light or dark."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

__all__ = ["BUSY", "GREY", "IDLE", "KEPT", "SERIES", "figure"]

KEPT = "Viridis"
GREY = "#8a8a94"
BUSY = ("#3b76af", "#4aa3a2", "#8cc084")
IDLE = ("#e08a3c", "#d65f5f", "#b07aa1", "#e3c04b", "#9a8f86")
SERIES = ("#3b76af", "#e08a3c", "#4aa35a", "#b5569c", "#d65f5f", "#7a68c2", "#9a7b4f", "#2f9fb5")


def figure(traces: Sequence[Any], *, height: int, **layout: Any) -> go.Figure:
    """A figure without anything of Plotly's templates."""
    made = go.Figure(list(traces))
    made.update_layout(
        template="none", height=height, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", margin={"l": 70, "r": 20, "t": 30, "b": 50},
        hoverlabel={"align": "left"}, **layout)
    made.update_xaxes(title_standoff=8, title_font_size=13)
    made.update_yaxes(title_standoff=8, title_font_size=13)
    return made
