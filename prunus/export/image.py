# SPDX-License-Identifier: Apache-2.0
"""Memory images as files of testbenches and firmware, and dumps of memory read back."""

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import Image, described, out_bytes, relocated
from prunus.golden.jobs import Job
from prunus.golden.records import STATUS_BYTES, WORD_BITS

from ..errors import InputError

__all__ = ["READERS", "WRITERS", "description", "read_bin", "read_hex"]

ROW_BYTES = 12      # of a C array in a line
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


def description(image: Image, jobs: Sequence[Job], order: Sequence[int], config: EngineConfig,
                base: int) -> dict[str, Any]:
    """What lies where, ready for JSON; addresses are those of the bus.

    ``order`` has the number of the head that each job of the table is.
    """
    data, kinds, heads = relocated(image, config, base), engine_of(config), []
    moved, table = Image(bytearray(data), image.table), base + image.table
    for n, (job, head) in enumerate(zip(jobs, order, strict=True)):
        kind = kinds.kind(job)
        values = described(moved, n, kind, config)
        heads.append({
            "head": head, "descriptor": table + n * config.descriptor_bytes,
            "planes": {plane.name: values[plane.name] for plane in kind.planes_of(job)},
            "out": values["out"], "out_bytes": out_bytes(job, config),
            "status": values["status"], "status_bytes": STATUS_BYTES})
    addresses = {register.name: register.address for register in registers.register_map(config)}
    high = [("table" + registers.HIGH, table >> WORD_BITS)] if config.wide else []
    return {
        "config": config.name, "base": base, "bytes": len(data),
        "beat_bytes": config.axi_data_width // 8, "jobs": len(jobs), "table": table,
        "address_bits": config.axi_address_width,
        "registers": [{"name": name, "address": addresses[name], "value": value} for name, value in
                      (("table", table & (1 << WORD_BITS) - 1), *high, ("irq_enable", 1),
                       ("doorbell", len(jobs)))],
        "heads": sorted(heads, key=lambda head: head["head"])}


def _hex(data: bytes, about: dict[str, Any]) -> bytes:
    """For ``$readmemh``: a beat in a line, its highest byte first, the one at the base first."""
    beat = about["beat_bytes"]
    lines = (data[at : at + beat][::-1].hex() for at in range(0, len(data), beat))
    return ("\n".join(lines) + "\n").encode()


def _numbers(name: str, kind: str, values: Sequence[int]) -> str:
    rows = (", ".join(f"0x{value:02X}" for value in values[at : at + ROW_BYTES])
            for at in range(0, len(values), ROW_BYTES))
    body = ",\n    ".join(rows)
    return f"const {kind} {name}[{len(values)}] = {{\n    {body}\n}};\n"


def _c(data: bytes, about: dict[str, Any]) -> bytes:
    """A C file: bytes to copy to the base, addresses, and how many jobs there are."""
    name = f"{about['config']}_image"
    address = "uint64_t" if about["address_bits"] > WORD_BITS else "uint32_t"
    parts = ["/* Written by `prunus image`: memory of " f"{about['jobs']} heads. */\n"
             "#include <stdint.h>\n"]
    for what, kind in (("base", address), ("bytes", "uint32_t"), ("table", address),
                       ("jobs", "uint32_t")):
        parts.append(f"const {kind} {name}_{what} = 0x{about[what]:X};")
    parts.append("/* Of each head: its output plane and its status record. */")
    parts += [_numbers(f"{name}_{what}", address, [head[what] for head in about["heads"]])
              for what in ("out", "status")]
    return "\n".join([*parts, _numbers(name, "uint8_t", data)]).encode()


WRITERS: dict[str, Callable[[bytes, dict[str, Any]], bytes]] = {
    "hex": _hex, "bin": lambda data, about: data, "c": _c}


def read_bin(raw: bytes, size: int, beat_bytes: int) -> bytes:
    """The first ``size`` bytes of a dump. Raises InputError."""
    if len(raw) < size:
        raise InputError(f"the dump must have the {size} bytes of the image, not {len(raw)}")
    return raw[:size]


def read_hex(raw: bytes, size: int, beat_bytes: int) -> bytes:
    """The same of a file of ``$writememh``, a beat for each word, with comments and addresses.

    Words behind the image may be unknown.
    """
    try:
        words = _COMMENT.sub(" ", raw.decode("ascii")).split()
    except UnicodeDecodeError:
        raise InputError("the dump must be text of $writememh, and is none") from None
    contents, known, at = bytearray(size), 0, 0
    for word in words:
        digits = word.lower().lstrip("@").replace("_", "")
        if word.startswith("@"):
            if not digits or set(digits) - set(string.hexdigits):
                raise InputError(f"an address of the dump must be hexadecimal, not {word!r}")
            at = int(digits, 16) * beat_bytes
            continue
        if at + beat_bytes <= size:
            if len(digits) > 2 * beat_bytes or set(digits) - set(string.hexdigits):
                raise InputError(f"a word of the dump must be {2 * beat_bytes} hexadecimal digits, "
                                 f"a beat, not {word!r} for the one at {at:#x} of the image")
            contents[at : at + beat_bytes] = int(digits, 16).to_bytes(beat_bytes, "little")
            known += beat_bytes
        at += beat_bytes
    if known < size:
        raise InputError(f"the dump must have the {size} bytes of the image, not {known}")
    return bytes(contents)


READERS = {"hex": read_hex, "bin": read_bin}
