# SPDX-License-Identifier: Apache-2.0
"""Blocks of which a design has many: elaborated and converted to RTLIL once."""

from abc import abstractmethod

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from prunus.golden.engine import EngineConfig

__all__ = ["OneOfEach", "Repeated"]


class OneOfEach:
    """A platform for which only the first of equal :class:`Repeated` blocks has an inside.

    With 2,048 multipliers that is most of the work of an emission. The others are left without for
    :func:`prunus.hw.verilog.hierarchy.convert`, which puts an instance of the first one's module
    there.
    """

    def __init__(self):
        self._seen = set()

    def first(self, block: "Repeated") -> bool:
        """Whether ``block`` is the first one of its kind."""
        first = block.kind not in self._seen
        self._seen.add(block.kind)
        return first


class Repeated(wiring.Component):
    """A component whose inside follows from its class and configuration alone.

    Subclasses write ``build`` in place of ``elaborate``. No inserter (``EnableInserter``...) may
    be put around one, or around a block with one inside; the emission refuses it.

    Parameters
    ----------
    signature : mapping
        As for a component.
    config : EngineConfig
    """

    def __init__(self, signature, *, config: EngineConfig):
        self._config = config
        super().__init__(signature)

    @property
    def kind(self) -> tuple:
        """The same for blocks that are the same."""
        return type(self), self._config

    def elaborate(self, platform):
        if isinstance(platform, OneOfEach) and not platform.first(self):
            m = Module()
            # Never emitted; without it no inserter would show.
            m.d.sync += Signal(name="marker").eq(1)
            return m
        return self.build()

    @abstractmethod
    def build(self) -> Module:
        """The inside of the block."""
