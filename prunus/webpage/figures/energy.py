# SPDX-License-Identifier: Apache-2.0
"""Energy by what it goes to, with pruning and without: on the chip, and with the memory outside."""

from typing import Any

import plotly.graph_objects as go

from prunus.golden.energy import GROUPS

from .style import BUSY, GREY, IDLE, figure

__all__ = ["NAMES", "energy"]

NAMES = {"scores": "scores", "pruning": "pruning", "softmax": "softmax", "values": "P·V",
         "memory": "memories on the chip", "clock": "clock and flip-flops", "dram": "DRAM"}
COLOURS = dict(zip(GROUPS, (BUSY[0], IDLE[1], IDLE[3], BUSY[2], IDLE[0], IDLE[2], GREY),
                   strict=True))
NANO = 1000


def energy(work: dict[str, Any]) -> go.Figure:
    """``work`` is what :func:`prunus.webpage.work.measured` gives; on-chip on the left."""
    machines = work["machines"][::-1]
    names = [machine["machine"] for machine in machines]
    traces = []
    for group in GROUPS:
        values = [machine["picojoules"][group] / NANO for machine in machines]
        outside = group == "dram"
        traces.append(go.Bar(
            x=values, y=names, orientation="h", name=NAMES[group], marker_color=COLOURS[group],
            xaxis="x2" if outside else "x", yaxis="y2" if outside else "y",
            hovertemplate=f"%{{y}}: {NAMES[group]}<br>%{{x:,.1f}} nJ<extra></extra>"))
    return figure(
        traces, height=280, barmode="stack", bargap=0.3,
        xaxis={"title": {"text": "on the chip, nJ"}, "domain": [0, 0.62], "tickformat": ",",
               "rangemode": "tozero", "nticks": 6},
        xaxis2={"title": {"text": "DRAM, nJ"}, "domain": [0.68, 1], "tickformat": ",",
                "rangemode": "tozero", "anchor": "y2", "nticks": 4},
        yaxis={"automargin": True}, yaxis2={"anchor": "x2", "showticklabels": False},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0,
                "traceorder": "normal"})
