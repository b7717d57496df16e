# SPDX-License-Identifier: Apache-2.0
"""The sparsity engine: what importance a block has, the row's bound, mask and head decision."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, memory, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.compute import DELTA_MAX, RHO_FRAC
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.groups import group_bits, group_count, group_width
from prunus.hw.hdp.layouts import (
    head_layout,
    integer_scores_layout,
    sparsity_row_layout,
    tag_layout,
)
from prunus.hw.hdp.ring import ROWS, ring_width
from prunus.hw.hdp.tiler import Phase, strip_width

__all__ = ["SparsityEngine"]


class SparsityEngine(wiring.Component):
    """Prunes a row of blocks while the next ones are computed.

    Takes the integer scores of a group of blocks per cycle; at the end of a row (END_R) makes its
    threshold and the mask of a group per cycle. The mask of a row of n groups is complete
    n + ``latency`` cycles after its last group, or n + 6 after the previous row's, whichever is
    later.
    A job's importance is that of ``prunus.golden.hdp.compute.magnitude_mask``, without a divider::

        (n*theta) << 7 >= A*n*ext + (128-A)*sum   with A = |rho|, ext = max or min

    or that of ``distance_mask``, where ``best`` of a query is the largest integer score of a block
    that it sees, and ``top`` that of the row::

        best_0 >= top_0 - delta  or  best_1 >= top_1 - delta

    Both take the same cycles and share what a block leaves behind, ``low`` and ``high``: theta
    twice, or ``-best_0`` and ``best_1``. Of either the row needs the smallest and the largest. A
    query that sees nothing of a block has a best below all scores there can be.

    With ``HdpConfig.tile`` a row's statistics may come in tiles. In the phase STATS they are
    gathered, and no mask is made; in TOP and VALUE they are what makes the threshold.

    Theta_head only grows, so a head is known to be kept as soon as it reaches tau; it is pruned
    if it has not by the end of the last row (END_H).

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    clear, clear_bank : In
        A new head begins in that bank.
    begin, row : In
        Strobe: the scores of this row follow. At most ``ROWS`` rows, of together as many blocks
        as a ring holds, may have begun and not been masked.
    distance, rho, delta, tau : In
        Of the head whose row is at END_R, that is of ``bank``; ``tag.distance`` is that of the
        scores.
    phase, strip, first : In
        The same, only with tiles.
    valid, score, tag : In
        Integer scores of a group in units of 1; those that ``tag.visible`` leaves out are ignored,
        and so is a block of which nothing is visible.
    bank : Out(1)
        The head at END_R.
    mask_en, mask_row, mask_group, mask_bits : Out
        Mask bits of a group of ``bank``; 0 where the row has no block any more.
    masked, masked_columns : Out
        Strobe: the mask of ``bank``'s row ``mask_row`` of so many blocks is complete.
    masked_some : Out(1)
        Only with tiles, whose rows may have no kept block: this one has.
    reached : Out(1)
        Strobe in every row of ``bank`` from that on with which theta_head has reached tau, before
        the row's first mask bit.
    end_head : Out(1)
        Strobe with the last ``masked`` of a head.
    busy : Out(1)
        Rows have begun and are not masked.
    heads : Out(2 x head_layout)
        Per bank; final in the cycle after ``end_head``.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "clear": In(1),
            "clear_bank": In(1),
            "begin": In(1),
            "row": In(sparsity_row_layout(config)),
            "distance": In(1),
            "rho": In(signed(8)),
            "delta": In(DELTA_MAX.bit_length()),
            "tau": In(32),
            **({"phase": In(Phase), "strip": In(strip_width(config)), "first": In(1)}
               if config.tile else {}),
            "valid": In(1),
            "score": In(integer_scores_layout(config)),
            "tag": In(tag_layout(config)),
            "bank": Out(1),
            "mask_en": Out(1),
            "mask_row": Out(config.block_width),
            "mask_group": Out(group_width(config)),
            "mask_bits": Out(config.group),
            "masked": Out(1),
            "masked_columns": Out(range(config.blocks + 1)),
            **({"masked_some": Out(1)} if config.tile else {}),
            "reached": Out(1),
            "end_head": Out(1),
            "busy": Out(1),
            "heads": Out(data.ArrayLayout(head_layout(config), 2)),
        })

    @property
    def latency(self) -> int:
        return (8 if self._config.group == 1 else 9) + bool(self._config.tile)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # Theta or a score with a sign; below all of those is what no query sees anything of.
        self._extreme = signed(config.theta_width + 1)
        self._lowest = -(1 << config.int_score_width - 1)
        extremes = {"low": self._extreme, "high": self._extreme}
        self._stats = data.StructLayout({
            "sum": config.theta_width + config.block_width, **extremes})
        self._all_stats = data.StructLayout({       # of a row of all tiles
            "n": range(config.l_max // 2 + 1),
            "sum": config.theta_width + config.all_block_width, **extremes})
        m.submodules.blocks = blocks = memory.Memory(
            shape=data.ArrayLayout(data.StructLayout(
                {"low": signed(config.int_score_width + 1), "high": self._extreme}), config.group),
            depth=1 << ring_width(config), init=[])
        m.submodules.rows = rows = fifo.SyncFIFO(width=len(self.row.as_value()), depth=ROWS)
        m.submodules.stats = stats = fifo.SyncFIFO(width=self._stats.size, depth=ROWS)
        m.d.comb += [rows.w_en.eq(self.begin), rows.w_data.eq(self.row),
                     self.busy.eq(rows.r_rdy)]
        with m.If(self.clear):
            m.d.sync += self.heads[self.clear_bank].eq(0)
        write = blocks.write_port()
        read = blocks.read_port()
        self._collect(m, write, stats)
        self._prune(m, read, rows, stats)
        return m

    def _collect(self, m, write, stats):
        """What each block leaves behind into its memory; statistics of finished rows."""
        config = self._config
        steps = [(self.valid, self.tag)]
        for n in range(2 if config.group == 1 else 3):
            valid, tag = Signal(name=f"valid_{n}"), Signal(tag_layout(config), name=f"tag_{n}")
            m.d.sync += valid.eq(steps[-1][0])
            with m.If(steps[-1][0]):
                m.d.sync += tag.eq(steps[-1][1])
            steps.append((valid, tag))
        blocks = [self._block(m, n, steps[1][0]) for n in range(config.group)]
        valid, tag = steps[2]
        tail = Signal(ring_width(config))
        m.d.comb += [write.en.eq(valid), write.addr.eq(tail),
                     *(place.low.eq(low) for place, (_, low, _) in
                       zip(write.data, blocks, strict=True)),
                     *(place.high.eq(high) for place, (_, _, high) in
                       zip(write.data, blocks, strict=True))]
        with m.If(valid):
            m.d.sync += tail.eq(tail + 1)
        group = self._unite(m, blocks, tag)
        valid, tag = steps[-1]
        running = Signal(self._stats)
        first = Signal(init=1)
        update = Signal(self._stats)
        m.d.comb += [
            update.sum.eq(Mux(first, 0, running.sum) + group.sum),
            update.low.eq(Mux(first | (group.low < running.low), group.low, running.low)),
            update.high.eq(Mux(first | (group.high > running.high), group.high, running.high)),
        ]
        m.d.comb += [stats.w_en.eq(valid & tag.last), stats.w_data.eq(update)]
        with m.If(valid):
            m.d.sync += [running.eq(update), first.eq(tag.last)]

    def _block(self, m, block, late):
        """Theta, ``low`` and ``high`` of a block of the group, two cycles after its scores; theta
        is 0 and nothing is best if it does not exist. ``late`` is ``valid`` a cycle later."""
        width = self._config.int_score_width
        scores, visible = self.score[block], self.tag.visible[4 * block : 4 * block + 4]
        magnitudes = [Signal(width, name=f"magnitude_{block}_{n}") for n in range(4)]
        loads = [magnitude.eq(Mux(visible[n], Mux(score < 0, -score, score), 0))
                 for n, (magnitude, score) in enumerate(zip(magnitudes, scores, strict=True))]
        best = [Signal(signed(width), name=f"best_{block}_{q}") for q in range(2)]
        for q in range(2):      # who sees the second key sees the first as well
            a, b = scores[2 * q], scores[2 * q + 1]
            loads.append(best[q].eq(Mux(visible[2 * q],
                                        Mux(visible[2 * q + 1] & (b > a), b, a), self._lowest)))
        distance = Signal(name=f"distance_{block}")
        theta = Signal(self._config.theta_width, name=f"theta_{block}")
        low, high = (Signal(self._extreme, name=f"{name}_{block}") for name in ("low", "high"))
        total = (magnitudes[0] + magnitudes[1]) + (magnitudes[2] + magnitudes[3])
        with m.If(self.valid):
            m.d.sync += [distance.eq(self.tag.distance), *loads]
        with m.If(late):
            m.d.sync += [theta.eq(total), low.eq(Mux(distance, -best[0], total)),
                         high.eq(Mux(distance, best[1], total))]
        return theta, low, high

    def _unite(self, m, blocks, tag):
        """Sum, smallest and largest of the group's blocks, with more than one a cycle later."""
        group = Signal(self._stats)
        parts = [(*block, tag.visible[4 * n : 4 * n + 4].any()) for n, block in enumerate(blocks)]
        # The first block exists, and none does after one that does not.
        while len(parts) > 1:
            parts = [(a_sum + b_sum, Mux(exists & (b_low < a_low), b_low, a_low),
                      Mux(exists & (b_high > a_high), b_high, a_high), a_exists)
                     for (a_sum, a_low, a_high, a_exists), (b_sum, b_low, b_high, exists)
                     in zip(parts[::2], parts[1::2], strict=True)]
        domain = m.d.comb if len(blocks) == 1 else m.d.sync
        domain += [target.eq(value) for target, value in
                   zip((group.sum, group.low, group.high), parts[0][:3], strict=True)]
        return group

    def _prune(self, m, read, rows, stats):
        """Threshold and mask of the finished rows in turn."""
        config = self._config
        row = Signal(sparsity_row_layout(config))
        total = Signal(config.theta_width + config.all_block_width)
        ext = Signal(config.theta_width)
        n_ext = Signal(config.theta_width + config.all_block_width + 1)
        a = Signal(RHO_FRAC + 1)
        weighted_ext = Signal(len(n_ext) + RHO_FRAC)
        weighted_sum = Signal(len(total) + RHO_FRAC + 1)
        bound = Signal(len(n_ext) + 1)
        # A bound lies above what a query leaves that sees nothing.
        reach = Signal(data.ArrayLayout(signed(len(self.delta) + 2), 2))
        bounds = Signal(data.ArrayLayout(signed(config.int_score_width), 2))
        group = Signal(range(group_count(config, config.blocks) + 1))
        last_group = (row.columns - 1) >> group_bits(config)
        scan = Signal()
        skip = Signal()
        head = self.heads[self.bank]
        m.d.comb += [self.bank.eq(row.bank), self.mask_row.eq(row.row),
                     self.masked_columns.eq(row.columns),
                     rows.r_en.eq(self.masked), stats.r_en.eq(self.masked)]
        n = Signal(range(config.l_max // 2 + 1))
        load = Signal()
        self._compare(m, read, row, n, bound, bounds, group, last_group, scan, skip)
        s = Signal(self._all_stats)
        gathers = self._statistics(m, row, data.View(self._stats, stats.r_data), s, load)

        with m.FSM():
            with m.State("IDLE"):
                with m.If(stats.r_rdy):
                    m.d.sync += [row.eq(rows.r_data), group.eq(0)]
                    m.next = "READ" if config.tile else "LOAD"
            if config.tile:
                with m.State("READ"):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += load.eq(1)
                m.d.sync += [
                    n.eq(Mux(self.distance, 0, s.n)), total.eq(s.sum),
                    ext.eq(Mux(self.rho < 0, s.low, s.high)),
                    reach[0].eq(-s.low - self.delta), reach[1].eq(s.high - self.delta),
                    a.eq(Mux(self.rho < 0, -self.rho, self.rho)),
                    head.theta.eq(head.theta + data.View(self._stats, stats.r_data).sum),
                    head.total.eq(head.total + row.columns),
                    scan.eq(~gathers),
                ]
                m.next = "EXTREME"
                if config.tile:
                    with m.If(gathers):
                        m.next = "SKIP"
            if config.tile:
                with m.State("SKIP"):
                    m.d.comb += [skip.eq(1), self.masked.eq(1), self.end_head.eq(row.last)]
                    m.next = "IDLE"
            with m.State("EXTREME"):
                m.d.sync += n_ext.eq(n * ext)
                m.d.comb += self.reached.eq(head.theta >= self.tau)
                m.next = "WEIGHT"
            with m.State("WEIGHT"):
                m.d.sync += [
                    weighted_ext.eq(n_ext * a),
                    weighted_sum.eq(total * ((1 << RHO_FRAC) - a)),
                    *(bounds[q].eq(Mux(reach[q] > self._lowest, reach[q], self._lowest + 1))
                      for q in range(2)),
                ]
                m.next = "BOUND"
            with m.State("BOUND"):
                # (n*theta) << 7 >= B is n*theta >= ceil(B / 128).
                up = (1 << RHO_FRAC) - 1
                m.d.sync += bound.eq((weighted_ext + weighted_sum + up) >> RHO_FRAC)
                m.next = "SCAN"
            with m.State("SCAN"):
                with m.If(self.mask_en & (self.mask_group == last_group)):
                    m.d.comb += [self.masked.eq(1), self.end_head.eq(row.last)]
                    m.next = "IDLE"

    def _statistics(self, m, row, tile, s, load):
        """``s`` of the row of ``tile``'s statistics; whether they are only gathered."""
        config = self._config
        own = [s.n.eq(row.columns), s.sum.eq(tile.sum), s.low.eq(tile.low), s.high.eq(tile.high)]
        if not config.tile:
            m.d.comb += own
            return C(0)
        m.submodules.gathered = gathered = memory.Memory(
            shape=self._all_stats, depth=1 << strip_width(config) + config.block_width, init=[])
        write = gathered.write_port()
        read = gathered.read_port()
        old, gathers = read.data, self.phase == Phase.STATS
        m.d.comb += [
            read.addr.eq(Cat(row.row, self.strip)), write.addr.eq(read.addr),
            write.en.eq(load & gathers),
            write.data.n.eq(Mux(self.first, 0, old.n) + row.columns),
            write.data.sum.eq(Mux(self.first, 0, old.sum) + tile.sum),
            write.data.low.eq(Mux(self.first | (tile.low < old.low), tile.low, old.low)),
            write.data.high.eq(Mux(self.first | (tile.high > old.high), tile.high, old.high)),
        ]
        with m.If(self.phase == Phase.WHOLE):
            m.d.comb += own
        with m.Else():
            m.d.comb += s.eq(old)
        return gathers

    def _compare(self, m, read, row, n, bound, bounds, group, last_group, scan, skip):
        """Mask bits, four cycles after their groups.

        Memory of the blocks, a register as block RAMs are slow, n * theta, comparison: the first
        one comes when the bound is just there. With a distance n is 0, so that the multiplier
        rests.
        """
        config = self._config
        head = Signal(ring_width(config))           # of the ring; rows are read as they came
        with m.If(scan):
            m.d.sync += [group.eq(group + 1), head.eq(head + 1)]
            with m.If(group == last_group):
                m.d.sync += scan.eq(0)
        if config.tile:
            with m.If(skip):
                m.d.sync += head.eq(head + group_count(config, row.columns))
            some = Signal()
            m.d.comb += self.masked_some.eq(some | self.mask_bits.any())
            with m.If(self.mask_en):
                m.d.sync += some.eq(self.masked_some & ~self.masked)
        m.d.comb += [read.addr.eq(head), read.en.eq(scan)]
        enables, groups = [scan], [group]
        for step in range(4):
            enables.append(Signal(name=f"scan_{step}"))
            groups.append(Signal(group_width(config), name=f"group_{step}"))
            m.d.sync += enables[-1].eq(enables[-2])
            with m.If(enables[-2]):
                m.d.sync += groups[-1].eq(groups[-2])
        m.d.comb += [self.mask_en.eq(enables[-1]), self.mask_group.eq(groups[-1])]
        for place in range(config.group):
            stored = Signal(read.data[place].shape(), name=f"stored_{place}")
            product = Signal(bound.shape(), name=f"product_{place}")
            near = Signal(name=f"near_{place}")
            with m.If(enables[1]):
                m.d.sync += stored.eq(read.data[place])
            with m.If(enables[2]):
                m.d.sync += [
                    product.eq(n * stored.high[: config.theta_width]),
                    near.eq((-stored.low >= bounds[0]) | (stored.high >= bounds[1])),
                ]
            keeps = Mux(self.distance, near, product >= bound)
            if place:
                keeps &= Cat(C(place, group_bits(config)), groups[-2]) < row.columns
            m.d.sync += self.mask_bits[place].eq(keeps)
        kept = self.heads[self.bank].kept
        with m.If(self.mask_en):
            m.d.sync += kept.eq(kept + sum(self.mask_bits[1:], self.mask_bits[0]))
