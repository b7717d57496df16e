# SPDX-License-Identifier: Apache-2.0
"""Which module lays out the memory of which engine."""

from types import ModuleType

from . import leopard_memory, memory
from .engine import EngineConfig

__all__ = ["image_of"]


def image_of(config: EngineConfig) -> ModuleType:
    """:mod:`golden.memory` or its like, with ``Layout``, ``Status``, ``build_image`` and
    ``read_results``."""
    return {"hdp": memory, "leopard": leopard_memory}[config.engine]
