# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.hdl import Signal, signed

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.arith.multiplier import ComposableMultiplier, add_sub, multiply
from tests.hw.helpers import evaluate, simulate

# Digits as wide as each other, a wide fraction, a wide integer part, and the ends of both.
FORMATS = [(8, 4), (12, 8), (12, 4), (8, 1), (8, 7), (12, 6)]


@pytest.mark.parametrize("a_width, b_width", [(1, 1), (1, 4), (4, 1), (3, 2), (4, 4), (5, 3),
                                              (3, 5), (2, 6), (1, 7)])
def test_multiply(a_width, b_width):
    a, b = Signal(a_width), Signal(b_width)
    product = multiply(a, b)
    assert len(product) <= a_width + b_width
    assert all(o == x * y for x, y, o in evaluate(product, a, b))


@pytest.mark.parametrize("a_shape", [1, 3, signed(1), signed(4)])
@pytest.mark.parametrize("b_shape", [1, 2, 4, signed(1), signed(3), signed(4)])
def test_add_sub(a_shape, b_shape):
    a, b, subtract = Signal(a_shape), Signal(b_shape), Signal()
    total = add_sub(a, b, subtract)
    assert total.shape().signed
    assert all(o == (x - y if less else x + y)
               for x, y, less, o in evaluate(total, a, b, subtract))


def config_of(width, frac):
    return HdpConfig(name="test", width=width, frac=frac, multipliers=8)


def corners(rng, width, count):
    """Random numbers of ``width`` bits, the extremes well represented."""
    top = (1 << width) - 1
    return np.where(rng.random(count) < 0.4, rng.choice([0, 1, top], count),
                    rng.integers(0, top + 1, count))


class Digits:
    """Inputs of ``count`` cycles, full and integer or fraction products mixed, and the products.

    In a full product the digits are those of two codes: fraction digits, of which the pair of
    fraction bits fits below the product of the integer parts.
    """

    def __init__(self, rng, config, count):
        frac = config.frac
        digit = max(config.int_width, frac)
        self.full = rng.random(count) < 0.5
        x = np.array([corners(rng, w, count) for w in (digit, digit, config.int_width, digit)])
        y = np.array([corners(rng, w, count) for w in (config.int_width,) * 2 + (digit,) * 2])
        short = (1 << frac) - 1
        x[1] = np.where(self.full, x[1] & short, x[1])
        x[3] = np.where(self.full, x[3] & short, x[3])
        y[2:] = np.where(self.full, y[2:] & short, y[2:])
        x[0] = np.where(self.full, x[0] & (1 << config.int_width) - 1, x[0])
        sign_x, sign_y = rng.integers(0, 2, (2, 4, count))
        # The sign of unit 0 is that of unit 3, or else its product is zero.
        other = self.full & (sign_x[0] ^ sign_y[0] ^ sign_x[3] ^ sign_y[3] == 1)
        x[0] = np.where(other, 0, x[0])
        self.x, self.y, self.sign_x, self.sign_y = x, y, sign_x, sign_y
        products = x * y * (1 - 2 * (sign_x ^ sign_y))
        weights = np.where(self.full, np.array([2 * frac, frac, frac, 0])[:, None], 0)
        self.expected = (products << weights).sum(axis=0)

    def drive(self, ctx, dut, n):
        for port, mag, sign in ((dut.x, self.x, self.sign_x), (dut.y, self.y, self.sign_y)):
            ctx.set(port, [{"mag": int(mag[u, n]), "sign": int(sign[u, n])} for u in range(4)])
        ctx.set(dut.full, int(self.full[n]))


def run(dut, digits, count):
    """A result per cycle, ``latency`` later."""
    got = []

    async def testbench(ctx):
        for n in range(count + dut.latency):
            if n >= dut.latency:
                value = ctx.get(dut.o)
                got.append(-value if ctx.get(dut.o_sign) else value)
            if n < count:
                digits.drive(ctx, dut, n)
            await ctx.tick()

    simulate(dut, testbench)
    return got


@pytest.mark.parametrize("width, frac", FORMATS)
def test_products(width, frac):
    config = config_of(width, frac)
    digits = Digits(np.random.default_rng(width + frac), config, 400)
    assert run(ComposableMultiplier(config=config), digits, 400) == digits.expected.tolist()


@pytest.mark.parametrize("preset", ["hdp_tiny", "hdp_w12"])
def test_codes(preset):
    """A full product of codes split as the planes split them, with and without FQ * FK."""
    config = load_config(preset)
    rng = np.random.default_rng(5)
    low, high = config.format.min_code, config.format.max_code
    a, b = (np.where(rng.random(500) < 0.3, rng.choice([low, high, -1, 0, 1], 500),
                     rng.integers(low, high + 1, 500)) for _ in range(2))
    (ai, af), (bi, bf) = config.format.split(a), config.format.split(b)
    exact = rng.random(500) < 0.5
    digits = Digits(rng, config, 500)
    digits.full[:] = True
    digits.x = abs(np.array([ai, af, ai, np.where(exact, af, 0)]))
    digits.y = abs(np.array([bi, bi, bf, bf]))
    # The sign of an integer digit is that of I, of a fraction digit that of the code.
    digits.sign_x = np.array([ai < 0, a < 0, ai < 0, a < 0], int)
    digits.sign_y = np.array([bi < 0, bi < 0, b < 0, b < 0], int)
    expected = a * b - np.where(exact, 0, af * bf)
    assert run(ComposableMultiplier(config=config), digits, 500) == expected.tolist()
