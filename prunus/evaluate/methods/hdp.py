# SPDX-License-Identifier: Apache-2.0
"""HDP, hybrid dynamic pruning, bit for bit as the coprocessor computes it.

With ``I_ij`` the integer score of query i and key j, ``magnitude`` keeps a block of 2 x 2 iff

    theta >= Theta = rho * max + (1 - rho) * mean           rho >= 0, over its row of blocks
    theta >= Theta = -rho * min + (1 + rho) * mean          rho < 0
    theta = sum of |I_ij| of the block

(*Hybrid Dynamic Pruning*, arXiv 2407.12893), and ``distance`` iff ``max_j I_ij - I_ij`` is at most
``distance`` in units of the logits for some pair of the block (docs/criteria.md). A head whose sum
of theta is below ``tau_head`` is pruned whole. Digits of the codes are those of the preset.
"""

from collections.abc import Callable, Sequence
from typing import Any

from prunus.golden.engines import engine_of
from prunus.golden.hdp.compute import (
    HdpJob,
    HdpResult,
    Importance,
    encode_delta,
    encode_rho,
    visible_limits,
)
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.timing.cycles import predict_cycles

from ..choices import HdpChoice
from ..layer import Counts, Layer, quantised
from .base import Hardware

__all__ = ["Hdp"]


class Hdp(Hardware):
    """HDP with the same choice for all heads, or one for each.

    Parameters
    ----------
    config : HdpConfig
    choice : callable
        (layer, head) -> HdpChoice.
    parameters : dict
        What was told of it.
    """

    name = "hdp"
    config: HdpConfig
    bounded = False

    def __init__(self, config: HdpConfig, choice: Callable[[int, int], HdpChoice],
                 parameters: dict[str, Any]):
        self.config, self.choice, self.parameters = config, choice, parameters

    def coded(self, layer: Layer, head: int) -> tuple[HdpJob, float, float]:
        choice = self.choice(layer.number, head)
        how: dict[str, Any] = {"dense": True}
        if choice.distance is not None:
            distance = choice.distance
            how = {"importance": Importance.DISTANCE,
                   "delta": lambda unit: encode_delta(distance, unit, self.config)}
        elif choice.rho is not None:
            how = {"importance": Importance.MAGNITUDE, "rho": encode_rho(choice.rho)}
        return quantised(layer, head, self.config, HdpJob, centred=choice.centred,
                         balanced=choice.balanced, tau_head=choice.tau_head, drop=choice.drop,
                         exact=choice.exact, temperature=choice.temperature, **how)

    def counts(self, layer: Layer, jobs: Sequence[HdpJob],
               results: Sequence[HdpResult]) -> Counts:
        counts = Counts()
        for job, result in zip(jobs, results, strict=True):
            counts.add(Counts(
                blocks=result.blocks_total, blocks_kept=result.blocks_kept * result.head_kept,
                scores=int(visible_limits(job).sum()),
                scores_kept=result.pairs_kept * result.head_kept,
                heads=1, heads_kept=int(result.head_kept)))
        return counts

    def cycles(self, jobs: Sequence[HdpJob], results: Sequence[HdpResult]) -> int:
        """What the model of cycles predicts for the table as a driver would order it."""
        order, table = engine_of(self.config).arrange(jobs, self.config)
        return predict_cycles(table, [results[n] for n in order], self.config)
