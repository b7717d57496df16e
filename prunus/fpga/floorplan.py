# SPDX-License-Identifier: Apache-2.0
"""Block RAMs in their rows on the chip, each near what it feeds.

An ECP5 has its block RAMs in a few rows, and a coprocessor fills most of them. nextpnr's placers
move them one by one among everything else, which leaves the slices of a buffer in rows at opposite
ends of the chip and what they feed in between. So each buffer gets a row here, and a slice its
place in the row by the taps of the array that it feeds, in the order of the taps.
"""

import re
from collections import Counter
from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.loader import beat_dims

__all__ = ["SOURCE", "place"]

# A netlist depends on this, too.
SOURCE = Path(__file__).read_text(encoding="utf-8")

# By the size of a chip, the last three letters of a device: with and without transceivers they are
# one die. Columns of the block RAMs of a row: four in nine, and the clock tree in the middle.
COLUMNS = {"85F": [first + 9 * group + n for first, groups in ((4, 7), (69, 6))
                   for group in range(groups) for n in (0, 2, 4, 6)]}
# What the rows of a chip hold, as patterns of cell names.
PLANS = {("85F", "hdp"): {22: r"\.memory\.banks\.", 46: r"\.buffer_k_[if]\.",
                          70: r"\.buffer_q_[if]\.", 82: r"\.buffer_v\."}}
_BUFFER = re.compile(r"\.buffer_(?:._)?([ifv])\.row_\d+_slice_(\d+)\.")


def place(design: dict, *, device: str, config: EngineConfig) -> int:
    """Give block RAMs of a netlist of ``write_json`` their places, in place; how many have one.

    What a plan does not name and what its row has no room for is left to the placer, as is
    everything if there is no plan for the device and the engine.
    """
    size = device[-3:]
    plan = PLANS.get((size, config.engine), {})
    cells = {name: cell for name, cell in design["modules"]["top"]["cells"].items()
             if cell["type"] == "DP16KD"}
    parts = Counter(map(_word, cells))
    placed = 0
    for row, pattern in plan.items():
        names = sorted(filter(re.compile(pattern).search, cells),
                       key=lambda name: (_tap(name, parts[_word(name)], config), _natural(name)))
        columns = COLUMNS[size]
        first = max(0, (len(columns) - len(names)) // 2)
        for name, n in zip(names, range(first, len(columns)), strict=False):
            cells[name]["attributes"]["BEL"] = f"X{columns[n]}/Y{row}/EBR{n % 4}"
            placed += 1
    return placed


def _word(name: str) -> str:
    """The memory of which a block RAM holds some bits."""
    return name.rpartition(".")[0]


def _natural(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _tap(name: str, parts: int, config: EngineConfig) -> float:
    """The tap that a block RAM of an operand buffer feeds; tap n has the dimensions n modulo T."""
    buffer = _BUFFER.search(name)
    if not buffer or not isinstance(config, HdpConfig):
        return 0.0
    kind = "ifv".index(buffer[1])
    dims = beat_dims(config)[kind]
    width = dims * (1 + (config.format.int_mag, config.format.frac_mag, config.width)[kind])
    # Yosys gives each block RAM as many bits as it has at that depth, from the lowest on.
    bits = min(size for size in (1, 2, 4, 9, 18, 36) if size * parts >= width)
    part = int(name.rpartition(".")[2])
    middle = (part * bits + min((part + 1) * bits, width)) / 2 / width
    return dims * (int(buffer[2]) + middle) % config.taps
