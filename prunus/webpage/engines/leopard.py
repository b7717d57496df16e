# SPDX-License-Identifier: Apache-2.0
"""Pairs of LeOPArd: scores, and the digits until a key cannot reach the threshold."""

from collections.abc import Mapping, Sequence

import numpy as np

from prunus.golden.leopard.compute import LeopardJob, LeopardResult, threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.survivors import weights

from .. import cells
from .view import EngineView, Kept, Quantity, Span, logit_unit, seen_pairs

__all__ = ["VIEW", "LeopardView"]

SCORE = Quantity(key="score", name="score q·k", unit="units of the logits", bound="threshold",
                 logits=True)
DIGITS = Quantity(key="digits", name="digits of the key until it was decided", unit="digits",
                  merged="mean")


class LeopardView(EngineView):
    """Keys that reach the threshold."""

    def quantities(self, job: LeopardJob) -> list[Quantity]:
        return [SCORE, DIGITS]

    def maps(self, job: LeopardJob, result: LeopardResult,
             config: LeopardConfig) -> dict[str, np.ndarray]:
        seen = seen_pairs(job)
        return {"score": np.where(seen, result.scores, np.nan),
                "digits": np.where(seen, result.digits, np.nan)}

    def mask(self, job: LeopardJob, result: LeopardResult) -> tuple[np.ndarray, np.ndarray]:
        return result.mask, seen_pairs(job)

    def probability(self, job: LeopardJob, result: LeopardResult) -> np.ndarray:
        w = weights(job, result.scores, result.mask)
        return w / np.maximum(w.sum(axis=1), 1)[:, None]

    def rows(self, job: LeopardJob, result: LeopardResult,
             config: LeopardConfig) -> dict[str, list[float]]:
        all_reach = not config.pruning or job.threshold == threshold_limits(config)[0]
        return {"threshold": [] if all_reach else [float(job.threshold)] * job.l_q}

    def facts(self, job: LeopardJob, result: LeopardResult) -> list[tuple[str, str]]:
        return [("threshold", f"{job.threshold * logit_unit(job):.4g} (q·k = {job.threshold:,})"),
                ("digits a key", f"{result.digits_total / max(result.keys, 1):.2f} on average")]

    def kept(self, job: LeopardJob, result: LeopardResult) -> Kept:
        blocks, seen = (cells.counted(x, 2) > 0 for x in (result.mask, seen_pairs(job)))
        return Kept(blocks=int(seen.sum()), blocks_kept=int(blocks.sum()), scores=result.keys,
                    scores_kept=result.survivors)

    def spans(self, counters: Mapping[str, int], jobs: Sequence[LeopardJob],
              config: LeopardConfig) -> list[Span]:
        idle = counters["idle_dma"]
        return [Span(key="computing", name="a head is computed",
                     cycles=counters["cycles"] - idle),
                Span(key="idle_dma", name="idle: loads operands", cycles=idle, idle=True)]

    def busy(self, counters: Mapping[str, int], jobs: Sequence[LeopardJob],
             config: LeopardConfig) -> list[tuple[str, float]]:
        return [("dot-product units", counters["key_words"] / config.dpus),
                ("value path", float(counters["value_words"]))]


VIEW = LeopardView()
