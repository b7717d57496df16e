# SPDX-License-Identifier: Apache-2.0
"""The PE array against integer arithmetic, modes mixed at random."""

import numpy as np
import pytest

from prunus.hw.hdp.array import Array
from prunus.hw.hdp.groups import LOOKAHEAD
from prunus.hw.hdp.layouts import Mode, fraction_word, integer_dims, integer_word
from prunus.hw.hdp.linear.layouts import PAIRS
from tests.hw.hdp.heads import small_config
from tests.hw.helpers import simulate

# Multipliers, width, frac, digits and the chance of a cycle without an operation. Every depth of
# adder tree but the deepest, which takes seconds to build: the system tests of hdp_w12 have it.
CASES = [(8, 8, 4, "truncated", 0.0), (8, 8, 4, "truncated", 0.4), (8, 12, 8, "truncated", 0.3),
         (8, 12, 4, "truncated", 0.0), (8, 8, 1, "truncated", 0.0), (16, 8, 7, "truncated", 0.4),
         (32, 8, 4, "truncated", 0.2), (8, 8, 3, "rounded", 0.0), (8, 8, 4, "rounded", 0.3),
         (16, 8, 3, "rounded", 0.3), (8, 12, 8, "rounded", 0.0), (8, 8, 1, "rounded", 0.2),
         (8, 8, 6, "rounded", 0.2)]
# Wide arrays and their d_max; most of a minute is spent on building them.
WIDE_CASES = [(128, 12, 8, "truncated", 128), (256, 8, 4, "truncated", 64),
              (128, 8, 3, "rounded", 64)]


def codes(rng, allowed, shape):
    """Random codes with the extremes well represented."""
    low, high = allowed.min_code, allowed.max_code
    x = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.15, rng.choice([low, high, 0, -1], shape), x)


def word_of(mags, signs, width):
    """Sign-magnitude elements as the bits of a word, without bits beyond ``width`` of magnitudes; a
    row after the other."""
    bits = np.abs(mags) & (1 << width) - 1 | (np.asarray(signs, np.int64) << width)
    return sum(int(x) << n * (width + 1) for n, x in enumerate(bits.ravel()))


def drive_mode(ctx, dut, mode, exact=False):
    ctx.set(dut.mode, mode)
    select = {"en": 1, "mode": mode, "exact": exact}
    ctx.set(dut.select, [[[select] * 2] * dut._config.taps] * 2)


