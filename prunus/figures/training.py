# SPDX-License-Identifier: Apache-2.0
"""Figures of learned thresholds, from the files that ``prunus train-thresholds`` wrote."""

import inspect
import shlex
from collections.abc import Sequence

from ..train.command import train_thresholds
from ..train.thresholds import load_thresholds
from .figure import ROOT, Compared, Figure, Heads, table

__all__ = ["FIGURES"]

RUNS = {"thresholds_only": "thresholds only", "joint": "weights too",
        "joint_seed1": "weights too, seed 1", "joint_weaker": "weights too, weaker"}
TEACHER = "joint_distil"
ENGINE = ("thresholds_only", "joint", "joint_weaker")
OPTIONS = ("start", "strength", "steps", "every", "distil", "seed")


def _run(name: str) -> dict:
    return {"run": name,
            **load_thresholds(ROOT / "docs" / "train" / f"{name}.toml").model_dump(mode="json")}


def _command(run: dict) -> str:
    """The options that are not the default, paths shortened."""
    words = shlex.split(run["training"]["command"])
    given = {word.removeprefix("--"): value for word, value in zip(words, words[1:], strict=False)
             if word.startswith("--")}
    found = ["--train-weights DIR"] if "train-weights" in given else []
    usual = {name: option.default for name, option in
             inspect.signature(train_thresholds).parameters.items()}
    found += [f"--{name} {float(given[name]):g}" for name in OPTIONS if name in given
              and (name == "steps" or float(given[name]) != usual[name])]
    return f"`{' '.join(found)}`"


def _right(share: float, interval: Sequence[float]) -> str:
    return f"{share:.2%} ({interval[0] * 100:.1f} to {interval[1] * 100:.1f})"


def _bold(text: str) -> str:
    """The part in front of the interval in bold."""
    first, space, rest = text.partition(" ")
    return f"**{first}**{space}{rest}"


def _lost(part: dict) -> str:
    low, high = part["points_lost_interval"]
    return f"{part['points_lost']:.2f} ({low:.2f} to {high:.2f})"


def _layers(run: dict) -> str:
    return ", ".join(f"{share * 100:.0f}" for share in run["dev"]["pruned_by_layer"]) + "%"


def _thresholds(run: dict) -> str:
    return ", ".join(f"{threshold:.2f}" for threshold in run["thresholds"])


def _controls(run: dict) -> list[str]:
    return [f"{run['dev']['controls'][name]:.1%}" for name in ("random", "uniform", "unpruned")]


CONTROLS = ["control: random masks, as many of each layer", "control: uniform attention",
            "control: these weights, nothing pruned"]


def _runs_table(runs: Sequence[dict]) -> str:
    befores = [_right(run["dev"]["before"], run["dev"]["before_interval"]) for run in runs]
    columns = [[
        _command(run),
        f"{run['training']['chosen_step']} of {run['training']['steps']}",
        f"**{run['dev']['pruned']:.1%}**", _layers(run), _thresholds(run),
        before if n == 0 or before != befores[0] else "the same",
        _bold(_right(run["dev"]["after"], run["dev"]["after_interval"])),
        _lost(run["dev"]), _lost(run["held_out"]), *_controls(run),
        f"[{run['run']}.toml](train/{run['run']}.toml)",
    ] for n, (run, before) in enumerate(zip(runs, befores, strict=True))]
    titles = ["command", "checkpoint chosen, of steps", "**pruned, dev**", "layers 0 to 5",
              "thresholds", "dev before", "**dev after**", "points lost, dev",
              "points lost, held out", *CONTROLS, "file"]
    return table(["", *(RUNS[run["run"]] for run in runs)],
                 [*zip(titles, *columns, strict=True)])


def _teacher_table(run: dict) -> str:
    dev = run["dev"]
    after = _right(dev["after"], dev["after_interval"])
    before = _right(dev["before"], dev["before_interval"])
    rows = [("**pruned, dev**", f"**{dev['pruned']:.1%}**"), ("layers 0 to 5", _layers(run)),
            ("thresholds", _thresholds(run)),
            ("dev before / **after**", f"{before} / {_bold(after)}"),
            ("points lost, dev", _bold(_lost(dev))),
            ("points lost, held out", _lost(run["held_out"])),
            *zip(CONTROLS, _controls(run), strict=True)]
    return table(["", ""], rows)


def _steps_table(run: dict) -> str:
    sentences, chosen = run["held_out"]["sentences"], run["training"]["chosen_step"]
    first, *tried = run["checkpoints"]

    def right(point: dict) -> int:
        return round(point["accuracy"] * sentences)

    rows = {"pruned": [f"{point['pruned']:.1%}" for point in tried],
            "points lost": [f"{(right(first) - right(point)) / sentences * 100:.2f}"
                            for point in tried],
            "says what the model as given says": [f"{point['agreement']:.2%}" for point in tried],
            "divergence from it": [f"{point['divergence']:.4f}" for point in tried]}

    def marked(texts: Sequence[str]) -> list[str]:
        return [f"**{text}**" if point["step"] == chosen else text
                for point, text in zip(tried, texts, strict=True)]

    return table(["step", *marked([str(point["step"]) for point in tried])],
                 [[title, *marked(texts)] for title, texts in rows.items()])


def _engine_table(rows: Sequence[dict]) -> str:
    pairs = rows[0]["pairs"]
    differ = [f"{row['differ']:,} ({row['differ'] / row['pairs']:.3%})" for row in rows]
    differ[0] = differ[0].replace(" (", f" of {pairs:,} (")
    return table(["", *(RUNS[row["run"]] for row in rows)], [
        ["right: float, hard rule / specification",
         *(f"{row['right_float']:.2%} / {row['right']:.2%}" for row in rows)],
        ["sentences that both get right or both wrong", *(f"{row['agree']:.1%}" for row in rows)],
        ["pairs that survive in one and not in the other", *differ],
        ["pruned", *(f"{row['pruned']:.1%}" for row in rows)],
        ["digits per key, of 6", *(f"{row['digits_per_key']:.2f}" for row in rows)],
        ["bound against baseline", *(f"{row['speed_up']:.2f}x" for row in rows)]])


def _measure_runs(heads: Heads) -> list[dict]:
    return [_run(name) for name in RUNS]


def _measure_teacher(heads: Heads) -> dict:
    return _run(TEACHER)


FIGURES = [
    Figure(name="train_runs", about="what was learned without a teacher, of docs/train/*.toml",
           measure=_measure_runs, table=_runs_table),
    Figure(name="train_checkpoints", about="checkpoints of the run with a teacher",
           measure=_measure_teacher, table=_steps_table),
    Figure(name="train_teacher", about="what was learned with a teacher", of="train_checkpoints",
           table=_teacher_table, compared=Compared.DERIVED),
    Figure(name="train_engine", about="thresholds of docs/train in the specification",
           table=_engine_table, compared=Compared.COMMAND, configs=("leopard_ae",),
           tools=("numpy", "torch"),
           also="prunus accuracy MODEL --thresholds docs/train/RUN.toml --data dev.tsv --json, of "
                f"each run ({', '.join(ENGINE)})"),
]
