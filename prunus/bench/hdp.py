# SPDX-License-Identifier: Apache-2.0
"""The bench of HDP: real and made heads, pruned and dense."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prunus.golden.hdp.config import HdpConfig

from . import plot, report
from .cases import Case, Suite, suite
from .columns import Column
from .measure import measure
from .suite import BenchSuite, Part, Progress, Rate

__all__ = ["RATED", "SUITE", "HdpSuite"]

RATED = "kept/d{d}/0.25"        # eight heads of l = 128, or as long as they can be


class HdpSuite(BenchSuite):
    """Cases of blocks kept, lengths and modes; speed-up over the same heads without pruning."""

    def choose(self, config: HdpConfig, *, data: Sequence[Path], quick: bool,
               wanted: str | None) -> Suite:
        return suite(config, data=data, quick=quick, wanted=wanted)

    def measure(self, work: Suite, config: HdpConfig, quick: bool,
                progress: Progress | None) -> tuple[list[dict], dict]:
        return measure(work.cases, config, progress)

    def document(self, work: Suite, rows: Sequence[dict], simulation: dict, config: HdpConfig,
                 command: str) -> dict:
        return report.document(rows, simulation, work, config, command)

    def columns(self, config: HdpConfig) -> list[Column]:
        return report.columns()

    def brief(self) -> list[Column]:
        return report.brief()

    def parts(self, rows: Sequence[dict], config: HdpConfig) -> list[Part]:
        return report.parts(rows)

    def summary(self, result: dict) -> list[str]:
        return report.summary(result)

    def markdown(self, result: dict, config: HdpConfig, plots: Sequence[str]) -> str:
        return report.markdown(result, plots)

    def plot_names(self) -> list[str]:
        return [f"speedup.{kind}" for kind in plot.KINDS]

    def plots(self, result: dict) -> dict[str, Callable]:
        return {f"speedup.{kind}": lambda file, kind=kind: plot.speedup_plot(result, file, kind)
                for kind in plot.KINDS}

    def rate(self, config: HdpConfig, rows_of: Callable[[Case], dict | None],
             told: Callable[[str], None]) -> Rate:
        case, = suite(config, wanted=RATED.format(d=config.d_max)).cases
        assert isinstance(case, Case)
        row = rows_of(case)
        if row is None:
            told(case.name)
            (row,), _ = measure([case], config)
        return Rate(jobs=case.jobs, row=row, cycles=row["cycles"] / row["heads"],
                    dense_cycles=row["dense_cycles"] / row["heads"], kept=row["kappa"])


SUITE = HdpSuite()
