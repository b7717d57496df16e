# SPDX-License-Identifier: Apache-2.0
"""Linear layers of a compressed model through a backend, with what they cost."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear import LinearJob, LinearKind
from prunus.golden.hdp.linear.cost import chain_cost, product_of

from ..errors import InputError
from ..models.coded import Coded, CodedLinear, through
from ..run import Opened, Run

__all__ = ["LinearCounts", "counted_layers", "has_linear"]


@dataclass
class LinearCounts:
    """What linear layers cost, added up.

    Members
    -------
    jobs, products, cycles, array_cycles, work_cycles, read_bytes, write_bytes : int
        Cycles are those of the hardware if ``counted``, else those of the model of cycles; array
        cycles are those in which the array has work, by the shapes of the jobs, and work cycles
        those of them in which it multiplies.
    """

    jobs: int = 0
    products: int = 0
    cycles: int = 0
    array_cycles: int = 0
    work_cycles: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    counted: bool = False

    def add(self, jobs: Sequence[LinearJob], done: Run, config: HdpConfig) -> None:
        """What a table of jobs took."""
        cost = chain_cost([product_of(job) for job in jobs], config)
        self.jobs += len(jobs)
        self.products += cost.products
        self.array_cycles += cost.array_cycles
        self.work_cycles += cost.work_cycles
        self.counted = done.cycles is not None
        self.cycles += (engine_of(config).predict_cycles(jobs, done.golden, config) or 0
                        if done.cycles is None else done.cycles)
        self.read_bytes += done.read_bytes
        self.write_bytes += done.write_bytes

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: getattr(self, name) for name in (
            "jobs", "products", "cycles", "array_cycles", "work_cycles", "read_bytes",
            "write_bytes")} | {
            "cycles_from": "counters" if self.counted else "model"}


def has_linear(model: nn.Module, config: EngineConfig | None) -> bool:
    """The model has layers in codes, and the coprocessor does linear jobs."""
    return (isinstance(config, HdpConfig) and config.linear
            and any(isinstance(module, Coded) for module in model.modules()))


@contextmanager
def counted_layers(model: nn.Module, config: HdpConfig, run: Opened) -> Iterator[LinearCounts]:
    """Layers in codes go through a backend, as many rows of X at a time as the buffers hold."""
    counts = LinearCounts()

    def layer(coded: CodedLinear, codes: np.ndarray) -> np.ndarray:
        parts, at = [], 0
        while at < len(codes):
            jobs = _fitting(coded, codes[at:], config)
            done = run(jobs)
            parts.append(done.outputs[-1][0][:, : coded.n])
            at += len(parts[-1])
            counts.add(jobs, done, config)
        return np.concatenate(parts)

    with through(model, layer):
        yield counts


def _fitting(coded: CodedLinear, codes: np.ndarray, config: HdpConfig) -> list[LinearJob]:
    """The jobs of as many rows as the coprocessor takes together, of halves of them."""
    kind, rows, wrong = LinearKind(), len(codes), ""
    while rows:
        jobs = list(coded.jobs(codes[:rows]))
        refused = [kind.refuse(job, config, jobs[n - 1] if n else None)
                   for n, job in enumerate(jobs)]
        if not any(refused):
            return jobs
        wrong, rows = next(filter(None, refused)), rows // 2
    raise InputError(f"config {config.name} cannot do a layer of the model: {wrong}")
