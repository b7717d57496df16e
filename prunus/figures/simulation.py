# SPDX-License-Identifier: Apache-2.0
"""Figures of the simulation: its speed with either memory, and what soaks with faults met."""

import json
from collections.abc import Sequence

from prunus.golden.engines import load_config
from prunus.sim.engines import random_jobs
from prunus.sim.faults import COUNTS
from prunus.sim.session import MEMORIES, open_session

from ..errors import InputError
from .figure import ROOT, RTL, Compared, Figure, Heads, table

__all__ = ["FIGURES"]

CONFIGS = ("hdp_tiny", "hdp_edge", "leopard_ae")
JOBS = {"hdp_tiny": 1000, "hdp_edge": 100, "leopard_ae": 100}
TRIES = 3                   # the fastest counts: other programs make a simulation slower only


def _measure(heads: Heads) -> list[dict]:
    """Random jobs of one doorbell, with each memory."""
    rows = []
    for name in CONFIGS:
        config = load_config(name)
        jobs = random_jobs(config, JOBS[name], 1)
        row = {"config": name, "jobs": len(jobs)}
        for memory in MEMORIES["verilator"]:
            with open_session(config, memory=memory) as session:
                runs = [session.simulate(jobs) for _ in range(TRIES)]
            fastest = min(runs, key=lambda run: run.sim_s)
            row |= {"cycles": fastest.cycles, memory: round(fastest.cycles / fastest.sim_s)}
        rows.append(row)
    return rows


def _table(rows: Sequence[dict]) -> str:
    return table(["preset", "cycles", "cocotbext-axi", "C++", "factor"], [
        [f"`{row['config']}`", f"{row['cycles']:,}", f"{row['python'] / 1000:,.0f} k/s",
         f"{row['cpp'] / 1000:,.0f} k/s", f"{row['cpp'] / row['python']:.1f}"] for row in rows])


# -- soaks with faults ----------------------------------------------------------------------------
SOAKED = ("hdp_tiny", "leopard_tiny", "topk_tiny")
SOAKS = ROOT / "build" / "soak"


def _measure_faults(heads: Heads) -> list[dict]:
    """Of the soaks in build/soak, all of which must be there."""
    rows = []
    for name in SOAKED:
        path = SOAKS / f"{name}.json"
        if not path.exists():
            raise InputError(f"figures of soaks need {str(path)!r}: python -m "
                             f"prunus.sim.campaigns.soak --faults --config {name} --jobs 100000 "
                             f"--output build/soak/{name}.json makes it")
        said = json.loads(path.read_text(encoding="utf-8"))
        rows.append({"config": name, **{of: sum(counts[of] for counts in said["kinds"].values())
                                        for of in COUNTS}})
    return rows


def _faults_table(rows: Sequence[dict]) -> str:
    return table(["preset", *COUNTS], [[f"`{row['config']}`", *(f"{row[of]:,}" for of in COUNTS)]
                                       for row in rows])


FIGURES = [
    Figure(name="soak_faults", about="jobs with faults, and what they met", measure=_measure_faults,
           table=_faults_table, compared=Compared.COMMAND, configs=SOAKED, tools=RTL),
    Figure(name="simulation_speed", about="cycles a second with the memory in C++ and in Python",
           measure=_measure, table=_table, compared=Compared.COMMAND, configs=CONFIGS, tools=RTL),
]
