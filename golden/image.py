# SPDX-License-Identifier: Apache-2.0
"""The memory image a host and the coprocessor share: operand planes, descriptors, results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .engine import EngineConfig, JobKind
from .engines import engine_of
from .jobs import Job
from .records import STATUS_BYTES, Error

__all__ = ["FILL", "Image", "build_image", "described", "failed", "out_bytes", "read_output",
           "read_results", "read_status", "relocated"]

FILL = 0xA5         # of outputs and status records that nobody has written


@dataclass
class Image:
    """Memory contents for a table of jobs.

    Members
    -------
    data : bytearray
        Contents from address 0.
    table : int
        Address of the first descriptor.
    out, status : list of int
        Addresses of each job's output plane and status record.
    """

    data: bytearray = field(default_factory=bytearray)
    table: int = 0
    out: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)

    def reserve(self, size: int, align: int = 64) -> int:
        address = -(-len(self.data) // align) * align
        self.data.extend(bytes(address + size - len(self.data)))
        return address

    def place(self, rows: np.ndarray, align: int = 64) -> int:
        raw = np.ascontiguousarray(rows).tobytes()
        address = self.reserve(len(raw), align)
        self.data[address : address + len(raw)] = raw
        return address

    def describe(self, n: int, words: np.ndarray) -> None:
        """Write the descriptor of job ``n``."""
        raw = words.astype("<u4").tobytes()
        at = self.table + n * len(raw)
        self.data[at : at + len(raw)] = raw

    def descriptor(self, n: int, config: EngineConfig) -> np.ndarray:
        """The words of the descriptor of job ``n``."""
        size = config.descriptor_bytes
        at = self.table + n * size
        return np.frombuffer(bytes(self.data[at : at + size]), "<u4").copy()


def described(image: Image, n: int, kind: JobKind, config: EngineConfig) -> dict[str, int]:
    """What the descriptor of job ``n`` says, by name."""
    return kind.descriptor_of(config).unpack(image.descriptor(n, config).tobytes())


def out_bytes(job: Job, config: EngineConfig) -> int:
    """Bytes of a job's output plane."""
    return engine_of(config).kind(job).out_bytes(job, config)


def build_image(jobs: Sequence[Job], config: EngineConfig) -> Image:
    """Lay out operands, outputs, status records and the descriptor table of ``jobs``.

    Output planes and status records are filled with ``FILL``, so that a word the coprocessor
    failed to write shows. Operands that a job shares with the one before it lie where its are.

    Raises
    ------
    ValueError
        A job shares operands that the one before it does not have, or cannot stand where it does.
    """
    engine, image = engine_of(config), Image()
    image.table = image.reserve(config.descriptor_bytes * len(jobs))
    addresses: dict[str, int] = {}
    for n, job in enumerate(jobs):
        kind = engine.kind(job)
        if kind not in engine.kinds_of(config):
            raise ValueError(f"job {n} must be of a kind that {config.name} has, not a "
                             f"{type(job).__name__}")
        if wrong := kind.refuse(job, config, jobs[n - 1] if n else None):
            raise ValueError(f"job {n} cannot be done by {config.name}: {wrong}")
        layout, operands = kind.layout(config), job.operands()
        shared = job.shared if n else frozenset()
        for name in shared:
            before = jobs[n - 1].operands().get(name)
            if before is None or not np.array_equal(operands[name], before):
                raise ValueError(f"job {n} must share the operands of the job before it, and its "
                                 f"{name} is another one")
        addresses = {plane.name: addresses[plane.name] if plane.of in shared
                     else image.place(layout.pack(plane.kind, operands[plane.of]))
                     for plane in kind.planes_of(job)}
        image.out.append(image.place(np.full(kind.out_bytes(job, config), FILL, np.uint8)))
        image.status.append(image.place(np.full(STATUS_BYTES, FILL, np.uint8)))
        image.describe(n, kind.encode(job, dict.fromkeys(kind.addresses, 0) | addresses
                                      | kind.result_places(job, image.out[-1], config)
                                      | {"status": image.status[-1]}, config))
    return image


def relocated(image: Image, config: EngineConfig, base: int) -> bytes:
    """The contents of an image that begins at address ``base`` of the bus instead of 0.

    Only the addresses in its descriptors differ.

    Raises
    ------
    ValueError
        The base is no multiple of a descriptor's size, or the image does not end within the bits
        of an address.
    """
    last = (1 << config.axi_address_width) - len(image.data)
    if base % config.descriptor_bytes or not 0 <= base <= last:
        raise ValueError(f"base must be a multiple of {config.descriptor_bytes} in 0..{last:#x}, "
                         f"as the image takes {len(image.data)} bytes, not {base:#x}")
    if not base:
        return bytes(image.data)
    moved = Image(bytearray(image.data), image.table)
    kinds = {kind.opcode: kind for kind in engine_of(config).kinds_of(config)}
    for n in range(len(image.status)):
        kind = kinds[int(image.descriptor(n, config)[0]) & 0xFF]
        values = described(image, n, kind, config)
        moved.describe(n, kind.descriptor_of(config).pack(
            values | {name: values[name] + base for name in kind.addresses}))
    return bytes(moved.data)


def failed(job: Job, error: Error, config: EngineConfig) -> Any:
    """The Status of a job with an error."""
    return engine_of(config).kind(job).Status(done=True, error=error)


def read_status(raw: bytes, job: Job, config: EngineConfig) -> Any:
    """The Status in the bytes of a record.

    Memory without a record in it, such as the fill of :func:`build_image`, reads as not done.
    """
    kind = engine_of(config).kind(job)
    values: Mapping[str, int] = kind.status.unpack(raw)
    done = values["done"] == 1 and values["error"] in set(Error)
    known = {"done": done, "error": Error(values["error"]) if done else Error.NONE}
    return kind.Status(**{**values, **known})


def read_output(memory: bytes, image: Image, n: int, job: Job, config: EngineConfig) -> np.ndarray:
    """The output (rows, dims) of job ``n`` from memory after the run."""
    kind, out = engine_of(config).kind(job), image.out[n]
    return kind.unpack(memory[out : out + kind.out_bytes(job, config)], job, config)


def read_results(memory: bytes, image: Image, jobs: Sequence[Job],
                 config: EngineConfig) -> list[tuple[np.ndarray, Any]]:
    """``(out (rows, dims), Status)`` of every job from memory after the run."""
    return [(read_output(memory, image, n, job, config),
             read_status(memory[status : status + STATUS_BYTES], job, config))
            for n, (job, status) in enumerate(zip(jobs, image.status, strict=True))]
