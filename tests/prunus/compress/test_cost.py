# SPDX-License-Identifier: Apache-2.0
"""Costs of jobs and chains, by hand: hdp_edge has 8 taps and 8 bytes a cycle."""

import pytest

from prunus.compress.chain import Step, View
from prunus.compress.cost import Cost, Energy, chain_cost, edp, form_cost, job_cost
from prunus.compress.forms import svd, ttm
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.power.linear import Rates, linear_energy_nj

EDGE = load_config("hdp_edge")


def test_a_job_whose_array_is_the_bound():
    got = job_cost(25, Step(384, 384), EDGE)
    read, written = 384 * 384 + 8 * 384 + 25 * 384 + 64, 25 * 384 + 64
    array = 13 * 192 * 48
    assert got == Cost(array + 60, array, -(-read // 8), read, written, 25 * 384 * 384,
                       work_cycles=array)


def test_four_bits_take_half_the_cycles_and_bytes():
    got = job_cost(25, Step(384, 384, bits=4), EDGE)
    assert got.array_cycles == got.work_cycles == 13 * 192 * 24
    assert got.read_bytes == 384 * 384 // 2 + 8 * 384 + 25 * 384 + 64


@pytest.mark.parametrize("k, bits, block", [(8, 8, 2), (16, 8, 2), (24, 8, 3), (16, 4, 2),
                                            (40, 4, 3), (40, 8, 5)])
def test_blocks_are_rounded_up_and_have_two_cycles_at_least(k, bits, block):
    assert job_cost(3, Step(8, k, bits=bits), EDGE).array_cycles == 2 * 4 * block


def test_a_job_whose_bus_is_the_bound():
    got = job_cost(1, Step(384, 384), EDGE)
    assert got.bus_cycles == (384 * 384 + 8 * 384 + 384 + 64) // 8
    assert got.array_cycles == 192 * 48             # half of a block of two rows
    assert got.cycles == got.bus_cycles + 60


def test_what_is_held_does_not_cross_the_bus():
    step = Step(64, 32)
    plain = job_cost(10, step, EDGE)
    held = job_cost(10, step, EDGE, held_x=True, held_y=True)
    assert plain.read_bytes - held.read_bytes == 10 * 32
    assert (plain.write_bytes - 64, held.write_bytes) == (10 * 64, 64)
    made = job_cost(10, step, EDGE, held_w=True)
    assert plain.read_bytes - made.read_bytes == 64 * 32


def test_groups_are_worked_off_one_after_the_other():
    one, many = job_cost(10, Step(16, 32), EDGE), job_cost(10, Step(16, 32, groups=5), EDGE)
    assert many.array_cycles == 5 * one.array_cycles
    assert many.products == 5 * one.products
    assert many.read_bytes - 64 == 5 * (one.read_bytes - 64)


def test_a_chain_is_its_jobs_with_the_rows_that_views_make():
    form = ttm((16, 6), (4, 8), (16,))
    got = form_cost(form, 10, EDGE)
    first, second = form.steps
    assert got == (job_cost(40, first, EDGE, held_y=True) + job_cost(60, second, EDGE, held_x=True))
    assert form_cost(form, 10, EDGE, fused=False) == (
        job_cost(40, first, EDGE) + job_cost(60, second, EDGE))


def test_fusing_saves_bytes_and_no_products():
    form = svd(384, 384, 64)
    fused, apart = (form_cost(form, 25, EDGE, fused=one) for one in (True, False))
    assert apart.moved_bytes - fused.moved_bytes == 2 * 25 * 64
    assert (apart.products, apart.array_cycles) == (fused.products, fused.array_cycles)


def test_the_dense_layers_of_minilm():
    """All 36 weights, Q, K and V as one job: what the model of the specification counted."""
    total = Cost()
    for _ in range(6):
        for n, k in ((1152, 384), (384, 384), (1536, 384), (384, 1536)):
            total += chain_cost([Step(n, k)], 25, EDGE)
    assert total.cycles == 6 * (13 * (576 + 192 + 768) * 48 + 13 * 192 * 192 + 4 * 60)
    assert abs(total.cycles / 8_626_000 - 1) < 1e-3


def test_energy_by_hand():
    cost = Cost(cycles=200, array_cycles=120, work_cycles=100, read_bytes=30, write_bytes=20)
    energy = Energy(Rates(array=.05, idle=.04, byte=.003), 20)
    chip = 50 * 100 + 40 * 100 + 3 * 50
    assert energy.of(cost) == pytest.approx((chip + 20 * 8 * 50) * 1e-12)
    assert energy.bare.of(cost) == pytest.approx(chip * 1e-12)
    assert edp(cost, energy.bare) == pytest.approx(200 * chip * 1e-12)


def test_energy_is_that_of_the_gates():
    cost = Cost(cycles=1000, array_cycles=900, work_cycles=800, read_bytes=3000, write_bytes=200)
    for pj in (0.0, 20.0):
        assert Energy.of_config(EDGE, pj).of(cost) == pytest.approx(
            1e-9 * linear_energy_nj(cost, EDGE, pj_per_bit=pj))
    with pytest.raises(InputError, match="config must be like one of"):
        Energy.of_config(EDGE.model_copy(update={"multipliers": 64}))


def test_a_view_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="view must divide 10 rows"):
        chain_cost([Step(16, 16, view=View(B=3)), Step(8, 16)], 10, EDGE)
