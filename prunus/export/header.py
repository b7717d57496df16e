# SPDX-License-Identifier: Apache-2.0
"""``sw/prunus_tables.h``: registers, descriptors and records of all engines, for the C driver.

``python -m prunus.export.header`` writes the file; a test compares.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path

from prunus.golden import registers, softmax
from prunus.golden.engine import Engine, EngineConfig
from prunus.golden.engines import ENGINES, make_config
from prunus.golden.hdp.compute import DELTA_MAX, RHO_FRAC
from prunus.golden.image import FILL
from prunus.golden.records import (
    DESCRIPTOR_BYTES,
    STATUS_BYTES,
    VERSION,
    WORD_BITS,
    WORDS,
    Error,
    Record,
)
from prunus.golden.registers import Bits, Register

__all__ = ["HEADER", "header"]

HEADER = Path(__file__).resolve().parents[1] / "sw" / "prunus_tables.h"
CONSTANTS = {
    "ID_VALUE": registers.ID, "IMAGE_VERSION": VERSION, "WORDS": WORDS,
    "DESCRIPTOR_WORDS": 2 * WORDS,
    "COUNT_MAX": registers.COUNT_MAX, "WINDOW_BYTES": registers.WINDOW_BYTES,
    "DESCRIPTOR_BYTES": DESCRIPTOR_BYTES, "STATUS_BYTES": STATUS_BYTES, "FILL": FILL,
    "T_FRAC": softmax.T_FRAC, "SCALE_BITS": softmax.SCALE_BITS,
    "SCALE_SHIFT_MIN": softmax.SCALE_SHIFT_MIN, "SCALE_SHIFT_MAX": softmax.SCALE_SHIFT_MAX,
    "HDP_RHO_FRAC": RHO_FRAC, "HDP_DELTA_MAX": DELTA_MAX,
}


def _widest(engine: Engine) -> EngineConfig:
    """A configuration with all registers and words that one can have."""
    return make_config({"name": engine.name, "engine": engine.name, "width": 8,
                        "axi_address_width": 64})


def _enum(name: str, prefix: str, text: str, members: Iterable[IntEnum]) -> str:
    values = ",\n".join(f"    PRUNUS_{prefix}_{member.name} = {member.value}" for member in members)
    return f"/* {text} */\nenum prunus_{name} {{\n{values}\n}};\n"


def _define(name: str, value: int) -> str:
    return f"#define PRUNUS_{name.upper()} {f'0x{value:X}' if value > 255 else value}u"


def _fields(prefix: str, fields: Sequence[Bits]) -> Iterator[str]:
    for bits in fields:
        yield _define(f"{prefix}{bits.name}_SHIFT", bits.low)
        yield _define(f"{prefix}{bits.name}_MASK", (1 << bits.width) - 1)


def _registers() -> Iterator[str]:
    """Addresses and fields: those that all engines have, then each engine's own."""
    maps = {engine.name: {register.name: register
                          for register in registers.register_map(_widest(engine))}
            for engine in ENGINES.values()}
    first, *rest = maps.values()

    def everywhere(register: Register) -> bool:
        return all(register.name in other and other[register.name].address == register.address
                   for other in rest)

    def shared(name: str) -> list[Bits]:
        places = [{(bits.name, bits.low, bits.width) for bits in other[name].parts}
                  for other in maps.values()]
        return [bits for bits in first[name].parts
                if all((bits.name, bits.low, bits.width) in place for place in places)]

    common = {register.name for register in first.values() if everywhere(register)}
    ordered = sorted(common, key=lambda name: first[name].address)
    yield "/* Registers of every coprocessor: offsets in bytes, and fields. */"
    for name in ordered:
        if not name.endswith(registers.HIGH):
            yield _define(f"REG_{name}", first[name].address)
            yield from _fields(f"{name}_", shared(name))
    yield "\n/* Further ones where addresses have more than 32 bits. */"
    for name in ordered:
        if name.endswith(registers.HIGH):
            yield _define(f"REG_{name}", first[name].address)
    for engine, own in maps.items():
        yield f"\n/* Further ones of {ENGINES[engine].title}. */"
        for register in own.values():
            parts = register.parts
            if register.name in common:
                parts = tuple(bits for bits in parts if bits.name not in {
                    known.name for known in shared(register.name)})
            else:
                yield _define(f"{engine}_REG_{register.name}", register.address)
            yield from _fields(f"{engine}_{register.name}_", parts)


