# SPDX-License-Identifier: Apache-2.0
"""Which module lays out the memory of which engine."""

from types import ModuleType

from .engine import EngineConfig
from .hdp import planes as memory
from .leopard import planes as leopard_memory

__all__ = ["image_of"]


def image_of(config: EngineConfig) -> ModuleType:
    """:mod:`golden.hdp.planes` or its like, with ``Layout``, ``Status``, ``build_image`` and
    ``read_results``."""
    return {"hdp": memory, "leopard": leopard_memory}[config.engine]
