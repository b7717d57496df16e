# SPDX-License-Identifier: Apache-2.0
"""Readable RTLIL: one module per distinct block, plain identifiers, stable names.

Amaranth writes one module per instance, named after its path, and numbers what has no name. Here
equal modules become one, named after the class of the block, and every wire gets an identifier
that Verilog need not escape: an operator's result is called after the operator (``add_7``), the
next value of a register ``r`` is ``r_next``.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from prunus.golden.names import KEYWORDS

__all__ = ["Named", "Port", "tidy", "unique"]

_MODULE = re.compile(r"^((?:attribute [^\n]*\n)*)module (\S+)\n(.*?)^end\n", re.S | re.M)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\\$]\S+')
_WIRE = re.compile(r"^  wire width (\d+)(?: (input|output|inout) (\d+))? +(signed )?(\S+)\n",
                   re.M)
_MEMORY = re.compile(r"^  memory (.*) (\S+)\n", re.M)
_CELL = re.compile(r"^  cell (\S+) (\S+)\n", re.M)
_CONNECT = re.compile(r"    connect (\S+) (.*)\n")
_SUFFIX = re.compile(r"\$\d+$")

@dataclass(frozen=True)
class Port:
    """A port of the top module."""

    name: str
    direction: str
    width: int


@dataclass(frozen=True)
class Named:
    """The name of a module, and the names of its ports by those that the source has."""

    module: str
    ports: dict[str, str]


@dataclass
class _Module:
    """A module of the text: its items are the declarations and blocks with their attributes."""

    path: str
    items: list[str]
    children: list[str]
    names: dict[str, str] = field(default_factory=dict)


def _plain_path(path: str) -> str:
    """An instance path without what Amaranth appends to tell an instance from a signal."""
    parts = path.lstrip("\\").split(".")
    return ".".join(p if re.fullmatch(r"U\$\d+", p) else _SUFFIX.sub("", p) for p in parts)


def _identifier(text: str) -> str:
    """``text`` as a plain Verilog identifier."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "n"
    return f"n_{name}" if name[0].isdigit() else f"{name}_" if name in KEYWORDS else name


def unique(name: str, taken: set[str]) -> str:
    """``name``, with a number if it is taken; reserves the result."""
    n, choice = 0, name
    while choice in taken:
        n += 1
        choice = f"{name}_{n}"
    taken.add(choice)
    return choice


def _split_items(body: str) -> list[str]:
    """The body of a module as its top-level items, attributes kept in front."""
    items, current, depth = [], "", 0
    for line in body.splitlines(keepends=True):
        if not line.strip():
            continue
        current += line
        word = line.split(maxsplit=1)[0]
        if word in ("cell", "process", "switch"):
            depth += 1
        elif word == "end":
            depth -= 1
        if depth == 0 and word != "attribute":
            items.append(current)
            current = ""
    return items


def _drop_empty(items: list[str]) -> list[str]:
    """Without wires of no bits, such as a field that counts up to 0; Verilog has none."""
    empty = {wire[5] for item in items if (wire := _WIRE.search(item))
             and wire[1] == "0" and not wire[2]}
    return [item for item in items
            if not ((wire := _WIRE.search(item)) and wire[5] in empty)
            and not (item.startswith("connect ") and item.split()[1] in empty)]


def _parse(rtlil: str) -> dict[str, _Module]:
    modules = {}
    for _attributes, path, body in _MODULE.findall(rtlil):
        items = _drop_empty(_split_items(body))
        modules[path] = _Module(path, items, [])
    for module in modules.values():
        cells = (_CELL.search(item) for item in module.items)
        module.children = [c[1] for c in cells if c and c[1] in modules]
    return modules


