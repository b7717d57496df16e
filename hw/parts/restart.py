# SPDX-License-Identifier: Apache-2.0
"""Blocks with a reset of their own beside that of all."""

from amaranth.hdl import Elaboratable, ResetInserter, Signal
from amaranth.lib import wiring

from .repeated import OneOfEach

__all__ = ["Restarted"]


class Restarted(Elaboratable):
    """A component that ``restart`` resets like the reset of its domain.

    In an emission, where modules are written once and blocks with an inserter around them could
    not be, the instance of its module gets both for its reset.

    Parameters
    ----------
    block : wiring.Component
    restart : Signal
        High for a cycle at least.
    """

    def __init__(self, block: wiring.Component, restart: Signal):
        self.block, self.restart = block, restart
        self._elaboratable_ = block         # what Amaranth calls the inside of a wrapper

    def elaborate(self, platform):
        if isinstance(platform, OneOfEach):
            return self.block
        return ResetInserter(self.restart)(self.block)
