# SPDX-License-Identifier: Apache-2.0
"""tests/examples runs a head through a design with an instance in it."""

import re

from amaranth.lib import wiring

from prunus.golden.engines import load_config
from prunus.hw.instance import CoprocessorInstance, bus_pins
from prunus.hw.shell.axi import AXI4Lite
from prunus.hw.verilog.emit import emit, to_verilog


def test_every_port_is_connected():
    """Each port of the module that is instantiated, once, and no other."""
    config = load_config("topk_tiny")
    text, _ = to_verilog(CoprocessorInstance(config=config), "outside")
    body = re.search(r"^  topk_tiny \S+ \((.*?)^  \);", text, re.M | re.S)[1]
    pins = re.findall(r"^    \.(\w+)\(", body, re.M)
    assert sorted(pins) == sorted(port["name"] for port in emit(config).metadata["ports"])


def test_pins_run_the_other_way_than_the_neighbour():
    master = AXI4Lite(8).create()
    directions = {name: kind for kind, name, _ in bus_pins("s", master)}
    assert directions["s_awvalid"] == "i" and directions["s_awready"] == "o"
    directions = {name: kind for kind, name, _ in bus_pins("m", wiring.flipped(master))}
    assert directions["m_awvalid"] == "o" and directions["m_awready"] == "i"
