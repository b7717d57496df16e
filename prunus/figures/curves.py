# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of the papers' figures, from their data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from .claims import CLAIMS, LEARNED_CLAIM, LEARNED_LIMIT, Claim, Found, Loss, found, loss_of
from .figure import table

__all__ = ["CURVES", "Curve", "approximation_table", "claims_of", "claims_table", "draw",
           "draw_layers", "draw_vit", "layers_table", "points_table", "style", "vit_table", "write"]

RULED = 1000.0              # distances from here on keep all blocks


@dataclass(frozen=True)
class Curve:
    """How a curve is named and drawn."""

    title: str
    color: str
    style: str


BLUE, ORANGE, GREEN, GREY, RED, PURPLE, ROOM = (
    "#3949ab", "#d95f02", "#1b9e77", "#757575", "#c62828", "#7b1fa2", "#fff3cd")
CURVES = {
    "float": Curve("the model by itself", GREY, ""),
    "magnitude": Curve("HDP, the paper's rule and digits", BLUE, "o-"),
    "distance": Curve("HDP, distance, rounded digits", ORANGE, "s-"),
    "magnitude_exact": Curve("the paper's rule, full products", BLUE, "o:"),
    "distance_exact": Curve("distance, full products", ORANGE, "s:"),
    "topk": Curve("Top-K of each query", GREEN, "^-"),
    "heads": Curve("HDP's heads, truncated digits", BLUE, "o-"),
    "heads_rounded": Curve("HDP's heads, rounded digits", ORANGE, "s-"),
    "spatten": Curve("SpAtten's heads", GREEN, "^-"),
    "magnitude_heads": Curve("the paper's rule, and heads", BLUE, "o-"),
    "distance_heads": Curve("distance, and heads", ORANGE, "s-"),
    "layers": Curve("LeOPArd, one share for all layers", PURPLE, "o-"),
    "one_layer": Curve("LeOPArd, a layer by itself", PURPLE, "s"),
    "random": Curve("control: by chance", RED, "x--"),
    "uniform": Curve("control: uniform attention", GREY, ""),
}
UNITS = {"accuracy": "points of accuracy lost", "mcc": "hundredths of MCC lost",
         "perplexity": "percent of perplexity lost"}


# -- tables ---------------------------------------------------------------------------------------
def _settings(settings: Mapping) -> str:
    words = []
    for name, sign in (("rho", "rho"), ("distance", "x"), ("keep", "keep"), ("share", "share"),
                       ("head_keep", "last layer keeps")):
        value = settings.get(name)
        if value is not None and (name != "distance" or value < RULED):
            words.append(f"{sign} = {value:g}")
    if settings.get("pruned") == "drop":
        words.append("`drop`")
    if "percent" in settings:
        words.append(f"percentile {settings['percent']}")
    if "layer" in settings:
        words.append(f"layer {settings['layer']}")
    return ", ".join(words)


def _change(change: Mapping, relative: bool) -> str:
    low, high = change["interval"]
    form = "+.1%" if relative else "+.3f"
    return f"{change['difference']:{form}} ({low:{form}} to {high:{form}})"


def _shares(row: Mapping) -> list[str]:
    return [f"{row[f'{what}_pruned']:.1%}" for what in ("blocks", "scores", "heads")]


