# SPDX-License-Identifier: Apache-2.0
"""HDP on the command line. The contract of its files stands in docs/cli.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prunus.golden.hdp.compute import HdpJob, Importance, encode_delta, encode_rho
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.order import table_order
from prunus.golden.hdp.timing.cycles import predict_cycles

from ..errors import InputError
from ..heads import (
    attention_fields,
    bools_per_head,
    integers_per_head,
    names_per_head,
    read_arrays,
    real_per_head,
    real_scales,
)
from ..run import Run
from .front import EngineFront, share

__all__ = ["DEFAULT_RHO", "FRONT", "TAU_MAX", "HdpFront", "Options", "load_jobs"]

DEFAULT_RHO = 25 / 128
TAU_MAX = 2**32 - 1


class Pruned(StrEnum):
    ZERO = "zero"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says about pruning; None leaves it to the file or the default."""

    importance: Importance | None = None
    rho: float | None = None
    distance: float | None = None
    tau_head: int | None = None
    drop: bool | None = None
    exact: bool = False
    dense: bool = False


def _rho(arrays: dict, importance: list[Importance], option: float | None) -> list[int]:
    """Of heads with a magnitude; 0 of the others, whatever the file says of them."""
    if option is not None and Importance.MAGNITUDE not in importance:
        raise InputError("--rho belongs to --importance magnitude, and no head has that")
    array = arrays.get("rho", np.array(DEFAULT_RHO)) if option is None else np.array(option)
    wanted, found = [kind is Importance.MAGNITUDE for kind in importance], []
    for used, value in zip(wanted, real_per_head("rho", array, len(wanted)), strict=True):
        if used and not -1 < value < 1:
            raise InputError(f"rho must lie in (-1, 1), not {value}")
        found.append(encode_rho(float(value)) if used else 0)
    return found


def _importance(arrays: dict, heads: int, option: Importance | None) -> list[Importance]:
    if option is not None:
        return [option] * heads
    return [Importance(name) for name in
            names_per_head(arrays, "importance", heads, Importance.MAGNITUDE, list(Importance))]


def _deltas(arrays: dict, importance: list[Importance], option: float | None,
            dense: list[bool], config: HdpConfig) -> list[int]:
    """Of heads with a distance; 0 of the others, whatever the file says of them, and where nothing
    is pruned at all."""
    wanted = [kind is Importance.DISTANCE for kind in importance]
    if option is not None and not any(wanted):
        raise InputError("--distance belongs to --importance distance, and no head has that")
    wanted = [kind and not off for kind, off in zip(wanted, dense, strict=True)]
    if not any(wanted):
        return [0] * len(wanted)
    if option is None and "distance" not in arrays:
        raise InputError("distance is missing: importance distance needs --distance, or an array "
                         "distance in IN.npz")
    array = arrays["distance"] if option is None else np.array(option)
    scales, deltas = real_scales(arrays, len(wanted)), []
    distances = real_per_head("distance", array, len(wanted))
    for used, value, scale in zip(wanted, distances, scales, strict=True):
        if used and not value >= 0:
            raise InputError(f"distance must be 0 or more, not {value}")
        deltas.append(encode_delta(float(value), float(scale), config) if used else 0)
    return deltas


