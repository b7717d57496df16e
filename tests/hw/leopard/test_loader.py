# SPDX-License-Identifier: Apache-2.0
"""The loader on planes as golden packs them."""

from random import Random

import numpy as np
import pytest

from prunus.golden.leopard.banks import (
    abreast,
    bank_words,
    copies,
    key_stride,
    most_keys,
    region_words,
    turn,
)
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.planes import LeopardLayout
from prunus.hw.leopard.keys import word_width
from prunus.hw.leopard.loader import Loader
from prunus.hw.survivors.loader import Plane, beat_dims, tag_layout
from tests.hw.helpers import receive, send, simulate, stall_cases
from tests.hw.leopard.heads import codes, key_words

CONFIGS = [
    LeopardConfig(name="tiny", width=8, dpus=2, d_max=32, l_max=32),
    LeopardConfig(name="ae", dpus=6, l_max=32, axi_data_width=128),
    LeopardConfig(name="chunks", dpus=3, d_max=40, taps=16, l_max=16),
    LeopardConfig(name="threes", width=10, digit=3, dpus=2, d_max=24, l_max=16),
    LeopardConfig(name="wide", width=5, digit=1, dpus=2, d_max=24, taps=8, l_max=16,
                  axi_data_width=512),
    LeopardConfig(name="parts", digit=12, dpus=1, d_max=40, taps=24, l_max=16),
]


