# SPDX-License-Identifier: Apache-2.0
"""Cycle bounds against the closed formulas for whole heads, and a count by hand for others."""

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.bounds import Work, bound_cycles, bus_cycles
from tests.golden.hdp.slow import sees
from tests.golden.hdp.test_compute import random_job

EDGE = load_config("hdp_edge")


def run(**fields):
    job = random_job(EDGE, 1, **{"l_q": 32, "l_kv": 32, "d": 64, "rho": 25, "spread": 16.0,
                                 **fields})
    return job, hdp.head(job, EDGE)


def test_hdp_formula():
    job, result = run()
    kappa = Fraction(result.blocks_kept, result.blocks_total)
    assert 0 < kappa < 1
    want = Fraction(32 * 32 * 64, EDGE.multipliers) * (1 + 2 * kappa + 4 * kappa) / 4
    assert Work.of(job, result, EDGE).cycles(EDGE.multipliers) == want
    assert bound_cycles([job], [result], EDGE) == ceil(want)


def test_cores_share_the_work():
    quad = load_config("hdp_quad")
    pairs = [run(d=64), run(d=32, causal=True)]
    jobs, results = zip(*pairs, strict=True)
    products = sum(Work.of(*pair, EDGE).cycles(1) for pair in pairs)
    assert quad.multipliers == EDGE.multipliers
    assert bound_cycles(jobs, results, quad) == ceil(products / (4 * EDGE.multipliers))


def test_the_busier_direction_of_the_bus():
    """Beats of 8 bytes: 64 bytes of descriptor or record, rows of 32, 40, 64 and 128 bytes."""
    job, result = run()
    read = 64 + 32 * (2 * 32 + 2 * 40 + 64)
    assert bus_cycles([job] * 3, [result] * 3, EDGE) == 3 * read // 8
    shared = replace(job, same_kv=True)
    assert bus_cycles([job, shared], [result] * 2, EDGE) == (read + 64 + 32 * (32 + 40)) // 8
    pruned = replace(job, tau_head=2**32 - 1)
    assert bus_cycles([pruned] * 2, [hdp.head(pruned, EDGE)] * 2, EDGE) == 2 * (
        64 + 32 * 128) // 8


def test_dense_formula():
    job, result = run(dense=True)
    assert bound_cycles([job], [result], EDGE) == 2 * 32 * 32 * 64 // EDGE.multipliers


def test_pruned_head_formula():
    job, result = run(tau_head=2**32 - 1)
    assert bound_cycles([job], [result], EDGE) == 32 * 32 * 64 // (4 * EDGE.multipliers)


def test_exact_costs_a_full_product_per_kept_block():
    job, result = run(exact=True)
    kappa = Fraction(result.blocks_kept, result.blocks_total)
    want = Fraction(32 * 32 * 64, EDGE.multipliers) * (1 + 4 * kappa + 4 * kappa) / 4
    assert Work.of(job, result, EDGE).cycles(EDGE.multipliers) == want


def test_the_busier_of_two_arrays():
    """Over all jobs, which keep much or little; of several cores, of all of theirs."""
    own = EDGE.model_copy(update={"value_array": "own"})
    pairs = [run(), run(exact=True), run(dense=True), run(rho=120)]
    jobs, results = zip(*pairs, strict=True)
    kappas = [Fraction(result.blocks_kept, result.blocks_total) for result in results]
    full = Fraction(32 * 32 * 64, EDGE.multipliers)
    scores = sum(full * part for part in ((1 + 2 * kappas[0]) / 4, Fraction(1, 4) + kappas[1], 1,
                                          (1 + 2 * kappas[3]) / 4))
    values = full * (kappas[0] + kappas[1] + 1 + kappas[3])
    assert bound_cycles(jobs, results, own) == ceil(scores)
    assert values < scores < scores + values <= bound_cycles(jobs, results, EDGE)
    quad = own.model_copy(update={"cores": 4})
    assert bound_cycles(jobs, results, quad) == ceil(scores / 4)


def test_values_are_the_bound_if_every_row_keeps_much():
    own = EDGE.model_copy(update={"value_array": "own"})
    job, result = run(rho=-127)
    kappa = Fraction(result.blocks_kept, result.blocks_total)
    assert 4 * kappa > 1 + 2 * kappa
    assert bound_cycles([job], [result], own) == ceil(
        Fraction(32 * 32 * 64, EDGE.multipliers) * kappa)


@pytest.mark.parametrize("fields", [
    {"l_q": 15, "l_kv": 21}, {"valid_q": 9, "valid_kv": 30}, {"causal": True},
    {"l_q": 13, "valid_kv": 11, "causal": True}, {"valid_kv": 0}], ids=str)
def test_only_visible_elements_count(fields):
    job, result = run(**fields)
    pairs = [(i, j) for i in range(job.l_q) for j in range(job.l_kv) if sees(job, i, j)]
    kept = sum(bool(result.mask[i // 2, j // 2]) for i, j in pairs)
    assert Work.of(job, result, EDGE) == Work(integer=64 * len(pairs), fraction=64 * kept, full=0,
                                        value=64 * kept)


def test_a_table_is_rounded_up_once():
    pairs = [run(l_q=3, l_kv=3, d=8, dense=True) for _ in range(4)]
    jobs, results = zip(*pairs, strict=True)
    assert bound_cycles(jobs, results, EDGE) == ceil(4 * Fraction(2 * 9 * 8, 32))