def load_jobs(path: Path, config: HdpConfig, options: Options,
              given: Mapping[str, Any] | None = None) -> list[HdpJob]:
    """The heads of a file, one job each; arrays that are ``given`` replace those of the file.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    arrays = read_arrays(path, "importance", "rho", "distance", "tau_head", "pruned", "exact",
                         "dense") | dict(given or {})
    if options.tau_head is not None:
        if not 0 <= options.tau_head <= TAU_MAX:
            raise InputError(f"tau_head must lie in 0..{TAU_MAX}, not {options.tau_head}")
        arrays["tau_head"] = np.array(options.tau_head)
    heads = attention_fields(arrays, config)
    tau_head = integers_per_head(arrays, "tau_head", len(heads), 0, 0, TAU_MAX)
    importance = _importance(arrays, len(heads), options.importance)
    rho = _rho(arrays, importance, options.rho)
    exact, dense = (
        [True] * len(heads) if option else bools_per_head(arrays, name, len(heads))
        for name, option in (("exact", options.exact), ("dense", options.dense)))
    if options.drop is not None:
        arrays["pruned"] = np.array(str(Pruned.DROP if options.drop else Pruned.ZERO))
    pruned = names_per_head(arrays, "pruned", len(heads), Pruned.ZERO, list(Pruned))
    delta = _deltas(arrays, importance, options.distance, dense, config)
    return [HdpJob(**fields, importance=importance[h], rho=rho[h], delta=delta[h],
                   tau_head=tau_head[h], drop=pruned[h] == Pruned.DROP, exact=exact[h],
                   dense=dense[h]) for h, fields in enumerate(heads)]


class HdpFront(EngineFront):
    """Blocks and heads that are kept."""

    preset = "hdp_edge"
    trace = ("theta", "mask", "scores")
    sizes = ("multipliers", "cores", "width", "d_max", "l_max", "tile", "axi_data_width")

    @staticmethod
    def options(
        importance: Annotated[Importance | None, typer.Option(
            help="HDP: what keeps a block, the magnitude of its scores or their distance from the "
            "largest of the query. Default: that of IN.npz, or magnitude.",
            show_default=False)] = None,
        rho: Annotated[float | None, typer.Option(
            help="HDP, magnitude: block pruning ratio in (-1, 1), rounded to 1/128: a larger one "
            f"prunes more. Default: that of IN.npz, or {DEFAULT_RHO}.", show_default=False)] = None,
        distance: Annotated[float | None, typer.Option(
            metavar="X", help="HDP, distance: largest distance of what is kept, 0 or more, in "
            "units of the logits: what is pruned has about exp(-X) of its row's largest weight at "
            "most. Default: that of IN.npz.", show_default=False)] = None,
        tau_head: Annotated[int | None, typer.Option(
            help=f"HDP: heads with a theta_head below it are pruned, 0..{TAU_MAX}. "
            "Default: that of IN.npz, or 0.", show_default=False)] = None,
        pruned: Annotated[Pruned | None, typer.Option(
            help="HDP: a pruned block has score 0, or probability 0. Default: that of IN.npz, or "
            "zero.",
            show_default=False)] = None,
        exact: Annotated[bool, typer.Option(
            "--exact", help="HDP: full products for kept blocks.")] = False,
        dense: Annotated[bool, typer.Option(
            "--dense", help="HDP: no pruning at all.")] = False,
    ) -> Options:
        given = {"--importance": importance, "--rho": rho, "--distance": distance,
                 "--tau-head": tau_head, "--pruned": pruned}
        for option, value in given.items():
            if dense and value is not None:
                raise InputError(f"--dense and {option} contradict each other: dense attention "
                                 f"prunes nothing")
        return Options(importance=importance, rho=rho, distance=distance, tau_head=tau_head,
                       drop=None if pruned is None else pruned is Pruned.DROP,
                       exact=exact, dense=dense)

    def load_jobs(self, path: Path, config: HdpConfig, options: Options,
                  given: Mapping[str, Any] | None = None) -> Sequence[HdpJob]:
        return load_jobs(path, config, options, given)

    def size(self, config: HdpConfig) -> dict[str, int]:
        return {"multipliers": config.all_multipliers}

    def figures(self, run: Run) -> dict[str, Any]:
        order = table_order(run.jobs, run.config)
        return {
            "multipliers": run.config.all_multipliers,
            "model_cycles": predict_cycles([run.jobs[n] for n in order],
                                           [run.golden[n] for n in order], run.config),
            "blocks_kept": sum(s.blocks_kept for s in run.status),
            "blocks_total": sum(s.blocks_total for s in run.status),
            "heads_pruned": sum(not s.head_kept for s in run.status),
        }

    def lines(self, summary: dict[str, Any]) -> list[tuple[str, str]]:
        s = summary
        lines = [
            ("backend", f"{s['backend']}, {s['config']}, {s['multipliers']} multipliers"),
            ("heads", f"{s['heads']}, {s['heads_pruned']} pruned"),
            ("blocks kept", share(s["blocks_kept"], s["blocks_total"])),
            ("bound", f"{s['bound_cycles']} cycles"),
            ("predicted", f"{s['model_cycles']} cycles"),
        ]
        if s["cycles"] is not None:
            lines += [("cycles", f"{s['cycles']} ({s['utilisation']:.1%} utilisation)")]
        return lines

    def arrays(self, run: Run) -> dict[str, np.ndarray]:
        return {
            "head_kept": np.array([bool(s.head_kept) for s in run.status], bool),
            **{name: np.array([getattr(s, name) for s in run.status], np.int64)
               for name in ("theta_head", "blocks_kept", "blocks_total")},
        }


FRONT = HdpFront()
