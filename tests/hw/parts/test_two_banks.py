# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest
from amaranth.hdl import Module, Signal

from prunus.hw.parts.two_banks import two_banks
from tests.hw.helpers import simulate


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize("words", [1, 2, 6, 8, 13])
def test_one_is_written_while_the_other_is_read(words, single_port):
    m, rng = Module(), Random(words)
    en, read = Signal(), Signal()
    to, at = (Signal(range(2 * words)) for _ in range(2))
    data, answer = Signal(8), Signal(8)
    m.d.comb += answer.eq(two_banks(
        m, "memory", words=words, write_en=en, write_address=to, write_data=data, read_en=read,
        read_address=at, single_port=single_port))
    held = [None] * 2 * words

    async def testbench(ctx):
        expected = None
        for step in range(40 * words):
            bank = step // (4 * words) % 2
            where = bank * words + rng.randrange(words)
            other = (1 - bank) * words + rng.randrange(words)
            value, writes = rng.getrandbits(8), rng.random() < 0.8
            reads = held[other] is not None and rng.random() < 0.8
            ctx.set(en, writes)
            ctx.set(to, where)
            ctx.set(data, value)
            ctx.set(read, reads)
            ctx.set(at, other)
            await ctx.tick()
            if writes:
                held[where] = value
            if reads:
                expected = held[other]
            if expected is not None:            # and stays where nothing is read
                assert ctx.get(answer) == expected
        assert expected is not None

    simulate(m, testbench)
