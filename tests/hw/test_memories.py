# SPDX-License-Identifier: Apache-2.0
"""The budget of memory is what the emitted Verilog has."""

import re
from collections import Counter
from functools import cache

import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.memories import memory_bits
from prunus.hw.hdp.core import HdpCore
from prunus.hw.verilog.emit import to_verilog

pytestmark = pytest.mark.slow

CONFIGS = [
    *map(load_config, ("hdp_tiny", "hdp_own_tiny", "hdp_edge", "hdp_tiles", "hdp_fine_tiny")),
    HdpConfig(name="long", d_max=24, l_max=1000, tile=8, multipliers=16, output_lanes=4,
           axi_data_width=128),
    HdpConfig(name="odd", width=12, frac=8, d_max=24, l_max=22, multipliers=16, output_lanes=1),
    HdpConfig(name="recompute", d_max=32, l_max=32, multipliers=8, axi_data_width=512,
           keep_integer_scores=False),
    HdpConfig(name="groups", d_max=64, l_max=20, multipliers=128, axi_data_width=128),
    HdpConfig(name="span32", d_max=64, l_max=20, multipliers=64, integer_span=32,
           axi_data_width=128),
    HdpConfig(name="shortest", d_max=8, l_max=2, multipliers=8),
]
PLACES = {"buffer_q_i": "q_i", "buffer_k_i": "k_i", "buffer_q_f": "q_f", "buffer_k_f": "k_f",
          "buffer_v": "v", "mask": "mask", "blocks": "importance", "integer": "integer scores",
          "scores": "scores", "weights": "weights", "gathered": "row statistics",
          "rows": "row tops", "denominators": "denominators", "sums": "row sums"}
MODULE = re.compile(r"^module (\w+).*?$(.*?)^endmodule", re.M | re.S)
MEMORY = re.compile(r"^  reg (?:\[(\d+):0\] )?(\w+) \[(\d+):0\];", re.M)
INSTANCE = re.compile(r"^  (\w+) (\w+) \($", re.M)


@cache
def memories(config: HdpConfig) -> Counter:
    """Bits by the names of memories, or of the operand buffer that they are in."""
    verilog, _ = to_verilog(HdpCore(config=config), config.name)
    modules, bits = dict(MODULE.findall(verilog)), Counter()

    def visit(module, place):
        for width, name, depth in MEMORY.findall(modules[module]):
            name = re.sub(r"(_+\d*)+$", "", name)
            bits[place or name] += (int(width or 0) + 1) * (int(depth) + 1)
        for kind, name in INSTANCE.findall(modules[module]):
            if kind in modules:
                visit(kind, name if name.startswith("buffer") else place)

    visit(config.name, "")
    return bits


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_budget(config):
    found = memories(config)
    budget = Counter()
    for name, bits in found.items():
        if name in PLACES:
            budget[PLACES[name]] += bits
    assert budget == memory_bits(config)


def test_with_tiles_only_the_statistics_grow_with_the_length():
    short, long = (memory_bits(load_config("hdp_tiles").model_copy(update={"l_max": l_max}))
                   for l_max in (64, 4096))
    grown = {name: long[name] / bits for name, bits in short.items() if long[name] != bits}
    assert grown.keys() == {"row statistics", "denominators", "row sums"}
    assert max(grown["denominators"], grown["row sums"]) < 1.3      # wider sums


def test_what_is_left_out_does_not_grow_with_the_length():
    short, long = (memories(CONFIGS[0].model_copy(update={"l_max": l_max})) for l_max in (32, 512))
    rest = [name for name in short if name not in PLACES]
    grown = sum(long[name] for name in rest) / sum(short[name] for name in rest)
    assert 1 <= grown < 1.25            # wider indices and sums, not more words
