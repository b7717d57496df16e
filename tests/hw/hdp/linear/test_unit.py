# SPDX-License-Identifier: Apache-2.0
"""The unit with a memory and with an array of integers: slots, held X and what is counted."""

from random import Random

import numpy as np
import pytest

from prunus.golden.hdp.linear import LinearKind, linear
from prunus.golden.image import build_image, described, failed, read_results
from prunus.golden.records import Error
from prunus.hw.hdp.linear.unit import LinearUnit
from prunus.hw.shell.descriptor import descriptor_layout
from tests.hw.hdp.linear.layers import TINY, layer
from tests.hw.helpers import simulate

KIND = LinearKind()
LATENCY = 18            # of buffers and array, from an operation to its block


class _Array:
    """Buffers of X and W, and blocks of their products a few cycles behind their operations."""

    def __init__(self):
        self.x, self.w = {}, {}
        self.acc = np.zeros((2, 2), int)

    def write(self, table, write, i, f):
        codes = [(whole.mag * (1 if write.narrow else 16) + (0 if write.narrow else rest.mag))
                 * (-1 if whole.sign else 1) for whole, rest in zip(i, f, strict=True)]
        for n, code in enumerate(codes):
            table[16 * write.place + n, write.parity] = code

    def work(self, op):
        """The sums so far of the block of an operation."""
        if op.first:
            self.acc[:] = 0
        for n in range(TINY.taps * (2 if op.narrow else 1)):
            x, w = ([table.get((TINY.taps * at + n, parity), 0) for parity in range(2)]
                    for table, at in ((self.x, op.x), (self.w, op.w)))
            self.acc += np.outer(x, w)
        return self.acc.copy()


def _tables():
    def make(seed, *shape, **more):
        return layer(np.random.default_rng(seed), *shape, **more)

    first = make(1, 6, 32, 32, target="held")
    second = make(2, 6, 32, 48, held=True, target="held")
    object.__setattr__(second, "x", linear(first).y)
    third = make(3, 6, 48, 16, held=True)
    object.__setattr__(third, "x", linear(second).y)
    return [make(4, 5, 24, 24), make(5, 3, 40, 16, bits=4), first, second, third,
            make(6, 4, 8, 8, residual=np.full((4, 8), 3), residual_scale=(1, 0)), first,
            make(7, 4, 24, 16)]


