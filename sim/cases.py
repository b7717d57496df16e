# SPDX-License-Identifier: Apache-2.0
"""A simulation as a file, so that one that failed can be done again."""

import dataclasses
import json
import os
import shlex
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import ConfigError, engine_of, make_config
from prunus.golden.errors import InputError
from prunus.golden.image import Image
from prunus.golden.jobs import Job
from prunus.golden.records import Error

from .exchange import Access, Faults
from .simulators.cache import build_root, digest, in_build

__all__ = ["Batch", "Case", "advice"]


@dataclass(eq=False)
class Batch:
    """Jobs for one doorbell.

    Parameters
    ----------
    jobs : sequence of Job
    image : Image or None
        Memory for them, if it is not to be what ``prunus.golden.image`` builds.
    read_errors : sequence of (int, int)
        ``(first, end)`` of addresses whose reads are answered with SLVERR.
    before, during, after : sequence of Access
        Register accesses before the doorbell, right after it, and after the run.
    cycles : int or None
        The watchdog, :func:`prunus.sim.simulate.cycle_limit` by default.
    reset : (int, int) or None
        Clock cycles from the doorbell to a reset of the coprocessor and both buses, and how many
        it lasts. With 0 cycles it is an abort instead, of the coprocessor alone. It must come
        before the table is worked off.
    places : sequence of (int, int, int)
        ``(first, size, address)`` of pieces of the image and where they lie in memory, see
        :func:`prunus.sim.scatter.scatter`; without any all lies from address 0.
    hold : int
        Write responses wait until there are so many, or until no more come.
    faults : Faults
    """

    jobs: Sequence[Job]
    image: Image | None = None
    read_errors: Sequence[tuple[int, int]] = ()
    before: Sequence[Access] = ()
    during: Sequence[Access] = ()
    after: Sequence[Access] = ()
    cycles: int | None = None
    reset: tuple[int, int] | None = None
    places: Sequence[tuple[int, int, int]] = ()
    hold: int = 0
    faults: Faults = Faults()


def _plain(value: Any) -> Any:
    """A field of a job as JSON knows it."""
    return value.item() if isinstance(value, np.generic) else value


def _tuples(value: Any) -> Any:
    """What JSON gave back, with tuples as jobs have them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _parse(plan: dict, arrays: Mapping[str, np.ndarray], config: EngineConfig) -> Batch:
    kinds = {kind.Job.__name__: kind.Job for kind in engine_of(config).kinds_of(config)}
    jobs = []
    for said in plan["jobs"]:
        fields = {name: _tuples(value) for name, value in said["fields"].items()}
        fields |= {name: arrays[place] for name, place in said["arrays"].items()}
        jobs.append(kinds[said["kind"]](**fields))
    image = plan["image"]
    if image is not None:
        image = Image(**{**image, "data": bytearray(arrays[image["data"]].tobytes())})
    accesses = {when: [Access(**access) for access in plan[when]]
                for when in ("before", "during", "after")}
    return Batch(jobs, image, _tuples(plan["read_errors"]), **accesses, cycles=plan["cycles"],
                 reset=_tuples(plan["reset"]), places=_tuples(plan["places"]), hold=plan["hold"],
                 faults=Faults(**{name: _tuples(x) for name, x in plan["faults"].items()}))


@dataclass(eq=False, kw_only=True)
class Case:
    """All that decides what a simulation does.

    Members
    -------
    batches : list of Batch
    config, stall, seed, simulator, memory
        As for :func:`prunus.sim.simulate.simulate_batches`.
    verilog : str or None
        What is simulated, if that is not the configuration's own Verilog.
    emitted : str
    batch : int or None
        Which one did not do what golden does, and ``errors``, which it should have had.
    """

    batches: list[Batch]
    config: EngineConfig
    stall: float = 0.0
    seed: int = 0
    simulator: str = "verilator"
    memory: str | None = None
    verilog: str | None = None
    batch: int | None = None
    errors: Mapping[int, Error] = field(default_factory=dict)

    def _plan(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """For JSON; its arrays go into ``arrays``, one that jobs share once."""
        names: dict[int, str] = {}

        def place(array: np.ndarray) -> str:
            name = names.setdefault(id(array), f"array_{len(names)}")
            arrays[name] = array
            return name

        batches = []
        for batch in self.batches:
            jobs = []
            for job in batch.jobs:
                values = {f.name: getattr(job, f.name) for f in dataclasses.fields(job)}
                parts = {name: place(value) for name, value in values.items()
                         if isinstance(value, np.ndarray)}
                rest = {name: _plain(x) for name, x in values.items() if name not in parts}
                jobs.append({"kind": type(job).__name__, "fields": rest, "arrays": parts})
            image = batch.image and {
                **vars(batch.image), "data": place(np.frombuffer(bytes(batch.image.data), "u1"))}
            batches.append({
                "jobs": jobs, "image": image, "read_errors": list(batch.read_errors),
                "cycles": batch.cycles, "reset": batch.reset,
                "places": [list(place) for place in batch.places], "hold": batch.hold,
                "faults": asdict(batch.faults),
                **{when: [asdict(access) for access in getattr(batch, when)]
                   for when in ("before", "during", "after")}})
        return {"config": self.config.model_dump(), "stall": self.stall, "seed": self.seed,
                "simulator": self.simulator, "memory": self.memory, "verilog": self.verilog,
                "batch": self.batch, "errors": {n: int(e) for n, e in self.errors.items()},
                "batches": batches}

    def save(self) -> Path:
        """Write it into build/failed; the same one has the same name."""
        arrays: dict[str, Any] = {}
        text = json.dumps(self._plan(arrays), default=_plain)
        key = digest(text, *(array.tobytes() for array in arrays.values()))
        path = build_root() / "failed" / f"{self.config.name}-{key}.npz"
        with in_build(lambda _: True):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez_compressed(file, plan=np.array(text), **arrays)
                os.replace(part, path)
            except BaseException:
                os.unlink(part)
                raise
        return path

    @classmethod
    def load(cls, path: Path) -> "Case":
        """Raises InputError for a file that ``save`` did not write."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            plan = json.loads(arrays.pop("plan").item())
            config = make_config(plan.pop("config"))
            batches = [_parse(batch, arrays, config) for batch in plan.pop("batches")]
            errors = {int(n): Error(value) for n, value in plan.pop("errors").items()}
            return cls(batches=batches, config=config, errors=errors, **plan)
        except OSError as err:
            raise InputError(f"case {str(path)!r} cannot be read: {err.strerror or err}") from None
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
                ConfigError) as err:
            raise InputError(f"case {str(path)!r} must be a file of build/failed, and is damaged "
                             f"or of another version: {err!r}") from None


def advice(case: Case | None) -> str:
    """A line with the command that repeats a failed simulation; empty if it cannot be kept."""
    if case is None:
        return ""
    try:
        path = case.save()
    except InputError:
        return ""
    file = shlex.quote(str(path))
    return f"\nrepeat it with: python -m prunus.sim.repeat {file} --trace-file out.vcd"
