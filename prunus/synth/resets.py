# SPDX-License-Identifier: Apache-2.0
"""Gives a reset a register for each part of a design.

nextpnr takes a reset of thousands of registers to each of them over ordinary wires, all over the
chip and within the cycle: 20 ns with 64 multipliers. Here each part of the hierarchy gets a copy,
a register behind the one that there was, so that everything is reset one cycle later, and all of it
in the same one. Only a reset may: Yosys uses the same pin for data that clears registers.
"""

import copy as copying
import re
from collections import defaultdict

__all__ = ["FEW", "MANY", "MOST", "copy"]

MANY = 256      # registers that a reset needs to have to be worth it
MOST = 128      # pins of a copy
FEW = 16        # pins of a part that has no copy of its own
# What Yosys appends to a signal's name for the cells that make it.
_CELL = re.compile(r"_(TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21)_.*")
_DEPTH = 4      # levels of the hierarchy that make a part


def copy(design: dict) -> int:
    """Change a netlist of ``write_json`` after ``synth_ecp5``, in place; how many copies."""
    count = 0
    for module in design["modules"].values():
        cells = module["cells"]
        drivers = {bit: name for name, cell in cells.items() if cell["type"] == "TRELLIS_FF"
                   for bit in cell["connections"]["Q"]}
        pins = _pins(cells, drivers)
        names = defaultdict(set)
        for name, net in module.get("netnames", {}).items():
            for bit in net["bits"]:
                names[bit].add(name.rpartition(".")[2])
        free = 1 + max((bit for bit in names if isinstance(bit, int)), default=0)
        resets = {bit: drivers[bit] for bit in pins if _is_reset(cells[drivers[bit]], names[bit])}
        gates = _gates(cells, names, resets)
        pins |= _pins(cells, gates)
        for bit, register in {**{bit: register for bit, (_, register) in gates.items()},
                              **resets}.items():
            # A gate goes on seeing the reset itself, so that what it resets is no later.
            users = [(name, pin) for name, pin in pins[bit]
                     if name not in {gate for gate, _ in gates.values()}]
            if sum(pin == "LSR" for _, pin in users) < MANY:
                continue
            for part in _parts(users):
                _register(module, register, bit, free, f"{register}_copy_{count}")
                for name, pin in part:
                    connections = cells[name]["connections"]
                    connections[pin] = [free if at == bit else at for at in connections[pin]]
                free, count = free + 1, count + 1
    return count


def _is_reset(cell: dict, names: set[str]) -> bool:
    """Whether a register is one of a reset, by its name or because it is reset out of turn, as only
    the synchroniser of a board's is."""
    asynchronous = cell["parameters"].get("SRMODE") == "ASYNC"
    return "CE" not in cell["connections"] and (asynchronous or bool(names & {"rst", "reset"}))


def _gates(cells: dict, names: dict, resets: dict) -> dict[int, tuple[str, str]]:
    """Resets that a gate makes of another one, which an abort does: the gate, and the register of
    the other one. Yosys does not always keep the name of what the gate makes, but registers keep
    theirs, so the gate is known by the ``restart`` of ``hw.shell.control``, too."""
    gates = {}
    for name, cell in cells.items():
        if cell["type"] != "LUT4":
            continue
        out, = cell["connections"]["Z"]
        inputs = [bit for pin in "ABCD" for bit in cell["connections"].get(pin, ())
                  if isinstance(bit, int)]
        of = [resets[bit] for bit in inputs if bit in resets]
        if of and ("rst" in names[out] or all(
                bit in resets or "restart" in names[bit] for bit in inputs) and len(inputs) > 1):
            gates[out] = name, of[0]
    return gates


def _pins(cells: dict, drivers: dict) -> dict[int, list[tuple[str, str]]]:
    """Cells and pins that read each register."""
    pins = defaultdict(list)
    for name, cell in cells.items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                for bit in {*bits} & drivers.keys():
                    pins[bit].append((name, pin))
    return pins


def _parts(users: list) -> list[list]:
    """Pins by part of the hierarchy, those of parts with few of them by the part around them."""
    parts = defaultdict(list)
    for user in users:
        parts[tuple(_CELL.sub("", user[0]).split(".")[:_DEPTH])].append(user)
    for path in sorted(parts, key=len, reverse=True):
        if len(path) > 1 and len(parts[path]) < FEW:
            parts[path[:-1]] += parts.pop(path)
    return [part[at : at + MOST] for part in map(sorted, parts.values())
            for at in range(0, len(part), MOST)]


def _register(module: dict, driver: str, d: int, q: int, name: str) -> None:
    cell = copying.deepcopy(module["cells"][driver])
    cell["connections"] |= {"DI": [d], "Q": [q]}
    module["cells"][name] = cell
    module.setdefault("netnames", {})[name] = {"hide_name": 0, "bits": [q], "attributes": {}}
