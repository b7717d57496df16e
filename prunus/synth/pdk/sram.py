# SPDX-License-Identifier: Apache-2.0
"""Writes ``sram.json``, figures of the SRAM macros of SG13G2, from their Liberty files.

    python -m prunus.synth.pdk.sram LIB...
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from prunus.console import guarded

from ...errors import InputError
from ...files import write_files
from .liberty import Group, LibertyError, numbers, parse

__all__ = ["FILE", "document", "kept", "main", "read"]

FILE = Path(__file__).with_name("sram.json")
COMMAND = "python -m prunus.synth.pdk.sram LIB..."
_NAME = re.compile(r"RM_IHPSG13_([12])P_(\d+)x(\d+)_c(\d+)(_bm)?")
# Of the clock pin, by what the port does in the cycle. All of it is at the rising edge.
_CLOCK = {"idle": (0, 0, 0), "read": (1, 0, 1), "write": (1, 1, 0), "write_read": (1, 1, 1),
          "enabled_only": (1, 0, 0), "read_without_enable": (0, 0, 1),
          "write_without_enable": (0, 1, 0)}
# The point at which a delay is read off: slew in ns and load in pF, both of the tables.
_AT = (0.04, 0.01)
_UNITS = {"time_unit": "1ns", "voltage_unit": "1V", "leakage_power_unit": "1nW",
          "capacitive_load_unit": "1,pf"}


def _check_units(library: Group) -> None:
    for name, wanted in _UNITS.items():
        if library.text(name).replace(" ", "") != wanted:
            raise LibertyError(f"{name} must be {wanted}, not {library.text(name)!r}")


def _powers(pin: Group) -> dict[frozenset[str], tuple[float, float]]:
    """Internal power of a pin in pJ, of a rising and of a falling edge, by condition."""
    found = {}
    for power in pin.all("internal_power"):
        terms = re.findall(r"!?\w+", power.attributes.get("when", ""))
        rise, fall = (numbers(power.first(kind).text("values"))[0]
                      for kind in ("rise_power", "fall_power"))
        found[frozenset(terms)] = rise, fall
    return found


def _enabled(pin: Group) -> list[float]:
    """Rising and falling edge of a pin while the port is enabled."""
    powers = _powers(pin)
    found = powers.get(frozenset({"A_MEN"}), powers.get(frozenset()))
    if found is None:
        raise LibertyError(f"pin {pin.name!r} has no internal power with A_MEN")
    return list(found)


def _bus(cell: Group, name: str) -> dict | None:
    """Mean input capacitance of the bits of a bus, and energy per toggled bit; None of no bus."""
    bus = next(cell.all("bus", name), None)
    if bus is None:
        return None
    pins = list(bus.all("pin"))
    bits = bus.first("pin", next(pin.name for pin in pins if ":" in pin.name))
    width = int(re.findall(r"\d+", bits.name)[0]) + 1
    own = [pin.number("capacitance") for pin in pins if "capacitance" in pin.attributes]
    rest = bus.number("capacitance") * (width - len(own))
    return {"pf": round((sum(own) + rest) / width, 6), "pj": _enabled(bits)}


def _delay(cell: Group) -> float:
    """From the clock to an output in ns: the slower of both edges."""
    timing = next(group for group in cell.first("bus", "A_DOUT").all("timing")
                  if group.attributes.get("timing_type") == "rising_edge")
    found = []
    for kind in ("cell_rise", "cell_fall"):
        table = timing.first(kind)
        slews, loads = (numbers(table.text(index)) for index in ("index_1", "index_2"))
        at = slews.index(_AT[0]) * len(loads) + loads.index(_AT[1])
        found.append(numbers(table.text("values"))[at])
    return max(found)


def _clock(cell: Group) -> dict[str, float]:
    """Energy of a clock cycle in pJ by what the port does: both edges."""
    powers = _powers(cell.first("pin", "A_CLK"))
    found = {}
    for name, levels in _CLOCK.items():
        key = frozenset(f"{'' if level else '!'}A_{pin}"
                        for pin, level in zip(("MEN", "WEN", "REN"), levels, strict=True))
        if key not in powers:
            raise LibertyError(f"the clock of {cell.name!r} has no internal power with "
                               f"{' & '.join(sorted(key))}")
        found[name] = round(sum(powers[key]), 4)
    return found


def read(text: str) -> dict:
    """The figures of the macro of a Liberty file. Raises LibertyError."""
    library = parse(text)
    _check_units(library)
    cell = library.first("cell")
    name = _NAME.match(cell.name)
    if name is None:
        raise LibertyError(f"cell {cell.name!r} must be an SRAM macro of SG13G2")
    ports, words, bits, multiplexed = map(int, name.groups()[:4])
    memory = cell.first("memory")
    if (2 ** int(memory.number("address_width")), memory.number("word_width")) != (words, bits):
        raise LibertyError(f"cell {cell.name!r} must have the size in its name")
    enables = [cell.first("pin", f"A_{pin}") for pin in ("MEN", "REN", "WEN")]
    return {
        "name": cell.name, "words": words, "bits": bits, "ports": ports,
        "multiplexed": multiplexed, "masked": name[5] is not None,
        "revision": library.text("revision"), "area_um2": cell.number("area"),
        "leakage_nw": cell.number("cell_leakage_power"), "delay_ns": _delay(cell),
        "clock": {"pf": cell.first("pin", "A_CLK").number("capacitance"), "pj": _clock(cell)},
        "enables": {pin.name[2:].lower(): {"pf": pin.number("capacitance"), "pj": _enabled(pin)}
                    for pin in enables},
        "address": _bus(cell, "A_ADDR"), "data": _bus(cell, "A_DIN"), "mask": _bus(cell, "A_BM"),
    }


def document(texts: Sequence[str]) -> str:
    """The data file of the macros of Liberty files."""
    macros = sorted((read(text) for text in texts),
                    key=lambda macro: (macro["ports"], macro["words"], macro["bits"]))
    head = {
        "made_by": COMMAND,
        "source": "IHP-Open-PDK, ihp-sg13g2/libs.ref/sg13g2_sram/lib/*_typ_1p20V_25C.lib",
        "license": "Apache-2.0, Copyright 2023-2025 IHP PDK Authors",
        "corner": {"process": "typical", "volt": 1.2, "celsius": 25},
        "units": {
            "clock": "pJ of a cycle of a port, both edges, by what the port does in it",
            "pj": "of the other pins: a rising and a falling edge of a bit while the port is "
                  "enabled",
            "pf": "input capacitance of a bit, the mean of a bus",
            "delay_ns": f"clock to output, slew {_AT[0]} ns, load {_AT[1]} pF",
        },
    }
    lines = ",\n".join(f"  {json.dumps(macro)}" for macro in macros)
    return f'{json.dumps(head, indent=1)[:-2]},\n "macros": [\n{lines}\n ]\n}}\n'


@cache
def kept(path: Path = FILE) -> dict:
    """What the data file says."""
    return json.loads(path.read_text(encoding="utf-8"))


def _texts(paths: Sequence[Path]) -> list[str]:
    """Liberty files, if they are macros. Raises InputError."""
    texts = []
    for path in paths:
        try:
            texts.append(path.read_text(encoding="utf-8"))
            read(texts[-1])
        except (OSError, ValueError) as err:
            reason = getattr(err, "strerror", None) or err
            raise InputError(f"lib {str(path)!r} cannot be read: {reason}") from None
    return texts


@guarded()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m prunus.synth.pdk.sram", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="LIB",
                        help="Liberty files of SRAM macros, typical corner")
    try:
        texts = _texts(parser.parse_args(arguments).files)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    write_files({FILE: lambda file: file.write(document(texts).encode())})
    return 0


if __name__ == "__main__":
    sys.exit(main())
