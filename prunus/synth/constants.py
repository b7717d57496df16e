# SPDX-License-Identifier: Apache-2.0
"""Takes constants away from the pins of an ECP5's carry cells and distributed memories.

nextpnr leaves a LUT's input open where it is not used, but makes one driver of 0 for all pins of
carry cells and memories and takes that net to each of them: over the whole chip, where a design of
many adders and small FIFOs has thousands. An open pin of a carry cell reads as 1, which is what
nextpnr makes of a constant 1 there, so a table for 1 is all that is needed.
"""

from .carry import PINS, look_up

__all__ = ["carry_ones", "double_addresses"]


def carry_ones(design: dict) -> int:
    """Change zeros on the pins of carry cells to ones, and tables with them, in place.

    Takes a netlist of ``write_json`` after ``synth_ecp5``; returns how many zeros there were.
    """
    changed = 0
    for module in design["modules"].values():
        for cell in module["cells"].values():
            if cell["type"] == "CCU2C":
                changed += sum(_half_ones(cell, half) for half in "01")
    return changed


def _half_ones(cell: dict, half: str) -> int:
    if cell["parameters"][f"INJECT1_{half}"] != "NO":
        return 0
    connections = cell["connections"]
    zeros = [n for n, pin in enumerate(PINS) if connections[pin + half] == ["0"]]
    init = int(cell["parameters"][f"INIT{half}"], 2)
    for n in zeros:
        connections[PINS[n] + half] = ["1"]
        init = _for_one(init, n)
    cell["parameters"][f"INIT{half}"] = f"{init:016b}"
    return len(zeros)


def _for_one(init: int, pin: int) -> int:
    """The table that computes with a 1 on that pin, or with either, what ``init`` does with a 0.

    With either, as a carry cell generates its table at C = D = 0, whatever is on those pins.
    """
    bits = 0
    for at in range(16):
        values = [at >> n & 1 for n in range(4)]
        values[pin] = 0
        bits |= look_up(init, values) << at
    return bits


def double_addresses(design: dict) -> int:
    """Give address pins of shallow memories the bit of another one in place of a 0, in place.

    A word then lies at another address, written and read; how many pins there were.
    """
    changed = 0
    for module in design["modules"].values():
        for cell in module["cells"].values():
            if cell["type"] == "TRELLIS_DPR16X4" and set(cell["parameters"]["INITVAL"]) <= {*"0x"}:
                changed += _double(cell["connections"])
    return changed


def _double(connections: dict) -> int:
    write, read = connections["WAD"], connections["RAD"]
    unused = [n for n in range(4) if write[n] == read[n] == "0"]
    used = [n for n in range(4) if n not in unused]
    if not used:
        return 0
    for n in unused:
        write[n], read[n] = write[used[-1]], read[used[-1]]
    return 2 * len(unused)
