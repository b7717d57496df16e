# SPDX-License-Identifier: Apache-2.0
"""The registry of benches of engines."""

from prunus.golden.engine import EngineConfig

from . import hdp, leopard, topk
from .suite import BenchSuite

__all__ = ["SUITES", "suite_of"]

SUITES: dict[str, BenchSuite] = {
    "hdp": hdp.SUITE, "leopard": leopard.SUITE, "topk": topk.SUITE}


def suite_of(config: EngineConfig) -> BenchSuite:
    """Of a configuration's engine."""
    return SUITES[config.engine]
