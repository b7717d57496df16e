# SPDX-License-Identifier: Apache-2.0
"""What is kept of each head: bars of the heads of a layer, a heat map of layers and heads."""

from typing import Any

import plotly.graph_objects as go

from .style import BUSY, IDLE, KEPT, figure

__all__ = ["bars", "heat_map"]

LABELLED = 16           # heads of a layer whose cells have room for a number


def bars(kept: dict[str, Any]) -> go.Figure:
    """``kept`` has a list of heads: name, blocks and scores as (kept, visible), head_kept."""
    names = [row["name"] for row in kept["heads"]]
    traces = []
    for what, colour in (("blocks", BUSY[0]), ("scores", BUSY[2])):
        pairs = [row[what] for row in kept["heads"]]
        shares = [part / whole if whole else 0.0 for part, whole in pairs]
        traces.append(go.Bar(
            x=names, y=shares, name=f"{what} kept", marker_color=colour, customdata=pairs,
            hovertemplate=f"%{{x}}<br>%{{customdata[0]:,}} of %{{customdata[1]:,}} {what} kept: "
                          "%{y:.1%}<extra></extra>"))
    gone = [row["name"] for row in kept["heads"] if not row["head_kept"]]
    if gone:
        traces.append(go.Scatter(
            x=gone, y=[0.02] * len(gone), mode="markers", name="head pruned",
            marker={"symbol": "x", "size": 10, "color": IDLE[1]},
            hovertemplate="%{x} is pruned whole<extra></extra>"))
    return figure(traces, height=340, barmode="group", bargap=0.25,
                  xaxis={"title": {"text": "head"}, "type": "category"},
                  yaxis={"title": {"text": "share kept"}, "range": [0, 1.02],
                         "tickformat": ".0%"},
                  legend={"orientation": "h", "y": 1.12, "x": 0})


def heat_map(layers: list[list[list[int]]], what: str) -> go.Figure:
    """Of (kept, visible) by layer and head."""
    shares = [[part / whole if whole else None for part, whole in row] for row in layers]
    heads = len(layers[0]) if layers else 0
    text = [["" if share is None or heads > LABELLED else f"{share:.0%}" for share in row]
            for row in shares]
    return figure(
        [go.Heatmap(
            z=shares, text=text, texttemplate="%{text}", customdata=layers, zmin=0, zmax=1,
            textfont={"color": "#ffffff", "shadow": "0 0 3px #000, 0 0 2px #000"},
            colorscale=KEPT, xgap=2, ygap=2,
            colorbar={"title": {"text": f"{what} kept", "side": "right", "font": {"size": 12}},
                      "tickformat": ".0%", "thickness": 12, "outlinewidth": 0},
            hovertemplate=f"layer %{{y}}, head %{{x}}<br>%{{customdata[0]:,}} of "
                          f"%{{customdata[1]:,}} {what} kept: %{{z:.1%}}<extra></extra>")],
        height=110 + 40 * max(4, len(layers)),
        xaxis={"title": {"text": "head"}, "dtick": 1 if heads <= 2 * LABELLED else 4,
               "showgrid": False, "zeroline": False},
        yaxis={"title": {"text": "layer"}, "dtick": 1, "autorange": "reversed",
               "showgrid": False, "zeroline": False})
