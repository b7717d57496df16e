# SPDX-License-Identifier: Apache-2.0
from collections import deque

import numpy as np
import pytest

from prunus.golden.topk.config import TopkConfig
from prunus.hw.topk.dot_product import DotProduct
from tests.hw.helpers import simulate
from tests.hw.topk.heads import codes

SIZES = [(8, 8, 8), (8, 16, 48), (12, 24, 72), (4, 64, 64), (16, 40, 80)]


@pytest.mark.parametrize("width, taps, d_max", SIZES)
def test_scores(width, taps, d_max):
    """Keys of any number of chunks, with pauses between them; what is beyond d is anything."""
    config = TopkConfig(name="d", width=width, taps=taps, d_max=d_max, l_max=16)
    rng, dut = np.random.default_rng(width + taps), DotProduct(config=config)
    low, high = np.full(d_max, config.min_code), np.full(d_max, config.max_code)
    pairs = [(codes(rng, config, d_max), codes(rng, config, d_max)) for _ in range(12)]
    pairs += [(low, low), (low, high), (high, high)]
    steps, scores = [], []
    for n, (q, k) in enumerate(pairs):
        d = 8 * int(rng.integers(1, d_max // 8 + 1)) if n % 3 else d_max
        item = {"key": n % 16, "last": n % 2, "none": 0, "tag": n % 6}
        chunks = range(0, d, taps)
        for first in chunks:
            here = min(taps, d - first)
            q_chunk, k_chunk = (codes(rng, config, taps) for _ in range(2))
            size = len(q[first : first + taps])
            q_chunk[:size], k_chunk[:size] = q[first : first + taps], k[first : first + taps]
            steps.append(({"valid": 1, "first": first == 0, "done": first == chunks[-1],
                           "pieces": (1 << here // 8) - 1, "item": item}, q_chunk, k_chunk))
        steps += [({"valid": 0, "first": 1, "done": 1}, q_chunk, k_chunk)] * int(rng.integers(3))
        scores.append((item["key"], int(q[:d] @ k[:d])))
    got = []

    async def bench(ctx):
        late, due = np.zeros(taps, int), deque([0] * dut.latency)
        for step, q, k in [*steps, *[({"valid": 0}, late, late)] * (dut.latency + 1)]:
            ctx.set(dut.step, step)
            ctx.set(dut.query, q.tolist())
            ctx.set(dut.key, late.tolist())
            late = k
            due.append(step["valid"] and step["done"])
            _, _, valid, o = await ctx.tick().sample(dut.valid, dut.o)
            assert valid == due.popleft()
            if valid:
                got.append((o.item.key, o.score))

    simulate(dut, bench)
    assert got == scores
