# SPDX-License-Identifier: Apache-2.0
"""Moves logic in front of carry chains into the chains of an ECP5.

A half of a CCU2C adds two functions of its four inputs: ``x(A, B) + y(C, D)``. Yosys uses it for
``A + (B ^ invert)`` and makes LUTs of the and gates of a product, the inverters of an adder that
also subtracts and the gates that clear an accumulator, though there is room for them inside.

    S = p ^ CIN         COUT = CIN if p else g          p = LUT4(A, B, C, D)    g = LUT2(A, B)

The table of g is that of p at C = D = 0, so with p = x ^ y a half computes x + y whenever y is 0
there; a pin that is 1 at all times keeps the two tables apart. What is tried is whether any order
of the inputs on the pins has such tables, which includes all of this.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations, product

__all__ = ["PINS", "absorb", "disconnect", "look_up"]

PINS = "ABCD"
Net = int | str                         # a constant is a string


def absorb(design: dict) -> int:
    """Change a netlist of ``write_json`` after ``synth_ecp5`` in place; how many LUTs are gone."""
    return sum(_Netlist(module).absorb() for module in design["modules"].values())


def disconnect(design: dict) -> int:
    """Take away, in place, the nets of carries out that nobody reads; how many there were.

    nextpnr spends a slice on each. It wants a constant in their place, which is no Verilog.
    """
    return sum(_Netlist(module).disconnect() for module in design["modules"].values())


@cache
def _placed(p: tuple[int, ...], g: tuple[int, ...]) -> tuple[tuple[int | str, ...], int] | None:
    """Pins and table of a half with these functions of its inputs, given as tables.

    Returns
    -------
    (pins, init) or None
        For each pin the number of an input or a constant.
    """
    count = (len(p) - 1).bit_length()
    for constants in product("01", repeat=4 - count):
        for pins in permutations([*range(count), *constants]):
            init: list[int | None] = [None] * 16
            fits = True
            for inputs in range(len(p)):
                values = [int(pin) if isinstance(pin, str) else inputs >> pin & 1 for pin in pins]
                at = sum(value << n for n, value in enumerate(values))
                fits &= init[at] in (None, p[inputs])
                init[at] = p[inputs]
                if not p[inputs]:       # else the carry does not depend on g
                    low = at & 3
                    fits &= init[low] in (None, g[inputs])
                    init[low] = g[inputs]
            if fits:
                return pins, sum((bit or 0) << n for n, bit in enumerate(init))
    return None


class _Netlist:
    """The cells of a module and who drives and reads its nets."""

    def __init__(self, module: dict):
        self._cells = module["cells"]
        self._luts: dict[Net, str] = {}             # by the net they drive
        self._sinks: dict[Net, set[tuple[str, str]]] = defaultdict(set)
        for name, cell in self._cells.items():
            if cell["type"] == "LUT4":
                self._luts[cell["connections"]["Z"][0]] = name
            directions = cell.get("port_directions", {})
            for port, bits in cell["connections"].items():
                if directions.get(port) == "output":
                    continue
                for bit in bits:
                    self._sinks[bit].add((name, port))
        for name, port in module["ports"].items():
            for bit in port["bits"]:
                self._sinks[bit].add(("", name))

    def _half(self, name: str, half: str) -> tuple[list[Net], int]:
        cell = self._cells[name]
        return ([cell["connections"][pin + half][0] for pin in PINS],
                int(cell["parameters"][f"INIT{half}"], 2))

    def _lut(self, name: str) -> tuple[list[Net], int]:
        cell = self._cells[name]
        return [cell["connections"][pin][0] for pin in PINS], int(cell["parameters"]["INIT"], 2)

    def absorb(self) -> int:
        """Each LUT that carry cells alone read goes into all of them or stays."""
        gone = 0
        for net, name in list(self._luts.items()):
            sinks = self._sinks[net]
            halves = {(cell, port[-1]) for cell, port in sinks
                      if cell and self._cells[cell]["type"] == "CCU2C" and port != "CIN"
                      and self._cells[cell]["parameters"][f"INJECT1_{port[-1]}"] == "NO"}
            if not sinks or len(halves) != len(sinks):
                continue
            changed = {half: self._with(net, name, *half) for half in halves}
            fitting = {half: pins for half, pins in changed.items() if pins is not None}
            if len(fitting) == len(changed):
                for half, (bits, init) in fitting.items():
                    self._change(*half, bits, init)
                for port, bit in self._cells.pop(name)["connections"].items():
                    self._sinks[bit[0]].discard((name, port))
                gone += 1
        return gone

    def _with(self, net: Net, lut: str, name: str, half: str) -> tuple[list[Net], int] | None:
        """Pins and table of a half that computes what ``lut`` drives ``net`` with by itself."""
        pins, init = self._half(name, half)
        lut_pins, lut_init = self._lut(lut)
        support = sorted({bit for bit in [*pins, *lut_pins]
                          if bit != net and not isinstance(bit, str)})
        if len(support) > len(PINS):
            return None
        p, g = [], []
        for values in self._assignments(support):
            values[net] = look_up(lut_init, [values[bit] for bit in lut_pins])
            at = [values[bit] for bit in pins]
            p.append(look_up(init, at))
            g.append(look_up(init, at[:2]))
        placed = _placed(tuple(p), tuple(g))
        return placed and ([bit if isinstance(bit, str) else support[bit] for bit in placed[0]],
                           placed[1])

    @staticmethod
    def _assignments(support: Sequence[Net]) -> Iterator[dict[Net, int]]:
        for inputs in range(1 << len(support)):
            yield {"0": 0, "1": 1, "x": 0,
                   **{bit: inputs >> n & 1 for n, bit in enumerate(support)}}

    def _change(self, name: str, half: str, bits: list[Net], init: int) -> None:
        cell = self._cells[name]
        ports = [pin + half for pin in PINS]
        for port, bit in zip(ports, bits, strict=True):
            self._sinks[cell["connections"][port][0]].discard((name, port))
            cell["connections"][port] = [bit]
            self._sinks[bit].add((name, port))
        cell["parameters"][f"INIT{half}"] = f"{init:016b}"

    def disconnect(self) -> int:
        unread = [cell for cell in self._cells.values() if cell["type"] == "CCU2C"
                  and not isinstance(cell["connections"]["COUT"][0], str)
                  and not self._sinks[cell["connections"]["COUT"][0]]]
        for cell in unread:
            cell["connections"]["COUT"] = ["x"]
        return len(unread)


def look_up(init: int, pins: list[int]) -> int:
    return init >> sum(value << n for n, value in enumerate(pins)) & 1