def _driver_names(module: _Module) -> dict[str, str]:
    """What to call a wire without a name: after its driver, or after the register it feeds."""
    names: dict[str, str] = {}
    for item in module.items:
        cell = _CELL.search(item)
        if not cell or not cell[1].startswith("$"):
            continue
        pins = dict(_CONNECT.findall(item))
        if r"\Y" in pins and pins[r"\Y"].startswith("$"):
            wire = pins[r"\Y"].split()[0]
            names.setdefault(wire, f"{cell[1][1:]}_{wire[1:]}")
        elif r"\D" in pins and pins[r"\D"].startswith("$") and r"\Q" in pins:
            register = _SUFFIX.sub("", pins[r"\Q"].split()[0].lstrip("\\"))
            names[pins[r"\D"].split()[0]] = _identifier(register) + "_next"
    return names


def _choose_names(module: _Module, classes: Mapping[str, str], is_top: bool) -> None:
    """Fill ``module.names``: RTLIL name to identifier, for wires, memories and instances."""
    drivers = _driver_names(module)
    wires = [(m[5], bool(m[2])) for item in module.items if (m := _WIRE.search(item))]
    cells = [c for item in module.items if (c := _CELL.search(item))]
    others = [(m[2], m[2][1:]) for item in module.items if (m := _MEMORY.search(item))]
    others += [(c[2], classes.get(_plain_path(c[1]), "block") if c[2].startswith(r"\U$")
                else c[2][1:]) for c in cells if not c[1].startswith("$")]
    taken: set[str] = set()
    # Ports choose first, so that a module's outside does not depend on its inside.
    for name, is_port in sorted(wires, key=lambda wire: not wire[1]):
        if name.startswith("$"):
            base = drivers.get(name, f"n_{name[1:]}")
        else:
            base = _identifier(_SUFFIX.sub("", name[1:]))
        if is_top and is_port and base != name[1:]:
            raise ValueError(f"a port of the top must be a plain Verilog identifier, "
                             f"not {name[1:]!r}")
        module.names[name] = "\\" + unique(base, taken)
    # In RTLIL a wire and an instance or memory may share a name, so these have keys of their own.
    for name, base in others:
        new = unique(_identifier(_SUFFIX.sub("", base)), taken)
        module.names[f"cell {name}"] = "\\" + new


def _substitute(text: str, module: _Module) -> str:
    """``text`` with the wires of ``module`` renamed, and memories where MEMID names them."""

    def replace(match):
        token = match[0]
        if token.startswith('"\\\\'):
            new = module.names.get("cell " + token[2:-1])
            return f'"\\{new}"' if new else token
        return module.names.get(token, token)

    return _TOKEN.sub(replace, text)


def _rename_cell(item: str, cell: re.Match, module: _Module, modules, canonical) -> str:
    """An instance or operator with renamed connections."""
    head, tail = item[: cell.start()], item[cell.end():]
    if cell[1].startswith("$"):
        lines = [re.sub(r"^(    connect \S+ |    parameter \S+ )(.*)$",
                        lambda m: m[1] + _substitute(m[2], module), line)
                 for line in tail.splitlines()]
        return "\n".join([f"{head}  cell {cell[1]} {cell[2]}", *lines, ""])
    child = modules.get(cell[1])
    kind = canonical.get(cell[1], cell[1])
    pins = []
    for pin, value in _CONNECT.findall(tail):
        pin = child.names[pin] if child else pin
        pins.append(f"    connect {pin} {_substitute(value, module)}\n")
    parameters = "".join(line + "\n" for line in tail.splitlines()
                         if line.startswith("    parameter"))
    name = module.names["cell " + cell[2]]
    return f"{head}  cell {kind} {name}\n{parameters}{''.join(sorted(pins))}  end\n"


def _port_order(name: str) -> int:
    """Clock and reset first."""
    return {r"\clk": 0, r"\rst": 1}.get(name, 2)


