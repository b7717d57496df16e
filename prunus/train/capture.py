# SPDX-License-Identifier: Apache-2.0
"""The commands ``prunus capture`` and ``prunus accuracy``: models on real data."""

import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import typer

from prunus.golden.engines import engine_of, load_config, load_config_of
from prunus.golden.hdp.compute import Importance
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.jobs import visible_limits
from prunus.golden.leopard.config import LeopardConfig

from ..engines import FRONTS
from ..engines.hdp import DEFAULT_RHO, Pruned
from ..errors import InputError
from ..evaluate.calibration import arrays_of, check_model, load_calibration
from ..evaluate.choices import HdpChoice
from ..evaluate.layer import Layer
from ..evaluate.methods.base import Hardware
from ..evaluate.methods.hdp import Hdp
from ..evaluate.methods.registry import calibrated
from ..files import check_output, make_directory, write_files
from ..models.sentences import Sentences
from ..report import print_json, print_table
from .budget import Comparison, Perplexity, wilson
from .command import check_installed, steps_progress
from .thresholds import Learned, digest, load_thresholds

__all__ = ["accuracy", "capture"]

THRESHOLDS = Annotated[Path, typer.Option(metavar="TOML", help="What prunus train-thresholds "
                                          "made.")]
DATA = Annotated[Path, typer.Option(metavar="FILE", help="Sentences and labels; documents of a "
                                    "decoder; images (.npz).")]
