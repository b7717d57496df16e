# SPDX-License-Identifier: Apache-2.0
"""What is written where, against golden's planes and NumPy's view, and the record behind it."""

from random import Random

import numpy as np
import pytest

from prunus.golden.hdp.linear import LinearKind, LinearStatus, Sizes
from prunus.golden.image import read_status
from prunus.golden.records import Error
from prunus.hw.hdp.linear.output import LinearOutput
from tests.hw.hdp.linear.layers import CONFIGS, TINY, fields_of, layer, words_of
from tests.hw.helpers import send, simulate

KIND = LinearKind()
HEADS = {"arrangement": "heads"}
CASES = [
    (7, 40, {}), (1, 8, {}), (5, 24, {"target": "wide"}), (4, 8, {"target": "wide"}),
    (6, 64, {"arrangement": "split", "run": 16, "inner": 3}),
    (16, 24, {"run": 1, "inner": 16}), (5, 64, {**HEADS, "run": 32}),
    (5, 64, {**HEADS, "run": 32, "target": "digits"}),
    (4, 48, {**HEADS, "run": 48, "target": "digits"}),
    (3, 64, {**HEADS, "run": 16, "target": "digits"}),
    (2, 64, {**HEADS, "run": 64, "target": "digits"}),
    (7, 40, {"target": "held"}), (32, 24, {"run": 1, "inner": 16, "target": "held"}),
    (6, 64, {"arrangement": "split", "run": 32, "inner": 2, "target": "held"})]


