# SPDX-License-Identifier: Apache-2.0
"""What pruning costs: the metric over the pruned share, with 95% intervals."""

import math
from typing import Any

import plotly.graph_objects as go

from .style import GREY, SERIES, figure

__all__ = ["AXES", "REFERENCES", "curve"]

AXES = ("scores_pruned", "blocks_pruned", "heads_pruned")
REFERENCES = {"float": "solid", "dense": "dash", "uniform": "dot"}  # lines, not points
TITLES = {"accuracy": "accuracy", "mcc": "Matthews' correlation", "perplexity": "perplexity"}
TICKS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)      # of a logarithmic axis, by decade
BEYOND = 1.0                # spans of the points, within which a line stretches the axis


def _label(record: dict[str, Any]) -> str:
    """Of a point, in HTML that Plotly draws: the caller's texts are escaped by then."""
    words = [record["method"], *(f"{name} = {value}"
                                 for name, value in record["parameters"].items())]
    lines = [", ".join(words), f"{record['model']}, {record['n']:,} texts",
             f"{record['value']:.4f} ({record['low']:.4f} to {record['high']:.4f})"]
    if "difference" in record:
        lines.append("difference to float {:+.4f} ({:+.4f} to {:+.4f})".format(
            *record["difference"]))
    if record["method"] not in REFERENCES:
        lines.append("pruned: " + ", ".join(
            f"{record[axis]:.1%} of {axis.partition('_')[0]}" for axis in AXES))
    if record.get("chosen"):
        lines.append("<b>the setting of this page</b>")
    return "<br>".join(lines)


def _points(record: dict[str, Any]) -> list[Any]:
    """What the page's selectors choose from: the axes, then twice value and both arms."""
    differs = record.get("difference")
    return [*(record[axis] for axis in AXES),
            record["value"], record["high"] - record["value"], record["value"] - record["low"],
            *([differs[0], differs[2] - differs[0], differs[0] - differs[1]] if differs
              else [None] * 3)]


def _range(records: list[dict[str, Any]], log: bool) -> tuple[float, float]:
    """Of the axis: all points with their intervals, and lines that are not far from them."""
    scale = math.log10 if log else float
    inner = [record for record in records if record["method"] not in REFERENCES] or records
    low = min(scale(record["low"]) for record in inner)
    high = max(scale(record["high"]) for record in inner)
    room = BEYOND * ((high - low) or abs(high) or 1)
    near = [scale(record["value"]) for record in records
            if low - room <= scale(record["value"]) <= high + room]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.06 * ((high - low) or abs(high) or 1)
    return low - margin, high + margin


def _outside(records: list[dict[str, Any]], log: bool,
             edges: tuple[float, float]) -> list[dict[str, Any]]:
    """A note for each line that the axis does not reach."""
    notes: list[dict[str, Any]] = []
    for record in records:
        at = math.log10(record["value"]) if log else record["value"]
        if not edges[0] <= at <= edges[1]:
            above = at > edges[1]
            notes.append({
                "text": f"{'▲' if above else '▼'} {record['series']}: {record['value']:.4g}, "
                        "outside", "xref": "paper", "yref": "paper", "x": 0.01,
                "y": 0.99 - 0.06 * len(notes) if above else 0.01 + 0.06 * len(notes),
                "xanchor": "left", "yanchor": "top" if above else "bottom", "showarrow": False})
    return notes


def curve(records: list[dict[str, Any]], metric: str, axis: str) -> go.Figure:
    """Records as ``prunus evaluate --json`` prints them, each with the ``series`` it belongs to,
    and some with their ``difference`` to float and its interval; texts are escaped.

    ``axis`` is one of AXES.
    """
    traces: list[Any] = []
    log = metric == "perplexity"
    lines = [record for record in records if record["method"] in REFERENCES]
    points: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["method"] not in REFERENCES:
            points.setdefault(record["series"], []).append(record)
    for record in lines:
        traces.append(go.Scatter(
            x=[0, 0.25, 0.5, 0.75, 1], y=[record["value"]] * 5, mode="lines",
            name=record["series"], meta=_points(record)[len(AXES):],
            line={"dash": REFERENCES[record["method"]], "color": GREY, "width": 2},
            text=[_label(record)] * 5, hovertemplate="%{text}<extra></extra>"))
    for n, (series, group) in enumerate(points.items()):
        group.sort(key=lambda record: record[axis])
        chosen, rows = [record.get("chosen", False) for record in group], [
            _points(record) for record in group]
        colour = SERIES[n % len(SERIES)]
        traces.append(go.Scatter(
            x=[record[axis] for record in group], y=[record["value"] for record in group],
            customdata=rows,
            error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 4,
                     "color": colour,       # else that of the markers, which is a list
                     "array": [row[4] for row in rows], "arrayminus": [row[5] for row in rows]},
            mode="lines+markers" if len(group) > 1 else "markers", name=series,
            line={"color": colour, "width": 2},
            marker={"size": [17 if mark else 8 for mark in chosen], "opacity": 1,
                    "symbol": ["star" if mark else "circle" for mark in chosen],
                    "color": [SERIES[1] if mark else colour for mark in chosen]},
            text=[_label(record) for record in group], hovertemplate="%{text}<extra></extra>"))
    edges = _range(records, log)
    ticks = [tick * 10.0**power for power in range(6) for tick in TICKS] if log else []
    shown = [tick for tick in ticks if edges[0] <= math.log10(tick) <= edges[1]]
    return figure(
        traces, height=440, showlegend=True, annotations=_outside(lines, log, edges),
        xaxis={"title": {"text": axis.replace("_", " ") + ", share"}, "tickformat": ".0%",
               "range": [-0.02, 1.02]},
        yaxis={"title": {"text": TITLES[metric]}, "automargin": True, "range": list(edges),
               **({"tickformat": ".1%"} if metric == "accuracy" else {}),
               **({"type": "log"} if log else {}),
               **({"tickvals": shown, "ticktext": [f"{tick:g}" for tick in shown]}
                  if len(shown) > 1 else {})},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
