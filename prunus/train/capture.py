# SPDX-License-Identifier: Apache-2.0
"""The commands ``prunus capture`` and ``prunus accuracy``: trained thresholds on real sentences."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import typer

from prunus.golden.engines import load_config_of
from prunus.golden.leopard.config import LeopardConfig

from ..errors import InputError
from ..files import check_output, make_directory, write_files
from ..models.sentences import Sentences, read_sentences
from ..report import print_json, print_table
from .budget import Comparison, wilson
from .command import check_installed, steps_progress
from .thresholds import Learned, digest, load_thresholds

__all__ = ["accuracy", "capture"]

THRESHOLDS = Annotated[Path, typer.Option(metavar="TOML", help="What prunus train-thresholds "
                                          "made.")]
DATA = Annotated[Path, typer.Option(metavar="TSV", help="Sentences and labels.")]
MODEL = Annotated[Path, typer.Argument(help="The model to which the thresholds belong.")]
CONFIG = Annotated[str, typer.Option(help="A LeOPArd preset or a TOML file.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _load(command: str, model: Path, thresholds: Path):
    """The model, and the thresholds if they are its own."""
    learned = load_thresholds(thresholds)
    check_installed(command)
    from ..models.model import Classifier

    classifier = Classifier(model)
    if digest(model) != learned.model.sha256:
        raise InputError(f"thresholds {str(thresholds)!r} belong to the weights of "
                         f"{learned.model.name!r}, and model {str(model)!r} has others")
    if len(learned.thresholds) != classifier.layers:
        raise InputError(f"thresholds {str(thresholds)!r} must have one for each of "
                         f"{classifier.layers} layers, not {len(learned.thresholds)}")
    return classifier, learned


def _some(sentences: Sentences, first: int, count: int | None) -> Sentences:
    if count is not None and count < 1:
        raise InputError(f"--sentences must be at least 1, not {count}")
    if not 0 <= first < len(sentences):
        raise InputError(f"--first must lie in 0..{len(sentences) - 1}, not {first}")
    return sentences[first:None if count is None else first + count]


def capture(
    model: MODEL,
    thresholds: THRESHOLDS,
    data: DATA,
    directory: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where "
                                            "layer0.npz and so on go, made if missing.")],
    first: Annotated[int, typer.Option(help="The first sentence, counted from 0.")] = 0,
    count: Annotated[int, typer.Option("--sentences", help="How many of them.")] = 4,
    config: CONFIG = "leopard_ae",
    as_json: JSON = False,
) -> None:
    """Write the heads of sentences, as codes that fill the width, for prunus run."""
    chosen = load_config_of(LeopardConfig, config)
    classifier, learned = _load("capture", model, thresholds)
    sentences = _some(read_sentences(data, classifier.classes), first, count)
    make_directory(directory)
    paths = [check_output(directory / f"layer{n}.npz") for n in range(classifier.layers)]
    from ..models.attention import Hard
    from ..models.engine import Recorder, codes, survivors

    recorder = Recorder(Hard(learned.thresholds, classifier.layers))
    classifier.correct(sentences, recorder, batch=len(sentences), by_length=False)
    rows: list[dict[str, Any]] = []
    writers = {}
    for path, heads, threshold in zip(paths, recorder.heads, learned.thresholds, strict=True):
        layer = codes(heads, chosen)
        _check_size(layer.q.shape, chosen)
        results = layer.run(threshold, chosen)
        differ = sum(int((result.mask != mask).sum()) for result, mask in zip(
            results, survivors(heads, threshold), strict=True))
        writers[path] = _writer(layer.arrays(threshold))
        rows.append({"file": path.name, "heads": len(layer.q), "l": layer.q.shape[1],
                     "threshold": threshold, "keys": sum(r.keys for r in results),
                     "survivors": sum(r.survivors for r in results), "differ": differ})
    write_files(writers)
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def _check_size(shape: tuple[int, ...], config) -> None:
    _, length, d = shape
    if length > config.l_max:
        raise InputError(f"sentences must have at most {config.l_max} tokens ({config.name}), "
                         f"not {length}")
    if d % 8 or d > config.d_max:
        raise InputError(f"model must have heads with a d that is a multiple of 8 up to "
                         f"{config.d_max} ({config.name}), not {d}")


def _writer(arrays: dict[str, Any]) -> Callable[[BinaryIO], None]:
    return lambda file: np.savez_compressed(file, **arrays)


def _share_pruned(kept: int, seen: int) -> float:
    return 1 - kept / seen if seen else 0.0


def _figures(right: dict[str, list[bool]], golden, learned: Learned) -> dict:
    """What accuracy prints."""
    n, keys = len(right["dense"]), sum(golden.keys)
    lost = Comparison(right["dense"], right["golden"])
    return {
        "sentences": n,
        **{name: {"accuracy": sum(values) / n, "interval": wilson(sum(values), n)}
           for name, values in right.items()},
        "points_lost": lost.lost, "points_lost_interval": lost.interval(),
        "agree": sum(a == b for a, b in zip(right["float"], right["golden"],
                                                 strict=True)) / n,
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
    """Say what a model gets right with the specification of LeOPArd as its attention."""
    chosen = load_config_of(LeopardConfig, config)
    classifier, learned = _load("accuracy", model, thresholds)
    sentences = _some(read_sentences(data, classifier.classes), first, count)
    from ..models.attention import Dense, Hard
    from ..models.engine import Golden

    golden = Golden(learned.thresholds, chosen)
    rules = {"dense": Dense(), "float": Hard(learned.thresholds, classifier.layers),
             "golden": golden}
    done, right = 0, {}
    with steps_progress("sentences") as told:
        def advance(more: int) -> None:
            nonlocal done
            done += more
            if told:
                told(done, len(rules) * len(sentences))

        for name, rule in rules.items():
            right[name] = classifier.correct(sentences, rule, advance=advance)
    figures = {"config": chosen.name, **_figures(right, golden, learned)}
    if as_json:
        print_json(figures)
    else:
        _print(figures)


def _print(figures: dict) -> None:
    rows = [[name, f"{figures[name]['accuracy']:.2%}", "{:.1%} to {:.1%}".format(
        *figures[name]["interval"])] for name in ("dense", "float", "golden")]
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
