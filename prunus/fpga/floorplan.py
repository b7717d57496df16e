# SPDX-License-Identifier: Apache-2.0
"""Block RAMs and multipliers in their rows on the chip, each near what it feeds.

An ECP5 has its block RAMs in a few rows, and a coprocessor fills most of them. nextpnr's placers
move them one by one among everything else, which leaves the slices of a buffer in rows at opposite
ends of the chip and what they feed in between. So each buffer gets a row here, and a slice its
place in the row by the taps of the array that it feeds, in the order of the taps.

An array for P V has its multipliers in DSP blocks, which lie in rows, too. nextpnr puts the two
multipliers of a sum at opposite ends as well; the design then does not route. So V has the block
RAMs between two rows of DSP blocks, and the four multipliers of an output lie side by side, where
its values come from. Q, which has fewer wires than K, is next to them.
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
# What the rows of a chip hold, as patterns of cell names, by the array of P V.
PLANS = {("85F", "shared"): {22: r"\.memory\.banks\.", 46: r"\.buffer_k_[if]\.",
                             70: r"\.buffer_q_[if]\.", 82: r"\.buffer_v\."},
         ("85F", "own"): {22: r"\.buffer_v\.", 46: r"\.buffer_q_[if]\.",
                          70: r"\.buffer_k_[if]\.", 82: r"\.memory\.banks\."}}
_BUFFER = re.compile(r"\.buffer_(?:._)?([ifv])\.row_\d+_slice_(\d+)\.")
# First columns of the blocks of four multipliers of a row, columns and numbers of the four, and the
# rows that the multipliers of P V take.
BLOCKS = {"85F": [first + 9 * n for first, count in ((4, 7), (69, 6)) for n in range(count)]}
MULTIPLIERS = ((0, 0), (1, 1), (4, 4), (5, 5))
VALUE_ROWS = {"85F": (10, 34)}
_PRODUCT = re.compile(r"\.value_array\.product_(\d)_(\d)_(\d+)$")


def place(design: dict, *, device: str, config: EngineConfig) -> int:
    """Give block RAMs and multipliers of P V of a netlist of ``write_json`` their places, in place;
    how many have one.

    What a plan does not name and what its row has no room for is left to the placer, as is
    everything if there is no plan for the device and the engine.
    """
    size, module = device[-3:], design["modules"]["top"]
    values = config.value_array if isinstance(config, HdpConfig) else ""
    plan = PLANS.get((size, values), {})
    cells = {name: cell for name, cell in module["cells"].items() if cell["type"] == "DP16KD"}
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
    if plan and isinstance(config, HdpConfig) and values == "own":
        placed += _place_multipliers(module, size, config.taps)
    return placed


def _place_multipliers(module: dict, size: str, taps: int) -> int:
    """The multipliers of an output in a block, outputs from the left to the right, in the rows in
    turn."""
    rows, columns = VALUE_ROWS[size], BLOCKS[size]
    first = max(0, (len(columns) - taps // len(rows)) // 2)
    placed = 0
    for name, (query, key, tap) in _products(module).items():
        block = first + tap // len(rows)
        if block < len(columns):
            column, number = MULTIPLIERS[2 * query + key]
            module["cells"][name]["attributes"]["BEL"] = (
                f"X{columns[block] + column}/Y{rows[tap % len(rows)]}/MULT18_{number}")
            placed += 1
    return placed


def _products(module: dict) -> dict[str, tuple[int, ...]]:
    """Query, key and output of the multipliers of P V: the registers behind them tell."""
    registers = {bit: tuple(map(int, product.groups()))
                 for name, net in module["netnames"].items() if (product := _PRODUCT.search(name))
                 for bit in net["bits"]}
    cells = module["cells"]
    behind = {cell["connections"]["DI"][0]: registers[bit] for cell in cells.values()
              if cell["type"] == "TRELLIS_FF"
              and (bit := cell["connections"]["Q"][0]) in registers}
    return {name: behind[bit] for name, cell in cells.items() if cell["type"] == "MULT18X18D"
            for port, (bit, *_) in cell["connections"].items()
            if cell["port_directions"][port] == "output" and bit in behind}


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
