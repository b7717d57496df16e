# SPDX-License-Identifier: Apache-2.0
"""What becomes of a descriptor, whatever is in it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import softmax
from .engine import EngineConfig, JobKind
from .engines import engine_of
from .records import STATUS_BYTES, WORD_BITS, WORDS, Error
from .registers import WINDOW_BYTES

__all__ = ["OPEN", "Window", "descriptor_error", "has_record", "kind_of"]

ADDRESS_BITS = 32


@dataclass(frozen=True)
class Window:
    """Addresses from ``base`` to ``limit``, both of them included."""

    base: int = 0
    limit: int = (1 << ADDRESS_BITS) - 1

    def holds(self, address: int, size: int) -> bool:
        """Whether so many bytes lie in it."""
        first = self.base // WINDOW_BYTES * WINDOW_BYTES
        return first <= address and address + size - 1 <= self.limit | (WINDOW_BYTES - 1)


OPEN: Mapping[str, Window] = {name: Window() for name in ("operands", "results", "records")}


def kind_of(words: np.ndarray, config: EngineConfig) -> JobKind | None:
    """By the opcode."""
    return next((kind for kind in engine_of(config).kinds
                 if kind.opcode == int(words[0]) & 0xFF), None)


def has_record(words: np.ndarray, config: EngineConfig,
               windows: Mapping[str, Window] = OPEN) -> bool:
    """Whether a status record is written: there is a place for it, and an opcode."""
    status = int(words[12])
    return bool(int(words[0]) & 0xFF and status % STATUS_BYTES == 0
                and windows["records"].holds(status, STATUS_BYTES))


def descriptor_error(words: np.ndarray, config: EngineConfig,
                     windows: Mapping[str, Window] = OPEN) -> Error:
    """The error of a job whose reads and writes are all answered, and that needs all its planes.

    The first that applies, in the order of :class:`Error`. A head that is pruned does not read
    what it does not need, and so does not meet the end of a window there.
    """
    kind = kind_of(words, config)
    bits = int.from_bytes(words.astype("<u4").tobytes(), "little")
    if kind is None or bits & ~_named(kind):
        return Error.OPCODE
    values = kind.descriptor.unpack(words.astype("<u4").tobytes())
    addresses = [*(plane.name for plane in kind.planes), "out", "status"]
    beat = config.axi_data_width // 8
    wrong = {
        Error.DIMENSION: values["d"] % 8 or not 8 <= values["d"] <= config.d_max,
        Error.LENGTH: not all(1 <= values[name] <= config.l_max for name in ("l_q", "l_kv")),
        Error.VALID: any(values[f"valid_{of}"] > values[f"l_{of}"] for of in ("q", "kv")),
        Error.PRUNING:
            not softmax.SCALE_SHIFT_MIN <= values["shift"] <= softmax.SCALE_SHIFT_MAX
            or not all(low <= values[name] <= high
                       for name, (low, high) in kind.limits(config).items()),
        Error.ALIGNMENT: values["status"] % STATUS_BYTES
            or any(values[name] % beat for name in addresses),
    }
    for error, applies in wrong.items():
        if applies:
            return error
    return _refusal(kind, values, config, windows)


def _named(kind: JobKind) -> int:
    """The bits that a field has."""
    named = sum(((1 << field.width) - 1) << field.first for field in kind.descriptor)
    assert named < 1 << WORDS * WORD_BITS
    return named


def _refusal(kind: JobKind, values: Mapping[str, int], config: EngineConfig,
             windows: Mapping[str, Window]) -> Error:
    """Of planes that leave their window."""
    layout, d = kind.layout(config), values["d"]
    if values["valid_q"] and values["valid_kv"]:
        for plane in kind.planes:
            rows = values["valid_q" if plane.of == "q" else "valid_kv"]
            if not windows["operands"].holds(values[plane.name],
                                             rows * layout.row_bytes(plane.kind, d)):
                return Error.BUS
    if not windows["results"].holds(values["out"], values["l_q"] * layout.row_bytes("out", d)):
        return Error.WRITE
    return Error.NONE
