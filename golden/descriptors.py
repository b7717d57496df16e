# SPDX-License-Identifier: Apache-2.0
"""What becomes of a descriptor, whatever is in it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .engine import EngineConfig, JobKind
from .engines import engine_of
from .records import STATUS_BYTES, Error
from .registers import WINDOW_BYTES, WINDOWS

__all__ = ["Window", "descriptor_error", "has_record", "kind_of", "open_windows"]


@dataclass(frozen=True)
class Window:
    """Addresses from ``base`` to ``limit``, both of them included."""

    base: int
    limit: int

    def holds(self, address: int, size: int) -> bool:
        """Whether so many bytes lie in it."""
        first = self.base // WINDOW_BYTES * WINDOW_BYTES
        return first <= address and address + size - 1 <= self.limit | (WINDOW_BYTES - 1)


def open_windows(config: EngineConfig) -> dict[str, Window]:
    """Those after a reset: all addresses."""
    return {name: Window(0, (1 << config.axi_address_width) - 1) for name in WINDOWS}


def kind_of(words: np.ndarray, config: EngineConfig) -> JobKind | None:
    """By the opcode."""
    return next((kind for kind in engine_of(config).kinds_of(config)
                 if kind.opcode == int(words[0]) & 0xFF), None)


def has_record(words: np.ndarray, config: EngineConfig,
               windows: Mapping[str, Window] | None = None) -> bool:
    """Whether a status record is written: there is a place for it, and an opcode."""
    # Where it lies in the descriptors of all kinds.
    status = engine_of(config).kinds[0].descriptor_of(config).unpack(_raw(words))["status"]
    window = (windows or open_windows(config))["records"]
    return bool(int(words[0]) & 0xFF and status % STATUS_BYTES == 0
                and window.holds(status, STATUS_BYTES))


def descriptor_error(words: np.ndarray, config: EngineConfig,
                     windows: Mapping[str, Window] | None = None) -> Error:
    """The error of a job whose reads and writes are all answered, and that needs all its planes.

    The first that applies, in the order of :class:`Error`. A head that is pruned does not read
    what it does not need, and so does not meet the end of a window there.
    """
    kind = kind_of(words, config)
    if kind is None or int.from_bytes(_raw(words), "little") & ~_named(kind, config):
        return Error.OPCODE
    values = kind.descriptor_of(config).unpack(_raw(words))
    beat = config.axi_data_width // 8
    wrong = {**kind.checks(values, config),
             Error.ALIGNMENT: values["status"] % STATUS_BYTES
             or any(values[name] % beat for name in kind.addresses)}
    for error in sorted(wrong):
        if wrong[error]:
            return error
    return _refusal(kind, values, config, windows or open_windows(config))


def _raw(words: np.ndarray) -> bytes:
    return words.astype("<u4").tobytes()


def _named(kind: JobKind, config: EngineConfig) -> int:
    """The bits that a field has."""
    return sum(((1 << field.width) - 1) << field.first for field in kind.descriptor_of(config))


def _refusal(kind: JobKind, values: Mapping[str, int], config: EngineConfig,
             windows: Mapping[str, Window]) -> Error:
    """Of planes that leave their window."""
    reads, writes = kind.extents(values, config)
    for error, window, places in ((Error.BUS, "operands", reads), (Error.WRITE, "results", writes)):
        for name, size in places.items():
            if not windows[window].holds(values[name], size):
                return error
    return Error.NONE
