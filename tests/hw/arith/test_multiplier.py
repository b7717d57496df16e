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


def config_of(width, frac, digits):
    return HdpConfig(name="test", width=width, frac=frac, digits=digits, multipliers=8)


def corners(rng, width, count):
    """Random numbers of ``width`` bits, the extremes well represented."""
    top = (1 << width) - 1
    return np.where(rng.random(count) < 0.4, rng.choice([0, 1, top], count),
                    rng.integers(0, top + 1, count))


class Digits:
    """Inputs of ``count`` cycles, full and integer or fraction products mixed, and the products.

    In a full product the digits are those of two codes; lower digits, truncated ones, are such
    that their product fits below that of the upper ones.
    """

    def __init__(self, rng, config, count):
        low, mag = config.low_width, config.format.int_mag
        upper, lower = max(mag, config.width - low), max(mag, low)
        self.full = rng.random(count) < 0.5
        x = np.array([corners(rng, w, count) for w in (max(upper, lower), lower, upper, lower)])
        y = np.array([corners(rng, w, count) for w in (upper, upper, lower, lower)])
        short = (1 << low) - 1
        x[1] = np.where(self.full, x[1] & short, x[1])
        x[3] = np.where(self.full, x[3] & short, x[3])
        y[2:] = np.where(self.full, y[2:] & short, y[2:])
        x[0] = np.where(self.full, x[0] & (1 << upper) - 1, x[0])
        sign_x, sign_y = rng.integers(0, 2, (2, 4, count))
        if config.digits == "truncated":
            # The sign of unit 0 is that of unit 3, or else its product is zero.
            other = self.full & (sign_x[0] ^ sign_y[0] ^ sign_x[3] ^ sign_y[3] == 1)
            x[0] = np.where(other, 0, x[0])
        self.x, self.y, self.sign_x, self.sign_y = x, y, sign_x, sign_y
        products = x * y * (1 - 2 * (sign_x ^ sign_y))
        weights = np.where(self.full, np.array([2 * low, low, low, 0])[:, None], 0)
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


@pytest.mark.parametrize("width, frac, digits", [
    *((*form, "truncated") for form in FORMATS),
    *((*form, "rounded") for form in FORMATS if form[0] - form[1] > 1),
    (8, 3, "rounded"), (8, 3, "truncated"), (8, 6, "rounded")])
def test_products(width, frac, digits):
    config = config_of(width, frac, digits)
    digits = Digits(np.random.default_rng(width + frac), config, 400)
    dut = ComposableMultiplier(config=config)
    got = run(dut, digits, 400)
    # With a short fraction digits that are those of no code may exceed the output.
    within = np.abs(digits.expected) < 1 << len(dut.o) - 1
    assert within.all() or (config.lift and within.mean() > 0.5)
    assert np.array(got)[within].tolist() == digits.expected[within].tolist()


def full_products(config, a, b, exact):
    """The digits of codes as the planes split them, of full products with or without FQ * FK."""
    (ai, af), (bi, bf) = config.format.split(a), config.format.split(b)
    digits = Digits(np.random.default_rng(5), config, len(a))
    digits.full[:] = True
    lifted_a, lifted_b = af << config.lift, bf << config.lift
    digits.x = abs(np.array([ai, lifted_a, ai, np.where(exact, lifted_a, 0)]))
    digits.y = abs(np.array([bi, bi, lifted_b, lifted_b]))
    # The sign of an integer digit is that of I, of a truncated fraction digit that of the code.
    a_sign, b_sign = (a < 0, b < 0) if config.digits == "truncated" else (af < 0, bf < 0)
    digits.sign_x = np.array([ai < 0, a_sign, ai < 0, a_sign], int)
    digits.sign_y = np.array([bi < 0, bi < 0, b_sign, b_sign], int)
    digits.expected = (a * b - np.where(exact, 0, af * bf)) << 2 * config.lift
    return digits


@pytest.mark.parametrize("config", [
    load_config("hdp_tiny"), load_config("hdp_w12"), load_config("hdp_fine"),
    *(config_of(8, frac, digits) for frac in (1, 3, 4, 6) for digits in ("truncated", "rounded")),
    config_of(12, 8, "rounded"), config_of(12, 4, "rounded")],
    ids=lambda config: f"{config.name}_w{config.width}_f{config.frac}_{config.digits}")
def test_codes(config):
    rng = np.random.default_rng(5)
    low, high = config.format.min_code, config.format.max_code
    a, b = (np.where(rng.random(500) < 0.3, rng.choice([low, high, -1, 0, 1], 500),
                     rng.integers(low, high + 1, 500)) for _ in range(2))
    a[:8], b[:8] = np.repeat([low, high], 4), np.tile([low, high], 4)
    digits = full_products(config, a, b, np.append([0, 0, 1, 1] * 2, rng.random(492) < 0.5))
    assert run(ComposableMultiplier(config=config), digits, 500) == digits.expected.tolist()


@pytest.mark.parametrize("frac", [3, 4])
def test_every_pair_of_rounded_digits(frac):
    """All pairs of codes that differ in their digits' magnitudes and signs where it matters: the
    largest of each digit, one less, one, none, in all combinations."""
    config = config_of(8, frac, "rounded")
    top, half = (1 << config.format.int_mag) - 1, 1 << frac - 1
    upper = [-top, 1 - top, -1, 0, 1, top - 1, top]
    codes = np.array([(i << frac) + f for i in upper for f in (-half, 1 - half, -1, 0, 1, half - 1)
                      if (i << frac) + f >= config.format.min_code])
    a, b = np.repeat(codes, len(codes)), np.tile(codes, len(codes))
    for exact in (False, True):
        digits = full_products(config, a, b, np.full(len(a), exact))
        assert run(ComposableMultiplier(config=config), digits, len(a)) == digits.expected.tolist()


def test_narrow_products():
    """Two codes of 8 bits times digits of 4, between full products and plain sums of digits."""
    config = load_config("heat_tiny")
    rng, count = np.random.default_rng(8), 600
    digits = Digits(rng, config, count)
    narrow = ~digits.full & (rng.random(count) < 0.6)
    a = np.where(rng.random((2, count)) < 0.3, rng.choice([-128, 127, -1, 0], (2, count)),
                 rng.integers(-128, 128, (2, count)))
    b = np.where(rng.random((2, count)) < 0.3, rng.choice([-8, 7, -1, 0], (2, count)),
                 rng.integers(-8, 8, (2, count)))
    a[:, :4], b[:, :4], narrow[:4], digits.full[:4] = -128, [-8, 7, -8, 7], True, False
    upper, lower = abs(a) >> 4, abs(a) & 15
    units = {"x": [lower[0], upper[0], upper[1], lower[1]],
             "sign_x": [a[0] < 0, a[0] < 0, a[1] < 0, a[1] < 0],
             "y": abs(b)[[0, 0, 1, 1]], "sign_y": (b < 0)[[0, 0, 1, 1]]}
    for name, values in units.items():
        setattr(digits, name, np.where(narrow, np.array(values, int), getattr(digits, name)))
    digits.expected = np.where(narrow, (a * b).sum(axis=0), digits.expected)
    dut, plain = ComposableMultiplier(config=config), digits.drive

    def drive(ctx, dut, n):
        plain(ctx, dut, n)
        ctx.set(dut.narrow, int(narrow[n]))

    digits.drive = drive
    got = np.array(run(dut, digits, count))
    within = np.abs(digits.expected) < 1 << len(dut.o) - 1
    assert within[narrow].all() and narrow.sum() > 100
    assert got[within].tolist() == digits.expected[within].tolist()