class Load:
    """A plane to be fetched and what must come of it."""

    def __init__(self, config, rng, plane, slot, bank, rows, d):
        self.config, self.plane, self.slot, self.bank = config, plane, slot, bank
        self.address = int(rng.integers(1 << 20)) * 64
        self.codes = codes(rng, config, rows, d)
        layout = LeopardLayout(config)
        packed = layout.pack("k" if plane is Plane.K else "v", self.codes)
        size = layout.beat_bytes
        self.words = [int.from_bytes(packed.tobytes()[n : n + size], "little")
                      for n in range(0, packed.size, size)]
        self.tag = tag_layout().const(
            {"plane": plane, "slot": slot, "bank": bank}).as_bits()

    def command(self):
        rows, d = self.codes.shape
        return {"plane": self.plane, "slot": self.slot, "bank": self.bank,
                "address": self.address, "rows": rows, "d8": d // 8}

    def writes(self):
        """``(plane, bank, row, beat, codes)`` in order."""
        dims = beat_dims(self.config)
        padded = np.pad(self.codes, ((0, 0), (0, -self.codes.shape[1] % dims)))
        return [(self.plane.name.lower(), self.bank, row, beat, whole)
                for row, codes in enumerate(padded)
                for beat, whole in enumerate(codes.reshape(-1, dims).tolist())]

    def key_list(self):
        """``({bank: address}, word)`` in order, with all copies."""
        config, result = self.config, []
        count = copies(config, *self.codes.shape)
        for row, key in enumerate(self.codes):
            words = key_words(key, config)
            words += [0] * (-len(words) % abreast(config))
            at = (self.bank * bank_words(config)
                  + row // config.dpus * key_stride(config, len(key)))
            places = {(row + turn(config, count, copy)) % config.dpus:
                      at + region_words(config, count) * copy for copy in range(count)}
            result += [({bank: address + n for bank, address in places.items()}, word)
                       for n, word in enumerate(words)]
        return result


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_planes(config, stall_in, stall_out):
    rng, random = np.random.default_rng(len(config.name)), Random(1)
    loads = []
    for n in range(4):
        d, rows = 8 * int(rng.integers(1, config.d_max // 8 + 1)), int(rng.integers(1, 17))
        loads += [Load(config, rng, plane, n % 3, n % 2, rows, d)
                  for plane in ((Plane.K, Plane.V, Plane.Q) if n != 2 else (Plane.Q,))]
    dut = Loader(config=config)
    requests, writes, parts, done, errors = [], [], [], [], []

    async def commands(ctx):
        for n, load in enumerate(loads):
            while len(done) < n - 4:        # what is under way of its slot
                await ctx.tick()
            await send(ctx, dut.command, [load.command()], random, stall_in)

    async def taken(ctx):
        for _ in loads:
            requests.extend(await receive(ctx, dut.req, 1, random, stall_out))

    async def beats(ctx):
        payloads = [{"data": word, "tag": load.tag, "last": n == len(load.words) - 1,
                     "error": n % 3 == 1}
                    for load in loads for n, word in enumerate(load.words)]
        for at, payload in enumerate(payloads):
            while sum(len(load.words) for load in loads[: len(requests)]) <= at:
                await ctx.tick()
            await send(ctx, dut.beats, [payload], random, stall_in)
        for _ in range(4):
            await ctx.tick()

    async def watch(ctx):
        while True:
            await ctx.tick()
            write, keys = dut.write, ctx.get(dut.keys)
            for name in "qv":
                if ctx.get(write[name]):
                    writes.append((name, ctx.get(write.bank), ctx.get(write.row),
                                   ctx.get(write.beat), [ctx.get(code) for code in dut.codes]))
            if keys.en:
                parts.append(_part(keys))
            if ctx.get(dut.done):
                done.append(ctx.get(dut.done_tag.as_value()))
            if ctx.get(dut.beat):
                errors.append((ctx.get(dut.beat_tag.as_value()), ctx.get(dut.error)))

    simulate(dut, commands, taken, beats, background=[watch], limit=40_000)
    assert [(r.address, r.beats, r.tag) for r in requests] == [
        (load.address, len(load.words), load.tag) for load in loads]
    assert done == [load.tag for load in loads]
    assert errors == [(load.tag, n % 3 == 1) for load in loads for n in range(len(load.words))]
    assert writes == [write for load in loads if load.plane is not Plane.K
                      for write in load.writes()]
    _check_keys(config, [load for load in loads if load.plane is Plane.K], parts)


def test_copies():
    """Keys as many as there is room for with each number of copies, and one more."""
    config = LeopardConfig(name="copies", dpus=6, l_max=128, taps=16, d_max=32)
    rng, parts = np.random.default_rng(5), []
    shapes = [(most_keys(config, count, d) + more, d)
              for count, d in ((2, 32), (4, 32), (4, 16)) for more in (0, 1)]
    loads = [Load(config, rng, Plane.K, n % 3, n % 2, *shape) for n, shape in enumerate(shapes)]
    assert [copies(config, *shape) for shape in shapes] == [2, 1, 4, 2, 4, 2]
    dut = Loader(config=config)

    async def bench(ctx):
        ctx.set(dut.req.ready, 1)
        for load in loads:
            await send(ctx, dut.command, [load.command()])
            await send(ctx, dut.beats, [{"data": word, "tag": load.tag,
                                         "last": n == len(load.words) - 1}
                                        for n, word in enumerate(load.words)])

    async def watch(ctx):
        while True:
            await ctx.tick()
            keys = ctx.get(dut.keys)
            if keys.en:
                parts.append(_part(keys))

    simulate(dut, bench, background=[watch], limit=40_000)
    _check_keys(config, loads, parts)


def _part(keys):
    """``({bank: address}, part of its word, bits)``"""
    return ({n: address for n, address in enumerate(keys.address) if keys.en >> n & 1},
            keys.part, keys.data)


def _check_keys(config, loads, parts):
    """Each word is in the banks of its unit and of its copies', in one part or several."""
    size, expected = len(range(0, word_width(config), config.axi_data_width)), []
    mask = (1 << word_width(config)) - 1
    for load in loads:
        expected += load.key_list()
    got = []
    for n in range(0, len(parts), size):
        whole = parts[n : n + size]
        assert [part[1] for part in whole] == list(range(size))
        assert all(part[0] == whole[0][0] for part in whole)
        width = min(config.axi_data_width, word_width(config))
        word = sum(part[2] << k * width for k, part in enumerate(whole)) & mask
        got.append((whole[0][0], word))
        if abreast(config) == 2:
            got.append(({n: at + 1 for n, at in whole[0][0].items()},
                        whole[0][2] >> word_width(config)))
    assert got == expected
