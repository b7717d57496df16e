# SPDX-License-Identifier: Apache-2.0
"""Where the cycles go, with pruning and without, and what they would be at least."""

from typing import Any

import plotly.graph_objects as go

from .style import BUSY, GREY, IDLE, figure

__all__ = ["budget"]


def budget(work: dict[str, Any]) -> go.Figure:
    """``work`` is what :func:`prunus.webpage.work.measured` gives."""
    machines = work["machines"][::-1]                   # the first one on top
    traces: list[Any] = []
    spans: dict[str, dict[str, Any]] = {}
    for machine in work["machines"]:
        for span in machine["spans"]:
            spans.setdefault(span["key"], span)
    colours = {False: iter(BUSY), True: iter(IDLE)}
    for key, span in spans.items():
        cycles = [next((own["cycles"] for own in machine["spans"] if own["key"] == key), 0)
                  for machine in machines]
        shares = [cycle / machine["cycles"] if machine["cycles"] else 0
                  for cycle, machine in zip(cycles, machines, strict=True)]
        traces.append(go.Bar(
            x=cycles, y=[machine["machine"] for machine in machines], orientation="h",
            name=span["name"], marker_color=next(colours[span["idle"]]), customdata=shares,
            hovertemplate=f"%{{y}}: {span['name']}<br>%{{x:,.0f}} cycles, %{{customdata:.1%}} of "
                          "all<extra></extra>"))
    rows = [machine["machine"] for machine in machines]
    parts = [(f"{machine['machine']}: {name}", cycles, machine["cycles"])
             for machine in machines for name, cycles in machine["busy"][::-1]]
    if parts:
        traces.append(go.Bar(
            x=[cycles for _, cycles, _ in parts], y=[name for name, _, _ in parts],
            orientation="h", name="busy at the same time", marker_color=GREY, width=0.45,
            customdata=[cycles / whole if whole else 0 for _, cycles, whole in parts],
            hovertemplate="%{y} busy in %{x:,.0f} cycles, %{customdata:.1%} of all"
                          "<extra></extra>"))
        rows = [name for machine in machines for name in (
            *(f"{machine['machine']}: {part}" for part, _ in machine["busy"][::-1]),
            machine["machine"])]
    if work["kind"] == "rtl":
        traces.append(go.Scatter(
            x=[machine["bound"] for machine in machines],
            y=[machine["machine"] for machine in machines], mode="markers",
            name="bound: the least that the work needs",
            marker={"symbol": "line-ns-open", "size": 34, "line": {"width": 3}, "color": GREY},
            hovertemplate="%{y}: bound %{x:,.0f} cycles<extra></extra>"))
    return figure(
        traces, showlegend=True, height=190 + 46 * len(rows), barmode="stack", bargap=0.3,
        xaxis={"title": {"text": "clock cycles"}, "tickformat": ",~s", "rangemode": "tozero"},
        yaxis={"categoryorder": "array", "categoryarray": rows, "automargin": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0,
                "traceorder": "normal"})
