# SPDX-License-Identifier: Apache-2.0
"""The two files that the runner and the bench inside the simulator exchange."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import make_config

__all__ = ["PROGRESS", "REPLY", "REQUEST", "Access", "BatchReply", "BatchRequest", "Reply",
           "Request"]

# environment variables with the paths of the files
REQUEST, REPLY, PROGRESS = "PRUNUS_REQUEST", "PRUNUS_REPLY", "PRUNUS_PROGRESS"


@dataclass(frozen=True)
class Access:
    """A register access of a test: a read, or a write of ``value``."""

    address: int
    value: int = 0
    write: bool = False


@dataclass(eq=False, kw_only=True)
class BatchRequest:
    """One doorbell.

    Members
    -------
    image : ndarray of uint8
        Memory from address 0.
    table, count : int
        Address of the descriptors and how many to ring for.
    writable : list of (int, int)
        ``(address, size)`` of what may be written.
    read_errors : list of (int, int)
        ``(first, end)`` of addresses whose reads are answered with SLVERR.
    cycles : int
        The watchdog: a run that takes more has failed.
    before, during, after : list of Access
        Register accesses before the doorbell, right after it, and after the run.
    reset : (int, int) or None
        Clock cycles from those during the run to a reset, and how many it lasts; 0 for an abort.
    """

    image: np.ndarray
    table: int
    count: int
    writable: list
    read_errors: list
    cycles: int
    before: list[Access]
    during: list[Access]
    after: list[Access]
    reset: tuple[int, int] | None = None


@dataclass(kw_only=True)
class Request:
    """A simulation: batches one after the other, and how the buses behave."""

    config: EngineConfig
    batches: list[BatchRequest]
    stall: float
    seed: int
    progress: bool

    def save(self, path: Path) -> None:
        plans: list[dict[str, Any]] = []
        arrays: dict[str, Any] = {}
        for n, batch in enumerate(self.batches):
            arrays[f"image_{n}"] = batch.image
            fields = {k: v for k, v in vars(batch).items() if k != "image"}
            for when in ("before", "during", "after"):
                fields[when] = [asdict(access) for access in fields[when]]
            plans.append(fields)
        plan = {"config": self.config.model_dump(), "stall": self.stall, "seed": self.seed,
                "progress": self.progress, "batches": plans}
        np.savez(path, plan=np.array(json.dumps(plan)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Request":
        with np.load(path, allow_pickle=False) as file:
            plan = json.loads(file["plan"].item())
            batches = []
            for n, fields in enumerate(plan.pop("batches")):
                for when in ("before", "during", "after"):
                    fields[when] = [Access(**access) for access in fields[when]]
                batches.append(BatchRequest(image=file[f"image_{n}"], **fields))
        plan["config"] = make_config(plan["config"])
        return cls(batches=batches, **plan)


@dataclass(eq=False, kw_only=True)
class BatchReply:
    """What a doorbell left.

    Members
    -------
    image : ndarray of uint8
        Memory after the run.
    registers : dict
        The counters.
    bus_read_bytes, bus_write_bytes : int
        Bytes that the memory model saw move.
    cycles : int
        Clock cycles from before the doorbell's write to the interrupt.
    accesses : dict of str to list of (int, int, int)
        ``(value, response, irq)`` of the accesses before, during and after.
    aborted : bool
        A reset ended the run, so there are no results.
    """

    image: np.ndarray
    registers: dict[str, int]
    bus_read_bytes: int
    bus_write_bytes: int
    cycles: int
    accesses: dict[str, list]
    aborted: bool = False


@dataclass(kw_only=True)
class Reply:
    """What the bench leaves: a reply per batch, or an error that ended the simulation."""

    batches: list[BatchReply] = field(default_factory=list)
    error: str = ""

    def save(self, path: Path) -> None:
        report = {"error": self.error, "batches": [
            {k: v for k, v in vars(batch).items() if k != "image"} for batch in self.batches]}
        images: dict[str, Any] = {f"image_{n}": batch.image for n, batch in enumerate(self.batches)}
        work = path.with_suffix(".part.npz")
        np.savez(work, report=np.array(json.dumps(report)), **images)
        os.replace(work, path)

    @classmethod
    def load(cls, path: Path) -> "Reply":
        with np.load(path, allow_pickle=False) as file:
            report = json.loads(file["report"].item())
            batches = [BatchReply(image=file[f"image_{n}"], **fields)
                       for n, fields in enumerate(report["batches"])]
        return cls(batches=batches, error=report["error"])
