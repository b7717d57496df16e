# SPDX-License-Identifier: Apache-2.0
"""Counts of events by hand for small heads."""

from collections import Counter

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import Importance
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.energy import events as hdp_events
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardJob
from prunus.golden.leopard.energy import events as leopard_events
from prunus.golden.records import STATUS_BYTES
from prunus.golden.softmax import encode_scale
from prunus.golden.topk import compute as topk
from prunus.golden.topk.energy import events as topk_events
from tests.golden.hdp.test_compute import random_job

EDGE, TILE, BASE = (load_config(name) for name in ("hdp_edge", "leopard_ae", "leopard_base"))


def counts(events):
    total = Counter()
    for event in events:
        total[event.name] += event.count
    return total


def _written(layout, job):
    return layout.out_bytes(job.output()) + STATUS_BYTES


def hdp_counts(**fields):
    job = random_job(EDGE, 3, **{"l_q": 12, "l_kv": 16, "d": 24, "rho": 25, "spread": 16.0,
                                 **fields})
    result = hdp.head(job, EDGE)
    return counts(hdp_events([job], [result], EDGE)), job, result


def test_hdp():
    found, job, result = hdp_counts()
    blocks, kept = 6 * 8, result.blocks_kept
    assert 0 < kept < blocks
    assert found["I x I"] == 4 * blocks * 24
    assert found["I x F and F x I"] == 8 * kept * 24 and "W x W" not in found
    assert found["weight times V"] == 4 * kept * 24
    assert found["V"] == 2 * kept * 24                      # a key's row for both queries
    assert found["exponential: scale"] == 4 * kept + 12     # and one of a score of 0 for each row
    assert found["theta against threshold"] == blocks
    assert found["background times sum of V"] == found["output times reciprocal"] == 12 * 24
    layout = HdpLayout(EDGE)
    assert found["bytes"] == layout.read_bytes(job, True) + _written(layout, job)


def test_hdp_dense_and_exact_take_full_products():
    found, _, _ = hdp_counts(dense=True)
    assert found["W x W"] == found["weight times V"] == 12 * 16 * 24
    assert not any(name in found for name in ("I x I", "theta of a block"))
    found, _, result = hdp_counts(exact=True)
    assert found["W x W"] == 4 * result.blocks_kept * 24 and found["I x I"] == 12 * 16 * 24


def test_what_a_filter_compares():
    """Best scores of two queries instead of thetas, and no product; theta_head is of both."""
    scores, blocks = EDGE.int_score_width, 6 * 8
    sums = {name: (4 * blocks, "add", width) for name, width in (
        ("theta of a block", EDGE.theta_width), ("best of two keys, of a row", scores))}
    wanted = {
        Importance.DISTANCE: sums | {
            "best against bound": (2 * blocks, "add", scores),
            "best scores, there and back": (4 * blocks, "sram", scores)},
        Importance.MAGNITUDE: {
            "theta of a block": sums["theta of a block"],
            "minimum, maximum, sum": (3 * blocks, "add", EDGE.theta_width),
            "theta against threshold": (blocks, "multiply", EDGE.theta_width * EDGE.block_width),
            "theta against threshold, added": (
                blocks, "add", EDGE.theta_width + EDGE.block_width),
            "thetas, there and back": (2 * blocks, "sram", EDGE.theta_width)}}
    for importance, events in wanted.items():
        job = random_job(EDGE, 3, l_q=12, l_kv=16, d=24, importance=importance, delta=20)
        found = {event.name: (event.count, event.kind, event.bits)
                 for event in hdp_events([job], [hdp.head(job, EDGE)], EDGE)
                 if event.group == "pruning" or "theta" in event.name or "best" in event.name}
        assert found == events


@pytest.mark.parametrize(("config", "integer", "fraction", "words"), [
    (EDGE, 4 * 4, 4 * 4, (5, 10)), (HdpConfig(name="rounded", digits="rounded"), 3 * 3, 3 * 4,
                                    (4, 8)),
    (load_config("hdp_fine"), 4 * 4, 4 * 3, (5, 8))], ids=lambda x: getattr(x, "name", ""))
def test_digits_decide_what_products_and_words_cost(config, integer, fraction, words):
    """As docs/notes/2026-11-28-rounded-digits.md has it."""
    job = random_job(config, 3, l_q=12, l_kv=16, d=24, rho=25)
    bits = {event.name: event.bits for event in hdp_events([job], [hdp.head(job, config)], config)}
    assert (bits["I x I"], bits["I x F and F x I"]) == (integer, fraction)
    assert (bits["I of a dimension"], bits["I and F of a dimension"]) == words


def test_a_pruned_head_ends_after_its_integer_pass():
    found, job, _ = hdp_counts(tau_head=2**32 - 1)
    assert found["I x I"] == 12 * 16 * 24
    assert not any(found[name] for name in ("I x F and F x I", "weight times V", "V",
                                            "exponential: scale", "output times reciprocal"))
    layout = HdpLayout(EDGE)
    assert found["bytes"] == layout.read_bytes(job, False) + _written(layout, job)


def leopard_pair(threshold):
    rng = np.random.default_rng(5)
    q, k, v = (rng.integers(-2048, 2048, (rows, 24)) for rows in (12, 16, 16))
    job = LeopardJob(q=q, k=k, v=v, scale=encode_scale(1e-6), threshold=threshold, valid_q=11)
    return [(counts(leopard_events([job], [result], config)), result)
            for config in (TILE, BASE) for result in [leopard.head(job, config)]]


def test_leopard_and_its_baseline():
    (found, result), (base, whole) = leopard_pair(1 << 22)
    keys = 11 * 16
    assert 0 < result.survivors < keys and keys < result.digits_total < 6 * keys
    assert found["digit of a key"] == found["bound against threshold"] == result.digits_total
    assert found["digit of K times Q"] == 24 * result.digits_total
    assert found["exponential: scale"] == result.survivors
    assert found["weight times V"] == 24 * result.survivors
    assert found["V"] == 64 * result.survivors              # whole words
    assert found["output times reciprocal"] == 24 * int(result.mask.any(axis=1).sum())
    assert whole.survivors == base["digit of a key"] == base["exponential: scale"] == keys
    assert "bound against threshold" not in base
    # Operands: 11 queries and 16 keys of K and of V; padding is written, not read.
    assert found["operands"] == base["operands"] == (11 + 32) * 24
    assert found["output"] == base["output"] == 12 * 24
    # Four copies of 16 keys, of six digits each; of the baseline's one unit there is only one.
    further = "digit of a further copy of a key, written"
    assert (found[further], base[further]) == (3 * 16 * 6, 0)


@pytest.mark.parametrize(("d", "times"), [(8, 12), (16, 12 * 10)])
def test_topk_reads_a_query_of_several_chunks_with_each_key(d, times):
    config = load_config("topk_tiny")
    rng = np.random.default_rng(5)
    q, k, v = (rng.integers(-128, 128, (rows, d)) for rows in (12, 10, 10))
    job = topk.TopkJob(q=q, k=k, v=v, scale=encode_scale(1e-3), top_k=3)
    result = topk.head(job, config)
    bits = {event.name: (event.count, event.bits) for event in topk_events([job], [result], config)}
    assert bits["query"] == (times, 8 * d) and bits["key"] == (12 * 10, 8 * d)
    assert bits["V"] == (12 * 3 * d, 8)
