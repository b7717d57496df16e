# SPDX-License-Identifier: Apache-2.0
"""The same heads with nothing pruned, by engine: what pruning is measured against."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from prunus.golden.engine import EngineConfig
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.jobs import AttentionJob
from prunus.golden.leopard.compute import LeopardJob, threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.topk.compute import TopkJob
from prunus.golden.topk.config import TopkConfig

from ..bench.cases import dense

__all__ = ["plain_unit", "unpruned"]


def plain_unit(config: LeopardConfig | TopkConfig) -> LeopardConfig:
    """One full-width unit of the same size, and no filter."""
    return LeopardConfig(
        name="plain", digit=config.width, dpus=1, pruning=False, **{
            name: getattr(config, name)
            for name in ("width", "taps", "d_max", "l_max", "axi_data_width")})


def _hdp(jobs: Sequence[HdpJob], config: HdpConfig) -> tuple[list[HdpJob], HdpConfig]:
    return [dense(job) for job in jobs], config


def _all_reach(job: AttentionJob, config: LeopardConfig) -> LeopardJob:
    own = {field.name: getattr(job, field.name) for field in fields(AttentionJob)}
    return LeopardJob(**own, threshold=threshold_limits(config)[0])


def _leopard(jobs: Sequence[LeopardJob],
             config: LeopardConfig) -> tuple[list[LeopardJob], LeopardConfig]:
    return [_all_reach(job, config) for job in jobs], config


def _topk(jobs: Sequence[TopkJob], config: TopkConfig) -> tuple[list[LeopardJob], LeopardConfig]:
    plain = plain_unit(config)
    return [_all_reach(job, plain) for job in jobs], plain


UNPRUNED: dict[str, Callable[[Any, Any], tuple[list[Any], EngineConfig]]] = {
    "hdp": _hdp, "leopard": _leopard, "topk": _topk}


def unpruned(jobs: Sequence[Any], config: EngineConfig) -> tuple[list[Any], EngineConfig]:
    """The heads with nothing pruned, and the hardware that computes them: the same, but for Top-K,
    which has no such mode."""
    return UNPRUNED[config.engine](jobs, config)