def _play(jobs, image, bad=(), stall=0.0, lost=()):
    """The unit with a memory; what comes out of it, and whether each job failed. Those that are
    ``lost`` never come to it."""
    dut, rng, memory = LinearUnit(config=TINY), Random(2), bytearray(image.data)
    array, ended = _Array(), []
    names = [name for name, _ in descriptor_layout(TINY)]

    async def host(ctx):
        for n in sorted({*range(len(jobs))} - {*lost}):
            values = described(image, n, KIND, TINY)
            words = {name: value for name, value in values.items() if name in names}
            ctx.set(dut.job.payload, {**words, "kind": 1, "index": n})
            ctx.set(dut.job.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.job.ready)
            ctx.set(dut.job.valid, 0)
        while len(ended) < len(jobs) - len(lost):
            await ctx.tick()

    async def reads(ctx):
        requests, beats = [], []
        while True:
            ctx.set(dut.read_req.ready, rng.random() >= stall)
            shown = bool(beats) and rng.random() >= stall
            ctx.set(dut.read.valid, shown)
            if shown:
                ctx.set(dut.read.payload, beats[0])
            _, _, asks, asked, request = await ctx.tick().sample(
                dut.read_req.valid, dut.read_req.ready, dut.read_req.payload)
            if shown:
                beats.pop(0)
            if asks and asked:
                requests.append(request)
                for n in range(request.beats):
                    at = request.address + 8 * n
                    beats.append({"data": int.from_bytes(memory[at : at + 8], "little"),
                                  "error": at in bad, "last": n == request.beats - 1})

    async def writes(ctx):
        at = left = 0
        while True:
            ctx.set(dut.write_req.ready, left == 0 and rng.random() >= stall)
            ctx.set(dut.write.ready, left > 0 and rng.random() >= stall)
            _, _, asks, asked, request, gives, taken, beat = await ctx.tick().sample(
                dut.write_req.valid, dut.write_req.ready, dut.write_req.payload,
                dut.write.valid, dut.write.ready, dut.write.payload)
            if asks and asked:
                at, left = request.address, request.beats
            if gives and taken:
                memory[at : at + 8] = beat.data.to_bytes(8, "little")
                at, left = at + 8, left - 1

    async def multiply(ctx):
        blocks = []         # (cycles left, tag, sums)
        while True:
            blocks = [(left - 1, *rest) for left, *rest in blocks]
            early = next((tag for left, tag, _ in blocks if left == 2), None)
            now = next((block for block in blocks if block[0] == 0), None)
            ctx.set(dut.early, early or {"pair": 0})
            ctx.set(dut.valid, now is not None)
            if now:
                ctx.set(dut.tag, now[1])
                for n, value in enumerate(now[2].ravel()):
                    ctx.set(dut.sums[n], int(value))
            _, _, en, op, x, xi, xf, w, wi, wf = await ctx.tick().sample(
                dut.en, dut.op, dut.x_write, dut.x_i, dut.x_f, dut.w_write, dut.w_i, dut.w_f)
            if x.en:
                array.write(array.x, x, xi, xf)
            if w.en:
                array.write(array.w, w, wi, wf)
            if en:
                sums = array.work(op)
                if op.last:
                    tag = {name: op.tag[name] for name in ("pair", "slot", "ends", "single", "job")}
                    blocks.append((LATENCY, tag, sums))

    async def watch(ctx):
        while True:
            _, _, done, wrong = await ctx.tick().sample(dut.done, dut.failed)
            assert done or not wrong
            ended.extend([bool(wrong)] * done)

    simulate(dut, host, background=[reads, writes, multiply, watch], limit=40_000)
    return read_results(bytes(memory), image, jobs, TINY), ended


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_tables(stall):
    jobs = _tables()
    results, ended = _play(jobs, build_image(jobs, TINY), stall=stall)
    for job, (out, status) in zip(jobs, results, strict=True):
        assert status == KIND.record(job, linear(job), TINY)
        assert np.array_equal(out, linear(job).out)
    assert not any(ended)


@pytest.mark.parametrize(("met", "errors"), [
    ([(0, "x"), (2, "w"), (5, "r"), (6, "x")], {0, 2, 3, 4, 5, 6}),
    ([(1, "c"), (3, "c")], {1, 3, 4})])
def test_errors(met, errors):
    """Of the job that meets one, and of those that want what it would hold."""
    jobs = _tables()
    image = build_image(jobs, TINY)
    bad = {described(image, which, KIND, TINY)[plane] for which, plane in met}
    results, ended = _play(jobs, image, bad)
    for n, (job, (out, status)) in enumerate(zip(jobs, results, strict=True)):
        if n in errors:
            assert status == failed(job, Error.BUS, TINY)
        else:
            assert status == KIND.record(job, linear(job), TINY)
            assert np.array_equal(out, linear(job).out)
    assert ended == [n in errors for n in range(len(jobs))]


def test_parameters_stay_until_they_are_read():
    """Those of a tile of few channels, while those of the next but one wait for its place."""
    rng = np.random.default_rng(9)
    jobs = [layer(rng, 40, 8, 8), layer(rng, 2, 64, 80)]
    results, _ = _play(jobs, build_image(jobs, TINY))
    for job, (out, status) in zip(jobs, results, strict=True):
        assert status == KIND.record(job, linear(job), TINY)
        assert np.array_equal(out, linear(job).out)


def test_what_is_held_is_for_the_next_index():
    """Of a descriptor that could not be read nobody knows what it would hold."""
    first, second, third = _tables()[2:5]
    jobs = [first, second, third, _tables()[0]]
    results, ended = _play(jobs, build_image(jobs, TINY), lost=[1])
    assert results[2][1] == failed(third, Error.BUS, TINY)
    assert np.array_equal(results[3][0], linear(jobs[3]).out)
    assert ended == [False, True, False]


def test_all_fields_reach_the_unit():
    names = {name for name, _ in descriptor_layout(TINY)}
    assert {field.name for field in KIND.descriptor} - names == {"opcode"}
