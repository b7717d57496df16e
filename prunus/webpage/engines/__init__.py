# SPDX-License-Identifier: Apache-2.0
"""The registry of views: how the heads of each engine look on a page."""

from prunus.golden.engine import EngineConfig

from . import hdp, leopard, topk
from .view import EngineView

__all__ = ["VIEWS", "view_of"]

VIEWS: dict[str, EngineView] = {
    "hdp": hdp.VIEW, "leopard": leopard.VIEW, "topk": topk.VIEW}


def view_of(config: EngineConfig) -> EngineView:
    """Of a configuration's engine."""
    return VIEWS[config.engine]
