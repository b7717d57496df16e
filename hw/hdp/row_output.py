# SPDX-License-Identifier: Apache-2.0
"""From accumulated chunks to rows of output words."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import EXP_FRAC, RECIP_BITS
from prunus.hw.hdp.layouts import value_layout
from prunus.hw.parts.copies import kept_copy
from prunus.hw.softmax.normalise import NormaliseLane

__all__ = ["CHUNKS", "RowOutput", "output_row_layout"]

CHUNKS = 8      # chunks that may wait between the array and the normaliser
SPAN = 8        # words: a row is whole spans of them; a beat is part of one, one, or several


def output_row_layout(config: HdpConfig) -> data.StructLayout:
    """A row of blocks on its way to the output.

    With ``fetches`` each chunk comes with a pair of keys that causal rows begin to see:
    ``sees[2*query + key]`` says which query sees which; the sums are then ``running`` for the rows
    after it, until then those of V in bank ``kv``. ``r`` and ``p`` are the reciprocal of the
    denominator; the output of a query that is ``empty`` is zero.

    With ``HdpConfig.tile``: a row that does not ``end`` is only added to the sums of ``row`` of its
    strip, anew unless it ``resumes`` them.
    """
    tiled = {"row": config.block_width, "resumes": 1, "ends": 1} if config.tile else {}
    return data.StructLayout({
        "bank": 1,
        "kv": 1,
        "running": 1,
        "last": 1,
        "d8": 5,
        "e0": data.ArrayLayout(EXP_FRAC, 2),
        "r": data.ArrayLayout(RECIP_BITS + 1, 2),
        "p": data.ArrayLayout(5, 2),
        "empty": data.ArrayLayout(1, 2),
        "fetches": 1,
        "sees": data.ArrayLayout(1, 4),
        **tiled,
    })


class RowOutput(wiring.Component):
    """Adds the background, normalises, and packs two output rows into beats.

    ``output_lanes`` dimensions of both queries per cycle; ``latency`` cycles from the last
    dimensions of a beat to the beat. A row that resumes the sums of a tile waits for
    what is on its way into them, a few cycles.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    row : In(stream of output_row_layout)
    value_valid, value : In
        A chunk of T dimensions from the array, of both queries in units of 2**-EXP_FRAC.
    fetch_valid, fetch : In
        The pair of keys of V that belongs to a chunk, if its row fetches; before the chunk.
    chunk_taken : Out(1)
        Strobe: a chunk has been worked off; at most ``CHUNKS`` may be on their way.
    sum_bank, sum_running, sum_dimension : Out
    sum : In(output_lanes x)
        The column sums from there on, in the same cycle.
    add_en, add_bank, add_dimension, add_sum : Out
        Column sums grow by the keys of this row.
    o : Out(2 streams of a beat)
        Output rows of the first and of the second query, in the packing of the ``out`` plane.
    ended, ended_bank : Out
        Only with tiles. Strobe: the last row of a tile is in the sums, whose rows do not end.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        chunk = data.ArrayLayout(
            data.ArrayLayout(signed(config.accumulator_width), config.taps), 2)
        pair = data.ArrayLayout(data.ArrayLayout(value_layout(config), config.taps), 2)
        column_sum = data.ArrayLayout(signed(config.column_sum_width), config.output_lanes)
        self._lanes = [[NormaliseLane(config=config) for _ in range(config.output_lanes)]
                       for _ in range(2)]
        super().__init__({
            "row": In(stream.Signature(output_row_layout(config))),
            "value_valid": In(1),
            "value": In(chunk),
            "fetch_valid": In(1),
            "fetch": In(pair),
            "chunk_taken": Out(1),
            "sum_bank": Out(1),
            "sum_running": Out(1),
            "sum_dimension": Out(range(config.d_max)),
            "sum": In(column_sum),
            "add_en": Out(1),
            "add_bank": Out(1),
            "add_dimension": Out(range(config.d_max)),
            "add_sum": Out(column_sum),
            "o": Out(stream.Signature(config.axi_data_width)).array(2),
            **({"ended": Out(1), "ended_bank": Out(1)} if config.tile else {}),
        })

    @property
    def latency(self) -> int:
        return 3 + self._lanes[0][0].latency + 1

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.rows = rows = fifo.SyncFIFO(
            width=output_row_layout(config).size, depth=4)
        m.submodules.fetches = fetches = fifo.SyncFIFO(
            width=len(self.fetch.as_value()), depth=CHUNKS)
        m.d.comb += [
            rows.w_en.eq(self.row.valid), rows.w_data.eq(self.row.payload),
            self.row.ready.eq(rows.w_rdy),
            fetches.w_en.eq(self.fetch_valid), fetches.w_data.eq(self.fetch),
        ]

        tap = Signal(range(max(2, config.taps)))
        dimension = Signal(range(config.d_max))
        ready = Signal()
        last_dimension = Signal()
        last_tap = Signal()
        row, has_row, end = self._turn(m, rows, ready & last_dimension)
        waits = Signal()
        # Chunks not taken; their queues hear of it a cycle late.
        chunks_left = Signal(range(CHUNKS + 1))
        m.d.sync += chunks_left.eq(chunks_left + self.value_valid - (ready & last_tap))

        # What is begun comes to its end: a beat has its place in the queues beforehand.
        m.d.comb += [
            ready.eq(has_row & (chunks_left != 0) & ~waits
                     & self._room(m, ready, row, dimension)),
            last_dimension.eq(dimension == end),
            last_tap.eq(last_dimension | (tap == config.taps - config.output_lanes)),
        ]
        m.d.sync += [
            self.chunk_taken.eq(ready & last_tap),
            fetches.r_en.eq(ready & last_tap & row.fetches),
        ]
        with m.If(ready):
            m.d.sync += [
                tap.eq(Mux(last_tap, 0, tap + config.output_lanes)),
                dimension.eq(Mux(last_dimension, 0, dimension + config.output_lanes)),
            ]

        # What is ready, a cycle later: where the queues are, which lie apart.
        taken = Signal(self._taken_layout(), reset_less=True)
        valid = Signal()
        m.d.sync += valid.eq(ready)
        with m.If(ready):
            m.d.sync += [taken.last.eq(last_dimension), taken.row.eq(row), taken.tap.eq(tap),
                         taken.dimension.eq(dimension)]
        m.d.comb += [
            self.sum_bank.eq(Mux(taken.row.running, taken.row.bank, taken.row.kv)),
            self.sum_running.eq(taken.row.running), self.sum_dimension.eq(taken.dimension),
        ]
        if config.tile:
            self._begin_sums(m, ready, valid, taken)
            m.d.comb += waits.eq(row.resumes & (dimension == 0) & self._flight.any())
        chunks = self._chunks(m, ready & last_tap)
        self._normalise(m, valid, taken, chunks, fetches.r_data)
        return m

    def _turn(self, m, rows, done):
        """The row whose turn it is, whether there is one, and where its last dimensions begin.

        In registers, as most of what the block does depends on them.
        """
        row = Signal(output_row_layout(self._config), reset_less=True)
        valid = Signal()
        end = Signal(range(self._config.d_max), reset_less=True)
        coming = data.View(output_row_layout(self._config), rows.r_data)
        m.d.comb += rows.r_en.eq(~valid | done)
        with m.If(rows.r_en):
            m.d.sync += [valid.eq(rows.r_rdy), row.eq(coming),
                         end.eq(Cat(0, 0, 0, coming.d8) - self._config.output_lanes)]
        return row, valid, end

    def _taken_layout(self):
        config = self._config
        return data.StructLayout({
            "last": 1, "row": output_row_layout(config), "tap": range(max(2, config.taps)),
            "dimension": range(config.d_max)})

    @property
    def _depth(self) -> int:
        """Beats of a queue: two of the longest rows, or one and all that may be on their way."""
        config = self._config
        row = -(-config.d_max * config.out_width // config.axi_data_width)
        shortest = min(8, config.axi_data_width // config.out_width) // config.output_lanes
        return row + max(row, -(-(self.latency + 2) // shortest))

    def _room(self, m, ready, row, dimension):
        """Whether these dimensions begin no beat, or one for which both queues have a place."""
        bits = (self._config.axi_data_width // self._config.out_width).bit_length() - 1
        begins = dimension[:bits] == 0
        if self._config.tile:
            begins = begins & row.ends
        room = C(1, 1)
        for q, beats in enumerate(self.o):
            credit = Signal(range(self._depth + 1), init=self._depth, name=f"credit_{q}")
            m.d.sync += credit.eq(credit - (ready & begins) + (beats.valid & beats.ready))
            room &= credit != 0
        return ~begins | room

    def _chunks(self, m, takes):
        """Heads of a queue for each tap: the pointers of one for all would have far to go to its
        memory."""
        heads = []
        for n in range(self._config.taps):
            values = Cat(self.value[0][n], self.value[1][n])
            m.submodules[f"chunks_{n}"] = queue = fifo.SyncFIFO(width=len(values), depth=CHUNKS)
            m.d.comb += [queue.w_en.eq(self.value_valid), queue.w_data.eq(values),
                         queue.r_en.eq(kept_copy(m, takes, f"takes_{n}",
                                                  reset_less=False))]
            heads.append(queue.r_data)
        return heads

    def _begin_sums(self, m, ready, valid, taken):
        """Memories of the rows' sums, read for what is taken; what is on its way into them."""
        config = self._config
        group = config.output_lanes
        latency = 2 + self._lanes[0][0].numerator_latency
        self._flight = Signal(latency)
        m.d.sync += self._flight.eq(Cat(ready, self._flight))
        places = config.d_max // group
        self._sums, self._old = [], []
        for q in range(2):
            for i in range(group):
                mem = memory.Memory(shape=signed(config.accumulator_width),
                                    depth=config.blocks << (places - 1).bit_length(), init=[])
                m.submodules[f"sums_{q}_{i}"] = mem
                read = mem.read_port()
                write = mem.write_port()
                m.d.comb += [read.addr.eq(self._place(taken.row, taken.dimension)),
                             read.en.eq(valid)]
                self._sums.append(write)
                self._old.append(read.data)

    def _place(self, row, dimension):
        """Where the sums of a row begin, from that dimension on."""
        bits = (self._config.output_lanes - 1).bit_length()
        return Cat(dimension[bits:], row.row)

    def _end_sums(self, m, valid, second):
        """Writes what leaves the numerators."""
        latency = self._lanes[0][0].numerator_latency
        late = Signal(data.StructLayout({
            "valid": 1, "ended": 1, "bank": 1, "place": len(self._sums[0].addr)}))
        m.d.comb += [
            late.valid.eq(valid & ~second.row.ends),
            late.ended.eq(second.last & second.row.last), late.bank.eq(second.row.bank),
            late.place.eq(self._place(second.row, second.dimension)),
        ]
        for n in range(latency):
            step = Signal.like(late, name=f"late_{n}")
            m.d.sync += step.eq(late)
            late = step
        lanes = self._lanes[0] + self._lanes[1]
        for write, lane in zip(self._sums, lanes, strict=True):
            m.d.comb += [write.addr.eq(late.place), write.data.eq(lane.num),
                         write.en.eq(late.valid)]
        m.d.comb += [self.ended.eq(late.valid & late.ended), self.ended_bank.eq(late.bank)]

    def _normalise(self, m, valid, taken, chunks, fetch_bits):
        config = self._config
        group = config.output_lanes
        pair = data.View(self.fetch.shape(), fetch_bits)
        accumulated = data.ArrayLayout(
            data.ArrayLayout(signed(config.accumulator_width), group), 2)
        which = taken.tap >> (group - 1).bit_length()

        # First stage: what belongs to these dimensions.
        first_valid = Signal()
        first = Signal(data.StructLayout({
            "last": 1,
            "dimension": range(config.d_max),
            "acc": accumulated,
            "v": data.ArrayLayout(data.ArrayLayout(signed(config.width + 1), group), 2),
            "sum": self.sum.shape(),
            "row": output_row_layout(config),
        }), reset_less=True)
        loads = [first.last.eq(taken.last), first.dimension.eq(taken.dimension),
                 first.row.eq(taken.row), first.sum.eq(self.sum)]
        for n in range(2):
            for i in range(group):
                v = data.View(value_layout(config), Array(
                    [pair[n][t].as_value() for t in range(i, config.taps, group)])[which])
                loads += [
                    first.acc[n][i].eq(Array(
                        [chunk.word_select(n, config.accumulator_width)
                         for chunk in chunks[i::group]])[which]),
                    first.v[n][i].eq(Mux(taken.row.fetches, Mux(v.sign, -v.mag, v.mag), 0)),
                ]
        m.d.sync += first_valid.eq(valid)
        with m.If(valid):
            m.d.sync += loads

        # Second stage: the sums that the two queries see.
        second_valid = Signal()
        second = Signal(data.StructLayout({
            "last": 1,
            **({"dimension": range(config.d_max)} if config.tile else {}),
            "acc": accumulated,
            "sum": data.ArrayLayout(self.sum.shape(), 2),
            "row": output_row_layout(config),
        }), reset_less=True)
        # Only the last row of a head may fetch what is not a key, and nobody reads its sums again.
        m.d.comb += [
            self.add_en.eq(first_valid & first.row.fetches),
            self.add_bank.eq(first.row.bank), self.add_dimension.eq(first.dimension),
        ]
        m.d.comb += [self.add_sum[i].eq(first.sum[i] + (first.v[0][i] + first.v[1][i]))
                     for i in range(group)]
        loads = [second.last.eq(first.last), second.row.eq(first.row),
                 *self._accumulate(first, second)]
        for q in range(2):
            for i in range(group):
                seen = [Mux(first.row.sees[2 * q + k], first.v[k][i], 0) for k in range(2)]
                loads.append(second.sum[q][i].eq(first.sum[i] + (seen[0] + seen[1])))
        m.d.sync += second_valid.eq(first_valid)
        with m.If(first_valid):
            m.d.sync += loads
        self._feed(m, second_valid, second)
        if config.tile:
            self._end_sums(m, second_valid, second)
            self._pack(m, second.last & second.row.ends)
        else:
            self._pack(m, second.last)

    def _accumulate(self, first, second):
        """Adds what earlier tiles have left of a row."""
        if not self._config.tile:
            return [second.acc.eq(first.acc)]
        old, group = self._old, self._config.output_lanes
        return [second.dimension.eq(first.dimension)] + [second.acc[q][i].eq(
            first.acc[q][i] + Mux(first.row.resumes, old[q * group + i], 0))
            for q in range(2) for i in range(group)]

    def _feed(self, m, valid, second):
        row, adds = second.row, valid
        if self._config.tile:
            valid = valid & row.ends
        for q, lanes in enumerate(self._lanes):
            for i, lane in enumerate(lanes):
                m.submodules[f"lane_{q}_{i}"] = lane
                if self._config.tile:
                    m.d.comb += lane.adds.eq(adds)
                m.d.comb += [
                    lane.valid.eq(valid), lane.acc.eq(second.acc[q][i]),
                    lane.e0.eq(row.e0[q]), lane.column_sum.eq(second.sum[q][i]),
                    lane.p.eq(row.p[q]), lane.r.eq(row.r[q]), lane.empty.eq(row.empty[q]),
                ]

    def _pack(self, m, row_last):
        """Words into beats, beats into a queue per query that holds a whole row and more.

        ``row_last`` enters the lanes with the last dimensions of a row.
        """
        config = self._config
        words = min(SPAN, config.axi_data_width // config.out_width)
        group = config.output_lanes
        word = Signal(range(max(2, words)))
        valid = Signal()
        full = Signal()
        beat_full = Signal()
        last = Signal()
        m.d.comb += [
            valid.eq(self._lanes[0][0].out_valid), last.eq(word == words - group),
            full.eq(valid & last),
        ]
        with m.If(valid):
            m.d.sync += word.eq(Mux(last, 0, word + group))
        span = self._span(m, row_last, full, beat_full)
        for q, lanes in enumerate(self._lanes):
            queue = fifo.SyncFIFO(width=config.axi_data_width, depth=self._depth)
            m.submodules[f"queue_{q}"] = queue
            outs = [Signal(signed(config.out_width), name=f"word_{q}_{i}") for i in range(group)]
            m.d.comb += [out.eq(lane.out) for out, lane in zip(outs, lanes, strict=True)]
            beat = Signal(words * config.out_width, name=f"beat_{q}")
            shifted = Cat(beat[group * config.out_width :], *outs)
            with m.If(valid):
                m.d.sync += beat.eq(shifted)
            m.d.comb += [
                queue.w_data.eq(self._gathered(m, span, full, shifted, q)),
                queue.w_en.eq(beat_full),
                self.o[q].valid.eq(queue.r_rdy), self.o[q].payload.eq(queue.r_data),
                queue.r_en.eq(self.o[q].ready),
            ]

    def _span(self, m, row_last, full, beat_full):
        """Which span of its beat is ``full``, and whether the beat is: it ends with its row."""
        spans = self._config.axi_data_width // (SPAN * self._config.out_width)
        span = Signal(range(max(1, spans)))
        if spans < 2:
            m.d.comb += beat_full.eq(full)
            return span
        ends = Signal(self._lanes[0][0].latency)
        m.d.sync += ends.eq(Cat(row_last, ends))
        m.d.comb += beat_full.eq(full & (ends[-1] | (span == spans - 1)))
        with m.If(full):
            m.d.sync += span.eq(Mux(beat_full, 0, span + 1))
        return span

    def _gathered(self, m, span, full, words, query):
        """The spans of a beat so far and ``words``, zero beyond."""
        if not len(span):
            return words
        count = 1 << len(span)
        held = Signal(data.ArrayLayout(len(words), count - 1), name=f"spans_{query}")
        parts = []
        for n in range(count):
            before = held[n] if n < count - 1 else 0
            parts.append(Mux(span == n, words, Mux(span > n, before, 0)))
            if n < count - 1:
                with m.If(full & (span == n)):
                    m.d.sync += held[n].eq(words)
        return Cat(*parts)