class _Case:
    """A job, codes of its product, its words and what must come of them."""

    def __init__(self, n, config, rng, base):
        m, channels, view = CASES[n]
        self.job = layer(rng, m, 8, channels, **view)
        self.config, self.base = config, base
        bits = 32 if self.job.target == "wide" else 8
        self.product = rng.integers(-(1 << bits - 1), 1 << bits - 1, (m, channels))
        self.product[0, :2] = -(1 << bits - 1), (1 << bits - 1) - 1
        self.fields = fields_of(self.job, config, index=n, status=0x8000 + 64 * n,
                                **KIND.result_places(self.job, 0x40_0000 * (n + 1) + 8, config))
        self.y = self.job.view(self.product)
        self.words = []
        for word in words_of(self.job, self.fields):
            lanes = [sum((int(self.product[place]) & (1 << bits) - 1) << at * bits
                         for at, place in enumerate(lane)) for lane in word]
            self.words.append({"lanes": [*lanes, 0x5A5A][:2], "single": len(word) == 1,
                               "short": bits == 8 and len(word[0]) == 8})
        self.written = self._bytes()

    def _bytes(self):
        """By address."""
        layout, at = KIND.layout(self.config), self.fields["out"]
        if self.job.output_is_held:
            return {}
        if self.job.target == "digits":
            planes = [(at, layout.pack("i", self.y)), (self.fields["out_f"],
                                                       layout.pack("f", self.y))]
        else:
            planes = [(at, self.y.astype("<i4" if self.job.target == "wide" else "i1"))]
        return {begin + n: byte for begin, plane in planes
                for n, byte in enumerate(np.ascontiguousarray(plane).tobytes())}

    def held(self):
        """Codes by place of a unit and row of a pair."""
        sizes = Sizes(self.config)
        unit, per = sizes.unit, sizes.granule // sizes.unit
        stride, every = sizes.granules(self.y.shape[1]), sizes.ring * per
        padded = np.pad(self.y, ((0, 0), (0, -self.y.shape[1] % unit)))
        return {((self.base + row // 2 * stride) * per % every + n // unit, row % 2):
                padded[row, n : n + unit].tolist()
                for row in range(len(padded)) for n in range(0, padded.shape[1], unit)}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_outputs(config, stall):
    rng, drawn = Random(4), np.random.default_rng(4)
    cases = [_Case(n, config, drawn, drawn.integers(0, Sizes(config).ring))
             for n in range(len(CASES))]
    dut, memory, held, strobes = LinearOutput(config=config), {}, {}, []

    async def host(ctx):
        for n, case in enumerate(cases):
            ctx.set(dut.job, case.fields)
            ctx.set(dut.base, int(case.base))
            ctx.set(dut.read_beats, 1000 + n)
            ctx.set(dut.clipped, 77 * n)
            ctx.set(dut.valid, 1)
            taken = False
            while not taken:
                _, _, taken, failed = await ctx.tick().sample(dut.taken, dut.failed)
            ctx.set(dut.valid, 0)
            strobes.append(failed)
            assert held == (case.held() if case.job.output_is_held else {})
            held.clear()

    async def words(ctx):
        for case in cases:
            await send(ctx, dut.word, case.words, rng, stall)

    async def writer(ctx):
        """Beats go where the request before them said."""
        at = left = 0
        while True:
            ctx.set(dut.req.ready, left == 0 and rng.random() >= stall)
            ctx.set(dut.o.ready, left > 0 and rng.random() >= stall)
            _, _, asks, asked, request, gives, taken, beat = await ctx.tick().sample(
                dut.req.valid, dut.req.ready, dut.req.payload, dut.o.valid, dut.o.ready,
                dut.o.payload)
            if asks and asked:
                at, left = request.address, request.beats
                assert not request.refused and request.record == (at < 0x1_0000)
            if gives and taken:
                for n, byte in enumerate(beat.data.to_bytes(8, "little")):
                    assert at + n not in memory
                    memory[at + n] = byte
                at, left = at + 8, left - 1

    async def buffers(ctx):
        while True:
            _, _, write, i, f = await ctx.tick().sample(dut.write, dut.i, dut.f)
            if write.en:
                held[write.place, write.parity] = [
                    (16 * whole.mag + rest.mag) * (-1 if rest.sign else 1)
                    for whole, rest in zip(i, f, strict=True)]

    simulate(dut, host, words, background=[writer, buffers], limit=40_000)
    for n, case in enumerate(cases):
        raw = bytes(memory.pop(case.fields["status"] + at) for at in range(64))
        assert read_status(raw, case.job, config) == LinearStatus(
            done=True, error=Error.NONE, clipped=77 * n, read_bytes=8 * (1000 + n),
            write_bytes=64 + len(case.written))
    assert memory == {at: byte for case in cases for at, byte in case.written.items()}
    assert not any(strobes)


@pytest.mark.parametrize("bad", [False, True])
def test_errors(bad):
    """A refused job has a record alone; one that met an error of the bus writes no more, and
    nothing is left of it."""
    case = _Case(0, TINY, np.random.default_rng(1), 0)
    fields = case.fields if bad else {**case.fields, "error": Error.LENGTH}
    dut, asked, beats = LinearOutput(config=TINY), [], []

    async def body(ctx):
        ctx.set(dut.job, fields)
        ctx.set(dut.bad, bad)
        for signal, value in ((dut.valid, 1), (dut.clipped, 5), (dut.read_beats, 9),
                              (dut.req.ready, 1), (dut.o.ready, 1)):
            ctx.set(signal, value)
        taken = False
        while not taken:
            _, _, taken, failed, asks, request, gives, beat = await ctx.tick().sample(
                dut.taken, dut.failed, dut.req.valid, dut.req.payload, dut.o.valid, dut.o.payload)
            asked.extend([(request.address, request.record)] * asks)
            beats.extend([beat.data] * gives)
        assert failed

    async def words(ctx):
        if bad:
            await send(ctx, dut.word, case.words)

    simulate(dut, body, words)
    assert asked == [(fields["status"], 1)]
    raw = b"".join(beat.to_bytes(8, "little") for beat in beats)
    assert read_status(raw, case.job, TINY) == LinearStatus(
        done=True, error=Error.BUS if bad else Error.LENGTH)


def test_beyond_the_last_address():
    """What would be written there is refused."""
    case = _Case(0, TINY, np.random.default_rng(1), 0)
    dut, asked = LinearOutput(config=TINY), []

    async def body(ctx):
        ctx.set(dut.job, {**case.fields, "out": (1 << 32) - 3 * 40})
        for signal in (dut.valid, dut.req.ready, dut.o.ready):
            ctx.set(signal, 1)
        taken = False
        while not taken:
            _, _, taken, asks, request = await ctx.tick().sample(
                dut.taken, dut.req.valid, dut.req.payload)
            asked.extend([(request.address, request.refused)] * (asks and not request.record))

    async def words(ctx):
        await send(ctx, dut.word, case.words)

    simulate(dut, body, words)
    assert {refused for _, refused in asked} == {0, 1}
    assert all(refused == (address < 1 << 31) for address, refused in asked)
