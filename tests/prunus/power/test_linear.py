# SPDX-License-Identifier: Apache-2.0
"""Energy of linear layers from cycles and bytes."""

import pytest

from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.golden.hdp.linear import Cost, Product, chain_cost
from prunus.power.linear import linear_energy_nj, outside_nj, rates_of

HEAT, EDGE = load_config("heat_tiny"), load_config("hdp_edge")
COST = Cost(cycles=1000, array_cycles=600, bus_cycles=100, read_bytes=500, write_bytes=300,
            products=1, work_cycles=500)


@pytest.mark.parametrize("config", [HEAT, EDGE], ids=lambda config: config.name)
def test_by_hand(config):
    of = rates_of(config)
    chip = 500 * of.array + 500 * of.idle + 800 * of.byte
    assert linear_energy_nj(COST, config) == pytest.approx(chip)
    assert linear_energy_nj(COST, config, pj_per_bit=20) == pytest.approx(chip + 800 * 8 * 0.020)
    assert outside_nj(COST, 20) == pytest.approx(128)
    assert 0 < of.mean_error <= of.worst_error < 0.16


def test_a_larger_array_costs_more_by_the_cycle_and_less_by_the_product():
    product = Product(rows=25, k=64, span=64)
    energies = [linear_energy_nj(chain_cost([product], config), config) for config in (HEAT, EDGE)]
    assert rates_of(HEAT).array < rates_of(EDGE).array
    assert energies[0] > energies[1]


def test_a_preset_by_another_name():
    assert rates_of(EDGE.model_copy(update={"name": "mine"})) == rates_of(EDGE)


def test_nothing_is_measured():
    with pytest.raises(InputError, match="config must be like one of heat_tiny, hdp_edge, whose "
                                         "energy of linear layers is measured, not hdp_tiny"):
        linear_energy_nj(COST, load_config("hdp_tiny"))