def _rewrite(module: _Module, modules, canonical, is_top: bool) -> str:
    """The body of ``module`` with every name chosen, its ports in a settled order."""
    ports: list[tuple[str, int, str, re.Match[str]]] = []
    wires: list[tuple[str, int, str, re.Match[str]]] = []
    rest: list[str] = []
    for item in module.items:
        if wire := _WIRE.search(item):
            entry = (module.names[wire[5]], int(wire[3] or 0), item[: wire.start()], wire)
            (ports if wire[2] else wires).append(entry)
        elif memory := _MEMORY.search(item):
            name = module.names["cell " + memory[2]]
            rest.append(f"{item[: memory.start()]}  memory {memory[1]} {name}\n")
        elif cell := _CELL.search(item):
            rest.append(_rename_cell(item, cell, module, modules, canonical))
        else:
            rest.append(_substitute(item, module))
    # The top keeps the order of its signature; below, the order must not depend on the parent.
    ports.sort(key=lambda p: (_port_order(p[0]), p[1] if is_top else p[0]))
    wires.sort(key=lambda w: w[0])
    lines = [f"{attributes}  wire width {wire[1]} {wire[2]} {n} {wire[4] or ''}{name}\n"
             for n, (name, _, attributes, wire) in enumerate(ports, 1)]
    lines += [f"{attributes}  wire width {wire[1]} {wire[4] or ''}{name}\n"
              for name, _, attributes, wire in wires]
    return "".join(lines + rest)


def _name_modules(bodies: list[tuple[str, str]], top: str) -> dict[str, str]:
    """Names by path for distinct modules, given as (path, what to call it) in order."""
    count = Counter(kind for _, kind in bodies)
    taken, names = {top}, {}
    for path, kind in bodies:
        if path == top:
            names[path] = top
            continue
        instance = _identifier(path.rsplit(".", 1)[-1])
        name = f"{top}__{kind}"      # no configuration has __ in its name
        if count[kind] > 1 and instance != kind:
            name += f"_{instance}"
        names[path] = unique(name, taken)
    return names


def tidy(rtlil: str, top: str, classes: Mapping[str, str]) \
        -> tuple[str, list[Port], dict[str, Named]]:
    """De-duplicate and rename the modules of ``rtlil``.

    Parameters
    ----------
    rtlil : str
        Text from ``amaranth.back.rtlil.convert(..., name=top)``.
    top : str
        Name of the top module; every other module's name starts with it.
    classes : mapping of str to str
        What to call the module of an instance path (``top.core.mul0``); the last part of the path
        for those that are missing.

    Returns
    -------
    text : str
        RTLIL whose names are all plain Verilog identifiers.
    ports : list of Port
        Ports of the top, clock and reset first.
    named : dict of str to Named
        What became of the modules, by the instance path of the first of equal ones.
    """
    modules = _parse(rtlil)
    canonical: dict[str, str] = {}      # module -> token that stands for its body
    first: dict[tuple[str, str], str] = {}
    distinct: list[tuple[str, str, str]] = []
    ports_of: dict[str, dict[str, str]] = {}

    def visit(path):
        if path in canonical:
            return
        module = modules[path]
        for child in module.children:
            visit(child)
        plain = _plain_path(path)
        _choose_names(module, classes, plain == top)
        body = _rewrite(module, modules, canonical, plain == top)
        kind = _identifier(classes.get(plain) or plain.rsplit(".", 1)[-1])
        if (kind, body) not in first:
            first[kind, body] = f"\\<{len(distinct)}>"
            distinct.append((plain, kind, body))
            ports_of[plain] = {wire[5]: module.names[wire[5]] for item in module.items
                               if (wire := _WIRE.search(item)) and wire[2]}
        canonical[path] = first[kind, body]

    visit("\\" + top)
    names = _name_modules([(path, kind) for path, kind, _ in distinct], top)
    tokens = {f"\\<{n}>": "\\" + names[path] for n, (path, _, _) in enumerate(distinct)}
    text = "\n".join(f"module \\{names[path]}\n{body}end\n" for path, _, body in distinct)
    text = re.sub(r"\\<\d+>", lambda m: tokens[m[0]], text)
    ports = [Port(w[5][1:], w[2], int(w[1])) for w in _WIRE.finditer(distinct[-1][2]) if w[2]]
    named = {path: Named(names[path], {old[1:]: new[1:] for old, new in ports_of[path].items()})
             for path, _, _ in distinct}
    return text, ports, named
