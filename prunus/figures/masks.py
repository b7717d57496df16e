# SPDX-License-Identifier: Apache-2.0
"""What each criterion keeps of real heads (docs/criteria.md), where all prune alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden import reference
from prunus.golden.engines import load_config_of
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.softmax import encode_scale

from ..commands.digits import threshold_for
from ..evaluate.choices import HdpChoice
from ..evaluate.layer import Layer
from ..evaluate.methods.hdp import Hdp
from ..heads import read_arrays, real_scale
from ..models.quantise import quantise
from .figure import Figure, Heads, table
from .hdp import TITLES

__all__ = ["FIGURES", "SHARE", "Kept", "by_distance", "by_magnitude", "by_threshold", "picture"]

SHARE = 0.7                 # of visible blocks, or pairs, that is pruned
CONFIGS = ("hdp_edge", "leopard_ae")
PRUNED: dict[bool, Any] = {False: "zero", True: "drop"}
STEPS = 12                  # of the search for a parameter
FARTHEST = 32.0             # x that prunes nothing of a real head
SHOWN = "minilm_sentence"
SHOWN_HEAD = 10             # the one in which the criteria prune most alike
LEVELS = 9                  # shades of a drawn weight


@dataclass(frozen=True, eq=False)
class Kept:
    """Heads of a file under a criterion.

    Members
    -------
    parameter : float
        rho, x or a threshold on the logits, one for all heads.
    pruned : float
        Share of visible blocks, or pairs.
    masks : list of ndarray of bool, (l_q, l_kv)
    errors : list of float
        Of each head, relative RMS against dense attention in float64 over the same codes.
    """

    parameter: float
    pruned: float
    masks: list[np.ndarray]
    errors: list[float]


def _dense(job, unit: float) -> np.ndarray:
    """Probabilities of a job whose logits are ``unit`` times its scores; all keys are visible."""
    logits = job.q @ job.k.T * unit
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _unit(job) -> float:
    mant, shift = job.scale
    return mant / 2.0**shift / np.log2(np.e)


def _error(job, out: np.ndarray, out_frac: int) -> float:
    return reference.relative_rms(out / 2.0**out_frac, _dense(job, _unit(job)) @ job.v)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Codes of Q, K and V as real numbers, and what makes logits of their products."""
    arrays = read_arrays(path)
    q, k, v = (arrays[name].astype(float) for name in "qkv")
    return q, k, v, real_scale(arrays)


def _under(path: Path, choice: HdpChoice, **digits: Any
           ) -> tuple[list[hdp.HdpJob], list[hdp.HdpResult], HdpConfig]:
    q, k, v, scale = _arrays(path)
    config = HdpConfig.model_validate(
        load_config_of(HdpConfig, CONFIGS[0]).model_dump() | digits | {"linear": False})
    layer = Layer(number=0, layers=1, text=0, q=q, k=k, v=v, scaling=scale)
    done = Hdp(config, lambda layer, head: choice, {}).attend(layer)
    return done.jobs, done.results, config


def _blocks(path: Path, choice: Callable[[float], HdpChoice], low: float, high: float,
            **digits: Any) -> Kept:
    """At the parameter between ``low``, which prunes least, and ``high`` that prunes SHARE."""
    for _ in range(STEPS):
        middle = (low + high) / 2
        jobs, results, config = _under(path, choice(middle), **digits)
        kept, total = (sum(getattr(result, name) for result in results)
                       for name in ("blocks_kept", "blocks_total"))
        low, high = (low, middle) if 1 - kept / total > SHARE else (middle, high)
    return Kept(middle, 1 - kept / total,
                [result.mask.repeat(2, 0).repeat(2, 1)[:job.l_q, :job.l_kv]
                 for job, result in zip(jobs, results, strict=True)],
                [_error(job, result.out, config.out_frac)
                 for job, result in zip(jobs, results, strict=True)])


def by_magnitude(path: Path, drop: bool = False) -> Kept:
    """The rule of the paper, and its digits."""
    return _blocks(path, lambda rho: HdpChoice(rho=rho, pruned=PRUNED[drop]), -127 / 128,
                   127 / 128)


def by_distance(path: Path, drop: bool = False, frac: int = 4) -> Kept:
    return _blocks(path, lambda x: HdpChoice(distance=x, pruned=PRUNED[drop]), FARTHEST, 0,
                   digits="rounded", frac=frac)


