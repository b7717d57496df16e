# SPDX-License-Identifier: Apache-2.0
"""What ``prunus calibrate`` finds for real models, judged on texts that no search has seen
(docs/calibrate.md).

The searches are those of the command line, each in a folder of its own under build/calibrations,
where a study keeps its trials: what was stopped goes on.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, RunError
from ..evaluate.calibration import load_calibration
from ..evaluate.methods.registry import calibrated
from ..evaluate.metrics import METRICS, difference_interval
from ..evaluate.tasks import TASKS
from ..train.command import check_installed
from ..train.thresholds import digest
from .figure import Compared, Figure, Heads, table

__all__ = ["FIGURES", "SEARCHES", "Search"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search, and the texts that its result is judged by.

    Members
    -------
    options : tuple of str
        Of ``prunus calibrate``, first the aim, beside model, texts, task, preset and output.
    """

    model: str
    train: str
    text: str
    task: str
    preset: str
    options: tuple[str, ...]
    limit: int | None = None
    goal: str = "blocks"

    @property
    def aim(self) -> str:
        kind, value = self.options[:2]
        if kind == "--target":
            return f"{float(value):.0%} of {self.goal}"
        return f"lose {value}%" if TASKS[self.task].generates else f"lose {value} points"


STORIES = {"model": "stories260k", "train": "tinystories/calibration.txt",
           "text": "tinystories/dev.txt", "task": "lm", "limit": 20}
SST2 = {"model": "minilm-sst2", "train": "sst2/train.tsv", "text": "sst2/dev.tsv", "task": "sst2"}
COLA = {"model": "minilm-cola", "train": "cola/train.tsv", "text": "cola/dev.tsv", "task": "cola"}
OURS, PAPERS = ("--importance", "distance"), ("--importance", "magnitude")


def search(of: dict[str, Any], preset: str, *options: str, goal: str = "blocks") -> Search:
    return Search(**of, preset=preset, goal=goal, options=options)


# Fine-tuned encoders know their training texts by heart, so a loss there says little of new ones:
# a share is asked of them. Trials of theirs end with what is learned.
SEARCHES = {
    "stories_fine": search(STORIES, "hdp_fine", "--max-loss", "1", *OURS, "--trials", "70"),
    "stories_edge": search(STORIES, "hdp_edge", "--target", "0.85", *PAPERS, "--trials", "16"),
    "stories_leopard": search(STORIES, "leopard_ae", "--max-loss", "1", "--trials", "70",
                              goal="scores"),
    "sst2_fine": search(SST2, "hdp_fine", "--target", "0.89", *OURS, "--trials", "30"),
    "sst2_less": search(SST2, "hdp_fine", "--target", "0.88", *OURS, "--trials", "30"),
    "sst2_edge": search(SST2, "hdp_edge", "--target", "0.89", *PAPERS, "--trials", "16"),
    "sst2_heads": search(SST2, "hdp_fine", "--target", "0.15", *OURS, "--prune", "heads",
                         "--trials", "30", goal="heads"),
    "cola_fine": search(COLA, "hdp_fine", "--target", "0.77", *OURS, "--trials", "30"),
    "cola_less": search(COLA, "hdp_fine", "--target", "0.75", *OURS, "--trials", "30"),
    "cola_edge": search(COLA, "hdp_edge", "--target", "0.77", *PAPERS, "--trials", "16"),
}


def _measure(heads: Heads) -> dict:
    if heads.models is None or heads.texts is None:
        raise InputError("figures of calibrations need --models, the directory of the models, and "
                         "--texts, that of their texts")
    check_installed("figures", "optuna")
    return {"rows": {name: _row(name, one, heads.models, heads.texts)
                     for name, one in SEARCHES.items()}}


def _row(name: str, one: Search, models: Path, texts: Path) -> dict[str, Any]:
    from prunus.sim.simulators.cache import build_root

    from ..evaluate.core import Evaluator
    from ..evaluate.methods.own import Float

    folder = build_root() / "calibrations"
    folder.mkdir(parents=True, exist_ok=True)
    model, train, text = models / one.model, texts / one.train, texts / one.text
    target = folder / f"{name}.toml"
    target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "prunus", "calibrate", str(model), "--data", str(train),
               "--task", one.task, "--preset", one.preset, "-o", str(target), *one.options]
    code = subprocess.run(command).returncode
    if code not in (0, 1):                  # 1: nothing holds
        raise RunError(f"the search of {name} ended with exit code {code}")
    row: dict[str, Any] = {
        "sha256": {"model": digest(model), "train": digest(train), "text": digest(text)}}
    if code:
        return row | {"found": None}
    file = load_calibration(target)
    evaluator = Evaluator(model, TASKS[one.task], text, limit=one.limit)
    own = evaluator.run(Float())
    done = evaluator.run(calibrated(file, target, None))
    low, high = difference_interval(METRICS[done.task.metric], own.items, done.items,
                                    done.task.generates)
    made = {name: value for name, value in file.made.items() if name != "command"}
    return row | {"found": {
        **done.record(), "parameters": None, "own": own.value, "interval": [low, high],
        "difference": (done.value / own.value - 1 if done.task.generates else
                       done.value - own.value), "made": made}}


def _table(data: dict) -> str:
    lines = []
    for name, one in SEARCHES.items():
        found = data["rows"][name]["found"]
        head = [one.model, one.preset, one.aim]
        if found is None:
            lines.append([*head, "nothing holds", *[""] * 7])
            continue
        difference, low, high = (f"{100 * value:+.2f}" for value in (
            found["difference"], *found["interval"]))
        unit, made = "%" if TASKS[one.task].generates else "", found["made"]
        lines.append([
            *head, *(f"{found[f'{what}_pruned']:.1%}" for what in ("blocks", "scores", "heads")),
            f"{found['own']:.3f}", f"{found['value']:.3f}",
            f"{difference}{unit} ({low} to {high})",
            f"{made['lost']:.2f} of {made['confirm_texts']}",
            f"{made['trials']}"])
    return table(["model", "preset", "aim", "blocks", "scores", "heads", "float", "pruned",
                  "difference in points or % (95% interval)", "lost in confirmation, of texts",
                  "trials"], lines)


FIGURES = [Figure(
    name="calibrations", about="what calibrate finds, judged on texts that no search has seen",
    measure=_measure, table=_table,
    configs=tuple(dict.fromkeys(one.preset for one in SEARCHES.values())),
    tools=("numpy", "torch", "transformers", "optuna"), compared=Compared.COMMAND, models=True)]
