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

from prunus.hw.parts.repeated import Repeated
from prunus.hw.parts.restart import Restarted

__all__ = ["convert", "signature_ports"]

_HEAD = re.compile(r"^module (\S+)\n((?:.*\n)*?)end\n", re.M)
_PORT = re.compile(r"^  wire width \d+ (?:input|output) \d+ +(?:signed )?\\(\S+)$", re.M)

_CLOCKS = {"clk": ClockSignal, "rst": ResetSignal}

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


def _repeated(fragment: Fragment) -> Repeated | None:
    """The repeated block that a fragment was made from."""
    return next((o for o in fragment.origins or () if isinstance(o, Repeated)), None)


def _clock(fragment: Fragment, pin: str) -> Value:
    """What goes to the clock or the reset of an instance."""
    value = _CLOCKS[pin]()
    restarts = [o.restart for o in fragment.origins or () if isinstance(o, Restarted)]
    return value | restarts[0] if pin == "rst" and restarts else value


@dataclass
class _Converter:
    """Replaces the blocks of a design by instances, their modules going to ``texts``."""

    everywhere: _Use
    texts: list[str] = field(default_factory=list)
    modules: dict = field(default_factory=dict)     # kind of a repeated block -> path, clock ports

    def separate(self, fragment: Fragment, path: str) -> None:
        """Replace the blocks below ``fragment``, whose instance path is ``path``."""
        for n, (child, name, src_loc) in enumerate(fragment.subfragments):
            child_path = f"{path}.{name or f'U${n}'}"
            ports = _ports(child)
            repeated = _repeated(child)
            if ports is not None:
                crossing = _crossing(child, ports, self.everywhere)
                if repeated and crossing:
                    raise ValueError(f"{child_path} is a repeated block, so nothing but its ports "
                                     f"may cross its border: {', '.join(crossing)}")
                ports |= crossing
            if repeated and repeated.kind in self.modules:
                module, clocks = self.modules[repeated.kind]
            else:
                self.separate(child, child_path)
                if ports is None:
                    continue
                module, clocks = child_path, self._convert(child, child_path, ports)
                if repeated:
                    self.modules[repeated.kind] = module, clocks
            pins = [("i" if direction is PortDirection.Input else "o", pin, value)
                    for pin, (value, direction) in ports.items() if len(value)]
            pins += [("i", pin, _clock(child, pin)) for pin in clocks]
            fragment.subfragments[n] = (Instance(module, *pins), name, src_loc)

    def _convert(self, fragment: Fragment, path: str, ports: dict) -> list[str]:
        """Add the module of ``fragment``; which of clock and reset it has."""
        text = rtlil.convert(fragment, name=path, ports=ports, emit_src=False)
        self.texts.append(text)
        body = next(m[2] for m in _HEAD.finditer(text) if m[1] == f"\\{path}")
        return [pin for pin in _CLOCKS if pin in _PORT.findall(body)]


def convert(fragment: Fragment, top: wiring.Component, name: str) -> str:
    """RTLIL of ``top``, elaborated for :class:`OneOfEach`; modules have their paths for names."""
    converter = _Converter(_Use.of(fragment))
    converter.separate(fragment, name)
    converter.texts.append(
        rtlil.convert(fragment, name=name, ports=signature_ports(top), emit_src=False))
    return "\n".join(converter.texts)