def by_threshold(path: Path) -> Kept:
    """One threshold for all heads of the file, which has probability 0 below it; not learned."""
    q, k, v, scale = _arrays(path)
    config = load_config_of(LeopardConfig, CONFIGS[1])
    layer = quantise(q, k, v, np.full(len(q), q.shape[1]), scale, config)
    jobs = [leopard.LeopardJob(q=q.astype(np.int64), k=k.astype(np.int64), v=v.astype(np.int64),
                               scale=encode_scale(layer.scale), threshold=0)
            for q, k, v in zip(layer.q, layer.k, layer.v, strict=True)]
    threshold = threshold_for(jobs, SHARE)
    jobs = [replace(job, threshold=threshold) for job in jobs]
    results = [leopard.head(job, config) for job in jobs]
    kept = sum(result.survivors for result in results) / sum(result.keys for result in results)
    return Kept(threshold * layer.scale, 1 - kept, [result.mask for result in results],
                [_error(job, result.out, config.out_frac)
                 for job, result in zip(jobs, results, strict=True)])


# -- errors of all files --------------------------------------------------------------------------
COLUMNS = {
    "magnitude": ("magnitude, `zero`", by_magnitude),
    "distance": ("distance, `zero`", by_distance),
    "fine": ("the same, FW = 3", lambda path: by_distance(path, frac=3)),
    "distance_drop": ("distance, `drop`", lambda path: by_distance(path, drop=True)),
    "threshold": ("one threshold", by_threshold),
}


def _measure_heads(heads: Heads) -> list[dict]:
    return [{"file": name, **{key: float(np.mean(criterion(path).errors))
                              for key, (_, criterion) in COLUMNS.items()}}
            for name, path in heads.of(tuple(TITLES))]


def _heads_table(rows: Sequence[dict]) -> str:
    return table(["heads", *(title for title, _ in COLUMNS.values())], [
        [TITLES.get(row["file"], row["file"]), *(f"{row[key]:.3f}" for key in COLUMNS)]
        for row in rows])


# -- the masks of one head ------------------------------------------------------------------------
SHOWS = {
    "magnitude": ("magnitude", "rho = {:.2f}", by_magnitude),
    "distance": ("distance", "x = {:.2f}", by_distance),
    "threshold": ("threshold", "T = {:.2f}", by_threshold),
}


def _measure_masks(heads: Heads) -> dict:
    (_, path), = heads.of((SHOWN,))
    jobs, _, _ = _under(path, HdpChoice(dense=True))
    p = _dense(jobs[SHOWN_HEAD], _unit(jobs[SHOWN_HEAD]))
    found: dict = {"weights": ["".join(str(round(LEVELS * np.sqrt(x))) for x in row) for row in p]}
    for key, (_, _, criterion) in SHOWS.items():
        kept = criterion(path)
        mask = kept.masks[SHOWN_HEAD]
        found[key] = {
            "parameter": kept.parameter, "pruned_of_all": kept.pruned, "pruned": 1 - mask.mean(),
            "weight": p[mask].sum() / len(p), "error": kept.errors[SHOWN_HEAD],
            "mask": ["".join(str(int(x)) for x in row) for row in mask]}
    return found


def _masks_table(data: dict) -> str:
    return table(
        ["criterion", "parameter", "pruned, all heads", "pruned, this head",
         "softmax weight of what is kept", "output error"],
        [[title, parameter.format(data[key]["parameter"]), f"{data[key]['pruned_of_all']:.1%}",
          f"{data[key]['pruned']:.1%}", f"{data[key]['weight']:.1%}",
          f"{data[key]['error']:.3f}"] for key, (title, parameter, _) in SHOWS.items()])


def picture(data: dict) -> str:
    """What docs/images/draw.py draws: the weights of the head, and the three masks."""
    side = len(data["weights"])
    panels = [("softmax weights", data["weights"]), *(
        (f"{title}, {parameter.format(data[key]['parameter'])}", data[key]["mask"])
        for key, (title, parameter, _) in SHOWS.items())]
    lines = [f"size {4 * side + 10} {side + 8}", "title What three criteria keep of a head"]
    for n, (title, rows) in enumerate(panels):
        left = 2 + n * (side + 2)
        lines += [f"note {left} 3 | {title}", f"cells {left} 4 1 | {' '.join(rows)}"]
    lines.append(f"note 2 {side + 6.5:g} | a row is a query, a column a key, a square a pair; "
                 "the darker a weight, the larger it is; a mask is dark where a pair is kept")
    return "\n".join(lines) + "\n"


def _plots(document: dict) -> dict[str, Callable]:
    text = picture(document["data"]).encode()
    return {str(Path("..") / "images" / "criteria_masks.txt"): lambda file: file.write(text)}


FIGURES = [
    Figure(name="criteria_heads", about="error of the output where each criterion prunes 70%",
           measure=_measure_heads, table=_heads_table, files=tuple(TITLES), configs=CONFIGS),
    Figure(name="criteria_masks", about="what each criterion keeps of one head",
           measure=_measure_masks, table=_masks_table, files=(SHOWN,), configs=CONFIGS,
           plots=_plots),
]
