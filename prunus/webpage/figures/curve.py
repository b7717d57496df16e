# SPDX-License-Identifier: Apache-2.0
"""What pruning costs: the metric over the pruned share, with 95% intervals."""

from typing import Any

import plotly.graph_objects as go

from .style import GREY, SERIES, figure

__all__ = ["AXES", "REFERENCES", "curve"]

AXES = ("scores_pruned", "blocks_pruned", "heads_pruned")
REFERENCES = {"float": "solid", "dense": "dash", "uniform": "dot"}  # lines, not points
TITLES = {"accuracy": "accuracy", "mcc": "Matthews' correlation", "perplexity": "perplexity"}


def _parameters(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in record["parameters"].items())


def _label(record: dict[str, Any]) -> str:
    """Of a point, in HTML that Plotly draws: the caller's texts are escaped by then."""
    return (f"{record['method']}{', ' if record['parameters'] else ''}{_parameters(record)}"
            f"<br>{record['model']}, {record['n']:,} texts")


def curve(records: list[dict[str, Any]], metric: str, axis: str) -> go.Figure:
    """Records as ``prunus evaluate --json`` prints them, each with the ``series`` it belongs to;
    texts are escaped. ``axis`` is one of AXES."""
    traces: list[Any] = []
    lines = [record for record in records if record["method"] in REFERENCES]
    points: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record not in lines:
            points.setdefault(record["series"], []).append(record)
    for record in lines:
        dash = REFERENCES[record["method"]]
        traces.append(go.Scatter(
            x=[0, 0.5, 1], y=[record["value"]] * 3, mode="lines", name=record["series"],
            line={"dash": dash, "color": GREY, "width": 2},
            hovertemplate=f"{_label(record)}<br>{record['value']:.4f} "
                          f"({record['low']:.4f} to {record['high']:.4f})<extra></extra>"))
    for n, (series, group) in enumerate(points.items()):
        group.sort(key=lambda record: record[axis])
        chosen = [record.get("chosen", False) for record in group]
        traces.append(go.Scatter(
            x=[record[axis] for record in group], y=[record["value"] for record in group],
            customdata=[[record[name] for name in AXES] for record in group],
            error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 4,
                     "array": [record["high"] - record["value"] for record in group],
                     "arrayminus": [record["value"] - record["low"] for record in group]},
            mode="lines+markers" if len(group) > 1 else "markers", name=series,
            line={"color": SERIES[n % len(SERIES)], "width": 2},
            marker={"size": [14 if mark else 8 for mark in chosen],
                    "symbol": ["star" if mark else "circle" for mark in chosen]},
            text=[f"{_label(record)}<br>{record['value']:.4f} ({record['low']:.4f} to "
                  f"{record['high']:.4f})<br>pruned: {record['blocks_pruned']:.1%} of blocks, "
                  f"{record['scores_pruned']:.1%} of scores, {record['heads_pruned']:.1%} of heads"
                  f"{'<br><b>the setting of this page</b>' if record.get('chosen') else ''}"
                  for record in group],
            hovertemplate="%{text}<extra></extra>"))
    return figure(
        traces, height=440,
        xaxis={"title": {"text": axis.replace("_", " ") + ", share"}, "tickformat": ".0%",
               "range": [-0.02, 1.02]},
        yaxis={"title": {"text": TITLES[metric]}, "automargin": True,
               **({"tickformat": ".1%"} if metric == "accuracy" else {}),
               **({"type": "log"} if metric == "perplexity" else {})},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
