# SPDX-License-Identifier: Apache-2.0
"""The C driver as a program: compiled, and fed with jobs as text."""

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.hdp.compute import HdpJob, Importance
from prunus.golden.leopard.compute import LeopardJob
from prunus.golden.registers import register_map

__all__ = ["FLAGS", "SOURCES", "Driver", "jobs_text", "registers_text", "run_host"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "sw"
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


class Driver:
    """The program ``host``, built once."""

    def __init__(self, folder: Path):
        self.path = folder / "host"
        done = subprocess.run(
            ["gcc", *FLAGS, "-O1", f"-I{SOURCES}", *map(str, (
                SOURCES / "prunus.c", SOURCES / "example.c", Path(__file__).with_name("host.c"))),
             "-o", str(self.path)],
            capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@cache
def _addresses(config: EngineConfig) -> dict[str, int]:
    return {register.name: register.address for register in register_map(config)}


def registers_text(config: EngineConfig) -> str:
    """The registers that describe the hardware, as the program reads them."""
    values = registers.constants(config)
    return " ".join([str(len(values)), *(f"{_addresses(config)[name]} {value}"
                                         for name, value in values.items())])


def _own(job) -> list[int]:
    """What the engine of a job adds to its head."""
    if isinstance(job, HdpJob):
        return [job.rho, job.delta, job.tau_head, job.importance is Importance.DISTANCE,
                job.drop, job.exact, job.dense]
    return [job.threshold if isinstance(job, LeopardJob) else job.top_k]


def jobs_text(tables: Sequence[Sequence], config: EngineConfig, results: bool = False) -> str:
    """Tables of jobs; with ``results`` also the sizes of what the program is to print."""
    parts = [registers_text(config), str(len(tables))]
    for table in tables:
        parts.append(str(len(table)))
        for job in table:
            head = [job.l_q, job.l_kv, job.d, job.valid_q, job.valid_kv, job.causal, job.same_kv,
                    *job.scale, *_own(job)]
            parts.append(" ".join(str(int(value)) for value in head))
            parts += [" ".join(map(str, np.asarray(codes).ravel().tolist()))
                      for codes in (job.q, job.k, job.v)]
        if results:
            parts += [f"{job.l_q} {job.d}" for job in table]
    return "\n".join(parts) + "\n"


def run_host(driver: Driver, *arguments, text: str, timeout_s: float = 600) -> list[str]:
    """The lines that the program prints. Its one error is a line, too."""
    done = subprocess.run([driver.path, *map(str, arguments)], input=text, capture_output=True,
                          text=True, timeout=timeout_s, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()
