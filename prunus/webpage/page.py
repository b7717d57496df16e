# SPDX-License-Identifier: Apache-2.0
"""The page itself: one file with Plotly's script, the figures, and all they show as JSON.

Its policy forbids any access to the network. The same data give the same bytes.
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from .figures.budget import budget
from .figures.curve import AXES, curve
from .figures.energy import energy
from .figures.kept import bars, heat_map

__all__ = ["embedded", "page"]

HERE = Path(__file__).parent
POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
          "img-src data: blob:; base-uri 'none'; form-action 'none'")

CYCLES = {"rtl": "on the RTL", "model": "by a model", "bound": "at best"}


def embedded(value: Any) -> str:
    """JSON that ends no script and begins no comment, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _escaped(value: Any) -> Any:
    """Texts for Plotly, which reads them as HTML."""
    if isinstance(value, str):
        return html.escape(value, quote=False)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list) else value


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _ratio(dense: float, pruned: float) -> str:
    return f"{dense / pruned:.2f}×" if pruned else "-"


def _cards(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What the page says in a glance: a value, and what it is."""
    kept, cards = data["kept"], []
    for what in ("blocks", "scores"):
        part, whole = kept[what]
        cards.append((_percent(whole - part, whole), f"of {whole:,} visible {what} pruned"))
    if cards[0][0] == cards[1][0]:
        cards.pop()                     # where blocks are kept, scores say the same again
    gone = sum(not head["head_kept"] for head in kept["heads"])
    if gone:
        cards.append((f"{gone}", f"of {len(kept['heads'])} heads pruned"))
    pruned, dense = data["budget"]["machines"]
    cards.append((_ratio(dense["cycles"], pruned["cycles"]),
                  f"cycles of dense / pruned: {dense['cycles']:,} / {pruned['cycles']:,} "
                  f"{CYCLES[data['budget']['kind']]}"))
    chip = [sum(value for group, value in machine["picojoules"].items() if group != "dram")
            for machine in (pruned, dense)]
    cards.append((_ratio(chip[1], chip[0]), "energy on the chip of dense / pruned, an estimate"))
    return cards + [tuple(card) for card in data["cards"]]


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
                   for name, text in rows)


def _options(pairs: Sequence[tuple[Any, str]]) -> str:
    return "".join(f'<option value="{value}">{html.escape(text)}</option>'
                   for value, text in pairs)


def _section(title: str, text: str, *parts: str) -> str:
    """``text`` is HTML already."""
    return (f"<section><h2>{html.escape(title)}</h2>{f'<p>{text}</p>' if text else ''}"
            f"{''.join(parts)}</section>")


def _maps(data: dict[str, Any]) -> str:
    layers = list(dict.fromkeys(head["layer"] for head in data["heads"]))
    heads = list(dict.fromkeys(head["head"] for head in data["heads"]))
    layer = (f"<label>layer<select id=layer>{_options([(n, str(n)) for n in layers])}</select>"
             "</label>" if len(layers) > 1 else "")
    what = ("A block is 2 queries × 2 keys. " if data["mask_cell"] == 2 else "")
    coarse = ""
    if data["cell"] > 1:
        coarse = (f"<b>The page has no room for all pairs: a cell of the maps stands for "
                  f"{data['cell']} × {data['cell']} pairs.</b> It is coloured as kept where any "
                  "of it is kept; the label under the mouse says how much. Counts are exact. ")
    return _section(
        "Attention maps", f"{what}{coarse}On the left what the choice is made from, on the right "
        "what becomes of it. Drag to zoom both, double-click to see all again; the mouse says what "
        "is under it.",
        f"<div class=controls>{layer}<label>head<select id=head>"
        f"{_options([(n, str(n)) for n in heads])}</select></label>"
        "<span><button id=before title='the head before'>◀</button> "
        "<button id=after title='the next head'>▶</button></span>"
        "<label>left map<select id=quantity></select></label></div>"
        "<p class=facts id=facts></p>"
        "<div class=key><span><i class=kept></i>kept</span><span><i class=gone></i>pruned</span>"
        "<span><i class=unseen></i>not visible: padding, or a later key</span></div>"
        "<div class=pair>"
        "<div class=panel><h3 id=map-importance-title></h3><div id=map-importance></div></div>"
        "<div class=panel><h3 id=map-probability-title></h3><div id=map-probability></div></div>"
        "</div>")


def _place(name: str, title: str = "") -> str:
    heading = f"<h3>{html.escape(title)}</h3>" if title else ""
    return f"<div class=panel>{heading}<div id={name}></div></div>"


def _kept(data: dict[str, Any], figures: dict[str, go.Figure]) -> str:
    """Bars of the heads of a file; of a model a heat map of the text, and one of the task."""
    kept, what = data["kept"], data["kept"]["what"]
    if kept["layers"] is None:
        figures["kept-heads"] = bars(_escaped(kept))
        return _section("Kept by head", "Shares of what the head's queries can see.",
                        _place("kept-heads"))
    figures["kept-text"] = heat_map(kept["layers"], what)
    places = [_place("kept-text", "this text")]
    if kept["task"] is not None:
        figures["kept-task"] = heat_map(kept["task"], what)
        places.append(_place("kept-task", f"{kept['texts']:,} texts of the task"))
    return _section("Kept by layer and head", f"Share of the visible {what} that is kept. A click "
                    "shows the maps of that head.", f"<div class=pair>{''.join(places)}</div>")


def _budget(data: dict[str, Any], figures: dict[str, go.Figure]) -> str:
    work = data["budget"]
    figures["budget"], figures["energy"] = budget(work), energy(work)
    pruned, dense = work["machines"]
    hardware = (f"{html.escape(pruned['config'])}, pruned and dense" if
                pruned["config"] == dense["config"] else
                f"{html.escape(pruned['config'])}; dense is one full-width unit of the same size "
                "without a filter, as this engine prunes always")
    source = (f"<b>Source: {html.escape(work['source'])}.</b>" + (
        "" if work["kind"] == "rtl" else " Idle causes are counted by the RTL only: "
        "<code>--backend verilator</code>."))
    what = ("the heads of the file" if data["kept"]["layers"] is None else
            "the text above, its layers one after the other")
    return (_section("Cycle budget", f"Where the clock cycles go for {what} on {hardware}. "
                     f"{source}",
                     _place("budget"))
            + _section("Energy", f"Of the same, {html.escape(work['energy'])}.",
                       _place("energy")))


def _curve(data: dict[str, Any], figures: dict[str, go.Figure]) -> str:
    if not data["curve"]:
        return ""
    given = data["curve"]
    figures["curve"] = curve(_escaped(given["records"]), given["metric"], AXES[0])
    axes = [(n, axis.replace("_", " ")) for n, axis in enumerate(AXES)]
    values = ("<label>shown as<select id=curve-value><option value=0>the metric</option>"
              "<option value=1>difference to the model by itself</option></select></label>"
              if any("difference" in record for record in given["records"]) else "")
    return _section(
        "What pruning costs", "The metric over what is pruned, with 95% intervals (bootstrap over "
        "texts). Lines: the model by itself, quantised dense, and uniform attention, the control. "
        "Where uniform attention does well, the task says little of pruning. Intervals of "
        "differences are narrower, as both are of the same texts; those of perplexity are shares "
        "of it.",
        f"<div class=controls><label>pruned share of<select id=curve-axis>{_options(axes)}"
        f"</select></label>{values}</div>", _place("curve"))


def page(data: dict[str, Any]) -> str:
    """The whole file.

    Parameters
    ----------
    data : dict
        What :mod:`.content` makes; it is embedded as ``prunus-data``.
    """
    figures: dict[str, go.Figure] = {}
    body = [
        _maps(data) if data["heads"] else "", _kept(data, figures), _curve(data, figures),
        _budget(data, figures),
        _section("Settings", "", f"<div class=scroll><table>{_rows(data['settings'])}</table>"
                 "</div>")]
    cards = "".join(f"<div class=card><b>{html.escape(value)}</b><span>{html.escape(text)}</span>"
                    "</div>" for value, text in _cards(data))
    specs = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    title = html.escape(data["title"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{(HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header><h1>{title}</h1><p>{html.escape(data["subtitle"])}</p></header>
<div class="cards">{cards}</div>
{"".join(body)}
<footer>Prunus {html.escape(data["prunus"])}. All figures are in this file as JSON, in the element
<code>prunus-data</code>.</footer>
</main>
<script type="application/json" id="prunus-data">{embedded(data)}</script>
<script type="application/json" id="prunus-figures">{embedded(specs)}</script>
<script>{get_plotlyjs()}</script>
<script>
{(HERE / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""
