# SPDX-License-Identifier: Apache-2.0
"""What is written comes back, a beat in and a read out at a time."""

import numpy as np
import pytest

from prunus.hw.survivors.buffers import CodeBuffer
from tests.hw.helpers import simulate

SIZES = [(8, 8, 64), (4, 8, 24), (16, 8, 64), (8, 64, 64), (8, 24, 48), (32, 24, 48), (32, 8, 8),
         (8, 64, 128), (8, 40, 40), (2, 8, 16)]


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize("beat, read, d_max", SIZES)
def test_rows(beat, read, d_max, single_port):
    rng = np.random.default_rng(beat + read)
    rows, width = 5, 6
    dut = CodeBuffer(width=width, beat=beat, read=read, rows=rows, d_max=d_max,
                     single_port=single_port)
    beats, reads = -(-d_max // beat), -(-d_max // read)
    codes = rng.integers(-32, 32, (2, rows, max(beats * beat, reads * read)))

    async def testbench(ctx):
        places = [(b, r, n) for b in range(2) for r in range(rows) for n in range(beats)]
        for bank, row, n in rng.permutation(places):
            ctx.set(dut.write_en, 1)
            ctx.set(dut.write_bank, int(bank))
            ctx.set(dut.write_row, int(row))
            ctx.set(dut.write_beat, int(n))
            ctx.set(dut.write_data, codes[bank, row, n * beat : (n + 1) * beat].tolist())
            await ctx.tick()
        ctx.set(dut.write_en, 0)
        wanted = []
        places = [(b, r, n) for b in range(2) for r in range(rows) for n in range(reads)]
        for step, (bank, row, n) in enumerate([*rng.permutation(places), (0, 0, 0), (0, 0, 0)]):
            ctx.set(dut.en, 1)
            ctx.set(dut.bank, int(bank))
            ctx.set(dut.row, int(row))
            ctx.set(dut.chunk, int(n))
            wanted.append(codes[bank, row, n * read : min(d_max, (n + 1) * read)].tolist())
            if step >= dut.latency:
                expected = wanted[step - dut.latency]
                assert [ctx.get(code) for code in dut.data][: len(expected)] == expected
            await ctx.tick()
        ctx.set(dut.en, 0)          # data stays
        await ctx.tick()
        await ctx.tick()
        kept = [ctx.get(code) for code in dut.data]
        ctx.set(dut.row, 3)
        for _ in range(3):
            await ctx.tick()
            assert [ctx.get(code) for code in dut.data] == kept

    simulate(dut, testbench)
