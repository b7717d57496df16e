# SPDX-License-Identifier: Apache-2.0
"""Writes the output rows and the status record of a head."""

from amaranth.hdl import C, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.records import STATUS_BYTES
from prunus.golden.registers import INDEX_BITS
from prunus.golden.survivors import SurvivorConfig
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.records import record_layout
from prunus.hw.survivors.layouts import FrontEnd

__all__ = ["ResultWriter", "result_job_layout", "status_layout"]


def result_job_layout(config: SurvivorConfig) -> data.StructLayout:
    """A head to be written: addresses and sizes, and its error.

    ``computed``: the output rows of valid queries come; never with an error.
    """
    return data.StructLayout({
        **dict.fromkeys(("out", "status"), config.axi_address_width),
        "l_q": config.length_width, "valid_q": config.length_width,
        "d8": 5, "computed": 1, "error": 8, "index": INDEX_BITS,
    })


def status_layout(front: FrontEnd) -> data.StructLayout:
    """Fields of a good head's status record, complete when its last row is there."""
    return data.StructLayout({**dict.fromkeys(front.totals, 32), "read_beats": 24})


class ResultWriter(wiring.Component):
    """A beat per cycle: rows that were computed, rows of zeros for the rest, the status record.

    The first beat goes out 3 cycles after the job. With an error nothing but the record is
    written, and it tells it.

    Parameters
    ----------
    config : SurvivorConfig
    front : FrontEnd

    Members
    -------
    job : In(stream of result_job_layout)
        Held until the status record is on its way, then taken.
    status : In(status_layout)
    rows : In(stream of a beat)
        Output rows of valid queries.
    req, o : Out(streams)
        To the write DMA.
    """

    def __init__(self, *, config: SurvivorConfig, front: FrontEnd):
        self._config, self._front = config, front
        beat = stream.Signature(config.axi_data_width)
        super().__init__({
            "job": In(stream.Signature(result_job_layout(config))),
            "status": In(status_layout(front)),
            "rows": In(beat),
            "req": Out(stream.Signature(request_layout(
                address_width=config.axi_address_width))),
            "o": Out(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
        })

    def _row_beats(self, d8):
        """Beats of an output row."""
        dims = self._config.axi_data_width // self._config.out_width
        if dims <= 8:
            return d8 * (8 // dims)
        return sum((d8 > n * dims // 8 for n in range(1, -(-self._config.d_max // dims))), C(1))

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job.payload
        row_beats = Signal(range(config.d_max * config.out_width // 64 + 1))
        beats = Signal(20)
        computed = Signal(20)
        left = Signal(20)
        record = Signal(record_layout(self._front.record, whole=True))
        self._fill(m, record, beats)
        m.d.comb += self.req.payload.job.eq(job.index)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += row_beats.eq(self._row_beats(job.d8))
                with m.If(self.job.valid):
                    m.next = "COUNT"
                    with m.If(job.error != 0):
                        m.next = "STATUS"
            with m.State("COUNT"):
                m.d.sync += [beats.eq(job.l_q * row_beats), left.eq(job.l_q * row_beats),
                             computed.eq(Mux(job.computed, job.valid_q * row_beats, 0))]
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [self.req.valid.eq(1), self.req.payload.address.eq(job.out),
                             self.req.payload.beats.eq(beats)]
                with m.If(self.req.ready):
                    m.next = "ROWS"
            with m.State("ROWS"):
                from_rows = computed != 0
                m.d.comb += [
                    self.o.valid.eq(~from_rows | self.rows.valid),
                    self.o.payload.data.eq(Mux(from_rows, self.rows.payload, 0)),
                    self.rows.ready.eq(from_rows & self.o.ready),
                ]
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += [left.eq(left - 1), computed.eq(computed - from_rows)]
                    with m.If(left == 1):
                        m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [
                    self.req.valid.eq(1), self.req.payload.record.eq(1),
                    self.req.payload.address.eq(job.status),
                    self.req.payload.beats.eq(STATUS_BYTES * 8 // config.axi_data_width),
                ]
                with m.If(self.req.ready):
                    m.next = "RECORD"
            with m.State("RECORD"):
                size = config.axi_data_width
                index = Signal(range(max(2, STATUS_BYTES * 8 // size)))
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(record.as_value().word_select(index, size)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == STATUS_BYTES * 8 // size - 1):
                        m.d.comb += self.job.ready.eq(1)
                        m.d.sync += index.eq(0)
                        m.next = "IDLE"
        return m

    def _fill(self, m, record, beats):
        """The words of the record; with an error all but the first are zero."""
        status, error = self.status, self.job.payload.error
        beat_bytes = self._config.axi_data_width // 8
        m.d.comb += [record.done.eq(1), record.error.eq(error)]
        with m.If(error == 0):
            m.d.comb += [
                *(record[field].eq(status[name]) for name, field in self._front.totals.items()),
                record.read_bytes.eq(status.read_beats * beat_bytes),
                record.write_bytes.eq(beats * beat_bytes + STATUS_BYTES),
            ]