def _lines(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """The points of each curve."""
    lines: dict[str, list[Mapping]] = {}
    for row in rows:
        lines.setdefault(row["curve"], []).append(row)
    return lines


def points_table(data: Mapping, without: Sequence[str] = ()) -> str:
    """A row for each point, but for those of curves that stand elsewhere."""
    lines = []
    for model in data["models"]:
        for curve, rows in _lines(model["rows"]).items():
            lines += [[
                f"{model['model']} ({model['n']})", CURVES[curve].title,
                _settings(row["settings"]), *_shares(row), f"{row['value']:.3f}",
                "" if curve == "float" else _change(row, model["relative"])]
                for row in sorted(rows, key=lambda row: row["scores_pruned"])
                if curve not in without]
    return table(["model (texts)", "curve", "setting", "blocks", "scores", "heads",
                  "metric", "difference to float (95% interval)"], lines)


def approximation_table(data: Mapping) -> str:
    """A row for each setting, approximate beside exact."""
    lines = []
    for model in data["models"]:
        for row in model["rows"]:
            if "against" not in row:
                continue
            settings = {key: value for key, value in row["settings"].items() if key != "exact"}
            twin = next(one for one in model["rows"] if one["settings"] == settings
                        and one["curve"] == row["against"]["curve"])
            lines.append([
                model["model"], CURVES[twin["curve"]].title, _settings(settings),
                f"{twin['blocks_pruned']:.1%}", f"{twin['value']:.3f}", f"{row['value']:.3f}",
                _change(row["against"], model["relative"])])
    return table(["model", "rule", "setting", "blocks pruned", "approximate", "exact",
                  "exact to approximate (95% interval)"], lines)


def _percents(shares: Sequence[float]) -> str:
    return ", ".join(f"{share * 100:.0f}" for share in shares) + "%"


def layers_table(data: Mapping) -> str:
    """What is pruned of each layer, and what it costs."""
    lines = []
    for model in data["models"]:
        for row in model["rows"]:
            if row["curve"] != "float":
                lines.append([
                    f"{model['model']} ({model['n']})", CURVES[row["curve"]].title,
                    _settings(row["settings"]), f"{row['scores_pruned']:.1%}",
                    _percents(row["layers"]), _change(row, model["relative"])])
    for run in data["learned"]:
        loss = Loss(**run["loss"])
        lines.append([f"{run['model']} ({run['texts']})", f"learned: {run['title']}", "",
                      f"{run['pruned']:.1%}", _percents(run["layers"]),
                      f"{-loss.lost / 100:+.3f} ({-loss.high / 100:+.3f} to "
                      f"{-loss.low / 100:+.3f})"])
    return table(["model (texts)", "curve", "setting", "scores", "layers, from the first",
                  "difference to float (95% interval)"], lines)


def _lost(loss: Loss) -> str:
    return f"{loss.lost:+.1f} ({loss.low:+.1f} to {loss.high:+.1f})"


def _verdict(one: Found) -> str:
    if one.row is None or one.loss is None:
        return f"**{one.verdict}**: nothing near was measured"
    share = f"{one.claim.share}_pruned"
    at = f"{one.row[share]:.1%}"
    if one.claim.against:
        rival = one.row["against"]
        at += f" (rival: {rival[share]:.1%})"
    return f"**{one.verdict}**: {_lost(one.loss)} at {at}"


def claims_of(name: str, data: Mapping) -> list[Found]:
    return [found(claim, model) for claim in CLAIMS[name] for model in data["models"]
            if not claim.only or model["name"] in claim.only]


def claims_table(name: str, data: Mapping) -> str:
    """A row for each claim, a column for each model."""
    models = dict.fromkeys(one["model"] for one in [*data["models"], *data.get("learned", ())])
    lines: dict[str, dict[str, str]] = {claim.said: {} for claim in CLAIMS[name]}
    for one in claims_of(name, data):
        lines[one.claim.said][one.model] = _verdict(one)
    for run in data.get("learned", ()):
        loss = Loss(**run["loss"])
        lines[f"{LEARNED_CLAIM}, {run['title']}"] = {
            run["model"]: f"**{loss.at_most(LEARNED_LIMIT)}**: {_lost(loss)} at "
                          f"{run['pruned']:.1%}"}
    source, = {claim.source for claim in CLAIMS[name]}
    return table([f"claim of {source}", *(f"`{model}`" for model in models)], [
        [said, *(cells.get(model, "") for model in models)] for said, cells in lines.items()])


def vit_table(data: Sequence[Mapping]) -> str:
    return table(["heads", "curve", "setting", "blocks", "scores", "error of outputs"], [
        [f"`{one['file']}`", CURVES[row["curve"]].title, _settings(row["settings"]),
         *_shares(row)[:2], f"{row['error']:.3f}"] for one in data for row in one["rows"]])


# -- pictures -------------------------------------------------------------------------------------
def _figure(panels: int, **shared: Any) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    figure = Figure(figsize=(max(5.5, 4.1 * panels), 4.2), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False, **shared)[0]


def write(figure: Any, axes: Any, file: BinaryIO) -> None:
    """One legend for all panels, and the same bytes each time."""
    named: dict[str, Any] = {}
    for one in axes:
        for handle, title in zip(*one.get_legend_handles_labels(), strict=True):
            named.setdefault(title, handle)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3,
                  frameon=False, fontsize=8)
    figure.savefig(file, format="svg", metadata={"Date": None})


def style():
    """Of all pictures: the same bytes each time."""
    import matplotlib

    return matplotlib.rc_context({"svg.hashsalt": "prunus", "font.size": 9})


def _draw_points(axes: Any, curve: str, places: Sequence[float], losses: Sequence[Loss]) -> None:
    how = CURVES[curve]
    order = sorted(range(len(places)), key=places.__getitem__)
    axes.errorbar(
        [places[n] for n in order], [losses[n].lost for n in order],
        [[max(0, losses[n].lost - losses[n].low) for n in order],
         [max(0, losses[n].high - losses[n].lost) for n in order]],
        fmt=how.style, color=how.color, markersize=4, linewidth=1.1, elinewidth=0.6,
        label=how.title)


