# SPDX-License-Identifier: Apache-2.0
"""RTLIL with the hierarchy of the source: every component a module with its own signature.

Converted as a whole, a design gets module ports that follow the nets which happen to cross a
border: parts of a signal, merged neighbours, numbers for names. Here each component is converted
by itself, with its signature for ports, and stands as an instance in the module around it.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Fragment, Instance, ResetSignal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.hdl._mem import MemoryInstance
from amaranth.lib import fifo, memory, wiring

__all__ = ["convert", "signature_ports"]

_HEAD = re.compile(r"^module (\S+)\n((?:.*\n)*?)end\n", re.M)
_PORT = re.compile(r"^  wire width \d+ (?:input|output) \d+ +(?:signed )?\\(\S+)$", re.M)

_FIFO = (("w_data w_en r_en", PortDirection.Input),
         ("w_rdy w_level r_data r_rdy r_level level", PortDirection.Output))


def signature_ports(component: wiring.Component) -> dict:
    """Ports of a component as the RTLIL back end takes them."""
    directions = {wiring.In: PortDirection.Input, wiring.Out: PortDirection.Output}
    return {"__".join(map(str, path)): (Value.cast(value), directions[member.flow])
            for path, member, value in component.signature.flatten(component)}


def _ports(fragment: Fragment) -> dict | None:
    """Ports of the component or FIFO that a fragment was made from, None for anything else."""
    for origin in fragment.origins or ():
        if isinstance(origin, fifo.FIFOInterface):
            return {name: (getattr(origin, name), direction)
                    for names, direction in _FIFO for name in names.split()
                    if hasattr(origin, name)}
        if isinstance(origin, wiring.Component) and not isinstance(origin, memory.Memory):
            return signature_ports(origin)
    return None


def _signals(fragment: Fragment) -> tuple[list, list]:
    """The signals that a fragment itself reads and drives."""
    read, driven = [], []
    for statements in fragment.statements.values():
        for statement in statements:
            read += statement._rhs_signals()
            driven += statement._lhs_signals()
    if isinstance(fragment, Instance):
        for value, kind in fragment.ports.values():
            if not isinstance(value, ClockSignal | ResetSignal):
                (read if kind == "i" else driven).extend(value._rhs_signals())
    if isinstance(fragment, MemoryInstance):
        for port in fragment._read_ports:
            read += [*port._addr._rhs_signals(), *port._en._rhs_signals()]
            driven += port._data._rhs_signals()
        for port in fragment._write_ports:
            for value in (port._addr, port._data, port._en):
                read += value._rhs_signals()
    return read, driven


@dataclass
class _Use:
    """Who uses the signals of a subtree, by identity; signals cannot be hashed."""

    signals: dict = field(default_factory=dict)
    users: Counter = field(default_factory=Counter)
    driven: set = field(default_factory=set)

    @classmethod
    def of(cls, fragment: Fragment) -> "_Use":
        read, driven = _signals(fragment)
        use = cls({id(s): s for s in (*read, *driven)}, driven={id(s) for s in driven})
        use.users = Counter(use.signals.keys())
        for child, _, _ in fragment.subfragments:
            inner = cls.of(child)
            use.signals |= inner.signals
            use.users += inner.users
            use.driven |= inner.driven
        return use


def _crossing(fragment: Fragment, ports: dict, everywhere: _Use) -> dict:
    """Ports for what crosses the border besides ``ports``, such as an inserted enable."""
    known = {id(s) for value, _ in ports.values() for s in value._rhs_signals()}
    inside = _Use.of(fragment)
    extra = {}
    for key, signal in inside.signals.items():
        if key not in known and everywhere.users[key] > inside.users[key]:
            name, n = signal.name, 1
            while name in ports or name in extra:
                name, n = f"{signal.name}_{n}", n + 1
            direction = PortDirection.Output if key in inside.driven else PortDirection.Input
            extra[name] = (signal, direction)
    return extra


def _separate(fragment: Fragment, path: str, everywhere: _Use, texts: list[str]) -> None:
    """Replace the blocks below ``fragment`` by instances, their modules going to ``texts``."""
    for n, (child, name, src_loc) in enumerate(fragment.subfragments):
        child_path = f"{path}.{name or f'U${n}'}"
        ports = _ports(child)
        if ports is not None:
            ports |= _crossing(child, ports, everywhere)
        _separate(child, child_path, everywhere, texts)
        if ports is None:
            continue
        text = rtlil.convert(child, name=child_path, ports=ports, emit_src=False)
        texts.append(text)
        body = next(m[2] for m in _HEAD.finditer(text) if m[1] == f"\\{child_path}")
        pins = [("i" if direction is PortDirection.Input else "o", pin, value)
                for pin, (value, direction) in ports.items() if len(value)]
        found = set(_PORT.findall(body))
        pins += [("i", pin, value) for pin, value in (("clk", ClockSignal()),
                                                      ("rst", ResetSignal())) if pin in found]
        fragment.subfragments[n] = (Instance(child_path, *pins), name, src_loc)


def convert(fragment: Fragment, top: wiring.Component, name: str) -> str:
    """RTLIL of the elaborated ``top``; modules are called by their instance paths."""
    texts: list[str] = []
    _separate(fragment, name, _Use.of(fragment), texts)
    texts.append(rtlil.convert(fragment, name=name, ports=signature_ports(top), emit_src=False))
    return "\n".join(texts)
