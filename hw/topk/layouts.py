# SPDX-License-Identifier: Apache-2.0
"""What goes between the blocks of the Top-K engine."""

from amaranth.hdl import signed
from amaranth.lib import data

from prunus.golden.topk.config import TopkConfig
from prunus.golden.topk.kind import TopkKind
from prunus.hw.survivors.layouts import TAG, FrontEnd

__all__ = ["front_end", "item_layout", "scored_layout", "step_layout"]


def front_end(config: TopkConfig) -> FrontEnd:
    """Nothing but survivors is counted, and a head needs no more than its keys and dimensions: K
    is looked up when a row ends."""
    return FrontEnd(record=TopkKind.status)


def item_layout(config: TopkConfig) -> data.StructLayout:
    """A key of a row.

    ``last``: the row's last one. A row that sees none has one item all the same, with ``none``.
    """
    return data.StructLayout({"key": range(config.l_max), "last": 1, "none": 1, "tag": TAG})


def step_layout(config: TopkConfig) -> data.StructLayout:
    """A chunk of a key: ``pieces`` of 8 dimensions of it are not beyond d.

    ``first`` and ``done``: the first and the last of its key.
    """
    return data.StructLayout({
        "valid": 1, "first": 1, "done": 1, "pieces": config.taps // 8,
        "item": item_layout(config)})


def scored_layout(config: TopkConfig) -> data.StructLayout:
    """An item and its score; of ``none`` the score means nothing."""
    return data.StructLayout({"score": signed(config.score_width), "item": item_layout(config)})
