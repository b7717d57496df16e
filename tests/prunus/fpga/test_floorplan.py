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
    count = floorplan.place({"modules": {"top": {"cells": netlist, "netnames": {}}}},
                            device=device, config=load_config(config))
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
        row = {"k": 70, "q": 46, "v": 22, ".": 82}[name.partition("buffer_")[2][:1] or "."]
        assert (y, n) == (row, floorplan.COLUMNS[DEVICE[-3:]].index(x) % 4)


def test_shared_arrays_have_v_at_the_other_end():
    _, found = placed([*names("v"), *names("k_i"), "system.memory.banks.bank_0.0.0"],
                      config="hdp_edge")
    assert {(name.split(".")[-4], y) for name, (_, y, _) in found.items()} == {
        ("buffer_v", 82), ("buffer_k_i", 46), ("banks", 22)}


def multipliers():
    """A netlist of a multiplier and its register for each product, and of another multiplier."""
    cells, nets = {"other": {"type": "MULT18X18D", "attributes": {}, "connections": {"P0": [1]},
                             "port_directions": {"P0": "output"}}}, {}
    products = [(q, k, n) for q in range(2) for k in range(2) for n in range(16)]
    for number, product in enumerate(products):
        out, register = 10 * number + 10, 10 * number + 11
        cells[f"mul_{number}"] = {
            "type": "MULT18X18D", "attributes": {},
            "connections": {"A0": [register], "P0": [out], "P1": ["x"]},
            "port_directions": {"A0": "input", "P0": "output", "P1": "output"}}
        cells[f"register_{number}"] = {
            "type": "TRELLIS_FF", "attributes": {},
            "connections": {"DI": [out], "Q": [register], "CLK": [2]}}
        nets["system.core.value_array.product_{}_{}_{}".format(*product)] = {"bits": [register]}
    return {"modules": {"top": {"cells": cells, "netnames": nets}}}, products


def test_multipliers_of_an_output_lie_side_by_side_below_its_values():
    design, products = multipliers()
    assert floorplan.place(design, device=DEVICE, config=load_config("hdp_ecp5")) == 64
    cells, places = design["modules"]["top"]["cells"], {}
    for number, (_, _, n) in enumerate(products):
        x, y, z = map(int, re.fullmatch(r"X(\d+)/Y(\d+)/MULT18_(\d)", cells[
            f"mul_{number}"]["attributes"]["BEL"]).groups())
        places.setdefault(n, []).append((x, y, z))
    assert not cells["other"]["attributes"]
    everywhere = [place for mine in places.values() for place in mine]
    assert len(set(everywhere)) == 64
    for n, mine in places.items():
        first = min(x for x, *_ in mine)
        assert {(x - first, z) for x, _, z in mine} == {(0, 0), (1, 1), (4, 4), (5, 5)}
        assert {y for _, y, _ in mine} == {(10, 34)[n % 2]}
    _, found = placed(names("v"))
    for n in range(16):             # V's slices are of eight outputs, in turn
        mine = [x for x, *_ in places[n]]
        values = [x for name, (x, *_) in found.items() if f"slice_{n // 8}" in name]
        assert min(values) - 9 < min(mine) and max(mine) < max(values) + 9
    assert [min(places[n]) for n in range(0, 16, 2)] == sorted(
        min(places[n]) for n in range(0, 16, 2))


def test_multipliers_are_left_alone_without_an_array_of_their_own():
    design, _ = multipliers()
    assert floorplan.place(design, device=DEVICE, config=load_config("hdp_edge")) == 0


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
    for plan in floorplan.PLANS.values():
        assert all(any(re.search(pattern, cell) for cell in cells) for pattern in plan.values())
    assert re.search(r"\bproduct_0_1_1\b",
                     emitted_system(load_config("hdp_own_tiny"), 1024, 8))
    for cell in cells:
        *path, memory = cell.strip(".").split(".")
        assert re.search(rf"\b{path[-1]}\b", verilog), path
        assert re.search(rf"\b{memory}\b", verilog), memory