def _width(record: Record, name: str) -> int:
    return sum(piece.width for piece in record.pieces(name))


def _type(record: Record, name: str) -> str:
    sign = "" if record.pieces(name)[-1].signed else "u"
    return f"{sign}int{64 if _width(record, name) > WORD_BITS else 32}_t"


def _pieces(record: Record, name: str) -> Iterator[tuple[int, int, int, int]]:
    """``(bit of the number, word, bit of the word, width)`` of what lies in one word each."""
    at = 0
    for piece in record.pieces(name):
        first, left = piece.first, piece.width
        while left:
            low = first % WORD_BITS
            width = min(left, WORD_BITS - low)
            yield at, first // WORD_BITS, low, width
            at, first, left = at + width, first + width, left - width


def _mask(width: int) -> str:
    return f"0x{(1 << width) - 1:X}u"


def _struct(name: str, record: Record) -> Iterator[str]:
    """A structure, and functions that pack it into words and unpack it."""
    yield f"struct {name} {{"
    for field in record.names:
        text = "; ".join(piece.text for piece in record.pieces(field))
        yield f"    {_type(record, field)} {field};  /* {text} */"
    yield "};\n"
    yield f"static inline void {name}_pack(const struct {name} *from, uint32_t *words)\n{{"
    yield "    int n;\n"
    yield f"    for (n = 0; n < {record.words}; n++)\n        words[n] = 0u;"
    for field in record.names:
        value = f"(uint64_t)from->{field}"
        for at, word, low, width in _pieces(record, field):
            yield (f"    words[{word}] |= (uint32_t)(({value} >> {at}) & {_mask(width)}) << {low};")
    yield "}\n"
    yield f"static inline void {name}_unpack(const uint32_t *words, struct {name} *to)\n{{"
    yield "    uint64_t value;\n"
    for field in record.names:
        yield "    value = 0u;"
        for at, word, low, width in _pieces(record, field):
            yield (f"    value |= (uint64_t)((words[{word}] >> {low}) & {_mask(width)}) << {at};")
        kind = _type(record, field)
        if kind.startswith("u"):
            yield f"    to->{field} = ({kind})value;"
        else:
            top = f"0x{1 << _width(record, field) - 1:X}"
            yield f"    to->{field} = ({kind})((int64_t)(value ^ {top}u) - (int64_t){top});"
    yield "}\n"


def _engine(engine: Engine) -> Iterator[str]:
    for n, kind in enumerate(engine.kinds):
        name = f"prunus_{engine.name}{f'_{n}' if n else ''}"
        yield f"/* A job of {engine.title}. */"
        yield _define(f"{name.removeprefix('prunus_')}_OPCODE", kind.opcode) + "\n"
        yield from _struct(f"{name}_descriptor", kind.descriptor_of(_widest(engine)))
        yield from _struct(f"{name}_record", kind.status)


def header() -> str:
    """The text of the file."""
    addresses = {_type(kind.descriptor_of(_widest(engine)), "out") for engine in ENGINES.values()
                 for kind in engine.kinds}
    address, = addresses
    return "\n".join([
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Registers, descriptors and status records of all coprocessors. Not written by hand:",
        " * `python -m prunus.export.header` makes it from golden/registers.py and the tables of",
        " * fields of each engine. */",
        "#ifndef PRUNUS_TABLES_H", "#define PRUNUS_TABLES_H", "", "#include <stdint.h>", "",
        *(_define(name, value) for name, value in CONSTANTS.items()), "",
        "/* Of a bus. A descriptor of 32 bits of addresses has the first PRUNUS_WORDS words. */",
        f"typedef {address} prunus_address;", "",
        _enum("job_error", "JOB", "What a status record says was wrong with a job.", Error),
        _enum("cause", "CAUSE", "The first error of a table, in the register error.",
              registers.Cause),
        *_registers(), "",
        *(line for engine in ENGINES.values() for line in _engine(engine)),
        "#endif"]) + "\n"


if __name__ == "__main__":
    HEADER.write_text(header(), encoding="utf-8")
    sys.exit(0)
