# SPDX-License-Identifier: Apache-2.0
"""Verilog without the wires that nobody reads, such as the fields of structures."""

import re
from collections import Counter

__all__ = ["drop_unread"]

_WORD = re.compile(r"\b[A-Za-z_]\w*")
_WIRE = re.compile(r"  wire (?:signed )?(?:\[\d+:0\] )?(\w+);")
_ASSIGN = re.compile(r"  assign (\w+)(?:\[[\d:]+\])? = (.*);")
_NO_NAME = re.compile(r"\.\w+\(|\d+'\w+|\"[^\"]*\"")       # pins, numbers, texts


def _names(text: str) -> list[str]:
    return _WORD.findall(_NO_NAME.sub("(", text))


def drop_unread(module: str) -> str:
    """Remove wires that are only assigned to, and then those that only they have read.

    ``module`` is the text of one module as Yosys writes it: a declaration or assignment a line.
    """
    lines: list[str | None] = [*module.split("\n")]
    declared: dict[str, int] = {}
    assigned: dict[str, list[tuple[int, str]]] = {}
    count = Counter[str]()
    for n, line in enumerate(module.split("\n")):
        count.update(_names(line))
        if wire := _WIRE.fullmatch(line):
            declared[wire[1]] = n
        elif assign := _ASSIGN.fullmatch(line):
            assigned.setdefault(assign[1], []).append((n, assign[2]))

    def unread(name: str) -> bool:      # a port is named in the module's head, too
        return name in declared and count[name] == 1 + len(assigned.get(name, ()))

    waiting = [name for name in declared if unread(name)]
    while waiting:
        name = waiting.pop()
        at = declared.pop(name, None)
        if at is None:
            continue
        lines[at] = None
        while (lines[at - 1] or "").startswith("  (*"):     # the wire's attributes
            at -= 1
            lines[at] = None
        for n, source in assigned.get(name, ()):
            lines[n] = None
            count.subtract(_names(source))
            waiting += filter(unread, _names(source))
    return "\n".join(line for line in lines if line is not None)
