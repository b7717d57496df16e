# SPDX-License-Identifier: Apache-2.0
"""Where keys are: every row finds each key once, and copies do not overlap."""

import pytest

from prunus.golden.engines import load_config
from prunus.golden.leopard.banks import (
    abreast,
    bank_words,
    copies,
    copy_counts,
    key_stride,
    most_keys,
    region_words,
    turn,
    unit_of,
)
from prunus.golden.leopard.config import LeopardConfig

TINY, AE, HP, BASE, ECP5 = (load_config(f"leopard_{name}")
                            for name in ("tiny", "ae", "hp", "base", "ecp5"))
ODD = LeopardConfig(name="odd", width=8, digit=3, dpus=5, d_max=24, taps=8, l_max=54)


@pytest.mark.parametrize("config", [TINY, AE, HP, BASE, ECP5, ODD], ids=lambda c: c.name)
def test_every_key_has_a_place_of_its_own(config):
    for d in {config.d_max, 8}:
        lengths = {most_keys(config, count, d) + more
                   for count in copy_counts(config) for more in (0, 1)} | {1, config.l_max}
        for keys in sorted(n for n in lengths if 0 < n <= config.l_max):
            count, taken = copies(config, keys, d), set()
            for copy in range(count):
                for key in range(keys):
                    bank = (key + turn(config, count, copy)) % config.dpus
                    first = (copy * region_words(config, count)
                             + key // config.dpus * key_stride(config, d))
                    assert first % abreast(config) == 0
                    words = {(bank, first + n) for n in range(key_stride(config, d))}
                    assert not words & taken and first + len(words) <= bank_words(config)
                    taken |= words
                    assert bank == unit_of(config, key, count, copy)


def test_what_presets_have():
    assert [copy_counts(config) for config in (BASE, TINY, ODD, AE, HP)] == [
        (1,), (1, 2), (1, 2, 4), (1, 2, 4), (1, 2, 4)]
    assert [[most_keys(config, count, 64) for count in (2, 4)] for config in (AE, HP, ECP5)] == [
        [258, 126], [256, 128], [126, 60]]
    assert [copies(AE, keys, 64) for keys in (126, 127, 258, 259)] == [4, 2, 2, 1]
    assert {copies(BASE, keys, 64) for keys in (1, 512)} == {1}
    assert [abreast(config) for config in (TINY, AE, HP, BASE, ECP5, ODD)] == [1, 2, 2, 1, 1, 2]
    assert (key_stride(ODD, 8), key_stride(ODD, 24), key_stride(AE, 64)) == (4, 10, 6)


@pytest.mark.parametrize("count, turns", [(1, [0] * 6), (2, [0, 3] * 3), (4, [0, 1, 2, 3, 0, 1])])
def test_rows_take_turns(count, turns):
    assert [turn(AE, count, row) for row in range(6)] == turns
    assert [unit_of(AE, 8, count, row) for row in range(6)] == [(n + 2) % 6 for n in turns]


def test_no_two_copies_of_a_key_share_a_bank():
    for config in (TINY, ODD, AE, HP):
        for count in copy_counts(config):
            assert len({unit_of(config, 0, count, row) for row in range(count)}) == count
