# SPDX-License-Identifier: Apache-2.0
"""Memory on the chip for a coprocessor and its host."""

from amaranth.hdl import Array, Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.hw.parts.copies import kept_copy
from prunus.hw.parts.pipeline import delayed
from prunus.hw.shell.axi import AXI4Read, AXI4Write, Resp
from prunus.hw.shell.bursts import ADDRESS_WIDTH

__all__ = ["BlockMemory", "access_layout"]

LATENCY = 5         # two registers on either side of the RAM, whose blocks lie all over the chip
BEATS = 16          # asked for and not taken, as deep as distributed RAM
BANK = 2048         # words, of which a block RAM of an ECP5 holds a byte each


def access_layout(config: EngineConfig, words: int) -> data.StructLayout:
    """An access of the host: a whole beat, written or read."""
    return data.StructLayout({"index": range(words), "data": config.axi_data_width, "write": 1})


class _ReadBursts(wiring.Component):
    """AR and R over a read port that answers ``LATENCY`` cycles later. A beat per cycle, the first
    8 cycles after its address.

    What is under way is not held up: as much is asked for as there is room for in front of the bus.
    The host's words travel between the beats and leave to their own side.
    """

    def __init__(self, *, config: EngineConfig, words: int):
        self._config, self._words = config, words
        width = config.axi_data_width
        super().__init__({
            "axi": In(AXI4Read(ADDRESS_WIDTH, width)),
            "index": Out(range(words)),
            "word": In(width),
            "host_en": In(1),
            "host_index": In(range(words)),
            "host_valid": Out(1),
            "host_word": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        axi, unit = self.axi, (self._config.axi_data_width // 8).bit_length() - 1
        active = Signal()
        left = Signal(8)
        identity = Signal()
        at = Signal(ADDRESS_WIDTH - unit)
        issue = Signal()
        room = Signal(range(BEATS + 1), init=BEATS)
        taken = Signal()
        m.d.comb += [
            issue.eq(active & ~self.host_en & (room != 0)),
            axi.arready.eq(~active | (issue & (left == 0))),
            self.index.eq(Mux(self.host_en, self.host_index, at)),
            taken.eq(axi.rvalid & axi.rready),
        ]
        m.d.sync += room.eq(room + taken - issue)
        with m.If(issue):
            m.d.sync += [at.eq(at + 1), left.eq(left - 1), active.eq(left != 0)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [active.eq(1), at.eq(axi.araddr[unit:]), left.eq(axi.arlen),
                         identity.eq(axi.arid)]
        stage = data.StructLayout({"beat": 1, "host": 1, "last": 1, "outside": 1, "id": 1})
        stages = [Signal(stage, name=f"stage_{n}") for n in range(LATENCY)]
        m.d.sync += [
            Cat(stages[0].beat, stages[0].host, stages[0].last).eq(
                Cat(issue, self.host_en, left == 0)),
            stages[0].outside.eq(at >= self._words), stages[0].id.eq(identity),
            *(after.eq(before) for before, after in zip(stages, stages[1:], strict=False)),
        ]
        self._answer(m, stages[-1], stage)
        return m

    def _answer(self, m, there, stage):
        """A word to the bus or the host."""
        axi = self.axi
        beat = data.StructLayout({"word": len(self.word), "stage": stage})
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=beat.size, depth=BEATS)
        came = Signal(beat)
        leaves = data.View(beat, beats.r_data)
        m.d.comb += [
            came.word.eq(Mux(there.outside, 0, self.word)), came.stage.eq(there),
            beats.w_data.eq(came), beats.w_en.eq(there.beat),
            self.host_valid.eq(there.host), self.host_word.eq(self.word),
            axi.rvalid.eq(beats.r_rdy), beats.r_en.eq(axi.rready),
            axi.rdata.eq(leaves.word), axi.rlast.eq(leaves.stage.last),
            axi.rid.eq(leaves.stage.id),
            axi.rresp.eq(Mux(leaves.stage.outside, Resp.DECERR, Resp.OKAY)),
        ]


class _WriteBursts(wiring.Component):
    """AW, W and B over a write port. A beat per cycle; a burst takes two more."""

    def __init__(self, *, config: EngineConfig, words: int):
        self._config, self._words = config, words
        width = config.axi_data_width
        super().__init__({
            "axi": In(AXI4Write(ADDRESS_WIDTH, width)),
            "stop": In(1),
            "index": Out(range(words)),
            "en": Out(width // 8),
            "word": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        axi, unit = self.axi, (self._config.axi_data_width // 8).bit_length() - 1
        active = Signal()
        failed = Signal()
        at = Signal(ADDRESS_WIDTH - unit)
        taken = Signal()
        outside = Signal()
        m.d.comb += [
            axi.awready.eq(~active & ~axi.bvalid),
            axi.wready.eq(active & ~self.stop),
            taken.eq(axi.wvalid & axi.wready),
            outside.eq(at >= self._words),
            self.index.eq(at),
            self.word.eq(axi.wdata),
            self.en.eq(Mux(taken & ~outside, axi.wstrb, 0)),
        ]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [active.eq(1), failed.eq(0), at.eq(axi.awaddr[unit:]),
                         axi.bid.eq(axi.awid)]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(taken):
            m.d.sync += [at.eq(at + 1), failed.eq(failed | outside)]
            with m.If(axi.wlast):
                m.d.sync += [active.eq(0), axi.bvalid.eq(1),
                             axi.bresp.eq(Mux(failed | outside, Resp.DECERR, Resp.OKAY))]
        return m


class _Banks(wiring.Component):
    """The RAM itself, in banks of ``BANK`` words.

    In one piece each of its blocks would hold a bit or two of every word, and every address would
    have to reach all of them in a cycle. Those of a bank lie together and have addresses of their
    own; another set of registers in front and behind takes what is left of the way. What is written
    goes to one block of each bank only, and comes for all from the same registers.
    """

    def __init__(self, *, width: int, words: int):
        self._words = words
        super().__init__({
            "read_index": In(range(words)),
            "read_word": Out(width),
            "write_index": In(range(words)),
            "write_en": In(width // 8),
            "write_word": In(width),
        })

    def elaborate(self, platform):
        m = Module()
        width, bank_bits = len(self.read_word), (BANK - 1).bit_length()
        ports = data.StructLayout({"read": range(self._words), "write": range(self._words),
                                   "en": width // 8})
        at = Signal(ports)
        written = delayed(m, self.write_word, 2, name="write_word")[-1]
        m.d.sync += [at.read.eq(self.read_index), at.write.eq(self.write_index),
                     at.en.eq(self.write_en)]
        words = []
        for n, first in enumerate(range(0, self._words, BANK)):
            m.submodules[f"bank_{n}"] = ram = memory.Memory(
                shape=width, depth=min(BANK, self._words - first), init=[])
            write = ram.write_port(granularity=8)
            read = ram.read_port()
            en = Mux(at.write >> bank_bits == n, at.en, 0)
            read_at, write_at = (kept_copy(m, at[name], f"bank_{n}_{name}_at")
                                 for name in ("read", "write"))
            word = Signal(width, name=f"bank_{n}_word", reset_less=True)
            m.d.sync += word.eq(read.data)
            m.d.comb += [read.addr.eq(read_at), write.addr.eq(write_at), write.data.eq(written),
                         write.en.eq(kept_copy(m, en, f"bank_{n}_en", reset_less=False))]
            words.append(word)
        bank = at.read >> bank_bits
        for n in range(LATENCY - 2):
            before, bank = bank, Signal(range(max(2, len(words))), name=f"read_bank_{n}")
            m.d.sync += bank.eq(before)
        m.d.sync += self.read_word.eq(Array(words)[bank])
        return m


class BlockMemory(wiring.Component):
    """Block RAM behind an AXI4 port and a port of the host, from address 0.

    The bursts of the coprocessor and no others: rising addresses, whole beats, on a beat. A beat
    per cycle, read and write at the same time; a burst of writes begins after the response to the
    one before. Addresses outside answer DECERR and change nothing.

    The host's accesses take a cycle each from the coprocessor's and never wait for it. What is
    read while it is written is not defined.

    Parameters
    ----------
    config : EngineConfig
        Gives the bits of a beat.
    size : int
        Bytes, a multiple of a beat.

    Members
    -------
    read : In(AXI4Read)
    write : In(AXI4Write)
    host : stream of access_layout()
        Taken at once.
    host_valid : Out(1)
        Strobe: ``host_word`` is the word of a read that was taken ``LATENCY`` cycles before.
    host_word : Out
    reset : In(1)
        Forgets bursts that are under way, not the contents.

    Raises
    ------
    ValueError
        ``size`` is not a number of beats.
    """

    def __init__(self, *, config: EngineConfig, size: int):
        beat = config.axi_data_width // 8
        if size < 2 * beat or size % beat:
            raise ValueError(f"size must be a multiple of {beat} and at least {2 * beat}, "
                             f"not {size!r}")
        self._config, self.words = config, size // beat
        super().__init__({
            "read": In(AXI4Read(ADDRESS_WIDTH, config.axi_data_width)),
            "write": In(AXI4Write(ADDRESS_WIDTH, config.axi_data_width)),
            "host": In(stream.Signature(access_layout(config, self.words))),
            "host_valid": Out(1),
            "host_word": Out(config.axi_data_width),
            "reset": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        width = self._config.axi_data_width
        m.submodules.banks = banks = _Banks(width=width, words=self.words)
        reader = _ReadBursts(config=self._config, words=self.words)
        writer = _WriteBursts(config=self._config, words=self.words)
        m.submodules.reader = ResetInserter(self.reset)(reader)
        m.submodules.writer = ResetInserter(self.reset)(writer)
        wiring.connect(m, wiring.flipped(self.read), reader.axi)
        wiring.connect(m, wiring.flipped(self.write), writer.axi)
        access = self.host.payload
        writes = self.host.valid & access.write
        m.d.comb += [
            self.host.ready.eq(1),
            writer.stop.eq(writes),
            banks.write_index.eq(Mux(writes, access.index, writer.index)),
            banks.write_word.eq(Mux(writes, access.data, writer.word)),
            banks.write_en.eq(Mux(writes, ~0, writer.en)),
            reader.host_en.eq(self.host.valid & ~access.write),
            reader.host_index.eq(access.index),
            banks.read_index.eq(reader.index), reader.word.eq(banks.read_word),
            self.host_valid.eq(reader.host_valid), self.host_word.eq(reader.host_word),
        ]
        return m
