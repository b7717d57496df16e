# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from prunus.golden.engines import load_config
from prunus.golden.hdp.order import longest_first, table_order
from prunus.sim.campaigns.scaling import with_cores
from prunus.sim.engines.hdp import Recipe, build

TINY = load_config("hdp_tiny")


def job(length, d=8, **changes):
    return replace(build(Recipe(l_q=length, l_kv=length, valid_q=length, valid_kv=length, d=d),
                         TINY), **changes)


def test_work_decides_and_equal_heads_keep_their_order():
    jobs = [job(4), job(9), job(8, d=16), job(4), job(12, valid_q=1)]
    assert longest_first(jobs) == [2, 1, 0, 3, 4]
    assert longest_first([]) == []
    assert table_order(jobs, with_cores(TINY, 2)) == [2, 1, 0, 3, 4]
    assert table_order(jobs, TINY) == [0, 1, 2, 3, 4]


def test_heads_that_share_keys_stay_together():
    jobs = [job(6), job(8), job(8, same_kv=True), job(8, same_kv=True), job(12), job(16)]
    assert longest_first(jobs) == [5, 1, 2, 3, 4, 0]
