# SPDX-License-Identifier: Apache-2.0
from collections import deque

import numpy as np
import pytest

from prunus.golden.leopard import digits
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.dot_product import DotProduct, sum_width
from tests.hw.helpers import simulate
from tests.hw.leopard.heads import codes

SIZES = [(8, 2, 8), (12, 2, 16), (5, 1, 8), (8, 3, 24), (10, 4, 40), (12, 12, 8), (16, 3, 64)]


def taken(q, k, config):
    """What each digit takes from the bound, by the specification's bounds."""
    half = 1 << config.width - 1
    bounds = [(half - 1) * np.maximum(q, 0).sum() + half * np.maximum(-q, 0).sum(),
              *(int(u[0, 0]) for u in digits.upper_bounds(
                  q[None], k[None], width=config.width, digit=config.digit))]
    return [int(before - after) >> digits.unread(t, config.width, config.digit)
            for t, (before, after) in enumerate(zip(bounds, bounds[1:], strict=False), 1)]


@pytest.mark.parametrize("width, digit, taps", SIZES)
def test_sums(width, digit, taps):
    """Another query and another digit in every cycle."""
    config = LeopardConfig(name="d", width=width, digit=digit, taps=taps, d_max=taps)
    rng = np.random.default_rng(width + taps)
    pairs = [(codes(rng, config, taps), codes(rng, config, taps)) for _ in range(12)]
    low, high = np.full(taps, config.min_code), np.full(taps, config.max_code)
    pairs += [(low, low), (low, high), (high, low), (high, high), (0 * low, high)]
    dut = DotProduct(config=config)

    async def bench(ctx):
        expected = deque([None] * dut.latency)
        for q, k in pairs:
            planes = digits.planes(k, width=width, digit=digit) & (1 << digit) - 1
            for t, (plane, total) in enumerate(zip(planes, taken(q, k, config), strict=True)):
                ctx.set(dut.query, [{"mag": abs(x), "positive": int(x > 0)} for x in q.tolist()])
                ctx.set(dut.digits, plane.tolist())
                ctx.set(dut.top, int(t == 0))
                assert 0 <= total < 1 << sum_width(config)
                expected.append(total)
                await ctx.tick()
                expected.popleft()
                if expected[0] is not None:
                    assert ctx.get(dut.o) == expected[0]

    simulate(dut, bench)
    assert dut.latency == 1 + -(-(taps - 1).bit_length() // 2)
