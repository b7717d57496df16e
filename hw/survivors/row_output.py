# SPDX-License-Identifier: Apache-2.0
"""From accumulated rows to beats of output words."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.survivors import SurvivorConfig
from prunus.hw.softmax.normalise import NormaliseLane
from prunus.hw.survivors.layouts import row_result_layout, values_layout

__all__ = ["RowOutput"]

BEATS = 16      # on their way through the lanes, or waiting to be written


class RowOutput(wiring.Component):
    """Normalises ``output_lanes`` dimensions per cycle and packs them into beats.

    ``latency`` cycles from the dimensions that fill a beat, or end a row, to the beat. Rows follow
    each other without a gap.

    Parameters
    ----------
    config : SurvivorConfig

    Members
    -------
    values : In(stream of values_layout)
        The chunks of each row.
    result : In(stream of row_result_layout)
        Of each row; taken with its last chunk.
    d8 : In
        d / 8 of the head of ``result``.
    o : Out(stream of a beat)
        Rows in the packing of the ``out`` plane; what of a row's last beat lies beyond it is 0.
    """

    def __init__(self, *, config: SurvivorConfig):
        self._config = config
        self._lanes = [NormaliseLane(config=config, background=False)
                       for _ in range(config.output_lanes)]
        super().__init__({
            "values": In(stream.Signature(values_layout(config))),
            "result": In(stream.Signature(row_result_layout())),
            "d8": In(range(config.d_max // 8 + 1)),
            "o": Out(stream.Signature(config.axi_data_width)),
        })

    @property
    def latency(self) -> int:
        return self._lanes[0].latency + 1

    def elaborate(self, platform):
        m = Module()
        config, result, lanes = self._config, self.result.payload, self._config.output_lanes
        # What is begun comes to its end: a beat has its place in the queue beforehand.
        ready, row_last, chunk_last = (
            Signal(name=name) for name in ("ready", "row_last", "chunk_last"))
        steps = config.taps // lanes
        step = Signal(range(max(2, steps)))
        left = Signal(range(config.d_max // lanes + 1))
        first = Signal(init=1)
        of_row = Signal.like(left)
        m.d.comb += [
            of_row.eq(Mux(first, self.d8 * (8 // lanes), left)),
            row_last.eq(of_row == 1), chunk_last.eq(row_last | (step == steps - 1)),
            ready.eq(self.values.valid & self.result.valid & self._room(m, ready, row_last)),
            self.values.ready.eq(ready & chunk_last), self.result.ready.eq(ready & row_last),
        ]
        with m.If(ready):
            m.d.sync += [step.eq(Mux(chunk_last, 0, step + 1)), left.eq(of_row - 1),
                         first.eq(row_last)]
        for n, lane in enumerate(self._lanes):
            m.submodules[f"lane_{n}"] = lane
            places = list(self.values.payload)[n::lanes]
            acc = Signal(signed(config.accumulator_width), name=f"acc_{n}")
            with m.Switch(step):
                for k, place in enumerate(places):
                    with m.Case(k):
                        m.d.comb += acc.eq(place)
            m.d.comb += [
                lane.valid.eq(ready), lane.acc.eq(acc), lane.p.eq(result.p),
                lane.r.eq(result.r), lane.empty.eq(result.empty),
            ]
        ends = Signal(self._lanes[0].latency)
        m.d.sync += ends.eq(Cat(row_last & ready, ends))
        self._pack(m, ends[-1])
        return m

    @property
    def _groups(self) -> int:
        """Times that the lanes fill a part of a beat."""
        return self._config.axi_data_width // (self._config.out_width * self._config.output_lanes)

    def _room(self, m, ready, row_last):
        """Whether these dimensions begin no beat, or one that the queue has a place for."""
        place = Signal(range(max(2, self._groups)))
        credit = Signal(range(BEATS + 1), init=BEATS)
        begins = place == 0
        with m.If(ready):
            m.d.sync += place.eq(Mux(row_last | (place == self._groups - 1), 0, place + 1))
        m.d.sync += credit.eq(credit - (ready & begins) + (self.o.valid & self.o.ready))
        return ~begins | (credit != 0)

    def _pack(self, m, row_end):
        """Words into beats; a beat ends with its row."""
        config = self._config
        words = Cat(_extended(m, lane, n, config.out_width)
                    for n, lane in enumerate(self._lanes))
        groups = self._groups
        m.submodules.beats = beats = fifo.SyncFIFO(width=config.axi_data_width, depth=BEATS)
        beat = Signal(config.axi_data_width)
        full = Signal()
        valid = Signal()
        m.d.comb += valid.eq(self._lanes[0].out_valid)
        if groups == 1:
            m.d.comb += [beat.eq(words), full.eq(valid)]
        else:
            place = Signal(range(groups))
            held = Signal((groups - 1) * len(words))
            m.d.comb += full.eq(valid & (row_end | (place == groups - 1)))
            for n in range(groups):
                with m.If(place == n):
                    m.d.comb += beat.eq(Cat(held[: n * len(words)], words))
                with m.If(valid & (place == n)):
                    if n < groups - 1:
                        m.d.sync += held[n * len(words) : (n + 1) * len(words)].eq(words)
            with m.If(valid):
                m.d.sync += place.eq(Mux(full, 0, place + 1))
        m.d.comb += [
            beats.w_en.eq(full), beats.w_data.eq(beat),
            self.o.valid.eq(beats.r_rdy), self.o.payload.eq(beats.r_data),
            beats.r_en.eq(self.o.ready),
        ]


def _extended(m, lane, n: int, width: int):
    """The lane's word, sign-extended."""
    word = Signal(signed(width), name=f"word_{n}")
    m.d.comb += word.eq(lane.out)
    return word
