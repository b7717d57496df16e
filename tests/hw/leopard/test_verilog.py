# SPDX-License-Identifier: Apache-2.0
"""The emitted coprocessor: its memories and the description beside it."""

import re
from collections import Counter

import pytest

from prunus.golden.engines import load_config
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.memories import memory_bits
from prunus.golden.registers import constants, register_map
from prunus.hw.leopard.core import LeopardCore
from prunus.hw.verilog.emit import emit, to_verilog

pytestmark = pytest.mark.slow

CONFIGS = [
    load_config("leopard_tiny"),
    LeopardConfig(name="odd", width=10, digit=3, dpus=3, d_max=48, taps=24, l_max=22,
                  axi_data_width=256),
    LeopardConfig(name="chunks", dpus=2, d_max=128, taps=16, l_max=40, axi_data_width=128),
    LeopardConfig(name="shortest", width=8, d_max=8, l_max=2, dpus=1),
]
MODULE = re.compile(r"^module (\w+).*?$(.*?)^endmodule", re.M | re.S)
MEMORY = re.compile(r"^  reg (?:\[(\d+):0\] )?(\w+) \[(\d+):0\];", re.M)
INSTANCE = re.compile(r"^  (\w+) (\w+) \($", re.M)
PLACES = {"buffer_q": "q", "buffer_v": "v", "ring": "survivors", "bank": "k"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_budget(config):
    verilog, _ = to_verilog(LeopardCore(config=config), config.name)
    modules, bits = dict(MODULE.findall(verilog)), Counter()

    def visit(module, place):
        for width, name, depth in MEMORY.findall(modules[module]):
            kind = place or PLACES.get(re.sub(r"_+\d*$", "", name), "")
            bits[kind] += (int(width or 0) + 1) * (int(depth) + 1)
        for kind, name in INSTANCE.findall(modules[module]):
            if kind in modules:
                visit(kind, place or PLACES.get(re.sub(r"(?<=bank)_\d+$", "", name), ""))

    visit(config.name, "")
    bits.pop("")            # queues and queries, which do not grow with the length
    assert bits == memory_bits(config)


def test_description():
    config = load_config("leopard_tiny")
    metadata = emit(config).metadata
    assert metadata["parameters"] == config.model_dump(exclude={"name"})
    assert metadata["memory_bits"] == memory_bits(config)
    assert metadata["derived"]["threshold_width"] == config.threshold_width
    assert [(r["name"], r["address"]) for r in metadata["registers"]] == [
        (r.name, r.address) for r in register_map(config)]
    values = {r["name"]: r["value"] for r in metadata["registers"] if "value" in r}
    assert values == constants(config)
    assert values["engine"] == 2
    assert values["units"] == 2 | 32 << 16
