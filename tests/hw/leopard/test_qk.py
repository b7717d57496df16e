# SPDX-License-Identifier: Apache-2.0
"""Survivors, digits and order of whole rows against the specification, and the cycles they take."""

import re
from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden.engines import load_config
from prunus.golden.leopard.banks import copies, most_keys, unit_of
from prunus.golden.leopard.compute import threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.keys import KeyWriter
from prunus.hw.leopard.layouts import PENDING, copies_range, front_end, query_layout, row_layout
from prunus.hw.leopard.qk import QKUnit
from prunus.hw.survivors.layouts import survivor_layout
from prunus.hw.verilog.emit import to_verilog
from tests.hw.helpers import receive, send, simulate, stall_cases
from tests.hw.leopard.heads import Row, busiest, codes, copies_number, key_beats, pieces, row_bound

TAG = 7


class Bench(wiring.Component):
    """The QK unit with the writer of its keys."""

    def __init__(self, *, config: LeopardConfig):
        self.config = config
        super().__init__({
            "beats": In(stream.Signature(config.axi_data_width)),
            "head": In(data.StructLayout({"start": 1, "bank": 1, "d8": 5,
                                          "copies": copies_range(config)})),
            "row": In(stream.Signature(row_layout(config, TAG))),
            "query": In(stream.Signature(query_layout(config))),
            "o": Out(stream.Signature(survivor_layout(config, front_end(config), TAG))),
            "words": Out(data.ArrayLayout(range(config.dpus + 1), 2)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.writer = writer = KeyWriter(config=self.config)
        m.submodules.qk = qk = QKUnit(config=self.config, tag_width=TAG)
        for name in ("row", "query"):
            connect(m, flipped(getattr(self, name)), getattr(qk, name))
        connect(m, qk.o, flipped(self.o))
        connect(m, flipped(self.beats), writer.beats)
        m.d.comb += [
            writer.start.eq(self.head.start), writer.bank.eq(self.head.bank),
            writer.d8.eq(self.head.d8), writer.copies.eq(self.head.copies),
            qk.write.eq(writer.write), self.words.eq(qk.words),
        ]
        return m


class Run:
    """Heads of rows through the bench, all that came out and when.

    A head's keys are written while the rows of the one before it may still be under way, and those
    of the one before that have ended.
    """

    def __init__(self, config, heads, rng=None, stall_in=0.0, stall_out=0.0,
                 pause=0):
        self.pause = pause
        self.config, self.heads, self.rng = config, heads, rng
        self.stall_in, self.stall_out = stall_in, stall_out
        self.rows = [row for head in heads for row in head]
        self.got, self.ends, self.words = [], [], []
        self.by_parity = [0, 0]
        self.written = 0                                    # heads
        self.dut = Bench(config=config)
        simulate(self.dut, self._keys, self._rows, self._queries, self._sink,
                 background=[self._count], limit=60_000)

    async def _keys(self, ctx):
        ended = 0
        for n, head in enumerate(self.heads):
            while len(self.ends) < ended:
                await ctx.tick()
            ended += len(self.heads[n - 1]) if n else 0
            ctx.set(self.dut.head, {"start": 1, "bank": head[0].bank, "d8": len(head[0].q) // 8,
                                    "copies": copies_number(self.config, *head[0].k.shape)})
            await ctx.tick()
            ctx.set(self.dut.head.start, 0)
            await send(ctx, self.dut.beats, key_beats(head[0].k, self.config), self.rng,
                       self.stall_in)
            await ctx.tick()
            self.written += 1

    async def _rows(self, ctx):
        for n, head in enumerate(self.heads):
            while self.written <= n:
                await ctx.tick()
            await send(ctx, self.dut.row, [row.command(self.config) for row in head], self.rng,
                       self.stall_in)

    async def _queries(self, ctx):
        await send(ctx, self.dut.query, [piece for row in self.rows for piece in pieces(row.q)],
                   self.rng, self.stall_in)

    async def _sink(self, ctx):
        for _ in range(self.pause):
            await ctx.tick()
        while len(self.ends) < len(self.rows):
            [item] = await receive(ctx, self.dut.o, 1, self.rng, self.stall_out)
            self.got.append(item)
            if item.end:
                self.ends.append(len(self.words))
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(self.dut.o.valid)

    async def _count(self, ctx):
        while True:
            _, _, words = await ctx.tick().sample(self.dut.words)
            self.words.append(words[0] + words[1])
            self.by_parity[0] += words[0]
            self.by_parity[1] += words[1]

    def check(self):
        """Bit for bit: who survives, with which score, in which order, and what it took."""
        at, words = 0, [0, 0]
        for n, row in enumerate(self.rows):
            survivors, digits = row.decided(self.config)
            got = [(item.key, item.score) for item in self.got[at : at + len(survivors)]]
            assert sorted(got) == survivors
            for unit in range(self.config.dpus):
                own = [key for key, _ in got
                       if unit_of(self.config, key, row.copies(self.config), n) == unit]
                assert own == sorted(own)
            at += len(survivors)
            end = self.got[at]
            assert (end.end, end.survivors, end.digits, end.tag) == (
                1, len(survivors), digits.sum(), row.tag)
            assert not any(item.end for item in self.got[at - len(survivors) : at])
            at += 1
            words[row.tag % 2] += row.slots(self.config)[0]
        assert at == len(self.got)
        # An unread digit is an unread word: none was read in vain.
        assert self.by_parity == words
        return self

    def steady(self, first: int, last: int) -> tuple[int, list[Row]]:
        """Cycles from the end of row ``first`` to that of row ``last``, and the rows between."""
        return self.ends[last] - self.ends[first], self.rows[first + 1 : last + 1]


def make_head(config, rng, *, d, l_kv, thresholds, bank=0, limits=None, tag=0):
    """Rows against keys of one head; a threshold is a number, or a share of keys to be pruned,
    whose threshold is the score of a key."""
    k = codes(rng, config, l_kv, d)
    rows = []
    for n, threshold in enumerate(thresholds):
        q = codes(rng, config, d)
        keys = l_kv if limits is None else limits[n]
        if isinstance(threshold, float):
            scores = np.sort(k[: max(1, keys)] @ q)
            threshold = int(scores[int(threshold * (len(scores) - 1))])
        rows.append(Row(q=q, k=k, keys=keys, threshold=threshold, bank=bank,
                        tag=(tag + n) % (1 << TAG)))
    return rows


def mixed_heads(config, rng, lengths):
    """Heads with all kinds of thresholds and rows without keys for some units or for all."""
    low, high = threshold_limits(config)
    heads = []
    for n, (d, l_kv) in enumerate(lengths):
        thresholds = [0.5, 0.9, low, high, 0.0, 1.0, 0, 0.7, high, low]
        limits = [l_kv, l_kv, l_kv, l_kv, 1, max(1, l_kv // 2), 0, l_kv, 0, min(l_kv, 3)]
        heads.append(make_head(config, rng, d=d, l_kv=l_kv, thresholds=thresholds, bank=n % 2,
                               limits=limits, tag=10 * n))
    return heads


@pytest.mark.parametrize("count, more", [(4, 0), (4, 1), (2, 0), (2, 1)])
def test_as_many_copies_as_fit(count, more):
    """Heads whose copies just fill the banks, or do not fit by one key, between short heads."""
    config = config_of("copies", dpus=6, l_max=72, d_max=24, taps=8)
    keys, d = most_keys(config, count, 24) + more, 24
    assert copies(config, keys, d) == (count // 2 if more else count)
    heads = mixed_heads(config, np.random.default_rng(keys), [(d, 5), (d, keys), (8, keys), (d, 7)])
    Run(config, heads).check()


def config_of(name, **fields):
    return LeopardConfig(name=name, **{"l_max": 48, "d_max": 16, "width": 8} | fields)


CONFIGS = [
    config_of("one", dpus=1),
    config_of("six", dpus=6),
    config_of("eight", dpus=8, axi_data_width=128),
    config_of("bits", digit=1, dpus=2, width=5),
    config_of("threes", digit=3, dpus=3, width=8, d_max=24),
    config_of("fours", digit=4, dpus=2, width=10, taps=8),
    config_of("chunks", dpus=3, d_max=40, taps=16, width=12),
    config_of("whole", digit=8, dpus=1),
    config_of("whole_chunks", digit=12, width=12, dpus=2, taps=8),
    config_of("baseline", digit=12, width=12, dpus=1, pruning=False),
]


@pytest.mark.parametrize("config, stall_in, stall_out", [
    pytest.param(config, *stalls, id=f"{config.name}-{stalls[0]}-{stalls[1]}")
    for n, config in enumerate(CONFIGS) for stalls in (stall_cases[0], stall_cases[1 + n % 3])])
def test_rows(config, stall_in, stall_out):
    """Each size without stalls and with those of one kind, every kind with three sizes."""
    rng = np.random.default_rng(len(config.name) + config.dpus)
    # d as large as it may be and less than taps, so that what is beyond d lies where keys were.
    lengths = [(config.d_max, 40), (8, 33), (config.d_max, 13)]
    Run(config, mixed_heads(config, rng, lengths), Random(config.name), stall_in,
        stall_out).check()


def test_extreme_codes():
    """The largest sums of either sign, with thresholds at them and one above."""
    config = config_of("extreme", dpus=2, width=12, l_max=16)
    low, high = config.min_code, config.max_code
    k = np.array([[low] * 16, [high] * 16, [0] * 16, [-1] * 16, [low, high] * 8, [high, low] * 8])
    rows = []
    for q in ([low] * 16, [high] * 16, [low, high] * 8, [0] * 16, [1] * 16):
        scores = sorted(set((k @ q).tolist()))
        rows += [Row(q=np.array(q), k=k, keys=len(k), threshold=score + more, tag=len(rows) + n)
                 for n, (score, more) in enumerate(
                     (score, more) for score in scores for more in (0, 1))]
    Run(config, [rows]).check()


def test_a_whole_tile():
    """Units as wide as those of the presets."""
    config = LeopardConfig(name="ae", dpus=6, l_max=32)
    assert (config.width, config.digit, config.taps) == (12, 2, 64)
    rng = np.random.default_rng(1)
    Run(config, [make_head(config, rng, d=64, l_kv=32, thresholds=[0.5, 0.9]),
                 make_head(config, rng, d=40, l_kv=20, thresholds=[0.75], bank=1)]).check()


@pytest.mark.parametrize("dpus, keys, pruned", [
    (6, 128, 0.0), (6, 128, 0.5), (6, 128, 0.9), (8, 128, 0.75), (8, 64, 0.0), (6, 64, 0.5),
    (8, 64, 0.9)])
def test_cycles(dpus, keys, pruned):
    """A unit that has keys never pauses: rows take as long as the busiest unit does for its keys,
    or a cycle per survivor and two for each row's end."""
    config = LeopardConfig(name="c", dpus=dpus, d_max=24, l_max=128)      # as long as with 64 taps
    head = make_head(config, np.random.default_rng(dpus + keys), d=24, l_kv=keys,
                     thresholds=[pruned] * 13)
    run = Run(config, [head]).check()
    # The first rows fill the pipeline and the last ones empty it.
    cycles, rows = run.steady(3, 11)
    assert len(rows) == 8
    least = max(busiest(rows, config, 4), sum(row.slots(config)[1] + 2 for row in rows))
    assert cycles <= 1.04 * least + 8
    if keys == 128:
        assert cycles <= 1.10 * row_bound(rows, config)


def test_no_cycle_without_a_word():
    """From the first word to the last but the keys of the last row."""
    config = config_of("one", dpus=1, d_max=24)
    head = make_head(config, np.random.default_rng(3), d=24, l_kv=48, thresholds=[0.8] * 6)
    run = Run(config, [head]).check()
    first = run.words.index(1)
    last = run.ends[-2]
    assert run.words[first:last] == [1] * (last - first)


def test_full_width_units_take_a_key_per_cycle():
    config = config_of("base", dpus=1, digit=12, width=12, pruning=False)
    head = make_head(config, np.random.default_rng(4), d=16, l_kv=48, thresholds=[0] * 6)
    run = Run(config, [head]).check()
    assert Counter(after - before for before, after in pairwise(run.ends[1:])) == {49: 4}


def test_verilog():
    """The emission accepts the blocks, and has one module for all units and one for all banks."""
    verilog, _ = to_verilog(QKUnit(config=load_config("leopard_tiny"), tag_width=TAG), name="qk")
    modules = re.findall(r"^module (\w+)", verilog, re.M)
    assert {"qk__dot_product_unit", "qk__key_bank", "qk__dot_product"} < set(modules)
    assert len(modules) == len(set(modules)) == 9


def test_stalled_output_stops_the_reading():
    """Units stop once their places are full, and nothing is lost."""
    config = config_of("stop", dpus=2)
    head = make_head(config, np.random.default_rng(5), d=16, l_kv=48,
                     thresholds=[threshold_limits(config)[0]] * 6)
    run = Run(config, [head], pause=1200).check()
    # What is merged makes room: an offer of each unit, and what waits at the output.
    assert sum(run.words[:1200]) == (2 * PENDING + 2 + 2) * config.digits
    assert not any(run.words[1000:1200])
