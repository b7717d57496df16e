# SPDX-License-Identifier: Apache-2.0
"""Results of blocks against golden's law, whatever the sums."""

from random import Random

import numpy as np
import pytest

from prunus.hw.hdp.linear.requantise import Requantiser
from tests.hw.hdp.linear.layers import TINY
from tests.hw.helpers import simulate

SUMS = (-(1 << 27), (1 << 27) - 1, -1, 0, 1)


def scaled(value, multiplier, shift):
    """Nearest integer of value * multiplier / 2^shift, halves up; of Python's integers."""
    return (2 * value * multiplier + (1 << shift)) >> (shift + 1)


def clip(value, bits):
    return max(-(1 << bits - 1), min(value, (1 << bits - 1) - 1))


def _number(rng, bits, signed=False):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    kind = rng.random()
    if kind < 0.2:
        return rng.choice([low, high, 0, 1])
    value = rng.getrandbits(rng.randint(1, bits))
    return clip(value if rng.random() < 0.5 else -value, bits) if signed else value


class Job:
    """What a slot wants of results, and its table."""

    def __init__(self, rng, activation, transposed, wide, residual):
        self.table = [rng.randrange(-128, 128) for _ in range(256)]
        self.scale = {"activation": activation, "wide": wide, "transposed": transposed,
                      "residual": residual, "residual_multiplier": _number(rng, 16),
                      "residual_shift": rng.choice([0, 1, 15, 16, 22, 63, rng.randrange(64)])}

    def result(self, total, record, more):
        """A sum with its bias becomes a code, or stays as it is; whether it is clipped."""
        t = total + record["bias"]
        if self.scale["wide"]:
            return clip(t, 32), False
        whole = scaled(t, record["multiplier"], record["shift"])
        code = clip(whole, 8)
        off = code != whole
        code = {1: max(code, 0), 2: self.table[code + 128]}.get(self.scale["activation"], code)
        if self.scale["residual"]:
            code = clip(code + scaled(more, self.scale["residual_multiplier"],
                                      self.scale["residual_shift"]), 8)
        return code, off


@pytest.mark.parametrize("seed", range(3))
def test_blocks(seed):
    """Blocks of two jobs, both slots of parameters, every second cycle or less often."""
    rng, dut = Random(seed), Requantiser(config=TINY)
    jobs = [Job(rng, rng.choice([0, 1, 2]), rng.randrange(2), 0, rng.randrange(2)),
            Job(rng, 0, 0, seed == 1, 0) if seed else Job(rng, 2, 1, 0, 1)]
    records = [[{"bias": _number(rng, 32, True), "multiplier": _number(rng, 16),
                 "shift": rng.choice([0, 7, 8, 63, rng.randrange(16, 40)])} for _ in range(64)]
               for _ in range(2)]
    blocks = []
    for _ in range(500):
        tag = {"pair": rng.randrange(32), "slot": rng.randrange(2), "job": rng.randrange(2),
               "ends": rng.randrange(2), "single": rng.randrange(2)}
        own = records[tag["slot"]][2 * tag["pair"] : 2 * tag["pair"] + 2]
        # About as large as what becomes codes, or extreme.
        sums = [rng.choice(SUMS) if rng.random() < 0.1 else clip(
            rng.randrange(-200, 200) * (1 << own[n % 2]["shift"]) // (own[n % 2]["multiplier"] or 1)
            - own[n % 2]["bias"] + rng.randrange(-3, 4), 28) for n in range(4)]
        blocks.append((tag, sums, [[rng.randrange(-128, 128) for _ in range(2)] for _ in range(2)],
                       rng.choice([0, 0, 0, 1, 2])))
    wanted = []
    for tag, sums, residuals, _ in blocks:
        job = jobs[tag["job"]]
        own = records[tag["slot"]][2 * tag["pair"] : 2 * tag["pair"] + 2]
        for second in range(2):
            lanes = []
            for lane in range(2):
                row, channel = (second, lane) if job.scale["transposed"] else (lane, second)
                lanes.append(job.result(sums[2 * row + channel], own[channel],
                                        residuals[second][lane]))
            wanted.append(([value for value, _ in lanes], [off for _, off in lanes],
                           tag["ends"] and second, tag["single"], tag["job"], second))
    got, taken, fed = [], [], []
    residuals = [codes for tag, _, both, _ in blocks if jobs[tag["job"]].scale["residual"]
                 for codes in both]

    async def drive(ctx):
        for n, job in enumerate(jobs):
            ctx.set(dut.jobs[n], job.scale)
            for index in range(32):
                word = bytes(code & 0xFF for code in job.table[8 * index : 8 * index + 8])
                ctx.set(dut.table, {"en": 1, "job": n, "index": index,
                                    "data": int.from_bytes(word, "little")})
                await ctx.tick()
        ctx.set(dut.table, {"en": 0, "index": 3})
        for slot, own in enumerate(records):
            for index, record in enumerate(own):
                fields = {**record, "bias": record["bias"] & 0xFFFF_FFFF}
                ctx.set(dut.channel, {"en": 1, "slot": slot, "index": index, "record": fields})
                await ctx.tick()
        ctx.set(dut.channel, {"en": 0})
        # When each block comes; its tag comes two cycles before it.
        times, now = {}, 2
        for tag, sums, _, gap in blocks:
            times[now] = tag, sums
            now += 2 + gap
        for cycle in range(now + dut.latency + 2):
            early = times.get(cycle + 2)
            ctx.set(dut.early, early[0] if early else {"pair": rng.randrange(32)})
            block = times.get(cycle)
            ctx.set(dut.valid, block is not None)
            if block:
                ctx.set(dut.tag, block[0])
                for n, value in enumerate(block[1]):
                    ctx.set(dut.sums[n], value)
            else:
                ctx.set(dut.sums[0], rng.randrange(1 << 20))
            await ctx.tick()

    async def feed(ctx):
        """Residuals, in the order in which they are taken."""
        while True:
            if fed != residuals:
                for lane, code in enumerate(residuals[len(fed)]):
                    ctx.set(dut.residual[lane], code)
            _, _, take, end, single = await ctx.tick().sample(
                dut.take_residual, dut.end_residual, dut.single_residual)
            if take:
                fed.append(residuals[len(fed)])
                taken.append((end, single))

    async def watch(ctx):
        while True:
            _, _, valid, o = await ctx.tick().sample(dut.o_valid, dut.o)
            if valid:
                wide = jobs[o.job].scale["wide"]
                lanes = [value - (value >> 31 << 32) for value in o.lanes] if wide else [
                    (value & 0xFF) - ((value & 0x80) << 1) for value in o.lanes]
                got.append((lanes, [bool(o.clipped >> n & 1) for n in range(2)], o.ends, o.single,
                            o.job, o.second))

    simulate(dut, drive, background=[feed, watch])
    assert got == wanted
    assert fed == residuals
    assert taken == [(tag["ends"] and second, tag["single"]) for tag, *_ in blocks
                     if jobs[tag["job"]].scale["residual"] for second in range(2)]
    codes = np.array([lanes for lanes, *_ in wanted])
    assert len(np.unique(codes)) > 50 and any(any(offs) for _, offs, *_ in wanted)


def test_latency():
    """A result comes so many cycles after its block."""
    dut = Requantiser(config=TINY)

    async def body(ctx):
        ctx.set(dut.valid, 1)
        await ctx.tick()
        ctx.set(dut.valid, 0)
        for cycle in range(1, dut.latency + 3):
            assert ctx.get(dut.o_valid) == (cycle in (dut.latency, dut.latency + 1))
            await ctx.tick()

    simulate(dut, body)
