# SPDX-License-Identifier: Apache-2.0
"""Pairs of Top-K: scores, and the least of each query that is kept."""

from collections.abc import Mapping, Sequence

import numpy as np

from prunus.golden.survivors import weights
from prunus.golden.topk.compute import TopkJob, TopkResult
from prunus.golden.topk.config import TopkConfig

from .. import cells
from .view import EngineView, Kept, Quantity, Span, seen_pairs

__all__ = ["VIEW", "TopkView"]

LEAST = "least kept score"
SCORE = Quantity(key="score", name="score q·k", unit="units of the logits", bound=LEAST,
                 logits=True)


class TopkView(EngineView):
    """The K best keys of each query."""

    def quantities(self, job: TopkJob) -> list[Quantity]:
        return [SCORE]

    def maps(self, job: TopkJob, result: TopkResult, config: TopkConfig) -> dict[str, np.ndarray]:
        return {"score": np.where(seen_pairs(job), result.scores, np.nan)}

    def mask(self, job: TopkJob, result: TopkResult) -> tuple[np.ndarray, np.ndarray]:
        return result.mask, seen_pairs(job)

    def probability(self, job: TopkJob, result: TopkResult) -> np.ndarray:
        w = weights(job, result.scores, result.mask)
        return w / np.maximum(w.sum(axis=1), 1)[:, None]

    def rows(self, job: TopkJob, result: TopkResult, config: TopkConfig) -> dict[str, list[float]]:
        """Rows without keys have 0, as nothing is compared with it."""
        least = np.where(result.mask, result.scores, np.inf).min(axis=1, initial=np.inf)
        return {LEAST: np.where(np.isfinite(least), least, 0).tolist()}

    def facts(self, job: TopkJob, result: TopkResult) -> list[tuple[str, str]]:
        return [("K", f"{job.top_k} keys of each query")]

    def kept(self, job: TopkJob, result: TopkResult) -> Kept:
        blocks, seen = (cells.counted(x, 2) > 0 for x in (result.mask, seen_pairs(job)))
        return Kept(blocks=int(seen.sum()), blocks_kept=int(blocks.sum()), scores=result.keys,
                    scores_kept=result.survivors)

    def spans(self, counters: Mapping[str, int], jobs: Sequence[TopkJob],
              config: TopkConfig) -> list[Span]:
        idle = counters["idle_dma"]
        return [Span(key="computing", name="a head is computed",
                     cycles=counters["cycles"] - idle),
                Span(key="idle_dma", name="idle: loads operands", cycles=idle, idle=True)]

    def busy(self, counters: Mapping[str, int], jobs: Sequence[TopkJob],
             config: TopkConfig) -> list[tuple[str, float]]:
        chunks = max((-(-job.d // config.taps) for job in jobs), default=1)
        return [("dot-product unit", float(counters["keys"] * chunks)),
                ("value path", float(counters["value_words"]))]


VIEW = TopkView()
