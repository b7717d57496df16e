# SPDX-License-Identifier: Apache-2.0
"""Writes the output rows and the status record of a head."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.records import STATUS_BYTES
from prunus.golden.registers import INDEX_BITS
from prunus.hw.hdp.head_totals import total_counts_layout
from prunus.hw.hdp.integer_pass import chunks
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.records import record_layout

__all__ = ["ResultWriter", "result_job_layout", "status_layout"]

RECORD = record_layout(HdpKind.status, whole=True)


def result_job_layout(config: HdpConfig) -> data.StructLayout:
    """A head to be written: addresses and sizes.

    ``computed``: output rows of the valid queries (an even number) come from the row output.
    With ``HdpConfig.tile``: rows without a ``record`` are part of a head, counted with those that
    the next record ends, and rows that are ``refused`` have no address.
    """
    tiled = {"record": 1, "refused": 1} if config.tile else {}
    return data.StructLayout({
        **dict.fromkeys(("out", "status"), config.axi_address_width),
        "l_q": config.length_width, "valid_q": config.held_width,
        "d8": 5, "computed": 1, "index": INDEX_BITS, **tiled,
    })


def status_layout(config: HdpConfig) -> data.StructLayout:
    """Fields of a good head's status record, complete when its rows are written."""
    counts = {name: field.shape for name, field in total_counts_layout(config)
              if name != "bus_error"}
    return data.StructLayout({"head_kept": 1, **counts})


class ResultWriter(wiring.Component):
    """A beat per cycle: rows that were computed, rows of zeros for the rest, the status record.

    The first beat goes out 4 cycles after the job, or 3 after its first row is there if that is
    later, or 3 after the job if no rows were computed. With an error rows are taken but none is
    written, and the record tells it.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    job : In(stream of result_job_layout)
        Held until the status record is on its way, then taken.
    error : In(8)
        The head's error. If rows are computed it is final once the first is there; if not, with
        ``job``.
    complete : In(1)
        ``status`` is final, with or without an error.
    status : In(status_layout)
    failed : Out(1)
        The record tells of an error; holds while ``job`` is taken.
    rows : In(2 streams of a beat)
        Output rows of even and odd queries.
    req, o : Out(streams)
        To the write DMA.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        beat = stream.Signature(config.axi_data_width)
        super().__init__({
            "job": In(stream.Signature(result_job_layout(config))),
            "error": In(8),
            "complete": In(1),
            "status": In(status_layout(config)),
            "failed": Out(1),
            "rows": In(beat).array(2),
            "req": Out(stream.Signature(request_layout(
                address_width=config.axi_address_width))),
            "o": Out(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
        })

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job.payload
        out_dims = config.axi_data_width // config.out_width
        last_beat = Signal(range(max(2, -(-config.d_max // out_dims))))
        beats = Signal(20)
        written = Signal(20)        # of the head, before this job
        row = Signal(config.length_width + 1)
        beat = Signal.like(last_beat)
        computed_rows = Signal(config.length_width + 1)
        error = Signal(8)
        source = Array(self.rows)[row[0]]
        from_rows = Signal()
        m.d.comb += from_rows.eq(row < computed_rows)
        advance = Signal()
        with m.If(advance):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == last_beat):
                m.d.sync += [beat.eq(0), row.eq(row + 1)]

        record = Signal(RECORD)
        self._fill(m, record, beats + written if config.tile else beats, error)
        m.d.comb += [self.req.payload.job.eq(job.index), self.failed.eq(error != 0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    last_beat.eq(chunks(job.d8, out_dims) - 1),
                    computed_rows.eq(Mux(job.computed, (job.valid_q + 1) & ~1, 0)),
                    row.eq(0), error.eq(self.error),
                ]
                with m.If(self.job.valid):
                    # Rows that were begun come even if there is an error by now.
                    with m.If(job.computed):
                        m.next = "WAIT"
                    with m.Elif(self.error != 0):
                        m.next = "PART" if config.tile else "STATUS"
                    with m.Else():
                        m.next = "COUNT"
            with m.State("WAIT"):
                # All operands have been read once the first row comes out.
                with m.If(self.rows[0].valid):
                    m.d.sync += error.eq(self.error)
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += beats.eq(job.l_q * (last_beat + 1))
                m.next = "ROWS"
                with m.If((error == 0) & (job.l_q != 0)):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [self.req.valid.eq(1), self.req.payload.address.eq(job.out),
                             self.req.payload.beats.eq(beats)]
                if config.tile:
                    m.d.comb += self.req.payload.refused.eq(job.refused)
                with m.If(self.req.ready):
                    m.next = "ROWS"
            with m.State("ROWS"):
                wanted = (row < job.l_q) & (error == 0)
                with m.If(~from_rows & ~wanted):
                    m.next = "PART" if config.tile else "STATUS"
                with m.Else():
                    m.d.comb += [
                        self.o.valid.eq(wanted & (~from_rows | source.valid)),
                        self.o.payload.data.eq(Mux(from_rows, source.payload, 0)),
                        advance.eq(Mux(wanted, self.o.valid & self.o.ready, source.valid)),
                    ]
                    for n in range(2):
                        m.d.comb += self.rows[n].ready.eq(
                            from_rows & (row[0] == n) & (~wanted | self.o.ready))
            if config.tile:
                self._part(m, job, beats, written)
            with m.State("STATUS"):
                m.d.comb += [
                    self.req.valid.eq(self.complete), self.req.payload.record.eq(1),
                    self.req.payload.address.eq(job.status),
                    self.req.payload.beats.eq(STATUS_BYTES * 8 // config.axi_data_width),
                ]
                with m.If(self.req.valid & self.req.ready):
                    m.next = "RECORD"
            with m.State("RECORD"):
                size = config.axi_data_width
                index = Signal(range(STATUS_BYTES * 8 // size))
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(record.as_value().word_select(index, size)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += index.eq(index + 1)      # wraps
                    with m.If(index == STATUS_BYTES * 8 // size - 1):
                        m.d.comb += self.job.ready.eq(1)
                        if config.tile:
                            m.d.sync += written.eq(0)
                        m.next = "IDLE"
        return m

    def _part(self, m, job, beats, written):
        """Ends rows without a record."""
        with m.State("PART"):
            with m.If(job.record):
                m.next = "STATUS"
            with m.Elif(self.complete):
                m.d.comb += self.job.ready.eq(1)
                m.d.sync += written.eq(written + beats)
                m.next = "IDLE"

    def _fill(self, m, record, beats, error):
        """The words of HdpStatus; with an error all but the first are zero."""
        status = self.status
        beat_bytes = self._config.axi_data_width // 8
        m.d.comb += [record.done.eq(1), record.error.eq(error)]
        with m.If(error == 0):
            m.d.comb += [
                record.head_kept.eq(status.head_kept),
                record.theta_head.eq(status.theta_head),
                record.blocks_kept.eq(status.blocks_kept),
                record.blocks_total.eq(status.blocks_total),
                record.read_bytes.eq(status.read_beats * beat_bytes),
                record.write_bytes.eq(beats * beat_bytes + STATUS_BYTES),
            ]
