# SPDX-License-Identifier: Apache-2.0
"""Top-K on the command line. The contract of its files stands in docs/cli.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prunus.golden.topk.compute import TopkJob
from prunus.golden.topk.config import TopkConfig

from ..errors import InputError
from ..heads import attention_fields, integers_per_head, read_arrays
from ..run import Run
from .front import EngineFront, share

__all__ = ["FRONT", "TopkFront", "load_jobs"]


def load_jobs(path: Path, config: TopkConfig, top_k: int | None,
              given: Mapping[str, Any] | None = None) -> list[TopkJob]:
    """The heads of a file, one job each; ``top_k`` overrides those of the file.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    arrays = read_arrays(path, "top_k") | dict(given or {})
    if top_k is not None:
        if not 1 <= top_k <= config.k_max:
            raise InputError(f"--top-k must lie in 1..{config.k_max} ({config.name}), not {top_k}")
        arrays["top_k"] = np.array(top_k)
    if "top_k" not in arrays:
        raise InputError(f"top_k is missing: give --top-k, 1..{config.k_max} ({config.name}), or "
                         f"an array of that name in {str(path)!r}")
    heads = attention_fields(arrays, config)
    kept = integers_per_head(arrays, "top_k", len(heads), 1, 1, config.k_max)
    return [TopkJob(**fields, top_k=k) for fields, k in zip(heads, kept, strict=True)]


class TopkFront(EngineFront):
    """Keys that are kept."""

    preset = "topk_edge"
    trace = ("mask", "scores")
    sizes = ("k_max", "taps", "width", "d_max", "l_max", "axi_data_width")

    @staticmethod
    def options(
        top_k: Annotated[int | None, typer.Option(
            help="Top-K: keys that each query keeps, 1 to the configuration's k_max. Default: that "
            "of IN.npz.", show_default=False)] = None,
    ) -> int | None:
        return top_k

    def load_jobs(self, path: Path, config: TopkConfig, options: int | None,
                  given: Mapping[str, Any] | None = None) -> Sequence[TopkJob]:
        return load_jobs(path, config, options, given)

    def size(self, config: TopkConfig) -> dict[str, int]:
        return {"units": 1, "taps": config.taps}

    def figures(self, run: Run) -> dict[str, Any]:
        return {
            "survivors": sum(s.survivors for s in run.status),
            "keys": sum(result.keys for result in run.golden),
        }

    def lines(self, summary: dict[str, Any]) -> list[tuple[str, str]]:
        s = summary
        lines = [
            ("backend", f"{s['backend']}, {s['config']}"),
            ("heads", f"{s['heads']}"),
            ("survivors", share(s["survivors"], s["keys"])),
            ("bound", f"{s['bound_cycles']} cycles"),
        ]
        if s["cycles"] is not None:
            lines += [("cycles", f"{s['cycles']} ({s['utilisation']:.1%} of the bound)")]
        return lines

    def arrays(self, run: Run) -> dict[str, np.ndarray]:
        return {"survivors": np.array([s.survivors for s in run.status], np.int64)}


FRONT = TopkFront()
