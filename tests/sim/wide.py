# SPDX-License-Identifier: Apache-2.0
"""Coprocessors with addresses of more than 32 bits."""

from prunus.golden.engine import EngineConfig

__all__ = ["WIDE", "widened"]

WIDE = 64


def widened(config: EngineConfig, width: int = WIDE) -> EngineConfig:
    """The same with addresses of ``width`` bits, under a name of its own."""
    if width == config.axi_address_width:
        return config
    return config.model_copy(update={"axi_address_width": width, "name": f"{config.name}_{width}"})
