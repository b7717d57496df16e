# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus calibrate``."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.compute import Importance
from prunus.sim.campaigns import campaign

from ..errors import InputError, RunError
from ..evaluate.calibration import CHOICES, save_calibration
from ..evaluate.metrics import METRICS, difference_interval, interval
from ..evaluate.tasks import TASKS, Columns
from ..files import check_output
from ..report import print_json, print_table
from ..train.command import check_installed, command_line, steps_progress
from ..train.thresholds import digest
from .evaluate import LABEL_COLUMN, LENGTH, PAIR_COLUMN, TEXT_COLUMN, TaskName

__all__ = ["calibrate"]

LOSS = 0.3          # that is allowed unless somebody says otherwise
LEAST = 4           # texts to search by, and to confirm by
ROWS = 16           # of the front that a table shows
SEARCHED = {False: 128, True: 6}        # texts to search by, of a decoder True
CONFIRMED = {False: 1024, True: 24}
LESSONS = {False: 4096, True: 256}      # to learn from


class Per(StrEnum):
    HEAD = "head"
    LAYER = "layer"


def calibrate(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="A directory with a model in the layout of Hugging "
                                          "Face.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="Sentences and labels, or a text.")],
    task: Annotated[TaskName, typer.Option(help="What the model is judged by, as of prunus "
                                           "evaluate.")],
    target: Annotated[Path, typer.Option("--output", "-o", metavar="TOML",
                                         help="Where the calibration goes.")],
    preset: Annotated[str, typer.Option(metavar="CONFIG", help="The hardware, a preset or a TOML "
                                        "file. Its engine is the method.")] = "hdp_edge",
    max_loss: Annotated[float | None, typer.Option(
        metavar="X", help="What the metric may lose: points of accuracy, points of MCC (0.01 of "
        f"it), percent of a perplexity. Default: {LOSS:g}.", show_default=False)] = None,
    target_share: Annotated[float | None, typer.Option(
        "--target", metavar="S", help="Instead of --max-loss: prune at least this share, and lose "
        "as little as can be.", show_default=False)] = None,
    prune: Annotated[Literal["blocks", "scores", "heads"] | None, typer.Option(
        help="What is to be pruned. Default: blocks of HDP, else scores.",
        show_default=False)] = None,
    per: Annotated[Per, typer.Option(help="What has a parameter of its own.")] = Per.HEAD,
    importance: Annotated[Importance | None, typer.Option(
        help="HDP: the only one that is tried. Default: both.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(
        metavar="N", help="Only the first N texts.", show_default=False)] = None,
    length: LENGTH = None,
    confirm: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Confirm by texts of this file. Default: by those of --data that the "
        "search does not see.", show_default=False)] = None,
    search_texts: Annotated[int | None, typer.Option(
        metavar="N", help=f"Texts to search by. Default: {SEARCHED[False]}, "
        f"{SEARCHED[True]} of task lm.", show_default=False)] = None,
    confirm_texts: Annotated[int | None, typer.Option(
        metavar="N", help=f"Texts to confirm by. Default: {CONFIRMED[False]}, "
        f"{CONFIRMED[True]} of task lm.", show_default=False)] = None,
    text_column: TEXT_COLUMN = None,
    pair_column: PAIR_COLUMN = None,
    label_column: LABEL_COLUMN = None,
    trials: Annotated[int, typer.Option(help="About how many settings to try; all of one "
                                        "parameter and what is learned are tried anyway.")] = 160,
    seed: Annotated[int, typer.Option(help="Of the choice of texts and of what is tried.")] = 0,
    study: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Where trials are kept, for the same command to go on. Default: "
        "beside the output, .study instead of its suffix.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(
        metavar="N", help="Processes of this machine that do the trials. Default: this one alone.",
        show_default=False)] = None,
    scheduler: Annotated[str | None, typer.Option(
        metavar="ADDRESS", help=campaign.HELP["scheduler"], show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search for what prunes most of a model within a loss."""
    for name, value, least in (
            ("limit", limit, 1), ("length", length, 2), ("trials", trials, 1), ("seed", seed, 0),
            ("search-texts", search_texts, LEAST), ("confirm-texts", confirm_texts, LEAST)):
        if value is not None and value < least:
            raise InputError(f"--{name} must be at least {least}, not {value}")
    if target_share is not None:
        if max_loss is not None:
            raise InputError("--target must not be given beside --max-loss")
        if not 0 < target_share < 1:
            raise InputError(f"--target must lie in (0, 1), not {target_share:g}")
    elif max_loss is None:
        max_loss = LOSS
    if max_loss is not None and not (math.isfinite(max_loss) and max_loss >= 0):
        raise InputError(f"--max-loss must be a finite number of at least 0, not {max_loss}")
    config = load_config(preset)
    engine = engine_of(config).name
    if engine not in CHOICES:
        raise InputError(f"--preset must be one of engine {', '.join(CHOICES)}, and {config.name} "
                         f"is of engine {engine}")
    if engine != "hdp" and importance is not None:
        raise InputError(f"--importance belongs to engine hdp, and {config.name} is of engine "
                         f"{engine}")
    goal = prune or ("blocks" if engine == "hdp" else "scores")
    if engine != "hdp" and goal == "heads":
        raise InputError(f"--prune heads needs engine hdp, and {config.name} is of engine {engine}")
    options = campaign.Options(
        workers=0 if workers is None and not scheduler else workers, scheduler=scheduler)
    kept = study or target.with_suffix(".study")
    paths = [check_output(path) for path in (target, kept)]
    for path in paths:
        for source in filter(None, (data, confirm)):
            if source.exists():                 # reading says what is wrong with it
                check_output(path, source)
    if paths[0] == paths[1]:
        raise InputError(f"--study must be another file than --output {str(target)!r}")
    check_installed("calibrate", "optuna")
    columns = Columns(text=text_column, pair=pair_column, label=label_column)
    found = _Calibrated(
        model=model, task=TASKS[task], data=data, confirm=confirm, columns=columns, length=length,
        limit=limit, seed=seed, config=config, preset=preset, goal=goal, per=per,
        importance=importance,
        search_texts=search_texts or SEARCHED[TASKS[task].generates],
        confirm_texts=confirm_texts or CONFIRMED[TASKS[task].generates])
    record = found.search(kept, options, max_loss, target_share, trials, target,
                          command_line(context))
    if as_json:
        print_json(record)
    else:
        _print(record)
    if record["calibration"] is None:
        raise RunError(_nearest(record))


class _Calibrated:
    """A model and texts, parted for a search and its confirmation."""

    def __init__(self, *, model: Path, data: Path, confirm: Path | None, columns: Columns,
                 length: int | None, limit: int | None, seed: int, search_texts: int,
                 confirm_texts: int, config: EngineConfig, **more: Any):
        from ..evaluate.core import Evaluator
        from ..evaluate.search.search import split
        from ..evaluate.search.trial import Texts

        self.config, self.seed, self.more = config, seed, more
        self.task = more["task"]
        how: dict[str, Any] = {"columns": columns or None, "length": length}
        evaluator = Evaluator(model, self.task, data, limit=limit, **how)
        evaluator.model.check_config(config, [one["input_ids"] for one in evaluator.texts])
        keys = [repr(sorted(one.items())) for one in evaluator.texts]
        searched, confirmed = split(keys, search_texts, confirm_texts, seed,
                                    all_to_search=confirm is not None)
        self.longest = evaluator.longest
        if confirm is not None:
            other = Evaluator(model, self.task, confirm, **how)
            other.model.check_config(config, [one["input_ids"] for one in other.texts])
            self.longest = max(self.longest, other.longest)
            seen = {keys[n] for n in searched}
            new = [n for n, one in enumerate(other.texts) if repr(sorted(one.items())) not in seen]
            drawn = np.random.default_rng(seed).permutation(new)[:confirm_texts]
            confirmed = sorted(drawn.tolist())
        asked = {keys[n] for n in confirmed} if confirm is None else {
            repr(sorted(other.texts[n].items())) for n in confirmed}
        others = [n for n, key in enumerate(keys) if key not in asked]
        drawn = np.random.default_rng(seed).permutation(others)
        lessons = sorted(drawn[:LESSONS[self.task.generates]].tolist())
        for what, chosen, path in (("search", searched, data),
                                   ("confirm", confirmed, confirm or data)):
            if len(chosen) < LEAST:
                raise InputError(f"data {str(path)!r} must hold at least {LEAST} different texts "
                                 f"to {what} by, {2 * LEAST} if it is the only file, not "
                                 f"{len(chosen)}")
        self.layers, self.heads = evaluator.layers, evaluator.heads
        self.header = {"method": engine_of(config).name, "preset": more["preset"],
                       "model": {"name": evaluator.name, "sha256": digest(model)}}
        common = {"model": model.resolve(), "task": self.task.name, "columns": columns,
                  "length": length}
        sha = self.header["model"]["sha256"]
        self.searched, self.lessons = (Texts(
            data=data.resolve(), chosen=tuple(some), state=(sha, digest(data)), **common)
            for some in (searched, lessons))
        path = confirm or data
        self.confirmed = Texts(data=path.resolve(), chosen=tuple(confirmed),
                               state=(sha, digest(path)), **common)

    def _identity(self) -> dict[str, Any]:
        """What a study is of."""
        more = self.more
        return {"model": self.header["model"]["sha256"], "data": self.searched.state[1],
                "task": self.task.name, "preset": self.config.model_dump(mode="json"),
                "prune": more["goal"], "per": str(more["per"]),
                "importance": str(more["importance"] or "both"), "seed": self.seed,
                "texts": list(self.searched.chosen), "length": self.searched.length,
                "columns": repr(self.searched.columns)}

    def search(self, kept: Path, options: campaign.Options, max_loss: float | None,
               share: float | None, trials: int, target: Path, command: str) -> dict[str, Any]:
        """Search, confirm, and write the calibration if there is one; what is to be said."""
        from ..evaluate.search.search import Aim, Search
        from ..evaluate.search.space import SPACES
        from ..evaluate.search.study import Study
        from ..evaluate.search.trial import survey

        engine, goal = self.header["method"], self.more["goal"]
        kind = SPACES[engine]
        aim = Aim(share=f"{goal}_pruned", target=share,
                  max_loss=math.inf if max_loss is None else max_loss)
        study = Study(kept, self._identity())
        if study.known:
            typer.echo(f"study {str(kept)!r} has {study.known} trials of this search: going on "
                       "from there", err=True)
        with campaign.lasting() as idle, steps_progress("trials") as told:
            surveyed = next(campaign.run("calibrate", [campaign.Task(
                "survey", survey, (self.searched, engine, self.more["preset"]))], options,
                bar=False, idle=idle)).value if kind.surveys else ()
            space = kind(self.config, self.layers, self.heads, per=str(self.more["per"]), goal=goal,
                         importance=self.more["importance"], length=self.longest,
                         causal=self.task.generates, surveyed=surveyed)
            search = Search(study, space, self.searched, self.lessons, self.header,
                            config=self.more["preset"], options=options, idle=idle,
                            aim=aim, trials=trials, seed=self.seed, said=told)
            search.run()
            found = search.confirm(self.confirmed)
        confirmed = [self._confirmed(one.result, result, search.true_loss(result))
                     for one, result in found.confirmed]
        record = {
            "model": self.header["model"]["name"], "task": self.task.name, "method": engine,
            "preset": self.config.name, "prune": goal, "max_loss": max_loss, "target": share,
            "trials": found.trials, "seed": self.seed, "search_texts": len(self.searched.chosen),
            "confirm_texts": len(self.confirmed.chosen), "metric": self.task.metric,
            "front": [one.result for one in found.front], "confirmed": confirmed,
            "nearest": min(one.result["lost"] for one in search.tried),
            "calibration": str(target) if found.best is not None else None}
        if found.best is not None:
            last = confirmed[-1]
            made = {"command": command, "seed": self.seed, "trials": found.trials,
                    "prune": goal,
                    **({"max_loss": max_loss} if share is None else {"target": share}),
                    "search_data": self.searched.data.name,
                    "search_texts": len(self.searched.chosen),
                    "confirm_data": self.confirmed.data.name,
                    "confirm_texts": len(self.confirmed.chosen), "metric": self.task.metric,
                    "confirmations": len(confirmed),
                    **{name: last[name] for name in last if not isinstance(last[name], str)}}
            save_calibration(target, search.calibration(found.best.setting, made))
        return record

    def _confirmed(self, searched: dict, result: dict, lost: float) -> dict[str, Any]:
        measure = METRICS[self.task.metric]
        own, items = (np.array(result[name], float) for name in ("own_items", "items"))
        low, high = interval(measure, items)
        edges = difference_interval(measure, own, items, self.task.generates)
        least, most = sorted(100 * edge * (1 if self.task.generates else -1) for edge in edges)
        return {"search_lost": searched["lost"], "search_divergence": searched["divergence"],
                "own": result["own"], "value": result["value"], "low": low, "high": high,
                "lost": lost, "lost_low": least, "lost_high": most,
                **{f"{what}_pruned": result[f"{what}_pruned"]
                   for what in ("blocks", "scores", "heads")}}


# -- what is said ---------------------------------------------------------------------------------
UNITS = {"accuracy": "points", "mcc": "points", "perplexity": "%"}
SHARES = ("blocks", "scores", "heads")


def _shares(result: dict) -> list[str]:
    return [f"{result[f'{what}_pruned']:.1%}" for what in SHARES]


def _nearest(record: dict) -> str:
    unit = UNITS[record["metric"]]
    if record["target"] is not None:
        return (f"no setting of {record['trials']} prunes {record['target']:.1%} of "
                f"{record['prune']} on the texts of the search")
    if not record["confirmed"]:
        return (f"no setting of {record['trials']} keeps a loss of {record['max_loss']:g} {unit} "
                f"on the texts of the search: the nearest loses {record['nearest']:.2f}")
    nearest = min(record["confirmed"], key=lambda one: one["lost"])
    return (f"none of {len(record['confirmed'])} settings keeps a loss of {record['max_loss']:g} "
            f"{unit} on the {record['confirm_texts']} texts of confirmation: the nearest loses "
            f"{nearest['lost']:.2f} at {nearest[record['prune'] + '_pruned']:.1%} of "
            f"{record['prune']} pruned")


def _print(record: dict) -> None:
    unit, front = UNITS[record["metric"]], record["front"]
    shown = np.unique(np.linspace(0, len(front) - 1, min(ROWS, len(front))).round().astype(int))
    print_table(
        [*(f"{what} pruned" for what in SHARES), f"lost ({unit})", "divergence", "phase"],
        [[*_shares(front[n]), f"{front[n]['lost']:.2f}", f"{front[n]['divergence']:.5f}",
          front[n]["phase"]] for n in shown],
        title=f"{record['model']}, {record['task']}, {record['preset']}: front of "
              f"{record['trials']} trials on {record['search_texts']} texts"
              + (f", {len(shown)} of {len(front)} points" if len(shown) < len(front) else ""))
    print_table(
        [*(f"{what} pruned" for what in SHARES), record["metric"], "95% interval", "by itself",
         f"lost ({unit})", "95% interval of the loss"],
        [[*_shares(one), f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}",
          f"{one['own']:.4f}", f"{one['lost']:.2f}",
          f"{one['lost_low']:.2f} to {one['lost_high']:.2f}"] for one in record["confirmed"]],
        title=f"confirmation on {record['confirm_texts']} other texts, "
              + (f"{record['max_loss']:g} {unit} allowed" if record["target"] is None else
                 f"{record['target']:.1%} of {record['prune']} wanted"))
    if record["calibration"] is not None:
        typer.echo(f"calibration: {record['calibration']}, confirmed at the "
                   f"{len(record['confirmed'])}. try")
