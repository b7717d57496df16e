# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus digits``: digits that keys take at thresholds that prune a given share."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from prunus.golden.engines import load_config_of
from prunus.golden.jobs import matmul, visible_limits
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardJob
from prunus.golden.leopard.config import LeopardConfig

from ..engines.leopard import load_jobs
from ..errors import InputError
from ..heads import example_heads, read_arrays, real_scale
from ..report import print_json, print_table
from ..run import compute

__all__ = ["digits", "measure", "spare_bits", "threshold_for"]

BINS = 1 << 14      # of a histogram of scores

def spare_bits(jobs: Sequence[LeopardJob], config: LeopardConfig) -> int:
    """Bits by which all codes of Q and K can be shifted left."""
    least = min(int(min(job.q.min(), job.k.min())) for job in jobs)
    most = max(int(max(job.q.max(), job.k.max())) for job in jobs)
    used = max(most.bit_length(), (-1 - least).bit_length() if least < 0 else 0) + 1
    return config.width - used


def _scores(jobs: Sequence[LeopardJob]) -> Iterator[np.ndarray]:
    """Those of visible pairs, head by head."""
    for job in jobs:
        yield matmul(job.q, job.k.T)[np.arange(job.l_kv) < visible_limits(job)[:, None]]


def threshold_for(jobs: Sequence[LeopardJob], share: float) -> int:
    """The T_int that prunes this share of all visible pairs, or less where scores are equal.

    Scores are made again for every step of a search by histograms, as those of many heads would
    take more memory than there is.
    """
    count = sum(int(visible_limits(job).sum()) for job in jobs)
    if not count:
        return 0
    rank = min(math.floor(share * count), count - 1)
    ends = [(int(scores.min()), int(scores.max())) for scores in _scores(jobs) if scores.size]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    while low < high:
        size = -(-(high - low + 1) // BINS)
        bins = np.zeros(BINS, np.int64)
        for scores in _scores(jobs):
            within = scores[(scores >= low) & (scores <= high)]
            bins += np.bincount((within - low) // size, minlength=BINS)
        before = np.cumsum(bins) - bins
        found = int(np.flatnonzero(before + bins > rank)[0])
        rank -= int(before[found])
        low += found * size
        high = min(high, low + size - 1)
    return low


def measure(jobs: Sequence[LeopardJob], config: LeopardConfig, share: float,
            scale: float) -> dict:
    """One threshold for all heads of a layer, and where it ends their keys.

    ``dropped`` has the share of keys that are dropped at the first digit, the second, ..., so
    together with ``survive`` it adds up to 1.
    """
    t_int = threshold_for(jobs, share)
    results = compute([replace(job, threshold=t_int) for job in jobs], config)
    keys = sum(result.keys for result in results)
    counts = leopard.dropped_at(results, config)
    survivors = sum(result.survivors for result in results)
    bound, baseline = leopard.bound_cycles(results, config), leopard.baseline_cycles(results)
    return {"threshold": t_int * scale,
            "survive": survivors / keys, "dropped": [n / keys for n in counts],
            "digits_per_key": sum(result.digits_total for result in results) / keys,
            "bound_cycles": bound, "baseline_cycles": baseline, "speed_up": baseline / bound}


def _rows(path: Path, config: LeopardConfig, shares: Sequence[float], fill: bool) -> list[dict]:
    try:
        jobs, scale = load_jobs(path, config, None), real_scale(read_arrays(path))
    except InputError as err:
        raise InputError(f"{path.name}: {err}") from None
    if not sum(int(visible_limits(job).sum()) for job in jobs):
        raise InputError(f"{path.name}: no query sees a key")
    shift = spare_bits(jobs, config) if fill else 0
    jobs = [replace(job, q=job.q << shift, k=job.k << shift) for job in jobs]
    return [{"heads": path.stem, "shift": shift, "pruned": share,
             **measure(jobs, config, share, scale / 4**shift)} for share in shares]


def _print(rows: list[dict], config: LeopardConfig) -> None:
    steps = [f"at {t}" for t in range(1, config.digits + 1)]
    print_table(
        ["heads", "pruned", "threshold", *steps, "survive", "digits per key", "speed-up"],
        [[row["heads"], f"{row['pruned']:.0%}", f"{row['threshold']:.2f}",
          *(f"{x:.1%}" for x in row["dropped"]), f"{row['survive']:.1%}",
          f"{row['digits_per_key']:.2f}", f"{row['speed_up']:.2f}x"] for row in rows],
        title=f"keys dropped at each digit, {config.name}")


def digits(
    files: Annotated[list[Path] | None, typer.Argument(
        metavar="IN.npz", help="Heads as prunus run takes them, one layer a file. Default: "
        "those of examples/.", show_default=False)] = None,
    config: Annotated[str, typer.Option(help="A LeOPArd preset or a TOML file.")] = "leopard_ae",
    share: Annotated[list[float] | None, typer.Option(
        help="Of the keys, to be pruned, in [0, 1); may be repeated. Default: 0.5, 0.75 and 0.9.",
        show_default=False)] = None,
    fill: Annotated[bool, typer.Option(
        "--fill", help="Shift Q and K left until their codes fill the width; the scale makes up "
        "for it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how many digits keys take at thresholds that prune a given share of them."""
    shares = share or [0.5, 0.75, 0.9]
    for value in shares:
        if not 0 <= value < 1:
            raise InputError(f"share must lie in [0, 1), not {value}")
    chosen = load_config_of(LeopardConfig, config)
    rows = [row for path in files or example_heads()
            for row in _rows(path, chosen, shares, fill)]
    if as_json:
        print_json(rows)
    else:
        _print(rows, chosen)
