# SPDX-License-Identifier: Apache-2.0
"""The outside of a core, which is that of every engine."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

from .bursts import request_layout
from .descriptor import descriptor_layout
from .reader import read_beat_layout

__all__ = ["core_ports"]


def core_ports(config: EngineConfig, tag_width: int) -> dict:
    """Members of a core's signature: jobs in, both DMAs, and strobes at the end of a head.

    ``tag_width`` bits mark what a beat that was read belongs to.
    """
    width = config.axi_address_width
    return {
        "job": In(stream.Signature(descriptor_layout(config))),
        "read_req": Out(stream.Signature(request_layout(tag_width, width))),
        "read": In(stream.Signature(read_beat_layout(config, tag_width))),
        "write_req": Out(stream.Signature(request_layout(address_width=width))),
        "write": Out(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
        "done": Out(1),
        "failed": Out(1),
    }
