# SPDX-License-Identifier: Apache-2.0
"""SystemRDL of a coprocessor: its registers, and descriptors and status records as address maps.

All of it is made from the tables of golden. The packages of PeakRDL make HTML, a C header and
IP-XACT of it (:mod:`prunus.export.peakrdl`).
"""

import json
from collections.abc import Iterator

from prunus.golden import registers
from prunus.golden.engine import Engine, EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.records import WORD_BITS, Field, Record
from prunus.golden.registers import Bits, Register

__all__ = ["record_maps", "systemrdl"]

# What software and hardware do with a field, by the access of golden's registers.
ACCESS = {
    "ro": "sw = r; hw = w;",
    "rw": "sw = rw; hw = r;",
    "wo": "sw = w; hw = r;",
    "w1c": "sw = rw; onwrite = woclr; hw = rw;",
}
CONSTANT = "sw = r; hw = na;"
# Names of fields that are words of the language, too: they are escaped.
RESERVED = {"na", "r", "ref", "rw", "signed", "this", "type", "w", "wr"}
WORD_BYTES = WORD_BITS // 8


def _text(text: str) -> str:
    """A string of SystemRDL, whose escapes are those of C."""
    return json.dumps(text, ensure_ascii=False)


def _field(name: str, high: int, low: int, text: str, access: str, value: int | None = None) -> str:
    reset = f" = {high - low + 1}'h{value:x}" if value is not None else ""
    name = f"\\{name}" if name in RESERVED else name
    return f"        field {{ desc = {_text(text)}; {access} }} {name}[{high}:{low}]{reset};"


def _register_field(bits: Bits, register: Register, constant: int | None) -> str:
    value, access = None, ACCESS[bits.access or register.access]
    if constant is not None:
        value, access = constant >> bits.low & ((1 << bits.width) - 1), CONSTANT
    return _field(bits.name, bits.low + bits.width - 1, bits.low, bits.text, access, value)


def _register(register: Register, constant: int | None) -> str:
    return "\n".join([
        "    reg {",
        f"        name = {_text(register.name)}; desc = {_text(register.text)};",
        *(_register_field(bits, register, constant) for bits in register.fields),
        f"    }} {register.name} @ {register.address:#04x};",
    ])


def _map(name: str, title: str, text: str, parts: list[str]) -> str:
    return "\n".join([f"addrmap {name} {{", f"    name = {_text(title)}; desc = {_text(text)};",
                      "    default regwidth = 32; default accesswidth = 32;",
                      "    littleendian; lsb0;", *parts, "};"])


def _cut(field: Field) -> Iterator[tuple[int, int, int, str]]:
    """``(word, high, low, name)`` of the pieces of a field, one for each word.

    A field of two whole words from an even one stays whole, as a register of 64 bits.
    """
    whole = field.low == 0 and field.width == 2 * WORD_BITS and field.word % 2 == 0
    if whole or field.low + field.width <= WORD_BITS:
        yield field.word, field.low + field.width - 1, field.low, field.name
        return
    at, left, n = field.first, field.width, 0
    while left:
        low = at % WORD_BITS
        some = min(left, WORD_BITS - low)
        yield at // WORD_BITS, low + some - 1, low, f"{field.name}_{n}"
        at, left, n = at + some, left - some, n + 1


def _record(name: str, title: str, text: str, record: Record, access: str) -> str:
    words: dict[int, list[str]] = {}
    wide = set()
    for field in record:
        for word, high, low, piece in _cut(field):
            words.setdefault(word, []).append(_field(piece, high, low, field.text, access))
            if high >= WORD_BITS:
                wide.add(word)
    return _map(name, title, text, [
        "\n".join(["    reg {", f"        name = \"word {word}\";",
                   *(["        regwidth = 64;"] if word in wide else []), *fields,
                   f"    }} word_{word} @ {WORD_BYTES * word:#04x};"])
        for word, fields in words.items()])


def record_maps(engine: Engine, config: EngineConfig) -> dict[str, str]:
    """Names of the address maps of descriptors and records, and their SystemRDL."""
    name, maps = config.name, {}
    for n, kind in enumerate(engine.kinds_of(config)):
        suffix = f"_{n}" if n else ""
        maps[f"{name}_descriptor{suffix}"] = _record(
            f"{name}_descriptor{suffix}", f"Descriptor of {engine.title}",
            f"One job with opcode {kind.opcode}, in memory",
            kind.descriptor_of(config), "sw = rw; hw = r;")
        maps[f"{name}_record{suffix}"] = _record(
            f"{name}_record{suffix}", f"Status record of {engine.title}",
            "What the coprocessor writes after a job, in memory", kind.status, "sw = r; hw = w;")
    return maps


def systemrdl(config: EngineConfig) -> str:
    """The text of a configuration: an address map of its name, and those of its records."""
    engine, values = engine_of(config), registers.constants(config)
    own = _map(config.name, f"{config.name}: registers",
               f"Registers of the {engine.title} coprocessor {config.name}, behind s_axil",
               [_register(register, values.get(register.name))
                for register in registers.register_map(config)])
    return "\n\n".join(["// SPDX-License-Identifier: Apache-2.0",
                        *record_maps(engine, config).values(), own]) + "\n"
