# SPDX-License-Identifier: Apache-2.0
"""The registry of cores: which component does the work of which engine.

A core has the ports of :func:`prunus.hw.shell.core.core_ports`, and ``counts``: by the name of each
of the engine's counters, in its order, what the counter grows by in a cycle. Where there are
several cores these are single bits. A core of an engine that allows several also has ``hungry``,
see :class:`prunus.hw.shell.router.JobRouter`.
"""

from amaranth.lib import wiring

from prunus.hw.hdp.core import HdpCore
from prunus.hw.leopard.core import LeopardCore
from prunus.hw.topk.core import TopkCore

__all__ = ["CORES"]

CORES: dict[str, type[wiring.Component]] = {
    "hdp": HdpCore, "leopard": LeopardCore, "topk": TopkCore}
