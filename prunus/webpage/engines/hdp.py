# SPDX-License-Identifier: Apache-2.0
"""Blocks of HDP."""

from collections.abc import Mapping, Sequence

import numpy as np

from prunus.golden.hdp import occupancy
from prunus.golden.hdp.compute import (
    DELTA_MAX,
    RHO_FRAC,
    HdpJob,
    HdpResult,
    Importance,
    least_deltas,
    magnitude_bound,
    weights,
)
from prunus.golden.hdp.config import HdpConfig

from .. import cells
from .view import EngineView, Kept, Quantity, Span, seen_pairs

__all__ = ["VIEW", "HdpView"]

THETA = Quantity(key="theta", name="θ of a block", unit="sum of |integer scores|", cell=2,
                 bound="Θ")
AWAY = Quantity(key="distance", name="distance of a block from its row's best",
                unit="units of the logits", cell=2, high=False, merged="smallest", bound="X",
                logits=True)
SCORE = Quantity(key="score", name="largest score of a kept block", unit="units of the logits",
                 cell=2, logits=True)
NAMES = {
    "integer_slots": "integer pass", "score_slots": "scores of kept blocks", "value_slots": "P·V",
    "idle_softmax": "idle: waits for the softmax", "idle_operand": "idle: reads masks",
    "idle_dma": "idle: loads operands", "idle_threshold": "idle: makes thresholds",
    "idle_drain": "idle: writes results, or no job"}


class HdpView(EngineView):
    """Blocks of two queries and two keys."""

    mask_cell = 2

    def quantities(self, job: HdpJob) -> list[Quantity]:
        if job.dense:
            return [SCORE]
        first = [AWAY] if job.importance is Importance.DISTANCE else []
        return [*first, THETA, SCORE]

    def _seen(self, job: HdpJob) -> np.ndarray:
        return cells.counted(seen_pairs(job), 2) > 0

    def maps(self, job: HdpJob, result: HdpResult, config: HdpConfig) -> dict[str, np.ndarray]:
        seen = self._seen(job)
        # The hardware has no scores of pruned blocks.
        scores = cells.merged(np.where(seen_pairs(job), result.scores, np.nan), 2,
                              "largest")
        return {
            "theta": np.where(seen, result.theta, np.nan),
            # Of scores with the fractions that the job's scores have.
            "distance": np.where(seen, least_deltas(job, config) * 4.0**config.frac, np.nan),
            "score": np.where(result.mask, scores, np.nan)}

    def mask(self, job: HdpJob, result: HdpResult) -> tuple[np.ndarray, np.ndarray]:
        return result.mask, self._seen(job)

    def probability(self, job: HdpJob, result: HdpResult) -> np.ndarray:
        seen = seen_pairs(job)
        if not result.head_kept:
            return np.zeros(seen.shape)
        keep = seen & result.mask.repeat(2, axis=0).repeat(2, axis=1)[: job.l_q, : job.l_kv]
        w, e0, den = weights(job, result.scores, keep, seen)
        return np.where(seen, w + e0[:, None], 0) / np.maximum(den, 1)[:, None]

    def rows(self, job: HdpJob, result: HdpResult, config: HdpConfig) -> dict[str, list[float]]:
        count = len(result.mask)
        if job.dense:
            return {}
        if job.importance is Importance.DISTANCE:
            return {"X": [] if job.delta >= DELTA_MAX else [job.delta * 4.0**config.frac] * count}
        seen = self._seen(job)
        bound = magnitude_bound(result.theta, seen, job.rho)
        return {"Θ": (bound / (np.maximum(seen.sum(axis=1), 1) << RHO_FRAC)).tolist()}

    def facts(self, job: HdpJob, result: HdpResult) -> list[tuple[str, str]]:
        if job.dense:
            return [("pruning", "none")]
        rule = ("importance", f"distance, at most {job.delta} integer units")
        if job.importance is Importance.MAGNITUDE:
            rule = ("importance", f"magnitude, ρ = {job.rho}/{1 << RHO_FRAC}")
        return [rule, ("pruned blocks", "probability 0" if job.drop else "score 0"),
                ("θ of the head", f"{result.theta_head:,}, "
                 f"{'at least' if result.head_kept else 'below'} τ = {job.tau_head:,}"
                 f"{'' if result.head_kept else ': the head is pruned'}")]

    def kept(self, job: HdpJob, result: HdpResult) -> Kept:
        alive = int(result.head_kept)
        return Kept(blocks=result.blocks_total, blocks_kept=result.blocks_kept * alive,
                    scores=int(seen_pairs(job).sum()), scores_kept=result.pairs_kept * alive,
                    head=result.head_kept)

    def spans(self, counters: Mapping[str, int], jobs: Sequence[HdpJob],
              config: HdpConfig) -> list[Span]:
        """Counters are summed over the cores."""
        return [Span(key=key, name=NAMES[key], cycles=counters[key] / config.cores,
                     idle=key.startswith("idle")) for key in occupancy(config)]


VIEW = HdpView()
