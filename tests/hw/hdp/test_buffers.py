# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest
from amaranth.hdl import Value, unsigned

from prunus.hw.arith.multiplier import digit_layout
from prunus.hw.hdp.buffers import PlaneBuffer
from prunus.hw.verilog.emit import to_verilog
from tests.hw.helpers import simulate

BITS = 3

# (beat, read, step): a beat of eight reads to a read of eight beats, and the sizes of the presets.
RATIOS = [(8, 16, 16), (16, 2, 2), (16, 4, 4), (16, 4, 1), (8, 4, 2), (8, 8, 8), (4, 8, 2),
          (4, 16, 16), (2, 16, 4), (8, 2, 2), (8, 2, 1), (32, 4, 4), (16, 32, 8)]
# Two ports; a port for each bank; that and the rows of readers in registers.
MADE = [{}, {"single_port": True}, {"single_port": True, "columns": True},
        {"single_port": True, "streams": 1}, {"single_port": True, "streams": 2}, {"streams": 2}]
SHAPES = [(16, 4, 4), (16, 4, 2), (4, 16, 16), (4, 16, 4), (8, 8, 8), (8, 8, 1)]


def pack(elements):
    return sum(x << n * BITS for n, x in enumerate(elements))


class Model:
    """What the buffer holds: every element that may be read."""

    def __init__(self, beat, read, step=None, pairs=1):
        self.beat, self.read, self.step, self.pairs = beat, read, step or read, pairs
        self.rows = {}          # (bank, row): elements in whole words
        self.rng = Random(beat * 100 + read)

    def new_row(self, bank, row, d):
        """Beats of a row of ``d`` elements; it is readable once they are written."""
        word = max(self.beat, self.read)
        elements = [self.rng.choice([self.rng.getrandbits(BITS), 7, 1]) for _ in range(d)]
        padded = elements + [0] * (-d % word)
        self.rows[bank, row] = padded
        return [pack(padded[n : n + self.beat]) for n in range(0, d, self.beat)]

    def reads(self, bank, place, d):
        """All reads of some rows: first chunk and rows of elements; nothing is written after them.
        """
        first = 2 * self.pairs * place
        rows = [self.rows[bank, n] for n in range(first, first + 2 * self.pairs)
                if (bank, n) in self.rows]
        sizes = [self.step << n for n in range((self.read // self.step).bit_length())]
        return [(n // self.step, [row[n : n + size] for row in rows])
                for size in sizes for n in range(0, d, size)]


def write(ctx, dut, bank, row, beat, data, en=1):
    ctx.set(dut.write_en, en)
    ctx.set(dut.write_bank, bank)
    ctx.set(dut.write_row, row)
    ctx.set(dut.write_beat, beat)
    ctx.set(dut.write_data.as_value(), data)


def no_write(ctx, dut, rng):
    """What stands on the write port without its strobe does not matter."""
    bits = (len(signal) for signal in (dut.write_row, dut.write_beat, dut.write_data.as_value()))
    write(ctx, dut, rng.randrange(2), *map(rng.getrandbits, bits), en=0)


def check_rows(ctx, dut, rows):
    """Of the elements that are read those that were asked for."""
    size = len(rows[0])
    for n, row in enumerate(rows):
        assert ctx.get(Value.cast(dut.read_data[n])[: size * BITS]) == pack(row)


async def read_rows(ctx, dut, asked, bank=None, pair=None, chunk=None, rows=None):
    """A cycle with a read of ``rows`` or without; what was ``asked`` a latency ago is there."""
    ctx.set(dut.read_en, rows is not None)
    if rows is not None and hasattr(dut, "read_size"):
        ctx.set(dut.read_size, (len(rows[0]) // dut._step).bit_length() - 1)
    if hasattr(dut, "read_stream"):
        ctx.set(dut.read_stream, pair is not None and (pair + chunk + len(asked)) % 2)
    if rows is not None:
        ctx.set(dut.read_bank, bank)
        ctx.set(dut.read_pair, pair)
        ctx.set(dut.read_chunk, chunk)
        asked.append(rows)
    await ctx.tick()
    if len(asked) >= dut.latency:
        check_rows(ctx, dut, asked[-dut.latency])


async def fill(ctx, dut, model, bank, d, count, reads=None, stall=0.0):
    """Write the rows of a head; meanwhile check a read of the other bank per cycle.

    ``reads`` is what the other bank holds: (pair, chunk, rows).
    """
    rng = model.rng
    asked = []
    for row in range(count):
        beats = model.new_row(bank, row, d)
        while beats:
            if rng.random() >= stall:
                write(ctx, dut, bank, row, -(-d // model.beat) - len(beats), beats.pop(0))
            else:
                no_write(ctx, dut, rng)
            await read_rows(ctx, dut, asked, *((1 - bank, *rng.choice(reads)) if reads else ()))
    no_write(ctx, dut, rng)
    await ctx.tick()                # what is written can be read two cycles later


def expected_reads(model, bank, d, count):
    """Every read of a head that the array may ask for; none begins beyond d."""
    return [(pair, *read) for pair in range(-(-count // (2 * model.pairs)))
            for read in model.reads(bank, pair, d)]


async def check(ctx, dut, bank, reads):
    """Read all of a bank, a read per cycle."""
    asked = []
    for place in reads + reads[-1:] * (dut.latency - 1):
        await read_rows(ctx, dut, asked, bank, *place)


def run(dut, model, heads, rows, stall):
    """Heads of those dimensions, one after the other into alternate banks."""
    async def testbench(ctx):
        before = None
        for n, d in enumerate(heads):
            bank = n % 2
            await fill(ctx, dut, model, bank, d, rows, before, stall)
            reads = expected_reads(model, bank, d, rows)
            await check(ctx, dut, bank, reads)
            if before:
                await check(ctx, dut, 1 - bank, before)
            before = reads

    simulate(dut, testbench)


@pytest.mark.parametrize("made", MADE, ids=str)
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("beat, read, step", RATIOS)
def test_heads(beat, read, step, stall, made):
    d_max, rows = 32, 4
    dut = PlaneBuffer(shape=unsigned(BITS), beat=beat, read=read, step=step, rows=rows,
                      d_max=d_max, **made)
    # Long heads first, so that short ones find something in the rest of their words.
    run(dut, Model(beat, read, step), [32, 32, 8, 16, 24, 8, 32], rows, stall)


@pytest.mark.parametrize("rows, d_max", [(2, 8), (2, 40), (6, 24), (10, 8)])
@pytest.mark.parametrize("made", MADE, ids=str)
@pytest.mark.parametrize("beat, read, step", SHAPES)
def test_shapes(beat, read, step, rows, d_max, made):
    """One pair of rows, one word, sizes that are no power of two."""
    dut = PlaneBuffer(shape=unsigned(BITS), beat=beat, read=read, step=step, rows=rows,
                      d_max=d_max, **made)
    run(dut, Model(beat, read, step), [d_max, d_max, 8, d_max, 8], rows, 0.0)


@pytest.mark.parametrize("made", MADE[:3], ids=str)
@pytest.mark.parametrize("pairs, rows", [(2, 8), (4, 16), (4, 10), (4, 2), (2, 6)])
@pytest.mark.parametrize("beat, read, step", SHAPES)
def test_more_pairs_at_a_time(beat, read, step, pairs, rows, made):
    dut = PlaneBuffer(shape=unsigned(BITS), beat=beat, read=read, step=step, rows=rows, d_max=24,
                      pairs=pairs, **made)
    run(dut, Model(beat, read, step, pairs), [24, 24, 8, 16, 24], rows, 0.2)


def test_the_address_may_change_once_it_is_taken():
    dut = PlaneBuffer(shape=unsigned(BITS), beat=4, read=2, step=2, rows=4, d_max=8)
    model = Model(4, 2)

    async def testbench(ctx):
        await fill(ctx, dut, model, 0, 8, 4)
        reads = expected_reads(model, 0, 8, 4)
        (pair, chunk, rows), (other_pair, other_chunk, other) = reads[1], reads[-2]
        ctx.set(dut.read_en, 1)
        ctx.set(dut.read_pair, pair)
        ctx.set(dut.read_chunk, chunk)
        await ctx.tick()
        ctx.set(dut.read_pair, other_pair)
        ctx.set(dut.read_chunk, other_chunk)
        for _ in range(dut.latency - 1):
            await ctx.tick()
        check_rows(ctx, dut, rows)
        await ctx.tick()
        check_rows(ctx, dut, other)

    simulate(dut, testbench)


def test_elements_keep_their_layout():
    dut = PlaneBuffer(shape=digit_layout(4), beat=2, read=2, step=2, rows=2, d_max=8)

    async def testbench(ctx):
        ctx.set(dut.write_en, 1)
        for row in range(2):
            ctx.set(dut.write_row, row)
            ctx.set(dut.write_data, [{"mag": 3 + row, "sign": 0}, {"mag": 9, "sign": 1}])
            await ctx.tick()
        ctx.set(dut.write_en, 0)
        ctx.set(dut.read_en, 1)
        for _ in range(1 + dut.latency):
            await ctx.tick()
        for row in range(2):
            elements = [ctx.get(dut.read_data[row][n]) for n in range(2)]
            assert [(x.mag, x.sign) for x in elements] == [(3 + row, 0), (9, 1)]

    simulate(dut, testbench)


@pytest.mark.parametrize("beat, read, step", [(4, 16, 4), (4, 8, 2), (8, 8, 4), (2, 16, 4)])
def test_the_rest_of_a_word_is_kept(beat, read, step):
    """Where it says so; elsewhere the first beat of a word clears it, as in a buffer without."""
    d_max, rows, rng = 32, 4, Random(beat + read)
    dut = PlaneBuffer(shape=unsigned(BITS), beat=beat, read=read, step=step, rows=rows,
                      d_max=d_max, keeps=True)
    word = max(beat, read)
    held = {(bank, row): [0] * d_max for bank in range(2) for row in range(rows)}

    async def testbench(ctx):
        for place in held:          # so that all of it is known
            for n in range(d_max // beat):
                write(ctx, dut, *place, n, 0)
                await ctx.tick()
        for _ in range(400):
            place, n = rng.choice(list(held)), rng.randrange(d_max // beat)
            elements, keep = [rng.getrandbits(BITS) for _ in range(beat)], rng.randrange(2)
            write(ctx, dut, *place, n, pack(elements))
            ctx.set(dut.write_keep, keep)
            await ctx.tick()
            if n * beat % word == 0 and not keep:
                held[place][n * beat : n * beat + word] = [0] * word
            held[place][n * beat : n * beat + beat] = elements
            no_write(ctx, dut, rng)
            await ctx.tick()
            ctx.set(dut.read_en, 1)
            ctx.set(dut.read_bank, place[0])
            ctx.set(dut.read_pair, place[1] // 2)
            at = n * beat // read * read
            ctx.set(dut.read_chunk, at // step)
            await ctx.tick().repeat(dut.latency)
            check_rows(ctx, dut, [held[place[0], place[1] & ~1 | side][at : at + read]
                                  for side in range(2)])

    simulate(dut, testbench)


@pytest.mark.parametrize("made", MADE, ids=str)
def test_what_was_read_stays(made):
    """Until the next read, whatever stands on the other inputs of the port."""
    dut = PlaneBuffer(shape=unsigned(BITS), beat=4, read=4, step=2, rows=8, d_max=8, **made)
    model = Model(4, 4, 2)

    async def testbench(ctx):
        await fill(ctx, dut, model, 1, 8, 8)
        for pair, chunk, rows in expected_reads(model, 1, 8, 8):
            ctx.set(dut.read_en, 1)
            ctx.set(dut.read_bank, 1)
            ctx.set(dut.read_pair, pair)
            ctx.set(dut.read_chunk, chunk)
            if hasattr(dut, "read_size"):
                ctx.set(dut.read_size, (len(rows[0]) // 2).bit_length() - 1)
            await ctx.tick()
            ctx.set(dut.read_en, 0)
            await ctx.tick().repeat(dut.latency - 1)
            for _ in range(4):
                check_rows(ctx, dut, rows)
                ctx.set(dut.read_bank, model.rng.randrange(2))
                ctx.set(dut.read_pair, model.rng.randrange(4))
                ctx.set(dut.read_chunk, model.rng.randrange(4))
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("streams", [1, 2])
def test_a_row_is_read_once(streams):
    """Word by word, for each reader, and again when its bank has been written."""
    dut = PlaneBuffer(shape=unsigned(BITS), beat=2, read=2, step=2, rows=4, d_max=8,
                      streams=streams)
    model, rng = Model(2, 2), Random(streams)

    async def testbench(ctx):
        reads = 0
        held = [(None, set())] * streams

        async def read(bank, pair, word, stream):
            ctx.set(dut.read_en, 1)
            ctx.set(dut.read_bank, bank)
            ctx.set(dut.read_pair, pair)
            ctx.set(dut.read_chunk, word)
            if streams > 1:
                ctx.set(dut.read_stream, stream)
            await ctx.tick()
            ctx.set(dut.read_en, 0)
            asked = ctx.get(dut.reads)
            await ctx.tick().repeat(dut.latency - 1)
            check_rows(ctx, dut, [model.rows[bank, 2 * pair + n][2 * word : 2 * word + 2]
                                  for n in range(2)])
            row, words = held[stream]
            if row != (bank, pair):
                words = set()
            assert asked == (word not in words)
            held[stream] = (bank, pair), words | {word}
            return asked

        for turn in range(6):
            bank = turn % 2
            await fill(ctx, dut, model, bank, 8, 4)
            held = [((None, set()) if row and row[0] == bank else (row, words))
                    for row, words in held]
            for _ in range(60):
                reads += await read(rng.randrange(2) if turn else 0, rng.randrange(2),
                                    rng.randrange(4), rng.randrange(streams))
        assert 0 < reads < 6 * 60

    simulate(dut, testbench)


def test_columns_that_are_not_wanted_rest():
    """A beat of a longer read, a read of a longer beat."""
    for beat, read, step, wanted in (
            (4, 16, 4, lambda n, size: set(range(n // 4, (n + size) // 4))),
            (16, 4, 2, lambda n, size: {n // 4})):
        dut = PlaneBuffer(shape=unsigned(BITS), beat=beat, read=read, step=step, rows=4, d_max=32,
                          columns=True)
        model = Model(beat, read, step)

        async def testbench(ctx, dut=dut, model=model, step=step, wanted=wanted):
            await fill(ctx, dut, model, 0, 32, 4)
            for pair, chunk, rows in expected_reads(model, 0, 32, 4):
                size = len(rows[0])
                ctx.set(dut.read_en, 1)
                ctx.set(dut.read_pair, pair)
                ctx.set(dut.read_chunk, chunk)
                if hasattr(dut, "read_size"):
                    ctx.set(dut.read_size, (size // step).bit_length() - 1)
                await ctx.tick()
                assert ctx.get(dut.reads) == sum(1 << n for n in wanted(chunk * step % 16, size))
                await ctx.tick().repeat(dut.latency - 1)
                check_rows(ctx, dut, rows)

        simulate(dut, testbench)


@pytest.mark.parametrize("beat, read, step", RATIOS)
def test_columns_can_be_emitted(beat, read, step):
    """A signal without bits cannot."""
    verilog, _ = to_verilog(PlaneBuffer(shape=unsigned(BITS), beat=beat, read=read, step=step,
                                        rows=4, d_max=32, columns=True, single_port=True), "top")
    assert "module top(" in verilog