MODEL = Annotated[Path, typer.Argument(help="The model to which the thresholds belong.")]
CONFIG = Annotated[str, typer.Option(help="A LeOPArd preset or a TOML file.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class CaptureEngine(StrEnum):
    LEOPARD = "leopard"
    HDP = "hdp"


def _check_thresholds(model, learned: Learned, path: Path) -> None:
    """Refuse thresholds that are not of this model."""
    if digest(model.path) != learned.model.sha256:
        raise InputError(f"thresholds {str(path)!r} belong to the weights of "
                         f"{learned.model.name!r}, and model {str(model.path)!r} has others")
    if len(learned.thresholds) != model.layers:
        raise InputError(f"thresholds {str(path)!r} must have one for each of "
                         f"{model.layers} layers, not {len(learned.thresholds)}")


def _some(sentences: Sentences, first: int, count: int | None) -> Sentences:
    if count is not None and count < 1:
        raise InputError(f"--sentences must be at least 1, not {count}")
    if not 0 <= first < len(sentences):
        raise InputError(f"--first must lie in 0..{len(sentences) - 1}, not {first}")
    return sentences[first:None if count is None else first + count]


def _choice(importance: Importance | None, rho: float | None, distance: float | None,
            pruned: Pruned | None, exact: bool) -> HdpChoice:
    """Of the options of HDP. Raises InputError."""
    if importance is Importance.DISTANCE:
        if rho is not None:
            raise InputError("--rho belongs to --importance magnitude, and this is distance")
        if distance is None:
            raise InputError("--importance distance needs --distance")
        if not distance >= 0:
            raise InputError(f"--distance must be 0 or more, not {distance}")
    else:
        if distance is not None:
            raise InputError("--distance belongs to --importance distance, and this is magnitude")
        rho = DEFAULT_RHO if rho is None else rho
        if not -1 < rho < 1:
            raise InputError(f"--rho must lie in (-1, 1), not {rho}")
    return HdpChoice(rho=rho, distance=distance, pruned="drop" if pruned is Pruned.DROP else "zero",
                     exact=exact)


def capture(
    model: Annotated[Path, typer.Argument(help="A directory with a model in the layout of Hugging "
                                          "Face.")],
    data: DATA,
    directory: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where "
                                            "layer0.npz and so on go, made if missing.")],
    engine: Annotated[CaptureEngine | None, typer.Option(
        help="Whose codes. Default: leopard.", show_default=False)] = None,
    calibration: Annotated[Path | None, typer.Option(
        metavar="TOML", help="What each head is pruned by, made for this model; its method is the "
        "engine. Default: options say it.", show_default=False)] = None,
    thresholds: Annotated[Path | None, typer.Option(
        metavar="TOML", help="LeOPArd: what prunus train-thresholds made. Default: nothing is "
        "pruned.", show_default=False)] = None,
    importance: Annotated[Importance | None, typer.Option(
        help="HDP: as of prunus run.", show_default=False)] = None,
    rho: Annotated[float | None, typer.Option(
        help=f"HDP, magnitude: as of prunus run. Default: {DEFAULT_RHO}.",
        show_default=False)] = None,
    distance: Annotated[float | None, typer.Option(
        metavar="X", help="HDP, distance: as of prunus run.", show_default=False)] = None,
    pruned: Annotated[Pruned | None, typer.Option(
        help="HDP: as of prunus run. Default: zero.", show_default=False)] = None,
    exact: Annotated[bool, typer.Option("--exact", help="HDP: as of prunus run.")] = False,
    first: Annotated[int, typer.Option(help="The first sentence, counted from 0.")] = 0,
    count: Annotated[int, typer.Option("--limit", "--sentences", metavar="N",
                                       help="How many of them.")] = 4,
    config: Annotated[str | None, typer.Option(
        help="A preset of the engine or a TOML file. Default: that of the calibration, or "
        "leopard_ae, hdp_edge.", show_default=False)] = None,
    as_json: JSON = False,
) -> None:
    """Write the heads of sentences, as codes that fill the width, for prunus run."""
    given = {"--importance": importance, "--rho": rho, "--distance": distance,
             "--pruned": pruned, "--exact": exact or None}
    if calibration is not None:
        for option, value in {"--engine": engine, "--thresholds": thresholds, **given}.items():
            if value is not None:
                raise InputError(f"{option} must not be given beside --calibration, which says it")
    said = None if calibration is None else load_calibration(calibration)
    kind = said.method if said else str(engine or CaptureEngine.LEOPARD)
    name = config or (said.preset if said else None) or FRONTS[kind].preset
    learned: Learned | None = None
    chosen: Any = load_config(name) if said else load_config_of(
        HdpConfig if kind == CaptureEngine.HDP else LeopardConfig, name)
    method: Hardware | None = None
    if said is not None and calibration is not None:
        method = calibrated(said, calibration, name)
    elif kind == CaptureEngine.HDP:
        if thresholds is not None:
            raise InputError("--thresholds belongs to --engine leopard, and this is hdp")
        choice = _choice(importance, rho, distance, pruned, exact)
        method = Hdp(chosen, lambda layer, head: choice, {})
    else:
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option} belongs to --engine hdp, and this is leopard")
        learned = None if thresholds is None else load_thresholds(thresholds)
    check_installed("capture")
    from ..models.model import open_model

    if said is not None and calibration is not None:
        check_model(said, calibration, model)
    opened = open_model(model)
    if said is not None and calibration is not None:
        check_model(said, calibration, model, opened.layers, opened.switch.shapes[0].heads)
    if learned is not None and thresholds is not None:
        _check_thresholds(opened, learned, thresholds)
    items = opened.tokenise(_some(opened.read(data), first, count).texts)
    opened.check_config(chosen, items)
    make_directory(directory)
    paths = [check_output(directory / f"layer{n}.npz") for n in range(opened.layers)]
    made = (_capture_leopard(opened, items, learned, chosen) if method is None else
            _capture(opened, items, method))
    rows = [{"file": path.name, "heads": len(arrays["q"]), "l": arrays["q"].shape[1], **figures}
            for path, (arrays, figures) in zip(paths, made, strict=True)]
    write_files({path: _writer(arrays) for path, (arrays, _) in zip(paths, made, strict=True)})
    if as_json:
        print_json(rows)
        return
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    typer.echo(f"run: prunus run {directory / 'layer0.npz'} OUT.npz --config {name}")


Captured = list[tuple[dict[str, Any], dict[str, Any]]]      # arrays and figures of each layer


def _capture_leopard(model, items: list, learned: Learned | None,
                     config: LeopardConfig) -> Captured:
    from ..models.attention import Hard
    from ..models.engine import Recorder, captured

    thresholds = learned.thresholds if learned else (-math.inf,) * model.layers
    recorder = Recorder(Hard(thresholds, model.layers))
    model.under(recorder, items)
    made = []
    for heads, threshold in zip(recorder.heads, thresholds, strict=True):
        arrays, figures = captured(heads, threshold, config)
        texts, count = heads.q.shape[:2]
        arrays |= {"layer": np.full(texts * count, heads.layer),
                   "head": np.tile(np.arange(count), texts)}
        said = threshold if math.isfinite(threshold) else None
        made.append((arrays, {"threshold": said, **figures}))
    return made


