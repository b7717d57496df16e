# SPDX-License-Identifier: Apache-2.0
"""The loader on planes as golden packs them."""

from random import Random

import numpy as np
import pytest

from prunus.golden.hdp.linear import LinearKind, Sizes
from prunus.golden.hdp.linear.compute import codes_of_heads
from prunus.hw.hdp.linear.layouts import Plane
from prunus.hw.hdp.linear.loader import LinearLoader
from tests.hw.hdp.linear.layers import CONFIGS
from tests.hw.helpers import receive, send, simulate, stall_cases

KIND = LinearKind()


def _beats(plane):
    raw = np.ascontiguousarray(plane).tobytes()
    return [int.from_bytes(raw[n : n + 8], "little") for n in range(0, len(raw), 8)]


class _Loads:
    """Commands, their beats, and what must come of them, drawn at random."""

    def __init__(self, config, seed, count=40):
        self.config, self.sizes, self.layout = config, Sizes(config), KIND.layout(config)
        self.rng, self.draw = np.random.default_rng(seed), Random(seed)
        kinds = (self._rows, self._rows, self._words, self._channels, self._table, self._residual)
        self.all = [kinds[n % len(kinds)](n) for n in range(count)]

    def _command(self, n, plane, beats, **more):
        return {"plane": plane, "bank": self.draw.randrange(2), "slot": self.draw.randrange(2),
                "address": 64 * n + 8, "refused": self.draw.randrange(2), "beats": len(beats),
                "index": n, **more}

    def _places(self, codes, base, stride, first=0):
        """Writes of units: place, row of a pair, codes; a unit that ends early has zeros."""
        sizes, unit = self.sizes, self.sizes.unit
        per = sizes.granule // unit
        every = sizes.ring * per
        padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % unit)))
        return [((base * per + row // 2 * stride * per + first + n // unit) % every, row % 2,
                 padded[row, n : n + unit].tolist())
                for row in range(len(codes)) for n in range(0, padded.shape[1], unit)]

    def _rows(self, n):
        plane = self.draw.choice([Plane.X, Plane.W8, Plane.W4])
        low = 8 if plane == Plane.W4 else 128
        codes = self.rng.integers(-low, low, (self.draw.randint(1, 7),
                                              8 * self.draw.randint(1, 10)))
        codes[0, :2] = -low, low - 1
        beats = _beats(self.layout.pack("w4" if plane == Plane.W4 else "v", codes))
        base = self.draw.randrange(self.sizes.ring)
        stride = self.sizes.granules(codes.shape[1])
        command = self._command(n, plane, beats, base=base, stride=stride, ends=1,
                                row_beats=len(beats) // len(codes))
        name = "x" if plane == Plane.X else "w"
        return command, beats, [(name, *write, plane == Plane.W4)
                                for write in self._places(codes, base, stride)], name

    def _words(self, n):
        words = self.rng.integers(-(1 << 14), (1 << 14) + 1, (self.draw.randint(1, 6),
                                                              16 * self.draw.randint(1, 3)))
        words[0, :4] = -(1 << 14), 1 << 14, 63, 64
        beats = _beats(self.layout.pack("out", words))
        base, first, ends = self.draw.randrange(self.sizes.ring), self.draw.randrange(3), n % 4 < 2
        stride = self.draw.randint(2, 4)
        command = self._command(n, Plane.WORDS, beats, base=base, stride=stride, first=first,
                                ends=ends, row_beats=len(beats) // len(words))
        writes = self._places(codes_of_heads(words[None]), base, stride, first)
        return command, beats, [("x", *write, False) for write in writes], "x" if ends else ""

    def _channels(self, n):
        count = 8 * self.draw.randint(1, 8)
        records = [(self.draw.getrandbits(32), self.draw.getrandbits(16), self.draw.getrandbits(6))
                   for _ in range(count)]
        beats = [bias | multiplier << 32 | shift << 48 | self.draw.getrandbits(10) << 54
                 for bias, multiplier, shift in records]
        command = self._command(n, Plane.CHANNELS, beats, row_beats=self.draw.randint(1, 9))
        return command, beats, [("channel", command["slot"], at, record)
                                for at, record in enumerate(records)], ""

    def _table(self, n):
        beats = [self.draw.getrandbits(64) for _ in range(32)]
        command = self._command(n, Plane.TABLE, beats)
        return command, beats, [("table", command["bank"], at, word)
                                for at, word in enumerate(beats)], ""

    def _residual(self, n):
        beats = [self.draw.getrandbits(64) for _ in range(self.draw.randint(1, 2))]
        command = self._command(n, Plane.RESIDUAL, beats, ends=self.draw.randrange(2))
        return command, beats, [("residual", command["slot"], command["ends"],
                                 at == len(beats) - 1, word) for at, word in enumerate(beats)], ""


def _codes(i, f, narrow):
    """Of digits."""
    codes = [(16 * whole.mag + rest.mag) * (-1 if whole.sign else 1)
             for whole, rest in zip(i, f, strict=True)]
    if narrow:
        assert not any(rest.mag for rest in f)
        return [code // 16 if code >= 0 else -(-code // 16) for code in codes]
    assert all(whole.sign == rest.sign for whole, rest in zip(i, f, strict=True))
    return codes


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_planes(config, stall_in, stall_out):
    loads, rng, dut = _Loads(config, 6).all, Random(f"{stall_in}{stall_out}"), LinearLoader(
        config=config)
    errors = [[rng.random() < 0.1 for _ in beats] for _, beats, *_ in loads]
    asked, got, counted = [0], [], []

    async def commands(ctx):
        await send(ctx, dut.command, [command for command, *_ in loads], rng, stall_in)

    async def requests(ctx):
        for command, beats, *_ in loads:
            [request] = await receive(ctx, dut.req, 1, rng, stall_out)
            assert (request.address, request.beats, request.job, request.refused) == (
                command["address"], len(beats), command["index"], command["refused"])
            asked[0] += 1

    async def memory(ctx):
        for n, (_, beats, *_) in enumerate(loads):
            while asked[0] <= n:
                await ctx.tick()
            for at, word in enumerate(beats):
                beat = {"data": word, "error": errors[n][at], "last": at == len(beats) - 1}
                assert await send(ctx, dut.beats, [beat], rng, stall_in) == 1 or stall_in
                ctx.set(dut.beats.payload, {"data": ~word & (1 << 64) - 1, "last": 1, "error": 1})
        await ctx.tick().repeat(2)

    async def watch(ctx):
        while True:
            _, _, write, i, f, channel, table, residual, loaded, beat, error, bank = (
                await ctx.tick().sample(dut.write, dut.i, dut.f, dut.channel, dut.table,
                                        dut.residual, dut.loaded, dut.beat, dut.error, dut.bank))
            for name in ("x", "w"):
                if write[name]:
                    got.append((name, write.place, write.parity, _codes(i, f, write.narrow),
                                bool(write.narrow)))
            if channel.en:
                record = channel.record
                got.append(("channel", channel.slot, channel.index,
                            (record.bias, record.multiplier, record.shift)))
            if table.en:
                got.append(("table", table.job, table.index, table.data))
            if residual.en:
                got.append(("residual", residual.lane, residual.ends, bool(residual.last),
                            residual.data))
            if beat:
                counted.append((bank, error, "x" * loaded.x + "w" * loaded.w))
            else:
                assert not (loaded.x or loaded.w)

    simulate(dut, commands, requests, memory, background=[watch], limit=40_000)
    assert got == [event for _, _, events, _ in loads for event in events]
    assert counted == [(command["bank"], error, name if at == len(beats) - 1 else "")
                       for (command, beats, _, name), own in zip(loads, errors, strict=True)
                       for at, error in enumerate(own)]
