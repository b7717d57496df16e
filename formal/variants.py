# SPDX-License-Identifier: Apache-2.0
"""Blocks with fewer places than a coprocessor has, and wrong ones."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from prunus.hw.leopard import dpu, reorder

__all__ = ["Change", "changed", "places"]


@dataclass(frozen=True)
class Change:
    """A line of a block's source in which one text is put for another.

    Members
    -------
    name : str
        In what way the block is wrong then.
    """

    name: str
    block: type
    old: str
    new: str


@contextmanager
def changed(change: Change | None) -> Iterator[None]:
    """With the block replaced wherever the hardware uses it, and where it is defined."""
    if change is None:
        yield
        return
    block = change.block
    source = inspect.getsource(block)
    if source.count(change.old) != 1:
        raise ValueError(f"the text of a change must occur once in {block.__name__}, not "
                         f"{source.count(change.old)} times: {change.old!r}")
    names = dict(vars(sys.modules[block.__module__]))
    exec(source.replace(change.old, change.new), names)
    with ExitStack() as stack:
        for module in [m for name, m in sys.modules.items()
                       if name.startswith("prunus.hw.") or name == block.__module__]:
            for name in [n for n, value in vars(module).items() if value is block]:
                stack.enter_context(patch.object(module, name, names[block.__name__]))
        yield


@contextmanager
def places(number: int) -> Iterator[None]:
    """With so many places in each ``Reorder``, a power of two."""
    with patch.object(dpu, "PENDING", number), patch.object(reorder, "PENDING", number):
        yield