def _capture(model, items: list, method: Hardware) -> Captured:
    """Heads under a method, each in codes of its own, with what it is pruned by."""
    from ..evaluate.hook import Hook
    from ..models.engine import Recorder

    hook = Hook(method, model.layers)
    hook.texts = range(len(items))
    recorder = Recorder(hook)
    model.under(recorder, items)
    return [(_arrays(list(hook.of_texts(heads)), method, heads.group), {
        f"{what}_{part}": getattr(counts, what if part == "total" else f"{what}_kept")
        for what in WHAT[engine_of(method.config).name] for part in ("kept", "total")})
        for heads, counts in zip(recorder.heads, hook.counts, strict=True)]


WHAT = {"hdp": ("blocks",), "leopard": ("scores",), "topk": ("scores",)}


def _arrays(texts: list[Layer], method: Hardware, group: int) -> dict[str, Any]:
    """Arrays for an .npz that ``prunus run`` takes, a text after the other, with ``v_scale`` to
    turn outputs into reals."""
    numbers = [(layer, head) for layer in texts for head in range(layer.heads)]
    coded = [method.coded(layer, head) for layer, head in numbers]
    jobs = [job for job, _, _ in coded]
    longest = max(job.l_q for job in jobs)
    codes = {name: np.zeros((len(jobs), longest, jobs[0].d), np.int16) for name in "qkv"}
    for n, job in enumerate(jobs):
        for name, plane in codes.items():
            plane[n, :job.l_q] = getattr(job, name)
    valid = np.array([job.l_q for job in jobs])
    # Heads of a group have the same keys, but not the same codes if each is told otherwise.
    shared = all(np.array_equal(plane[::group].repeat(group, axis=0), plane)
                 for plane in (codes["k"], codes["v"]))
    step = group if shared else 1
    return {
        "q": codes["q"], "k": codes["k"][::step], "v": codes["v"][::step],
        "scale": np.array([unit for _, unit, _ in coded]),
        "v_scale": np.array([unit for _, _, unit in coded]),
        "valid_q": valid, "valid_kv": valid,
        # A text of one token is not causal, as there is nothing to hide.
        "causal": np.bool_(any(layer.causal for layer in texts)),
        "layer": np.array([layer.number for layer, _ in numbers]),
        "head": np.array([head for _, head in numbers]),
        **arrays_of([method.choice(layer.number, head) for layer, head in numbers],
                    [visible_limits(job) for job in jobs])}


def _writer(arrays: dict[str, Any]) -> Callable[[BinaryIO], None]:
    return lambda file: np.savez_compressed(file, **arrays)


def _share_pruned(kept: int, seen: int) -> float:
    return 1 - kept / seen if seen else 0.0


def _right(right: dict[str, list[bool]]) -> dict[str, Any]:
    """Accuracies under each rule."""
    n = len(right["dense"])
    lost = Comparison(right["dense"], right["golden"])
    return {
        "sentences": n,
        **{name: {"accuracy": sum(values) / n, "interval": wilson(sum(values), n)}
           for name, values in right.items()},
        "points_lost": lost.lost, "points_lost_interval": lost.interval(),
        "agree": sum(a == b for a, b in zip(right["float"], right["golden"], strict=True)) / n}


def _said(judged: dict[str, list]) -> dict[str, Any]:
    """Perplexities of a decoder under each rule."""
    texts = {name: Perplexity([one.loss for one in some], [one.tokens for one in some])
             for name, some in judged.items()}
    lost, interval = texts["dense"].lost(texts["golden"])
    tokens = sum(texts["dense"].tokens)
    return {
        "texts": len(judged["dense"]), "tokens": tokens,
        **{name: {"perplexity": value.value, "interval": value.interval()}
           for name, value in texts.items()},
        "percent_lost": lost, "percent_lost_interval": interval,
        "agree": sum(int((a.best == b.best).sum()) for a, b in zip(
            judged["float"], judged["golden"], strict=True)) / tokens}


