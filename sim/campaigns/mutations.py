# SPDX-License-Identifier: Apache-2.0
"""The table of mutations that :mod:`prunus.sim.campaigns.mutate` tries."""

from dataclasses import dataclass

from ..engines import BENCHES

__all__ = ["MUTATIONS", "Mutation"]

# The engine whose jobs try what several share, by room.
SHARED_BY, DEFAULT = {"survivors": "leopard"}, "hdp"
LINEAR = "heat_tiny"            # linear jobs, and heads between them
FINE = "hdp_fine_tiny"          # rounded digits, of a fraction that is shorter than a digit
OWN = "hdp_own_tiny"            # an array of its own for P.V


@dataclass(frozen=True)
class Mutation:
    """A way to break a source.

    Members
    -------
    file : str
        Path from the root of the repository.
    old, new : str
        Exact text, which occurs once in the file, and what takes its place.
    why : str
        What it breaks, in a line.
    preset : str
        Whose random jobs must notice it, if that of the engine does not have what it breaks.
    """

    file: str
    old: str
    new: str
    why: str
    preset: str = ""

    @property
    def config(self) -> str:
        """The preset whose random jobs must notice it: that of the engine it is in."""
        if self.preset:
            return self.preset
        room = self.file.split("/")[1]
        engine = room if room in BENCHES else SHARED_BY.get(room, DEFAULT)
        return BENCHES[engine].preset


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "hw/hdp/sparsity.py",
        "near, product >= bound)",
        "near, product > bound)",
        "comparison: ties at the threshold are pruned"),
    Mutation(
        "hw/hdp/sparsity.py",
        "ext.eq(Mux(self.rho < 0, s.low, s.high))",
        "ext.eq(Mux(self.rho < 0, s.high, s.high))",
        "a negative rho takes the maximum"),
    Mutation(
        "hw/hdp/sparsity.py",
        "self.reached.eq(head.theta >= self.tau)",
        "self.reached.eq(head.theta > self.tau)",
        "comparison: theta_head equal to tau prunes the head"),
    Mutation(
        "hw/hdp/sparsity.py",
        "running.eq(update), first.eq(tag.last)",
        "running.eq(update), first.eq(0)",
        "missed reset: a row's statistics contain the rows before"),
    Mutation(
        "hw/hdp/sparsity.py",
        "near.eq((-stored.low >= bounds[0]) |",
        "near.eq((-stored.low >= bounds[0]) &",
        "a block needs both queries near"),
    Mutation(
        "hw/hdp/sparsity.py",
        "(-stored.low >= bounds[0])",
        "(-stored.low > bounds[0])",
        "comparison: the first query prunes at delta itself"),
    Mutation(
        "hw/hdp/sparsity.py",
        "(stored.high >= bounds[1])",
        "(stored.high > bounds[1])",
        "comparison: the second query prunes at delta itself"),
    Mutation(
        "hw/hdp/sparsity.py",
        "(stored.high >= bounds[1])",
        "(stored.high >= bounds[0])",
        "the second query has the bound of the first"),
    Mutation(
        "hw/hdp/sparsity.py",
        "reach[0].eq(-s.low - self.delta)",
        "reach[0].eq(-s.low + self.delta)",
        "sign: the first query's bound lies above its top"),
    Mutation(
        "hw/hdp/sparsity.py",
        "reach[1].eq(s.high - self.delta)",
        "reach[1].eq(s.high + self.delta)",
        "sign: the second query's bound lies above its top"),
    Mutation(
        "hw/hdp/sparsity.py",
        "reach[0].eq(-s.low - self.delta)",
        "reach[0].eq(s.high - self.delta)",
        "the first query has the top of the second"),
    Mutation(
        "hw/hdp/sparsity.py",
        "Mux(reach[q] > self._lowest, reach[q], self._lowest + 1)",
        "Mux(reach[q] > self._lowest, reach[q], self._lowest)",
        "a query that sees nothing keeps a block"),
    Mutation(
        "hw/hdp/sparsity.py",
        "Mux(reach[q] > self._lowest, reach[q], self._lowest + 1)",
        "reach[q]",
        "a large delta wraps around"),
    Mutation(
        "hw/hdp/sparsity.py",
        "Mux(visible[2 * q + 1] & (b > a), b, a)",
        "Mux(b > a, b, a)",
        "a key that is not seen counts"),
    Mutation(
        "hw/hdp/sparsity.py",
        "best[q].eq(Mux(visible[2 * q],\n",
        "best[q].eq(Mux(visible[0],\n",
        "a query that is not seen counts"),
    Mutation(
        "hw/hdp/sparsity.py",
        "& (b > a), b, a)",
        "& (b < a), b, a)",
        "comparison: the worse of two keys"),
    Mutation(
        "hw/hdp/sparsity.py",
        "low.eq(Mux(distance, -best[0], total))",
        "low.eq(Mux(distance, -best[1], total))",
        "both are the second query's"),
    Mutation(
        "hw/hdp/sparsity.py",
        "high.eq(Mux(distance, best[1], total))",
        "high.eq(Mux(distance, best[0], total))",
        "both are the first query's"),
    Mutation(
        "hw/hdp/sparsity.py",
        "keeps = Mux(self.distance, near, product >= bound)",
        "keeps = near",
        "magnitude is forgotten"),
    Mutation(
        "hw/hdp/sparsity.py",
        "theta.eq(total), low",
        "theta.eq(Mux(distance, 0, total)), low",
        "no theta_head with a distance"),
    Mutation(
        "hw/hdp/sparsity.py",
        "update.low.eq(Mux(first | (group.low < running.low),",
        "update.low.eq(Mux((group.low < running.low),",
        "missed reset: the first query's top contains the rows before"),
    Mutation(
        "hw/hdp/sparsity.py",
        "update.high.eq(Mux(first | (group.high > running.high),",
        "update.high.eq(Mux((group.high > running.high),",
        "missed reset: the second query's top contains the rows before"),
    Mutation(
        "hw/hdp/sparsity.py",
        "(group.low < running.low), group.low, running.low)",
        "(group.low > running.low), group.low, running.low)",
        "comparison: the first query's top is its least"),
    Mutation(
        "hw/hdp/integer_pass.py",
        "op.tag.distance.eq(self.distance)",
        "op.tag.distance.eq(0)",
        "importance is lost on the way through the array"),
    Mutation(
        "hw/hdp/core.py",
        "(\"distance\", \"rho\", \"delta\")",
        "(\"distance\", \"rho\")",
        "delta does not reach the filter"),
    Mutation(
        "hw/arith/multiplier.py",
        "signs[0] ^ signs[3])",
        "signs[0])",
        "sign: one is left out of the outer pair"),
    Mutation(
        "hw/arith/multiplier.py",
        "signs[0] if self._rounded else ",
        "",
        "sign: that of rounded fractions is taken for that of integer parts",
        FINE),
    Mutation(
        "hw/arith/multiplier.py",
        "joined, alone = products[0] << 2 * self._low, products[3]",
        "joined = Cat(products[3][: 2 * self._low], products[0])\n"
        "            alone = Mux(full, 0, products[3])",
        "sign: rounded fractions are multiplied as truncated ones",
        FINE),
    Mutation(
        "hw/hdp/array.py",
        "Cat(C(0, lift), fraction) if lift",
        "fraction if lift",
        "fractions shorter than a digit have half their weight",
        FINE),
    Mutation(
        "hw/hdp/score_adder.py",
        "_shifted(score, config.frac - config.lift)",
        "_shifted(score, config.frac)",
        "fraction products of short fractions count twice",
        FINE),
    Mutation(
        "hw/hdp/score_adder.py",
        "full = _shifted(score, -2 * config.lift)",
        "full = _shifted(score, -config.lift)",
        "full products of short fractions count twice",
        FINE),
    Mutation(
        "hw/hdp/loader.py",
        "Mux(is_i if layout.signed_kind == \"i\" else is_f, signs, 0)",
        "Mux(is_f, signs, 0)",
        "sign bits of integer parts are not asked for",
        FINE),
    Mutation(
        "hw/hdp/array.py",
        "Cat(mag, sign & (mag == 0), sign)",
        "Cat(mag, sign & 0, sign)",
        "minus zero, the lowest rounded fraction, is zero",
        FINE),
    Mutation(
        "hw/hdp/array.py",
        "Cat(Mux(exact, q_f[:-1], 0), q_f[-1])",
        "q_f",
        "full products always contain fraction times fraction"),
    Mutation(
        "hw/hdp/score_adder.py",
        "before = Mux(best_first, 0, kept[q])",
        "before = kept[q]",
        "missed reset: kept keys are counted across rows"),
    Mutation(
        "hw/hdp/rows.py",
        "query + i < self.valid_q",
        "query + i <= self.valid_q",
        "off by one: a padded query sees keys"),
    Mutation(
        "hw/hdp/fetch.py",
        "found.w_data.eq(Cat(held_column, flush))",
        "found.w_data.eq(Cat(held_column, hit))",
        "the wrong column is marked as the row's last"),
    Mutation(
        "hw/hdp/column_sum.py",
        "counts.eq(self.load_row < self.base)",
        "counts.eq(self.load_row <= self.base)",
        "off by one: a key too many in the background"),
    Mutation(
        "hw/hdp/issue.py",
        "in_integer.eq(~self.integer.payload.last)",
        "in_integer.eq(0)",
        "missed lock: scores break into a block of the integer pass"),
    Mutation(
        "hw/hdp/scheduler.py",
        "begun.integer_rows.eq(1), begun.integer_from.eq(self.integer_row)",
        "begun.integer_rows.eq(1), begun.integer_from.eq(0)",
        "rows without integer scores are taken to have them"),
    Mutation(
        "hw/hdp/scheduler.py",
        "& (last.valid_kv == job.valid_kv)",
        "",
        "keys of a longer or shorter head are taken for the same"),
    Mutation(
        "hw/hdp/scheduler.py",
        "kv.eq(before.kv ^ ~same)",
        "kv.eq(before.kv ^ 1)",
        "a head with shared keys looks into the other bank"),
    Mutation(
        "hw/hdp/ring.py",
        "Mux(taken, taken_entries, 0)",
        "taken",
        "rings overflow: a row takes one entry's room"),
    Mutation(
        "hw/hdp/value_pass.py",
        "row.running.eq(fetched)",
        "row.running.eq(0)",
        "causal rows forget the keys that earlier rows added"),
    Mutation(
        "hw/hdp/weight.py",
        "m.d.comb += index.eq(k + 1)",
        "m.d.comb += index.eq(k)",
        "off by one: a weight's shift is one step short"),
    Mutation(
        "hw/hdp/result_writer.py",
        "Mux(job.computed, (job.valid_q + 1) & ~1, 0)",
        "Mux(job.computed, job.valid_q, 0)",
        "the padding row of an odd head is left in the queue"),
    Mutation(
        "hw/shell/bursts.py",
        "last.eq(request.beats <= room)",
        "last.eq(request.beats < room)",
        "comparison: a request that fills its last burst goes on"),
    Mutation(
        "hw/leopard/dpu.py",
        "negative.eq(excess[-1])",
        "negative.eq(excess <= 0)",
        "comparison: a key whose score is the threshold is pruned"),
    Mutation(
        "hw/leopard/dpu.py",
        "exhausted = step >= slots",
        "exhausted = step > slots",
        "off by one: a unit begins a key that the row does not see"),
    Mutation(
        "hw/leopard/dot_product.py",
        "inverse[sign] ^ self.top",
        "inverse[sign]",
        "sign: that of a key is taken for a bit like the others"),
    Mutation(
        "hw/leopard/keys.py",
        "address.eq(first), unit.eq(1), word.eq(0)",
        "address.eq(first), word.eq(0)",
        "missed reset: after an odd number of keys a head begins at the second unit"),
    Mutation(
        "hw/leopard/keys.py",
        "copy * region_words(config, count)",
        "0",
        "copies of keys are written over other keys"),
    Mutation(
        "hw/leopard/query.py",
        "unit_of(config, key, count, copy)",
        "unit_of(config, key, count, 0)",
        "no turn: a unit takes the keys of another copy for its own"),
    Mutation(
        "hw/leopard/row_issue.py",
        "copies_index(self._config, head.valid_kv, head.d8)",
        "copies_index(self._config, head.valid_q, head.d8)",
        "rows look for as many copies as of so many queries"),
    Mutation(
        "hw/leopard/query.py",
        "Mux(stages[1].first, 0, s) + p",
        "s + p",
        "missed reset: the bound contains the queries before"),
    Mutation(
        "hw/leopard/query.py",
        "[: len(taken)] != config.rows",
        "[: len(taken)] != config.rows + 1",
        "off by one: a fifth row takes the slot of the first"),
    Mutation(
        "hw/leopard/reorder.py",
        "offer.ahead.eq(self.ended & ~self.advance)",
        "offer.ahead.eq(0)",
        "a survivor of the next row is merged into this one"),
    Mutation(
        "hw/leopard/merge.py",
        "count.eq(Mux(self.advance, 0, count + wants.any()))",
        "count.eq(count + wants.any())",
        "missed reset: survivors are counted across rows"),
    Mutation(
        "hw/leopard/row_issue.py",
        "limit.eq(head.valid_kv + 1 - head.valid_q)",
        "limit.eq(head.valid_kv - head.valid_q)",
        "off by one: a causal row sees a key too few"),
    Mutation(
        "hw/survivors/collector.py",
        "first | (survivor.score > top)",
        "survivor.score > top",
        "missed reset: the largest score is that of all rows so far"),
    Mutation(
        "hw/survivors/weights.py",
        "e.eq(Mux(items[-2].none, 0, exp2.e))",
        "e.eq(exp2.e)",
        "a row without survivors weighs what the ring happens to show"),
    Mutation(
        "hw/survivors/weight.py",
        "self.mag.eq(halved(picked))",
        "self.mag.eq(picked >> 1)",
        "weights are cut, not rounded"),
    Mutation(
        "hw/survivors/value_unit.py",
        "Mux(begins, 0, held[n])",
        "held[n]",
        "missed reset: a row is added to those before"),
    Mutation(
        "hw/survivors/value_unit.py",
        "step.eq(self.i.valid & (~weight.last | (left != 0)))",
        "step.eq(self.i.valid)",
        "missed wait: rows run over the end of the queue to the normaliser"),
    Mutation(
        "hw/survivors/row_output.py",
        "step.eq(Mux(chunk_last, 0, step + 1))",
        "step.eq(step + 1)",
        "missed reset: a row of few dimensions leaves the next one a wrong start"),
    Mutation(
        "hw/survivors/scheduler.py",
        "kv.eq(before.kv ^ ~same)",
        "kv.eq(before.kv ^ 1)",
        "a head with shared keys looks into the other bank"),
    Mutation(
        "hw/survivors/scheduler.py",
        "(Plane.V, older.valued)",
        "(Plane.V, older.scored)",
        "values are overwritten while weights still come for them"),
    Mutation(
        "hw/survivors/loader.py",
        "index == self._code_beats(d8[tag.slot]) - 1",
        "index == self._code_beats(d8[0]) - 1",
        "wrong slot: rows are as long as those of another job"),
    Mutation(
        "hw/survivors/result_writer.py",
        "Mux(job.computed, job.valid_q * row_beats, 0)",
        "Mux(job.computed, job.l_q * row_beats, 0)",
        "rows of padding are taken from those of the next head"),
    Mutation(
        "hw/survivors/core.py",
        "self.rows.d8.eq(jobs[normalised].d8)",
        "self.rows.d8.eq(jobs[valued].d8)",
        "wrong slot: the last rows of a head are as long as those of the next"),
    Mutation(
        "hw/topk/best.py",
        "~(come.score > score)",
        "~(come.score >= score)",
        "comparison: of equal scores the later key is kept"),
    Mutation(
        "hw/topk/best.py",
        "kept.eq(Mux(count > self.top_k, self.top_k, count))",
        "kept.eq(count)",
        "missed limit: a row keeps as many keys as there are places"),
    Mutation(
        "hw/topk/best.py",
        "ahead[n].eq(used[n] & ~move & ~",
        "ahead[n].eq(used[n] & ~",
        "missed reset: the first key of a row queues behind those of the row before"),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "rounded = halved(fine)",
        "rounded = (fine >> 1).as_signed()",
        "a code is rounded down",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "code = clamped(rounded, CODE)",
        "code = clamped(rounded, CODE - 1)",
        "codes are clipped to 7 bits",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "entry = Cat(code[:-1], ~code[-1])",
        "entry = Cat(code[:-1], code[-1])",
        "the table begins with code 0",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        'more = reg(halved(moved), "more", 9)',
        'more = reg((moved >> 1).as_signed(), "more", 9)',
        "a residual is rounded down",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "final = Mux(stages[8].residual, clamped((active + more).as_signed(), CODE), active)",
        "final = Mux(stages[8].residual, (active + more)[:CODE].as_signed(), active)",
        "a code with its residual wraps around",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "across = Mux(second, block[2 + lane], block[lane])",
        "across = row",
        "transposed, lanes get rows",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "write.addr.eq(Cat(self.table.index, self.table.job))",
        "write.addr.eq(Cat(self.table.index, C(0, 1)))",
        "both jobs have one table",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        'reg(clamped(totals[4], WORD_BITS), "wide", 7)',
        'reg(totals[4][:WORD_BITS].as_signed(), "wide", 7)',
        "a wide sum wraps around",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "self.o.clipped[lane].eq(offs[2] & ~stages[8].wide)",
        "self.o.clipped[lane].eq(offs[2])",
        "wide sums count as clipped",
        LINEAR),
    Mutation(
        "hw/hdp/linear/requantise.py",
        "control.ends.eq(tag.ends & second)",
        "control.ends.eq(tag.ends)",
        "a word ends a result early",
        LINEAR),
    Mutation(
        "hw/hdp/linear/collector.py",
        "Mux(short, word[64:], word)",
        "word",
        "a short word lies at the upper end",
        LINEAR),
    Mutation(
        "hw/hdp/linear/places.py",
        "after.a_row.eq(at.a_row + job.a_row)",
        "after.a_row.eq(at.a_row + 1)",
        "place: rows of split views follow each other",
        LINEAR),
    Mutation(
        "hw/hdp/linear/places.py",
        "channel.p_inner.eq(channel.p_inner + (job.p_inner << 1))",
        "channel.p_inner.eq(channel.p_inner + job.p_inner)",
        "place: the second pair of channels lies on the first",
        LINEAR),
    Mutation(
        "hw/hdp/linear/places.py",
        "size = Mux(job.transposed, WORD, 1)",
        "size = 1",
        "place: transposed, 16 rows count as one",
        LINEAR),
    Mutation(
        "hw/hdp/linear/places.py",
        "strip_row.eq(first), channel.eq(0)",
        "strip_row.eq(0), channel.eq(0)",
        "place: every strip begins with the first row",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "m.d.sync += [base.eq(base + size), rows_left",
        "m.d.sync += [base.eq(size), rows_left",
        "the ring of X begins anew",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "m.d.sync += [slot.eq(~slot), channels_left",
        "m.d.sync += [channels_left",
        "tiles of weights are not taken in turn",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "group.eq(group + chunks * Mux(job.narrow, 2, 1))",
        "group.eq(group + chunks)",
        "groups of narrow weights overlap",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "op.tag.single.eq(uneven & row_last)",
        "op.tag.single.eq(row_last)",
        "a last pair of rows counts as one row",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "op.first.eq(at.chunk == 0)",
        "op.first.eq((at.chunk == 0) & (at.column == 0))",
        "missed reset: a block contains the one before",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "gap.eq(go & last & (chunks == 1))",
        "gap.eq(0)",
        "blocks of one operation follow each other at once",
        LINEAR),
    Mutation(
        "hw/hdp/linear/issue.py",
        "tile_w.eq(first_w),",
        "tile_w.eq(0),",
        "all pairs of rows but the first have weights of the first half",
        LINEAR),
    Mutation(
        "hw/hdp/linear/loader.py",
        "with m.If(parity):",
        "with m.If(~parity):",
        "rows of a pair lie in different pairs",
        LINEAR),
    Mutation(
        "hw/hdp/linear/loader.py",
        "high = Mux(odd, beat.data, 0)",
        "high = beat.data",
        "a row of an odd number of beats has no zeros behind it",
        LINEAR),
    Mutation(
        "hw/hdp/linear/loader.py",
        "self.loaded.x.eq(take & is_x & beat.last & now.ends)",
        "self.loaded.x.eq(take & is_x & beat.last)",
        "X of several heads is there with the first",
        LINEAR),
    Mutation(
        "hw/hdp/linear/fetch.py",
        "base=Mux(job.half & slot, sizes.ring // 2, 0)",
        "base=Mux(slot, sizes.ring // 2, 0)",
        "a tile of the whole buffer begins in its middle",
        LINEAR),
    Mutation(
        "hw/hdp/linear/fetch.py",
        "fits = size <= self.room",
        "fits = size <= self.room + 2",
        "off by two: X overwrites the oldest granules",
        LINEAR),
    Mutation(
        "hw/hdp/linear/fetch.py",
        "with m.If(self.halves >= needed)",
        "with m.If(self.halves != 0)",
        "a tile of the whole buffer waits for a half",
        LINEAR),
    Mutation(
        "hw/hdp/linear/residual.py",
        "row_at.eq(row_at + (job.channels << 1))",
        "row_at.eq(row_at + job.channels)",
        "residuals of the second pair of rows begin with those of the first",
        LINEAR),
    Mutation(
        "hw/hdp/linear/residual.py",
        "command.beats.eq(Mux(columns > WORD // 2, 2, 1))",
        "command.beats.eq(2)",
        "residuals are read beyond their row",
        LINEAR),
    Mutation(
        "hw/hdp/linear/output.py",
        "signs[lane].eq(Cat(signs[lane][WORD:], negative))",
        "signs[lane].eq(negative)",
        "signs of the last 16 digits alone",
        LINEAR),
    Mutation(
        "hw/hdp/linear/output.py",
        "Mux(job.held_y, place.row >> 1, place.row)",
        "place.row",
        "rows that are held lie two apart",
        LINEAR),
    Mutation(
        "hw/hdp/linear/output.py",
        "m.d.sync += [written.eq(0), error.eq(job.error), lane.eq(0)]",
        "m.d.sync += [error.eq(job.error), lane.eq(0)]",
        "missed reset: bytes written contain those of the job before",
        LINEAR),
    Mutation(
        "hw/hdp/linear/unit.py",
        "BEHIND = 24 ",
        "BEHIND = 1 ",
        "parameters of channels are overwritten while they are in use",
        LINEAR),
    Mutation(
        "hw/hdp/linear/unit.py",
        "waits = (fetch_at != behind)",
        "waits = (fetch_at == behind) & (fetch_at != behind)",
        "X of a job overwrites what the one before holds",
        LINEAR),
    Mutation(
        "hw/hdp/linear/unit.py",
        "holds.eq(jobs[behind].held_y & ~output.failed)",
        "holds.eq(jobs[behind].held_y)",
        "a chain goes on behind a link that failed",
        LINEAR),
    Mutation(
        "hw/hdp/linear/unit.py",
        "off = result.clipped[0] + (result.clipped[1] & ~result.single)",
        "off = result.clipped[0] + result.clipped[1]",
        "what is clipped of a row that there is not counts",
        LINEAR),
    Mutation(
        "hw/hdp/linear/unit.py",
        "self.x_write.keep.eq(held)",
        "self.x_write.keep.eq(0)",
        "a word that is held clears what lies beside it",
        "hdp_edge"),
    Mutation(
        "hw/hdp/core.py",
        "exact = linear | exact",
        "exact = exact",
        "products of fractions are missing",
        LINEAR),
    Mutation(
        "hw/arith/multiplier.py",
        "full_sum.eq(lifted)]",
        "full_sum.eq(full)]",
        "upper digits of narrow products count as lower ones",
        LINEAR),
    Mutation(
        "hw/hdp/array.py",
        "Mux(select.narrow, a, b)",
        "b",
        "narrow weights are multiplied as fractions",
        LINEAR),
    Mutation(
        "hw/hdp/value_array.py",
        "Mux(begins, 0, total)",
        "total",
        "missed reset: the sums of P.V's own array contain the chunks before",
        OWN),
    Mutation(
        "hw/hdp/value_array.py",
        "sign ^ value.sign",
        "sign",
        "sign: P.V's own array takes values as magnitudes",
        OWN),
    Mutation(
        "hw/hdp/core.py",
        "delayed(m, issue.value_op[name], PlaneBuffer.latency - 1,",
        "delayed(m, issue.value_op[name], PlaneBuffer.latency,",
        "off by one: P.V's own array gets weights a cycle late",
        OWN),
)
