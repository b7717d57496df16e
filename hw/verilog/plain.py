# SPDX-License-Identifier: Apache-2.0
"""Verilog-2005 from the SystemVerilog that Yosys writes, for tools that take no more.

Yosys writes ``always_comb`` and ``always_ff``. An ``always @*`` is no ``always_comb``: it waits
until something that it reads changes. Where nothing does, its variable stays unknown, and a
register that waits for this variable does so for ever. Here the next value of a register moves
into the register's own block, and any other ``always_comb`` becomes a function in a continuous
assignment, which has a value from the start.

A register's first value gets a statement of its own. Newer Verilators warn of one in the
declaration, and older ones refuse a waiver that they do not know.
"""

import re
from collections import Counter

__all__ = ["plain"]

_COMB = re.compile(r"^  always_comb(?: begin\n(.*?)^  end|\n(    [^\n]*;))$", re.M | re.S)
_REGISTER = re.compile(r"^  always_ff @\((\w+ \w+)\)\n    (\w+) <= (\w+);\n", re.M)
_DECLARED = re.compile(r"^  (input|output|wire|reg) (signed )?(?:\[(\d+):0\] )?(\w+)(?: =.*)?;$",
                       re.M)
_ASSIGNED = re.compile(r"^( +)(\{[^{}=]*\}|\w+(?:\[[\d:]+\])?) = (.*;)$", re.M)
_MEMORY = re.compile(r"^  reg (?:signed )?(?:\[\d+:0\] )?(\w+) \[\d+:0\];$", re.M)
_FIRST = re.compile(r"^(  reg .*?(\w+)) = (.*);$", re.M)
_USE = re.compile(r"(?<![\w'])([A-Za-z_]\w*)(\[[\d:]+\])?")


def _range(width: int, sign: str = "") -> str:
    return f"{sign}[{width - 1}:0] " if width > 1 else sign


def _bits(part: str, width: int) -> range:
    """Bits that ``[7:4]``, ``[3]`` or, of a variable so wide, nothing selects."""
    high, _, low = part.strip("[]").partition(":")
    return range(int(low or high), int(high) + 1) if part else range(width)


def _parts(bits: set[int]) -> list[str]:
    """The runs of ``bits`` as ``[7:4]``, the highest first."""
    tops = sorted((bit for bit in bits if bit + 1 not in bits), reverse=True)
    ends = sorted((bit for bit in bits if bit - 1 not in bits), reverse=True)
    return [f"[{high}:{low}]" if high > low else f"[{high}]"
            for high, low in zip(tops, ends, strict=True)]


class _Block:
    """A combinational block, which drives bits of one variable and does not read it."""

    def __init__(self, body: str, widths: dict[str, int]) -> None:
        self.body = body if body.endswith("\n") else body + "\n"
        self.driven: list[set[int]] = []        # by each assignment
        targets = set()
        for _, left, _ in _ASSIGNED.findall(self.body):
            uses = _USE.findall(left)
            targets.update(name for name, _ in uses)
            self.driven.append({b for name, part in uses for b in _bits(part, widths[name])})
        if len(targets) != 1:
            raise RuntimeError("a combinational block must drive one variable, not "
                               + ", ".join(sorted(targets)))
        self.target, = targets
        self.bits = set().union(*self.driven)

    @property
    def straight(self) -> bool:
        """Nothing but assignments, to other bits each."""
        return (self.body.count("\n") == len(self.driven)
                and sum(map(len, self.driven)) == len(self.bits))


