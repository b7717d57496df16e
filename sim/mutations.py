# SPDX-License-Identifier: Apache-2.0
"""The table of mutations that :mod:`sim.mutate` tries."""

from dataclasses import dataclass

__all__ = ["MUTATIONS", "Mutation"]


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
    """

    file: str
    old: str
    new: str
    why: str


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "hw/hdp/sparsity.py",
        "keeps = product >= bound",
        "keeps = product > bound",
        "comparison: ties at the threshold are pruned"),
    Mutation(
        "hw/hdp/sparsity.py",
        "ext.eq(Mux(self.rho < 0, s.min, s.max))",
        "ext.eq(Mux(self.rho < 0, s.max, s.max))",
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
        "hw/arith/multiplier.py",
        "signs[0] ^ signs[3])",
        "signs[0])",
        "sign: one is left out of the outer pair"),
    Mutation(
        "hw/hdp/array.py",
        "low = Cat(Mux(self.exact, q_uf[n][:-1], 0), q_uf[n][-1])",
        "low = q_uf[n]",
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
        "hw/softmax/weight.py",
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
)