class Block:
    """A block of 2 queries x 2 keys x d dimensions, or a group of them, as the sequence of
    operations of a mode."""

    def __init__(self, rng, config, mode, exact, chunks=0):
        self.config, self.mode, self.exact = config, mode, exact
        step = {Mode.INTEGER: integer_dims(config), Mode.FRACTION: 2 * config.taps,
                Mode.FULL: config.taps}[mode]
        # Whole integer words, so that every chunk lies in one; a word may be less than a chunk.
        word = integer_word(config)
        self.chunks = chunks or int(rng.integers(1, max(2, min(4, 1 + config.d_max // step))))
        self.step = step
        d = -(-self.chunks * step // word) * word if step <= word else word
        # The keys of the whole group; only those at ``place`` belong to a block.
        self.q, self.keys = (codes(rng, config.format, (rows, d))
                             for rows in (2, 2 * config.group))
        self.q[:, self.chunks * step :] = 0
        self.noise = rng.integers(0, d, (1, max(word, fraction_word(config))))
        self.place = int(rng.integers(config.group))
        self.k = self.keys[2 * self.place : 2 * self.place + 2]
        self.column = int(rng.integers(config.blocks))

    def expected(self):
        (iq, fq), (ik, fk) = self.config.format.split(self.q), self.config.format.split(self.k)
        if self.mode == Mode.INTEGER:
            keys = self.config.format.split(self.keys)[0].reshape(-1, 2, self.keys.shape[1])
            return np.stack([(iq @ pair.T).ravel() for pair in keys])
        lift = self.config.lift
        if self.mode == Mode.FRACTION:
            return (fq @ ik.T + iq @ fk.T).ravel() << lift
        return (self.q @ self.k.T - (0 if self.exact else fq @ fk.T)).ravel() << 2 * lift

    def drive(self, ctx, dut, chunk):
        config = self.config
        position = chunk * self.step
        i_word, f_word = integer_word(config), fraction_word(config)
        for name, codes, size in (("q_i", self.q, i_word), ("k_i", self.keys, i_word),
                                  ("q_f", self.q, f_word), ("k_f", self.k, f_word)):
            integer, fraction = config.format.split(codes)
            signs = fraction < 0 if config.rounded else codes < 0
            part, signs, width = ((integer, integer < 0, config.format.int_mag) if name[2] == "i"
                                  else (fraction, signs, config.format.frac_mag))
            # Words begin with what is asked for and end in what is not.
            word = np.arange(position, position + size)[None] % self.q.shape[1]
            word = np.where(np.arange(size) < self.step, word, self.noise[:, :size])
            rows = np.arange(len(part))[:, None]
            ctx.set(dut.operands[name].as_value(),
                    word_of(part[rows, word], signs[rows, word], width))
        if config.group > 1:
            ctx.set(dut.operands.place, self.place)
        drive_mode(ctx, dut, self.mode, exact=self.exact)
        ctx.set(dut.tag.column, self.column)
        ctx.set(dut.first, chunk == 0)
        ctx.set(dut.last, chunk == self.chunks - 1)


class Values:
    """A chunk of T output dimensions over a few pairs of keys."""

    mode = Mode.VALUE

    def __init__(self, rng, config):
        self.config = config
        self.chunks = int(rng.integers(1, 5))
        self.v = codes(rng, config.codes_of("v"), (self.chunks, 2, config.taps))
        self.mant = rng.integers(-255, 256, (self.chunks, 2, 2))
        self.shift = rng.integers(0, 6, (self.chunks, 2))

    def expected(self):
        w = self.mant << (2 * self.shift)[..., None]
        return np.einsum("cqk,ckt->qt", w, self.v)

    def drive(self, ctx, dut, chunk):
        v = self.v[chunk]
        ctx.set(dut.operands.v.as_value(), word_of(v, v < 0, self.config.width))
        ctx.set(dut.operands.w, [
            {"shift": int(self.shift[chunk, q]),
             "mant": [{"mag": abs(int(x)), "sign": int(x < 0)} for x in self.mant[chunk, q]]}
            for q in range(2)])
        drive_mode(ctx, dut, self.mode)
        ctx.set(dut.first, chunk == 0)
        ctx.set(dut.last, chunk == self.chunks - 1)


@pytest.mark.parametrize("multipliers, width, frac, digits, bubbles", CASES)
def test_array(multipliers, width, frac, digits, bubbles):
    run(small_config(multipliers=multipliers, width=width, frac=frac, digits=digits, d_max=128),
        24, bubbles)


@pytest.mark.parametrize("multipliers, width, frac, digits", [
    (8, 8, 4, "truncated"), (8, 12, 8, "truncated"), (16, 8, 3, "rounded")])
def test_without_values(multipliers, width, frac, digits):
    """P.V has an array of its own."""
    config = small_config(multipliers=multipliers, width=width, frac=frac, digits=digits,
                          d_max=128, value_array="own")
    array = run(config, 24, 0.3)
    assert not {"value", "value_valid"} & set(array.signature.members)
    assert not {"v", "w"} & set(array.operands.shape().members)


@pytest.mark.slow
@pytest.mark.parametrize("multipliers, width, frac, digits, d_max", WIDE_CASES)
def test_groups(multipliers, width, frac, digits, d_max):
    run(small_config(multipliers=multipliers, width=width, frac=frac, digits=digits, d_max=d_max),
        6, 0.2)


@pytest.mark.parametrize("multipliers, d_max", [
    (64, 128), pytest.param(128, 32, marks=pytest.mark.slow),
    pytest.param(256, 128, marks=pytest.mark.slow)])
def test_groups_of_short_dimensions(multipliers, d_max):
    """Segments of the array end between two registers of the sums over it."""
    config = small_config(multipliers=multipliers, d_max=d_max, integer_span=32, value_array="own")
    assert (config.group, integer_dims(config)) == (multipliers // 32, 32)
    run(config, 9, 0.2)


@pytest.mark.parametrize("frac, digits", [(4, "truncated"), (4, "rounded"), (3, "rounded"),
                                          (1, "rounded")])
def test_extremes(frac, digits):
    """The largest scores there are, of either sign: all products of d_max dimensions are alike."""
    config = small_config(multipliers=8, frac=frac, digits=digits, d_max=128)
    rng = np.random.default_rng(1)
    low, high = config.format.min_code, config.format.max_code
    blocks = []
    for mode, dims in ((Mode.INTEGER, integer_dims(config)), (Mode.FRACTION, 2 * config.taps),
                       (Mode.FULL, config.taps)):
        for exact in (False, True):
            block = Block(rng, config, mode, exact, config.d_max // dims)
            block.q[:] = [[low], [high]]
            block.keys[:] = [[low], [high]]
            # Of the lowest and highest fractions as well, where those are larger products.
            block.q[0, ::2] += exact << frac - 1
            blocks.append(block)
    check(config, blocks, [], rng, 0.0)


def run(config, count, bubbles):
    """So many blocks and half as many chunks of values; the array that they went through."""
    rng = np.random.default_rng(7)
    modes = [Mode.INTEGER, Mode.FRACTION, Mode.FULL]
    blocks = [Block(rng, config, modes[n % 3], bool(rng.integers(2))) for n in range(count)]
    values = [] if config.own_values else [Values(rng, config) for _ in range(count // 2)]
    return check(config, blocks, values, rng, bubbles)


def check(config, blocks, values, rng, bubbles):
    """Blocks and values in an order of chance."""
    dut = Array(config=config)
    early = []
    got = {"integer": [], "score": [], "value": []}

    async def drive(ctx):
        left = [[(b, c) for b in blocks for c in range(b.chunks)],
                [(v, c) for v in values for c in range(v.chunks)]]
        while any(left):
            queue = left[int(rng.random() < 0.5)] or left[0] or left[1]
            idle = rng.random() < bubbles
            ctx.set(dut.en, not idle)
            if not idle:
                item, chunk = queue.pop(0)
                item.drive(ctx, dut, chunk)
            await ctx.tick()
        ctx.set(dut.en, 0)
        latency = dut.score_latency
        await ctx.tick().repeat((max(latency, dut.value_latency) if values else latency) + 1)

    async def watch(ctx):
        while True:
            early.append(ctx.get(dut.score_early.column))
            column = ctx.get(dut.score_tag.column)
            if ctx.get(dut.integer_valid):
                assert not ctx.get(dut.score_valid)
                got["integer"].append(([[ctx.get(dut.integer[b][n]) for n in range(4)]
                                        for b in range(config.group)], column))
            if ctx.get(dut.score_valid):
                assert early[-1 - LOOKAHEAD] == column
                got["score"].append(([ctx.get(dut.score[n]) for n in range(4)], column))
            if values and ctx.get(dut.value_valid):
                got["value"].append([[ctx.get(dut.value[q][n]) for n in range(config.taps)]
                                     for q in range(2)])
            await ctx.tick()

    simulate(dut, drive, background=[watch])
    for name, mine in (("integer", [b for b in blocks if b.mode == Mode.INTEGER]),
                       ("score", [b for b in blocks if b.mode != Mode.INTEGER])):
        assert [(b.expected().tolist(), b.column) for b in mine] == got[name]
    assert [v.expected().tolist() for v in values] == got["value"]
    return dut


class Linear:
    """A block of a linear job: 2 rows x 2 channels, of weights of 8 bits or of 4."""

    def __init__(self, rng, config, narrow, extreme):
        self.config, self.narrow = config, narrow
        self.step = config.taps * (2 if narrow else 1)
        self.chunks = int(rng.integers(1, 9))
        low = 8 if narrow else 128
        size = self.chunks * self.step
        self.x, self.w = (rng.choice([-most, most - 1] if extreme else np.arange(-most, most),
                                     (2, size)) for most in (128, low))
        self.junk = rng.integers(0, 256, (2, 4 * config.taps))
        self.tag = {"pair": int(rng.integers(PAIRS)), "slot": int(rng.integers(2)),
                    "ends": int(rng.integers(2)), "single": int(rng.integers(2)),
                    "job": int(rng.integers(2))}

    def expected(self):
        return (self.x @ self.w.T).ravel().tolist()

    def drive(self, ctx, dut, chunk):
        ops, place = dut.operands, np.s_[chunk * self.step : (chunk + 1) * self.step]

        def put(name, mags, signs):
            """What was asked for comes first; nobody looks at the rest."""
            view = ops[name]
            width = len(view.as_value()) // 5 // 2      # a magnitude of 4 bits and a sign
            both = [np.concatenate([own[:, :width], rest[:, : max(0, width - own.shape[1])]], 1)
                    for own, rest in ((mags, self.junk & 15), (signs, self.junk >> 7))]
            ctx.set(view.as_value(), word_of(*both, 4))

        x, w = self.x[:, place], self.w[:, place]
        put("q_i", abs(x) >> 4, x < 0)
        put("q_f", abs(x) & 15, x < 0)
        put("k_i", abs(w) if self.narrow else abs(w) >> 4, w < 0)
        put("k_f", self.junk[:, : self.step] & 15 if self.narrow else abs(w) & 15, w < 0)
        mode = Mode.FRACTION if self.narrow else Mode.FULL
        ctx.set(dut.mode, mode)
        select = {"en": 1, "mode": mode, "exact": 1, "narrow": self.narrow}
        ctx.set(dut.select, [[[select] * 2] * self.config.taps] * 2)
        ctx.set(dut.first, chunk == 0)
        ctx.set(dut.last, chunk == self.chunks - 1)
        ctx.set(dut.linear, 1)
        ctx.set(dut.linear_tag, self.tag)


@pytest.mark.parametrize(("multipliers", "bubbles", "values"), [
    (8, 0.0, "shared"), (8, 0.3, "shared"), (32, 0.1, "shared"), (8, 0.3, "own")])
def test_linear_blocks(multipliers, bubbles, values):
    """Of 8 and of 4 bits, and blocks of heads between them."""
    config = small_config(multipliers=multipliers, d_max=128, linear=True, value_array=values)
    rng = np.random.default_rng(multipliers)
    blocks = [Block(rng, config, mode, bool(rng.integers(2))) if n % 4 == 3 else
              Linear(rng, config, n % 2, n % 5 == 0)
              for n, mode in zip(range(48), [Mode.FRACTION, Mode.FULL] * 24, strict=True)]
    dut, early = Array(config=config), []
    got = {"score": [], "linear": []}

    async def drive(ctx):
        for block in blocks:
            for chunk in range(block.chunks):
                ctx.set(dut.linear, 0)
                block.drive(ctx, dut, chunk)
                ctx.set(dut.en, 1)
                await ctx.tick()
                while rng.random() < bubbles:
                    ctx.set(dut.en, 0)
                    await ctx.tick()
        ctx.set(dut.en, 0)
        await ctx.tick().repeat(dut.score_latency + 1)

    async def watch(ctx):
        while True:
            early.append(ctx.get(dut.linear_early).as_bits())
            score = [ctx.get(dut.score[n]) for n in range(4)]
            if ctx.get(dut.score_valid):
                assert not ctx.get(dut.linear_valid)
                got["score"].append((score, ctx.get(dut.score_tag.column)))
            if ctx.get(dut.linear_valid):
                tag = ctx.get(dut.linear_done)
                assert early[-3] == tag.as_bits()
                got["linear"].append((score, {name: tag[name] for name in (
                    "pair", "slot", "ends", "single", "job")}))
            await ctx.tick()

    simulate(dut, drive, background=[watch])
    assert got["linear"] == [(block.expected(), block.tag) for block in blocks
                             if isinstance(block, Linear)]
    assert got["score"] == [(block.expected().tolist(), block.column) for block in blocks
                            if isinstance(block, Block)]