def _losses_axis(axes: Any, model: Mapping) -> None:
    """Lower is worse."""
    axes.axhline(0, color="black", linewidth=0.6)
    if model["relative"]:                   # from parts of a percent to thousands
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    if model["relative"]:                   # nothing is won by pruning
        axes.set_ylim(top=-0.5)
    axes.set(title=f"{model['model']}, {model['n']} texts", ylabel=UNITS[model["metric"]])


def _mark(axes: Any, claims: Sequence[Claim], model: Mapping) -> None:
    """What the paper says: the room for points that hold, where something falls, or its losses."""
    limits = axes.get_xlim(), axes.get_ylim()
    for at, limit in sorted({(claim.at_of(model["name"]), claim.limit) for claim in claims
                             if claim.slack is not None}):
        axes.fill_between([100 * at, 100], limit, limits[1][1], color=ROOM, linewidth=0, zorder=0,
                          label="published: so much pruned, no more lost")
    for claim in claims:
        if claim.falls_from is not None:
            axes.axvline(100 * claim.falls_from, color=CURVES[claim.curve].color, linestyle=":",
                         linewidth=1, label="published: Top-K falls from here on")
        if model["metric"] != "accuracy":   # of nothing else losses are published
            continue
        for curve, lost in claim.published.items():
            axes.plot(100 * claim.at_of(model["name"]), lost, marker="*", markersize=11,
                      linestyle="", color=CURVES[curve].color, markerfacecolor="none",
                      label=f"published: {CURVES[curve].title.split(',')[0]}")
    axes.set(xlim=limits[0], ylim=limits[1])


def _panel(axes: Any, model: Mapping, share: str) -> None:
    for curve, rows in _lines(model["rows"]).items():
        losses = [loss_of(row, model["relative"]) for row in rows]
        if curve == "uniform":
            axes.axhline(losses[0].lost, color=CURVES[curve].color, linestyle="-.", linewidth=0.8,
                         label=CURVES[curve].title)
        elif curve not in ("float", "one_layer"):
            _draw_points(axes, curve, [100 * row[f"{share}_pruned"] for row in rows], losses)
    _losses_axis(axes, model)
    axes.set(xlabel=f"{share} pruned, %")


def draw(data: Mapping, share: str, claims: Sequence[Claim], file: BinaryIO) -> None:
    """Loss over what is pruned, a panel for each model, as SVG; what is claimed is marked."""
    with style():
        figure, axes = _figure(len(data["models"]), sharex=True)
        for one, model in zip(axes, data["models"], strict=True):
            _panel(one, model, share)
        for one, model in zip(axes, data["models"], strict=True):
            _mark(one, [claim for claim in claims
                        if not claim.only or model["name"] in claim.only], model)
        write(figure, axes, file)


def draw_layers(data: Mapping, file: BinaryIO) -> None:
    """Loss where a layer is pruned by itself, of the models of which that was measured."""
    alone = {model["model"]: (model, rows) for model in data["models"]
             if (rows := [row for row in model["rows"] if row["curve"] == "one_layer"])}
    with style():
        figure, axes = _figure(len(alone))
        for one, (model, rows) in zip(axes, alone.values(), strict=True):
            _draw_points(one, "one_layer", [row["settings"]["layer"] for row in rows],
                         [loss_of(row, model["relative"]) for row in rows])
            _losses_axis(one, model)
            one.set_xticks(range(len(rows[0]["layers"])))
            one.set(xlabel="layer, the only one that is pruned")
        write(figure, axes, file)


def draw_vit(data: Sequence[Mapping], file: BinaryIO) -> None:
    with style():
        figure, axes = _figure(len(data), sharex=True, sharey=True)
        for one, heads in zip(axes, data, strict=True):
            for curve, rows in _lines(heads["rows"]).items():
                how = CURVES[curve]
                if curve == "uniform":
                    one.axhline(rows[0]["error"], color=how.color, linestyle="-.", linewidth=0.8,
                                label=how.title)
                    continue
                rows = sorted(rows, key=lambda row: row["scores_pruned"])
                one.plot([100 * row["scores_pruned"] for row in rows],
                         [row["error"] for row in rows], how.style, color=how.color,
                         markersize=4, linewidth=1.1, label=how.title)
            one.set(title=heads["file"], xlabel="scores pruned, %")
        axes[0].set(ylabel="error of the heads' outputs, relative RMS")
        axes[0].invert_yaxis()
        write(figure, axes, file)