class _Module:
    """The text of a module and the names in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.signs = {name: sign for _, sign, _, name in _DECLARED.findall(text)}
        self.widths = {name: int(high or 0) + 1 for *_, high, name in _DECLARED.findall(text)}
        self.memories = set(_MEMORY.findall(text))
        self.uses = Counter(re.findall(r"\b[A-Za-z_]\w*", text))

    def _free(self, name: str) -> str:
        """``name``, with a number if the module has it."""
        n, choice = 0, name
        while choice in self.uses:
            n += 1
            choice = f"{name}_{n}"
        return choice

    def rewritten(self) -> str:
        """Every register with its next value, any other block as an assignment."""
        blocks = [_Block(match[1] or match[2], self.widths) for match in
                  _COMB.finditer(self.text)]
        own = Counter[str]()
        for block in blocks:
            own[block.target] += len(re.findall(rf"\b{block.target}\b", block.body))
        # Beside its own blocks, such a next value is declared once and read once.
        registers = {after: (edge, name) for edge, name, after in _REGISTER.findall(self.text)
                     if after in own and self.uses[after] == own[after] + 2}
        waiting = iter(blocks)
        gone = set(registers)

        def rewrite(_match) -> str:
            block = next(waiting)
            if block.target in registers:
                return self._clocked(block, *registers[block.target])
            if block.straight:
                return _ASSIGNED.sub(r"  assign \2 = \3", block.body).rstrip("\n")
            return self._function(block)

        text = _COMB.sub(rewrite, self.text)
        text = _REGISTER.sub(lambda m: "" if m[3] in gone else m[0], text)
        text = re.sub(r"(?:^  \(\* .* \*\)\n)*^  reg .*?(\w+);\n",
                      lambda m: "" if m[1] in gone else
                      m[0].replace("  reg ", "  wire ") if m[1] in own else m[0], text, flags=re.M)
        text = _FIRST.sub(r"\1;\n  initial \2 = \3;", text)
        return text.replace("  always_ff @", "  always @")

    def _clocked(self, block: _Block, edge: str, register: str) -> str:
        """The register with what makes its next value."""
        # It stays by itself if nothing else is said, so this need not be said first.
        stays = re.compile(rf"    {block.target}((?:\[[\d:]+\])?) = {register}\1;\n")
        body = block.body
        while (first := stays.match(body)) and first[0] != body:
            body = body[first.end():]
        body = _ASSIGNED.sub(r"\1\2 <= \3", body)
        body = re.sub(rf"\b{block.target}\b", register, body)
        return f"  always @({edge}) begin\n{body}  end"

    def _function(self, block: _Block) -> str:
        """A function of all that the block reads."""
        read: dict[str, list[str]] = {}
        for name, part in _USE.findall(block.body):
            if name in self.memories:       # an assignment would not wait for its words
                raise RuntimeError(f"{block.target} is made of words of the memory {name}, which "
                                   "needs a read port")
            if (name in self.widths and name != block.target
                    and part not in read.setdefault(name, [])):
                read[name].append(part)
        name = self._free(f"{block.target}_f")
        self.uses[name] = 1
        inputs, given, names = [], [], {}
        for signal, parts in read.items():
            part = parts[0] if len(parts) == 1 else ""      # all of it if several are read
            width = len(_bits(part, self.widths[signal]))
            sign = "" if part else self.signs[signal]
            names[signal] = self._free(f"{signal}_i")
            inputs.append(f"    input {_range(width, sign)}{names[signal]};\n")
            given.append(signal + part)
        if not inputs:                                      # Verilog-2005 has no such function
            inputs, given = [f"    input {self._free('none_i')};\n"], ["1'h0"]

        def use(match) -> str:
            signal, part = match[1], match[2] or ""
            if signal == block.target:
                bits = _bits(part, self.widths[signal])
                low = sum(bit < bits.start for bit in block.bits)
                return name + ("" if len(bits) == len(block.bits) else
                               _parts(set(range(low, low + len(bits))))[0])
            if signal in names:
                return names[signal] + ("" if len(read[signal]) == 1 else part)
            return match[0]

        body = "".join(f"  {line}\n" for line in _USE.sub(use, block.body).splitlines())
        whole = len(block.bits) == self.widths[block.target]
        parts = [block.target + part for part in ([""] if whole else _parts(block.bits))]
        target = parts[0] if len(parts) == 1 else "{ " + ", ".join(parts) + " }"
        return (f"  function {_range(len(block.bits))}{name};\n{''.join(inputs)}"
                f"    begin\n{body}    end\n  endfunction\n"
                f"  assign {target} = {name}({', '.join(given)});")


def plain(module: str) -> str:
    """The text of a module as Yosys writes it, without what Verilog-2005 does not have."""
    return _Module(module).rewritten()