def _counted(golden) -> dict[str, Any]:
    """What was pruned, and what it takes."""
    keys = sum(golden.keys)
    return {
        "keys": keys, "survivors": sum(golden.kept),
        "pruned": _share_pruned(sum(golden.kept), keys),
        "pruned_by_layer": [_share_pruned(kept, seen) for kept, seen in zip(
            golden.kept, golden.keys, strict=True)],
        "differ": golden.differ, "differ_share": golden.differ / keys if keys else 0.0,
        "digits_total": golden.digits, "digits_per_key": golden.digits / keys if keys else 0.0,
        "bound_cycles": golden.bound, "baseline_cycles": golden.baseline,
        "speed_up": golden.baseline / golden.bound if golden.bound else None,
    }


def accuracy(
    model: MODEL,
    thresholds: THRESHOLDS,
    data: DATA,
    first: Annotated[int, typer.Option(help="The first sentence, counted from 0.")] = 0,
    count: Annotated[int | None, typer.Option("--sentences", help="How many of them. Default: "
                                              "all.", show_default=False)] = None,
    config: CONFIG = "leopard_ae",
    as_json: JSON = False,
) -> None:
    """Say how good a model is with the specification of LeOPArd as its attention."""
    chosen = load_config_of(LeopardConfig, config)
    learned = load_thresholds(thresholds)
    check_installed("accuracy")
    from ..models.attention import Dense, Hard, Rule
    from ..models.engine import Golden
    from ..models.model import Decoder, open_model

    opened = open_model(model)
    _check_thresholds(opened, learned, thresholds)
    sentences = _some(opened.read(data), first, count)
    tokens = opened.tokenise(sentences.texts)
    opened.check_config(chosen, tokens)
    golden = Golden(learned.thresholds, chosen)
    rules: dict[str, Rule] = {
        "dense": Dense(), "float": Hard(learned.thresholds, opened.layers), "golden": golden}
    done = 0
    judged: dict[str, list] = {}
    with steps_progress("sentences") as told:
        def advance(more: int) -> None:
            nonlocal done
            done += more
            if told:
                told(done, len(rules) * len(sentences))

        for name, rule in rules.items():
            judged[name] = (opened.judged(tokens, rule, advance=advance)
                            if isinstance(opened, Decoder) else
                            opened.correct(sentences, rule, advance=advance))
    if isinstance(opened, Decoder) and not any(one.tokens for one in judged["dense"]):
        raise InputError("documents must have tokens after their first, and have none")
    figures = {"config": chosen.name, **(_said if isinstance(opened, Decoder) else _right)(judged),
               **_counted(golden)}
    if as_json:
        print_json(figures)
    else:
        _print(figures)


def _print(figures: dict) -> None:
    names = ("dense", "float", "golden")
    if "texts" in figures:
        rows = [[name, f"{figures[name]['perplexity']:.3f}", "{:.3f} to {:.3f}".format(
            *figures[name]["interval"])] for name in names]
        print_table(["attention", "perplexity", "95% interval"], rows,
                    title=f"{figures['texts']} texts, {figures['tokens']} tokens, "
                          f"{figures['config']}")
        least, most = figures["percent_lost_interval"]
        typer.echo(f"lost: {figures['percent_lost']:.2f}% ({least:.2f} to {most:.2f})")
    else:
        rows = [[name, f"{figures[name]['accuracy']:.2%}", "{:.1%} to {:.1%}".format(
            *figures[name]["interval"])] for name in names]
        print_table(["attention", "right", "95% interval"], rows,
                    title=f"{figures['sentences']} sentences, {figures['config']}")
        least, most = figures["points_lost_interval"]
        typer.echo(f"lost: {figures['points_lost']:.2f} points ({least:.2f} to {most:.2f})")
    typer.echo(f"pruned: {figures['pruned']:.1%} of {figures['keys']} pairs; {figures['differ']} "
               f"({figures['differ_share']:.3%}) otherwise than before they were quantised")
    typer.echo(f"digits: {figures['digits_per_key']:.2f} per key")
    if figures["speed_up"] is not None:
        typer.echo(f"bound: {figures['bound_cycles']} cycles, {figures['speed_up']:.2f}x less than "
                   f"the baseline's {figures['baseline_cycles']}")
