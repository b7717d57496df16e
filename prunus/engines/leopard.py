# SPDX-License-Identifier: Apache-2.0
"""LeOPArd on the command line. The contract of its files stands in docs/cli.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prunus.golden.leopard.compute import LeopardJob, baseline_cycles, encode_threshold
from prunus.golden.leopard.config import LeopardConfig

from ..errors import InputError
from ..heads import attention_fields, read_arrays, real_per_head, real_scales
from ..run import Run
from .front import EngineFront, share

__all__ = ["FRONT", "LeopardFront", "load_jobs"]


def _thresholds(arrays: dict, heads: int, option: float | None) -> np.ndarray:
    array = arrays.get("threshold", np.array(-np.inf)) if option is None else np.array(option)
    array = real_per_head("threshold", array, heads)
    if np.isnan(array).any():
        raise InputError("threshold must be a real number, not nan")
    return array


def load_jobs(path: Path, config: LeopardConfig, threshold: float | None,
              given: Mapping[str, Any] | None = None) -> list[LeopardJob]:
    """The heads of a file, one job each; ``threshold`` overrides those of the file.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    if threshold is not None and not config.pruning:
        raise InputError(f"--threshold and config {config.name} contradict each other: it prunes "
                         f"nothing")
    arrays = read_arrays(path, "threshold") | dict(given or {})
    heads = attention_fields(arrays, config)
    thresholds, scales = (_thresholds(arrays, len(heads), threshold),
                          real_scales(arrays, len(heads)))
    return [LeopardJob(**fields, threshold=encode_threshold(float(t), float(scale), config))
            for fields, t, scale in zip(heads, thresholds, scales, strict=True)]


def _wasted(run: Run) -> list[int]:
    """By head: digits that were spent on keys after their deciding ones."""
    return [status.digits_wasted(out.shape[1], run.config) for out, status in run.outputs]


class LeopardFront(EngineFront):
    """Keys that survive, and the digits that they take."""

    preset = "leopard_ae"
    trace = ("mask", "digits", "scores")
    sizes = ("dpus", "taps", "digit", "width", "d_max", "l_max", "axi_data_width")

    @staticmethod
    def options(
        threshold: Annotated[float | None, typer.Option(
            help="LeOPArd: keys with a logit below it are pruned. Default: that of IN.npz, or "
            "none.", show_default=False)] = None,
    ) -> float | None:
        return threshold

    def load_jobs(self, path: Path, config: LeopardConfig, options: float | None,
                  given: Mapping[str, Any] | None = None) -> Sequence[LeopardJob]:
        return load_jobs(path, config, options, given)

    def size(self, config: LeopardConfig) -> dict[str, int]:
        return {"units": config.dpus, "taps": config.taps}

    def figures(self, run: Run) -> dict[str, Any]:
        keys = sum(result.keys for result in run.golden)
        return {
            "baseline_cycles": baseline_cycles(run.golden),
            "survivors": sum(s.survivors for s in run.status),
            "keys": keys,
            "digits_total": sum(s.digits_total for s in run.status),
            "digits_wasted": sum(_wasted(run)),
            "digits_full": keys * run.config.digits,
        }

    def lines(self, summary: dict[str, Any]) -> list[tuple[str, str]]:
        s = summary
        lines = [
            ("backend", f"{s['backend']}, {s['config']}"),
            ("heads", f"{s['heads']}"),
            ("survivors", share(s["survivors"], s["keys"])),
            ("digits", share(s["digits_total"], s["digits_full"])),
            ("bound", f"{s['bound_cycles']} cycles"),
            ("baseline", f"{s['baseline_cycles']} cycles"),
        ]
        if s["cycles"] is not None:
            lines += [("cycles", f"{s['cycles']} ({s['utilisation']:.1%} of the bound, "
                                 f"{s['baseline_cycles'] / s['cycles']:.2f}x the baseline's "
                                 f"speed)")]
        return lines

    def arrays(self, run: Run) -> dict[str, np.ndarray]:
        return {
            "survivors": np.array([s.survivors for s in run.status], np.int64),
            "digits_total": np.array([s.digits_total for s in run.status], np.int64),
            "digits_wasted": np.array(_wasted(run), np.int64),
        }


FRONT = LeopardFront()
