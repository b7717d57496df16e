# SPDX-License-Identifier: Apache-2.0
"""Copies of resets, on a netlist of registers."""

import copy
import re
from collections import Counter

import pytest

from prunus.golden.engines import load_config
from prunus.sim.board import emitted_system
from prunus.synth import resets

CLOCK, RESET, SOURCE = 2, 3, 4
OUT = {"Q", "Z"}


def cell(kind, **pins):
    return {"type": kind, "parameters": {"REGSET": "SET"}, "attributes": {},
            "port_directions": {pin: "output" if pin in OUT else "input" for pin in pins},
            "connections": {pin: [bit] for pin, bit in pins.items()}}


def registers(parts):
    """A reset and what it resets: ``parts`` are numbers of registers by name."""
    cells = {"reset_TRELLIS_FF_Q": cell("TRELLIS_FF", CLK=CLOCK, DI=SOURCE, LSR="0", Q=RESET)}
    bit = 10
    for name, count in parts.items():
        for n in range(count):
            cells[f"{name}_TRELLIS_FF_Q_{n}"] = cell(
                "TRELLIS_FF", CLK=CLOCK, DI=bit, LSR=RESET, Q=bit + 1)
            bit += 2
    cells["top.a.gate_LUT4_Z"] = cell("LUT4", A=RESET, Z=bit)
    bits = {b for c in cells.values() for pin in c["connections"].values() for b in pin if b != "0"}
    return {"modules": {"top": {"cells": cells, "netnames": {
        "system.reset" if b == RESET else str(b): {"bits": [b]} for b in bits}}}}


@pytest.fixture
def design():
    return registers({"top.a.x": 300, "top.b.c.d.e": 100, "top.b.c.d.f": 90, "top.g.h": 5, "i": 1})


def test_each_pin_has_a_copy(design):
    before = copy.deepcopy(design["modules"]["top"]["cells"])
    count = resets.copy(design)
    cells = design["modules"]["top"]["cells"]
    copies = {c["connections"]["Q"][0]: name for name, c in cells.items() if "_copy_" in name}
    assert len(copies) == count
    users = Counter()
    for name, was in before.items():
        now = cells[name]
        for pin, bits in was["connections"].items():
            if bits == [RESET] and pin not in OUT:
                users[copies[now["connections"][pin][0]]] += 1
                now["connections"][pin] = bits
        assert now == was                       # nothing else has changed
    assert sum(users.values()) == 300 + 100 + 90 + 5 + 1 + 1
    assert max(users.values()) <= resets.MOST
    for name in copies.values():                # the same register, a cycle later
        assert cells[name]["connections"] | {"Q": 0} == {
            "CLK": [CLOCK], "DI": [RESET], "LSR": ["0"], "Q": 0}
        assert cells[name]["parameters"] == before["reset_TRELLIS_FF_Q"]["parameters"]


def test_a_copy_is_for_one_part(design):
    resets.copy(design)
    cells = design["modules"]["top"]["cells"]
    served = {}
    for name, c in cells.items():
        if "_copy_" not in name and "LSR" in c["connections"]:
            served.setdefault(c["connections"]["LSR"][0], set()).add(name.split("_TRELLIS")[0])
    del served["0"]
    assert {frozenset(names) for names in served.values()} == {
        frozenset(["top.a.x"]), frozenset(["top.b.c.d.e", "top.b.c.d.f"]),
        frozenset(["top.b.c.d.f"]), frozenset(["top.g.h"]), frozenset(["i"])}


@pytest.mark.parametrize(("made_name", "other_name"), [
    ("system.core.rst", "abort"), ("system.control.restart_LUT4_C_Z", "system.control.restart")])
def test_a_reset_that_is_made_of_another(design, made_name, other_name):
    """By a gate, which goes on seeing that one: what both reset is reset in the same cycle."""
    module = design["modules"]["top"]
    made, other = 90_000, 90_001
    module["cells"]["system.rst_LUT4_Z"] = cell("LUT4", A=RESET, B=other, C="0", Z=made)
    module["netnames"] |= {made_name: {"bits": [made]}, other_name: {"bits": [other]}}
    for n in range(300):
        module["cells"][f"core_TRELLIS_FF_Q_{n}"] = cell(
            "TRELLIS_FF", CLK=CLOCK, DI=90_010 + 2 * n, LSR=made, Q=90_011 + 2 * n)
    resets.copy(design)
    cells = module["cells"]
    assert cells["system.rst_LUT4_Z"]["connections"] == {
        "A": [RESET], "B": [other], "C": ["0"], "Z": [made]}
    copies = {c["connections"]["Q"][0]: c["connections"]["DI"] for name, c in cells.items()
              if "_copy_" in name}
    assert {copies[cells[f"core_TRELLIS_FF_Q_{n}"]["connections"]["LSR"][0]][0]
            for n in range(300)} == {made}
    assert {copies[c["connections"]["LSR"][0]][0] for name, c in cells.items()
            if name.startswith(("top.", "i_")) and "LSR" in c["connections"]} == {RESET}


@pytest.mark.parametrize("other_name", ["system.csr.start", "system.control.restart.x"])
def test_a_gate_that_clears_registers_is_no_reset(design, other_name):
    """A gate of a reset and a signal that is none: what it clears must be clear in time."""
    module = design["modules"]["top"]
    made, other = 90_000, 90_001
    module["cells"]["system.start_LUT4_Z"] = cell("LUT4", A=RESET, B=other, Z=made)
    module["netnames"] |= {"system.start_LUT4_Z": {"bits": [made]}, other_name: {"bits": [other]}}
    for n in range(300):
        module["cells"][f"core_TRELLIS_FF_Q_{n}"] = cell(
            "TRELLIS_FF", CLK=CLOCK, DI=90_010 + 2 * n, LSR=made, Q=90_011 + 2 * n)
    resets.copy(design)
    assert all(module["cells"][f"core_TRELLIS_FF_Q_{n}"]["connections"]["LSR"] == [made]
               for n in range(300))


def test_names_are_new(design):
    before = set(design["modules"]["top"]["netnames"])
    bits = {bit for net in design["modules"]["top"]["netnames"].values() for bit in net["bits"]}
    count = resets.copy(design)
    new = [net["bits"] for name, net in design["modules"]["top"]["netnames"].items()
           if name not in before]
    assert len(new) == count
    assert not bits & {bit for net in new for bit in net}


def test_few_registers_share_one():
    design = registers({"top.a.x": resets.MANY - 1})
    before = copy.deepcopy(design)
    assert resets.copy(design) == 0
    assert design == before


def renamed(design):
    nets = design["modules"]["top"]["netnames"]
    nets["system.clears"] = nets.pop("system.reset")
    return design["modules"]["top"]["cells"]["reset_TRELLIS_FF_Q"]


def test_what_clears_registers_is_no_reset(design):
    """It may not come a cycle later."""
    renamed(design)
    before = copy.deepcopy(design)
    assert resets.copy(design) == 0
    assert design == before


def test_a_synchroniser_is_one_without_a_name(design):
    renamed(design)["parameters"]["SRMODE"] = "ASYNC"
    assert resets.copy(design) > 0


def test_what_is_enabled_is_no_reset(design):
    """A copy would be enabled with it, not after it."""
    driver = design["modules"]["top"]["cells"]["reset_TRELLIS_FF_Q"]
    driver["connections"]["CE"], driver["port_directions"]["CE"] = [5], "input"
    assert resets.copy(design) == 0


def test_the_name_is_that_of_the_design():
    assert re.search(r"\breg reset\b", emitted_system(load_config("hdp_tiny"), 1024, 8))
