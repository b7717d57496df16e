# SPDX-License-Identifier: Apache-2.0
"""The model of cycles of linear jobs: random ones on the RTL, and what follows from its words."""

import numpy as np
import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.linear import Product, chain_cost
from prunus.golden.hdp.linear.cost import product_of
from prunus.golden.hdp.linear.kind import LinearKind
from prunus.sim.engines.hdp_linear import linear_table
from prunus.sim.simulate import simulate_batches

HEAT, EDGE = load_config("heat_tiny"), load_config("hdp_edge")
TABLES = 60
SHARE, BESIDE, MEAN = 0.015, 30, 0.012  # errors on a table: of its cycles, in cycles; on average


def tables(config, count=TABLES):
    rng = np.random.default_rng(5)
    return [[*linear_table(config, rng)] for _ in range(count)]


def test_random_tables_on_the_rtl():
    batches = tables(HEAT)
    runs = simulate_batches(batches, HEAT)
    errors = {}
    for jobs, run in zip(batches, runs, strict=True):
        cost = chain_cost([product_of(job) for job in jobs], HEAT)
        registers = run.registers
        assert (cost.read_bytes, cost.write_bytes) == (
            registers["read_bytes"], registers["write_bytes"])
        errors[" | ".join(job.describe() for job in jobs)] = (cost.cycles, registers["cycles"])
    assert np.mean([abs(model / cycles - 1) for model, cycles in errors.values()]) < MEAN
    assert {name: pair for name, pair in errors.items()
            if abs(pair[0] - pair[1]) > SHARE * pair[1] + BESIDE} == {}


@pytest.mark.parametrize("config", [HEAT, EDGE], ids=lambda config: config.name)
def test_never_below_the_bound(config):
    engine = engine_of(config)
    for jobs in tables(config):
        nothing = [None] * len(jobs)
        cost = chain_cost([product_of(job) for job in jobs], config)
        assert engine.predict_cycles(jobs, nothing, config) == cost.cycles
        assert cost.cycles > max(engine.bound_cycles(jobs, nothing, config), cost.bus_cycles // len(
            jobs))


def test_bytes_are_those_of_the_status_records():
    kind = LinearKind()
    for jobs in tables(EDGE):
        for job in jobs:
            product, record = product_of(job), kind.record(job, kind.compute(job, EDGE), EDGE)
            assert product.read_bytes(EDGE) == record.read_bytes
            assert product.write_bytes() == record.write_bytes


def cycles(*products):
    return chain_cost(products, EDGE).cycles


def test_a_job_is_loaded_while_the_one_before_is_computed():
    one = Product(rows=25, k=64, span=64)
    alone, three = cycles(one), cycles(one, one, one)
    assert 3 * one.array_cycles(EDGE) < three < 3 * alone - 2 * 25 * 64 // 8


def test_a_fence_and_what_is_held():
    first, second = Product(rows=25, k=64, span=16), Product(rows=25, k=16, span=64)
    held = cycles(Product(rows=25, k=64, span=16, held_y=True),
                  Product(rows=25, k=16, span=64, held_x=True))
    fenced = cycles(first, Product(rows=25, k=16, span=64, fence=True))
    assert held < fenced
    assert cycles(first, second) < fenced <= cycles(first) + cycles(second)


def test_wide_results_leave_slowly():
    """Seven cycles for a block of 2 x 2 sums, whatever the array could."""
    codes, wide = (Product(rows=32, k=16, span=128, wide=wide) for wide in (False, True))
    assert cycles(wide) - cycles(codes) == 16 * 64 * (7 - 2)


def test_narrow_weights_and_long_rows():
    assert cycles(Product(rows=128, k=384, span=384)) > 1.9 * cycles(
        Product(rows=128, k=384, span=384, bits=4))
    # Three strips of X, of which no two fit together: each is waited for.
    product = Product(rows=128, k=1536, span=64)
    assert cycles(product) > product.array_cycles(EDGE) + 128 * 1536 // 8


def test_lanes_of_a_transposed_job_are_channels():
    """16 rows make a word: of 8 channels there are half as many as rows would make."""
    plain, across = (Product(rows=48, k=8, span=8, bits=4, transposed=way)
                     for way in (False, True))
    assert cycles(plain) - cycles(across) == 24 * 12 - 12 * 16


def test_outputs_of_heads_are_twice_as_long():
    codes, words = (Product(rows=32, k=64, span=64, words=way) for way in (False, True))
    assert cycles(words) - cycles(codes) == 32 * 64 // 8


def test_nothing_takes_nothing():
    assert chain_cost([], EDGE).cycles == 0
