# SPDX-License-Identifier: Apache-2.0
"""Cuts heads that are longer than what a core holds into tiles."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp import tiles
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.planes import HdpLayout
from prunus.hw.hdp.integer_pass import chunks
from prunus.hw.hdp.loader import row_beats
from prunus.hw.shell.descriptor import descriptor_layout

__all__ = ["JOBS", "Phase", "Tiler", "in_phase", "is_head", "strip_width", "tile_layout"]

JOBS = 2        # of a core, that the tiler can hold


class Phase(enum.Enum, shape=3):
    """What a core does with a tile; see :mod:`prunus.golden.hdp.tiles`."""

    WHOLE = tiles.Phase.WHOLE
    STATS = tiles.Phase.STATS
    TOP = tiles.Phase.TOP
    VALUE = tiles.Phase.VALUE
    CLOSE = 4       # no tile: the end of a head in tiles, its status record


def strip_width(config: HdpConfig) -> int:
    """Bits of the number of a strip of queries."""
    return max(1, (-(-config.l_max // config.held_rows) - 1).bit_length())


def tile_layout(config: HdpConfig) -> data.StructLayout:
    """A job for the stages of a core: a head, or a tile of one.

    The fields of ``descriptor_layout`` of heads, of the tile, and ``offset``: query i sees its keys
    ``j <= i + offset``. With tiles, ``first`` and ``last`` of the strip in this phase, and
    ``strip``. ``tau_head`` of a tile is 0; ``l_q`` is the rows to be written at the last tile of a
    strip, zeros beyond ``valid_q``. At CLOSE there are no queries and no keys; of a pruned head
    ``l_q`` is its rows and ``tau_head`` is not 0. ``beyond``: a tile of the head, this or one
    before, would lie beyond the last address.
    """
    fields = {name: field.shape for name, field in descriptor_layout(config, heads=True)}
    fields |= dict.fromkeys(("valid_q", "valid_kv"), config.held_width)
    fields["offset"] = signed(config.length_width + 2)
    if config.tile:
        fields |= {"phase": Phase, "strip": strip_width(config), "first": 1, "last": 1,
                   "beyond": 1}
    return data.StructLayout(fields)


def in_phase(job, phase: Phase):
    """Whether a job is in that phase; without tiles there is only WHOLE."""
    if "phase" in dict(job.shape()):
        return job.phase == phase
    return C(phase == Phase.WHOLE)


def is_head(job):
    """Whether a job is a head, or the end of one in tiles, and so has a descriptor and a status
    record."""
    return in_phase(job, Phase.WHOLE) | in_phase(job, Phase.CLOSE)


class Tiler(wiring.Component):
    """Hands on heads that fit and the tiles of those that do not, in the order of
    ``prunus.golden.hdp.tiles``.

    Without ``HdpConfig.tile`` nothing but wires. With it a head that fits is handed on in the cycle
    after it came, and tiles follow each other every 3 cycles at least, which is nothing
    beside what they take. Keys that are a single tile, and not causal, are marked as ``same_kv``
    from the second tile on.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    i : In(stream of descriptor_layout)
        With tiles, ready for ``JOBS`` jobs of which none is handed on entirely.
    o : Out(stream of tile_layout)
    drained : In(1)
        The scheduler has no job.
    theta : In
        Sum over the tiles of a head of the phase STATS, once drained.
    busy : Out(1)
        A head is in tiles.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(descriptor_layout(config, heads=True))),
            "o": Out(stream.Signature(tile_layout(config))),
            "drained": In(1),
            "theta": In(config.theta_head_width),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        if self._config.tile:
            self._tiles(m)
        else:
            self._hand_on(m, self.i.payload)
            m.d.comb += [self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready)]
        return m

    def _hand_on(self, m, job):
        m.d.comb += [self.o.payload[name].eq(job[name]) for name, _ in job.shape()]
        m.d.comb += self.o.payload.offset.eq(job.valid_kv - job.valid_q)

    def _tiles(self, m):
        config = self._config
        m.submodules.jobs = jobs = fifo.SyncFIFO(
            width=descriptor_layout(config, heads=True).size, depth=JOBS)
        job = data.View(descriptor_layout(config, heads=True), jobs.r_data)
        m.d.comb += [
            self.i.ready.eq(jobs.w_rdy), jobs.w_en.eq(self.i.valid),
            jobs.w_data.eq(self.i.payload),
        ]
        # Where the tile is, and what is left of the head from there on.
        addresses = ("q_i", "q_f", "out", "k_i", "k_f", "v")
        length = config.length_width
        at = Signal(data.StructLayout({
            "phase": Phase, "strip": strip_width(config), "first": 1, "again": 1,
            "beyond": 1,
            "l_q": length, "queries": length, "keys": length,
            "offset": self.o.payload.offset.shape(),
            "strip_offset": self.o.payload.offset.shape(),      # at its first tile
            **dict.fromkeys(addresses, config.axi_address_width),
        }))
        self._steps(m, job, addresses)

        def move(names):
            """To the next tile; what lies beyond the last address is known until the head ends."""
            beyond, moved = at.beyond, []
            for name in names:
                there = at[name] + self._step[name]
                beyond = beyond | there[config.axi_address_width]
                moved.append(at[name].eq(there))
            return [*moved, at.beyond.eq(beyond)]

        begin_queries = [at.strip.eq(0), at.l_q.eq(job.l_q), at.queries.eq(job.valid_q),
                         at.strip_offset.eq(job.valid_kv - job.valid_q),
                         at.offset.eq(job.valid_kv - job.valid_q),
                         *(at[name].eq(job[name]) for name in addresses[:3])]
        begin_keys = [at.first.eq(1), at.keys.eq(job.valid_kv),
                      *(at[name].eq(job[name]) for name in addresses[3:])]
        rows = config.held_rows
        # Of this tile.
        size = Signal(data.StructLayout({
            "queries": config.held_width, "keys": config.held_width, "more_queries": 1,
            "more_keys": 1, "seen": 1,
        }))
        seen = Signal(at.offset.shape())        # keys that the last query sees from here on
        m.d.comb += seen.eq(at.offset + Mux(at.queries > rows, rows, at.queries))
        after = Signal()        # the head before this one was in tiles
        pruned = Signal()
        tile = self.o.payload
        self._hand_on(m, job)
        m.d.comb += [tile.first.eq(1), tile.last.eq(1), tile.same_kv.eq(job.same_kv & ~after)]

        with m.FSM() as fsm:
            with m.State("WHOLE"):
                tiled = (job.error == 0) & (job.valid_q != 0) & (job.valid_kv != 0) & (
                    (job.valid_q > rows) | (job.valid_kv > rows))
                m.d.sync += [*begin_queries, *begin_keys, at.again.eq(0), at.beyond.eq(0),
                             pruned.eq(0),
                             at.phase.eq(Mux(job.dense, Phase.TOP, Phase.STATS))]
                with m.If(jobs.r_rdy & tiled):
                    m.next = "SIZE"
                with m.Elif(jobs.r_rdy):
                    m.d.comb += [self.o.valid.eq(1), jobs.r_en.eq(self.o.ready)]
                    with m.If(self.o.ready):
                        m.d.sync += after.eq(0)
            with m.State("SIZE"):
                m.d.sync += [
                    size.more_queries.eq(at.queries > rows),
                    size.queries.eq(Mux(at.queries > rows, rows, at.queries)),
                    size.keys.eq(Mux(at.keys > rows, rows, at.keys)),
                    size.more_keys.eq((at.keys > rows) & (~job.causal | (seen > rows))),
                    size.seen.eq(~job.causal | (seen > 0)),
                ]
                m.next = "OFFER"
            with m.State("OFFER"):
                self._offer(m, job, at, size)
                wanted = size.seen | (at.phase == Phase.VALUE)
                m.d.comb += self.o.valid.eq(wanted)
                with m.If(~wanted | self.o.ready):
                    m.d.sync += at.again.eq(at.again | wanted)
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.next = "SIZE"
                with m.If(size.more_keys):
                    m.d.sync += [
                        at.first.eq(0), at.keys.eq(at.keys - rows), at.offset.eq(at.offset - rows),
                        *move(addresses[3:]),
                    ]
                with m.Else():
                    m.d.sync += [*begin_keys, at.offset.eq(at.strip_offset)]
                    with m.If(at.phase == Phase.TOP):
                        m.d.sync += at.phase.eq(Phase.VALUE)
                    with m.Elif(size.more_queries):
                        further = at.strip_offset + rows
                        m.d.sync += [
                            at.strip.eq(at.strip + 1), at.l_q.eq(at.l_q - rows),
                            at.queries.eq(at.queries - rows),
                            at.strip_offset.eq(further), at.offset.eq(further),
                            *move(addresses[:3]),
                        ]
                        with m.If(at.phase == Phase.VALUE):
                            m.d.sync += at.phase.eq(Phase.TOP)
                    with m.Elif(at.phase == Phase.VALUE):
                        m.next = "CLOSE"
                    with m.Else():
                        m.d.sync += [*begin_queries, at.phase.eq(Phase.TOP)]
                        m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If((job.tau_head == 0) | (self.drained & (self.theta >= job.tau_head))):
                    m.next = "SIZE"
                with m.Elif(self.drained):
                    m.d.sync += pruned.eq(1)
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [
                    self.o.valid.eq(1), tile.phase.eq(Phase.CLOSE), tile.tau_head.eq(pruned),
                    tile.valid_q.eq(0), tile.valid_kv.eq(0),
                    tile.l_q.eq(Mux(pruned, job.l_q, 0)), jobs.r_en.eq(self.o.ready),
                ]
                with m.If(self.o.ready):
                    m.d.sync += after.eq(1)
                    m.next = "WHOLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("WHOLE"))

    def _steps(self, m, job, addresses):
        """Bytes from a tile to the next one, by plane."""
        config = self._config
        signed_kind = HdpLayout(config).signed_kind
        beats = {"out": chunks(job.d8, config.axi_data_width // config.out_width)}
        for kind in "ifv":
            signs, elements = row_beats(config, kind, job.d8)
            beats[kind] = signs + elements if kind == signed_kind else elements
        bits = (config.held_rows * config.axi_data_width // 8).bit_length() - 1
        self._step = Signal(data.StructLayout(
            dict.fromkeys(addresses, config.axi_address_width)), name="step")
        for name in addresses:
            m.d.sync += self._step[name].eq(Cat(C(0, bits), beats[name.split("_")[-1]]))

    def _offer(self, m, job, at, size):
        """A tile, in the place of the head."""
        tile = self.o.payload
        last = ~size.more_keys
        single = (job.valid_kv <= self._config.held_rows) & ~job.causal
        m.d.comb += [
            tile.phase.eq(at.phase), tile.strip.eq(at.strip), tile.offset.eq(at.offset),
            tile.first.eq(at.first), tile.last.eq(last), tile.beyond.eq(at.beyond),
            tile.tau_head.eq(0), tile.same_kv.eq(single & at.again),
            tile.valid_q.eq(Mux(size.seen, size.queries, 0)),
            tile.valid_kv.eq(Mux(size.seen, size.keys, 0)),
            tile.l_q.eq(Mux(size.more_queries, size.queries, at.l_q)),
            *(tile[name].eq(at[name]) for name in ("q_i", "q_f", "out", "k_i", "k_f", "v")),
        ]
