# SPDX-License-Identifier: Apache-2.0
"""Figures of the simulation: its speed with either memory, and what campaigns found."""

import json
from collections.abc import Sequence

from prunus.golden.engines import load_config
from prunus.sim.campaigns.mutants import survivors
from prunus.sim.engines import random_jobs
from prunus.sim.faults import COUNTS
from prunus.sim.reasons import MUTANTS, UNEXPLAINED, explained
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


# -- campaigns ------------------------------------------------------------------------------------
CAMPAIGNS = ("hdp_tiny", "leopard_tiny", "topk_tiny")


def _reports(folder: str, command: str) -> list[dict]:
    """What a campaign has written about the presets that it ran for."""
    paths = [ROOT / "build" / folder / f"{name}.json" for name in CAMPAIGNS]
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    if not rows:
        raise InputError(f"figures of {folder} need {str(paths[0])!r}: python -m "
                         f"prunus.sim.campaigns.{command} --config {CAMPAIGNS[0]} --output "
                         f"build/{folder}/{CAMPAIGNS[0]}.json makes it")
    return rows


def _measure_faults(heads: Heads) -> list[dict]:
    return [{"config": said["config"], **{of: sum(counts[of] for counts in said["kinds"].values())
                                          for of in COUNTS}}
            for said in _reports("soak", "soak --faults --jobs 100000")]


def _faults_table(rows: Sequence[dict]) -> str:
    return table(["preset", *COUNTS], [[f"`{row['config']}`", *(f"{row[of]:,}" for of in COUNTS)]
                                       for row in rows])


VERDICTS = ("faults", "same", "killed", "slower", "explained", "open")


def _measure_mutants(heads: Heads) -> list[dict]:
    rows = []
    for said in _reports("mutants", "mutants --count 500"):
        why = explained(survivors(said), MUTANTS).values()
        known = sum(reason != UNEXPLAINED for reason in why)
        other = said["faults"] - said["same"]
        rows.append({
            **{name: said[name] for name in ("config", "seed", "faults", "same", "killed", "slower",
                                             "survived", "killed_share")},
            "explained": known, "open": said["survived"] - known,
            "known_share": (said["killed"] + known) / other})
    return rows


def _mutants_table(rows: Sequence[dict]) -> str:
    return table(["preset", "faults", "same", "killed", "slower", "survived, explained",
                  "survived, not explained", "killed, of those not the same",
                  "killed or explained"],
                 [[f"`{row['config']}`", *(f"{row[of]}" for of in VERDICTS),
                   *(f"{row[of]:.1%}" for of in ("killed_share", "known_share"))] for row in rows])


def _measure_poison(heads: Heads) -> list[dict]:
    return [{name: said[name] for name in ("config", "pairs", "compared", "timed")}
            for said in _reports("poison", "poison --pairs 500")]


def _poison_table(rows: Sequence[dict]) -> str:
    return table(["preset", "pairs", "with equal results", "whose cycles were compared",
                  "with equal cycles"],
                 [[f"`{row['config']}`", *(f"{row[of]}" for of in (
                     "pairs", "pairs", "compared", "timed"))] for row in rows])


def _campaign(name: str, about: str, measure, shown) -> Figure:
    return Figure(name=name, about=about, measure=measure, table=shown, compared=Compared.COMMAND,
                  configs=CAMPAIGNS, tools=RTL)


FIGURES = [
    _campaign("soak_faults", "jobs with faults, and what they met", _measure_faults, _faults_table),
    _campaign("mutants", "faults of the emitted Verilog that the tests notice", _measure_mutants,
              _mutants_table),
    _campaign("poison", "pairs of jobs, of which the second knows nothing of the first",
              _measure_poison, _poison_table),
    Figure(name="simulation_speed", about="cycles a second with the memory in C++ and in Python",
           measure=_measure, table=_table, compared=Compared.COMMAND, configs=CONFIGS, tools=RTL),
]
