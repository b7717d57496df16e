# SPDX-License-Identifier: Apache-2.0
"""Places of block RAMs, on netlists of nothing else."""

import re

import pytest

from prunus.fpga import floorplan
from prunus.golden.engines import load_config
from prunus.sim.board import emitted_system

DEVICE = "LFE5U-85F"
CORE = "system.coprocessor.core"
# Block RAMs of a word of each buffer of HDP-ECP5, words of a row's slices.
BUFFERS = {"k_i": (3, 4), "q_i": (3, 4), "k_f": (5, 2), "q_f": (5, 2), "v": (8, 2)}


def names(buffer):
    parts, slices = BUFFERS[buffer]
    return [f"{CORE}.buffer_{buffer}.row_{row}_slice_{n}.0.{part}"
            for row in range(2) for n in range(slices) for part in range(parts)]


def placed(cells, *, device=DEVICE, config="hdp_ecp5"):
    """How many got a place, and the places by name."""
    netlist = {name: {"type": "DP16KD", "attributes": {}} for name in cells}
    count = floorplan.place({"modules": {"top": {"cells": netlist}}}, device=device,
                            config=load_config(config))
    found = {}
    for name, cell in netlist.items():
        if "BEL" in cell["attributes"]:
            x, y, n = re.fullmatch(r"X(\d+)/Y(\d+)/EBR(\d)", cell["attributes"]["BEL"]).groups()
            found[name] = int(x), int(y), int(n)
    return count, found


def test_each_buffer_has_its_row():
    cells = [name for buffer in BUFFERS for name in names(buffer)]
    memory = [f"system.memory.banks.bank_{bank}.0.{n}" for bank in range(4) for n in range(8)]
    other = f"{CORE}.mask.0.0"
    count, found = placed([*cells, *memory, other])
    assert count == len(found) == len(set(found.values())) == len(cells) + len(memory)
    assert other not in found
    for name, (x, y, n) in found.items():
        row = {"k": 46, "q": 70, "v": 82, ".": 22}[name.partition("buffer_")[2][:1] or "."]
        assert (y, n) == (row, floorplan.COLUMNS[DEVICE[-3:]].index(x) % 4)


def test_slices_lie_in_the_order_of_taps():
    """Bits of dimension n are above tap n modulo T; V's slices have eight dimensions each."""
    _, found = placed([*names("k_i"), *names("v")])
    for part in range(2):
        mine, after = ([found[name][0] for name in names("k_i") if name.endswith(f".0.{n}")]
                       for n in (part, part + 1))
        assert max(mine) < min(after)
    v = sorted(names("v"), key=lambda name: found[name][0])
    order = [(int(re.search(r"slice_(\d)", name)[1]), int(name[-1])) for name in v]
    assert order == sorted(order)


def test_more_than_a_row_has():
    memory = [f"system.memory.banks.bank_{bank}.0.{n}" for bank in range(8) for n in range(8)]
    count, found = placed(memory)
    assert count == len(found) == len(floorplan.COLUMNS[DEVICE[-3:]]) == 52
    assert sorted(x for x, *_ in found.values()) == floorplan.COLUMNS[DEVICE[-3:]]


def test_a_die_with_transceivers_has_the_same_rows():
    cells = [*names("k_i"), *names("v")]
    assert placed(cells, device="LFE5UM5G-85F") == placed(cells) != (0, {})


@pytest.mark.parametrize("device, config", [("LFE5U-12F", "hdp_small"), (DEVICE, "leopard_ecp5")])
def test_without_a_plan_nothing_has_a_place(device, config):
    assert placed(names("k_i"), device=device, config=config) == (0, {})


def test_the_names_are_those_of_the_design():
    """A plan that names nothing would be silent."""
    verilog = emitted_system(load_config("hdp_tiny"), 1024, 8)
    cells = [f".{module}.{memory}." for module, memory in [
        *((f"buffer_{name}", "row_0_slice_0") for name in BUFFERS), ("memory.banks", "bank_0")]]
    for pattern in floorplan.PLANS[DEVICE[-3:], "hdp"].values():
        assert any(re.search(pattern, cell) for cell in cells)
    for cell in cells:
        *path, memory = cell.strip(".").split(".")
        assert re.search(rf"\b{path[-1]}\b", verilog), path
        assert re.search(rf"\b{memory}\b", verilog), memory
