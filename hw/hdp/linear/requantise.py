# SPDX-License-Identifier: Apache-2.0
"""From sums of the array to codes: bias, scale, activation, residual."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.compute import MULTIPLIER_BITS, SHIFT_BITS
from prunus.golden.hdp.linear.sizes import MOST_TILE, TABLE_BYTES
from prunus.golden.records import WORD_BITS
from prunus.hw.arith.multiply import SplitMultiplier
from prunus.hw.arith.rounding import clamped, halved
from prunus.hw.hdp.linear.layouts import (
    PAIRS,
    SUM,
    block_tag_layout,
    record_layout,
    table_layout,
)
from prunus.hw.parts.pipeline import delayed

__all__ = ["Requantiser", "result_layout", "scale_layout"]

LANES = 2
CODE = 8
TOTAL = WORD_BITS + 1       # of a sum with its bias


def scale_layout() -> data.StructLayout:
    """What a job wants of results."""
    return data.StructLayout({
        "activation": 2, "wide": 1, "transposed": 1, "residual": 1,
        "residual_multiplier": MULTIPLIER_BITS, "residual_shift": SHIFT_BITS})


def result_layout() -> data.StructLayout:
    """A code, or a sum of 32 bits, of each lane. ``ends`` a word; ``single``: the second one means
    nothing; ``second`` of the two results that a lane gets of a block; ``clipped`` of each lane."""
    return data.StructLayout({
        "lanes": data.ArrayLayout(WORD_BITS, LANES), "ends": 1, "single": 1, "second": 1,
        "clipped": LANES, "job": 1})


class Requantiser(wiring.Component):
    """Two results in a cycle, ``latency`` cycles after their block; a block in two cycles.

    A lane is a row, and gets the two channels of a block one after the other; ``transposed`` it is
    a channel, and gets the two rows.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    channel, table : In
        As the loader gives them.
    early : In(block_tag_layout)
        Of a block, two cycles before it.
    valid, tag, sums : In
        A block: index 2 * row + channel.
    jobs : In(2 of scale_layout)
        By slot.
    residual : In(2 x 8 signed)
        Codes for the lanes.
    take_residual : Out(1)
        They are used in this cycle; ``end_residual`` with the last ones of a word,
        ``single_residual`` if the second lane has none.
    o_valid, o : Out
    """

    latency = 10

    def __init__(self, *, config: HdpConfig):
        self._config = config
        channel = data.StructLayout({"en": 1, "slot": 1, "index": range(MOST_TILE),
                                     "record": record_layout()})
        super().__init__({
            "channel": In(channel),
            "table": In(table_layout(config)),
            "early": In(block_tag_layout()), "valid": In(1), "tag": In(block_tag_layout()),
            "sums": In(data.ArrayLayout(signed(SUM), 4)),
            "jobs": In(data.ArrayLayout(scale_layout(), 2)),
            "residual": In(data.ArrayLayout(signed(CODE), LANES)),
            "take_residual": Out(1), "end_residual": Out(1), "single_residual": Out(1),
            "o_valid": Out(1), "o": Out(result_layout()),
        })

    def elaborate(self, platform):
        m = Module()
        records = self._records(m)
        # Stage 1: one of the two results of each lane.
        block = Signal(data.ArrayLayout(signed(SUM), 4))
        tag = Signal(block_tag_layout())
        pair = Signal(data.ArrayLayout(record_layout(), 2))
        first = Signal()
        second = Signal()
        m.d.sync += [first.eq(self.valid), second.eq(first)]
        with m.If(self.valid):
            m.d.sync += [block.eq(self.sums), tag.eq(self.tag), pair.eq(records)]
        job = Signal(scale_layout())
        m.d.comb += job.eq(Array(self.jobs)[tag.job])
        control = Signal(data.StructLayout({
            "valid": 1, "ends": 1, "single": 1, "second": 1, "job": 1, "wide": 1,
            "activation": 2, "residual": 1}))
        m.d.comb += [
            control.valid.eq(first | second), control.second.eq(second),
            control.ends.eq(tag.ends & second), control.single.eq(tag.single),
            control.job.eq(tag.job), control.wide.eq(job.wide),
            control.activation.eq(job.activation), control.residual.eq(job.residual),
        ]
        stages = delayed(m, control, self.latency - 1, name="control", reset_less=False)
        last = stages[-1]
        tables = self._table(m)
        for lane in range(LANES):
            row = Mux(second, block[2 * lane + 1], block[2 * lane])
            across = Mux(second, block[2 + lane], block[lane])
            acc = Mux(job.transposed, across, row)
            record = Mux(job.transposed, pair[lane], Mux(second, pair[1], pair[0]))
            self._lane(m, lane, acc, data.View(record_layout(), record), job, stages, tables[lane])
        m.d.comb += [
            self.o_valid.eq(last.valid), self.o.ends.eq(last.ends), self.o.single.eq(last.single),
            self.o.second.eq(last.second), self.o.job.eq(last.job),
            self.take_residual.eq(stages[5].valid & stages[5].residual),
            self.end_residual.eq(stages[5].ends), self.single_residual.eq(stages[5].single),
        ]
        return m

    def _records(self, m):
        """Records of the channels of the block that comes in the next cycle but one, a cycle ahead:
        they are there with it."""
        records = []
        for n in range(2):
            m.submodules[f"records_{n}"] = mem = memory.Memory(
                shape=record_layout(), depth=2 * PAIRS, init=[])
            write = mem.write_port()
            read = mem.read_port()
            m.d.comb += [
                write.en.eq(self.channel.en & (self.channel.index[0] == n)),
                write.addr.eq(Cat(self.channel.index[1:], self.channel.slot)),
                write.data.eq(self.channel.record),
                read.addr.eq(Cat(self.early.pair, self.early.slot)), read.en.eq(1),
            ]
            late = Signal(record_layout(), name=f"record_{n}", reset_less=True)
            m.d.sync += late.eq(read.data)
            records.append(late)
        return Cat(*records)

    def _table(self, m):
        """Reads of the table, one for each lane."""
        ports = []
        for lane in range(LANES):
            m.submodules[f"table_{lane}"] = mem = memory.Memory(
                shape=self._config.axi_data_width, depth=2 * TABLE_BYTES // 8, init=[])
            write = mem.write_port()
            m.d.comb += [write.en.eq(self.table.en),
                         write.addr.eq(Cat(self.table.index, self.table.job)),
                         write.data.eq(self.table.data)]
            read = mem.read_port()
            ports.append(read)
        return ports

    def _lane(self, m, lane: int, acc, record, job, stages, table):
        """Stages 1 to ``latency`` of a lane; ``stages[n]`` is the control of stage n + 1."""
        valid = [stage.valid for stage in stages]

        def reg(value, name, stage):
            """``value`` in a register of that stage."""
            signal = Signal(value.shape(), name=f"{name}_{lane}", reset_less=True)
            with m.If(valid[stage - 2]):
                m.d.sync += signal.eq(value)
            return signal

        total = reg((acc + record.bias.as_signed())[:TOTAL].as_signed(), "total", 2)
        multiplier, shift = reg(record.multiplier, "multiplier", 2), reg(record.shift, "shift", 2)
        m.submodules[f"scale_{lane}"] = scale = SplitMultiplier(
            a_shape=signed(TOTAL), b_width=MULTIPLIER_BITS)
        m.d.comb += [scale.valid.eq(valid[1]), scale.a.eq(total), scale.b.eq(multiplier)]
        shifts = delayed(m, shift, 3, name=f"shift_{lane}", valid=valid[1:])
        # Stage 4: the product, with a bit below its point for rounding. Two shifts, then rounding.
        product = Cat(C(0, 1), scale.o).as_signed()
        coarse = reg((product >> (shifts[2] & 0b111000))[: len(product)].as_signed(), "coarse", 5)
        fine = reg((coarse >> shifts[3][:3])[: len(product)].as_signed(), "fine", 6)
        rounded = halved(fine)
        code = clamped(rounded, CODE)
        totals = delayed(m, total, 4, name=f"total_{lane}", valid=valid[1:])        # at stage 6
        off = reg(rounded != code, "clipped", 7)
        code, wide = reg(code, "code", 7), reg(clamped(totals[4], WORD_BITS), "wide", 7)
        entry = Cat(code[:-1], ~code[-1])       # code + 128
        m.d.comb += [table.addr.eq(Cat(entry[3:], stages[6].job)),
                     table.en.eq(valid[6] & (stages[6].activation == 2))]
        relu = (stages[6].activation == 1) & code[-1]
        plain = reg(Mux(relu, 0, code).as_signed(), "plain", 8)
        low = reg(entry[:3], "entry", 8)
        offs = delayed(m, off, 2, name=f"off_{lane}", valid=valid[6:])
        wides = delayed(m, wide, 2, name=f"wides_{lane}", valid=valid[6:])
        active = reg(Mux(stages[7].activation == 2, table.data.word_select(low, CODE),
                         plain)[:CODE].as_signed(), "active", 9)
        job = Array(self.jobs)[stages[5].job]
        scaled = reg(self.residual[lane] * job.residual_multiplier, "scaled", 7)
        amount = reg(job.residual_shift, "amount", 7)
        moved = reg((Cat(C(0, 1), scaled).as_signed() >> amount)
                    [: len(scaled) + 1].as_signed(), "moved", 8)
        more = reg(halved(moved), "more", 9)
        final = Mux(stages[8].residual, clamped((active + more).as_signed(), CODE), active)
        with m.If(valid[8]):
            m.d.sync += [self.o.lanes[lane].eq(Mux(stages[8].wide, wides[2], final)),  # stage 10
                         self.o.clipped[lane].eq(offs[2] & ~stages[8].wide)]
