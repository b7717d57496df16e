# SPDX-License-Identifier: Apache-2.0
"""The memory image a host and the coprocessor share: planes, descriptors, status records.

A head's operands lie in five *planes*, each a run of rows without gaps. A row starts on an AXI
beat; elements are packed little-endian from its first bit, dimension 0 first, and the rest of its
last beat is zero. Where a beat holds a row of both parts of q_f, the signs (of ``row_dims``
dimensions) lie below |F| in the same beat.

====== ======================================================================= =================
plane  a row holds                                                             container bits
====== ======================================================================= =================
q_i    I of Q, two's complement (k_i: of K)                                    4 or 8
q_f    sign bits of Q in whole beats, then |F| of Q in whole beats (k_f: of K) 1, then 4 or 8
v      codes of V, two's complement                                            8 or 16
out    output words, two's complement                                          16 or 32
====== ======================================================================= =================

A descriptor and a status record are 16 little-endian 32-bit words, on 64-byte boundaries.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np

from ..engine import EngineConfig
from ..jobs import AttentionJob
from .compute import HdpJob, HdpResult
from .config import HdpConfig
from .tiles import is_tiled, planes_of, tiles

__all__ = [
    "DESCRIPTOR_BYTES",
    "FILL",
    "STATUS_BYTES",
    "VERSION",
    "WORDS",
    "CodeLayout",
    "Error",
    "Flag",
    "HdpLayout",
    "HdpStatus",
    "Image",
    "Opcode",
    "build_image",
    "held_planes",
    "outputs",
    "planes_read",
    "read_results",
]

VERSION = 3
DESCRIPTOR_BYTES = 64
STATUS_BYTES = 64
WORDS = 16
FILL = 0xA5         # of outputs and status records that nobody has written


class Opcode(IntEnum):
    """Descriptor word 0, bits 7:0: the engine that a job is for. Others are free."""

    HDP = 1
    LEOPARD = 2     # see golden.leopard.planes


class Flag(IntFlag):
    """Descriptor word 0, bits 12:8, here already shifted in place. Bits 31:13 must be zero."""

    CAUSAL = 1 << 8
    EXACT = 1 << 9
    DENSE = 1 << 10
    DROP = 1 << 11
    SAME_KV = 1 << 12   # planes of K and V are those of the descriptor before


class Error(IntEnum):
    """HdpStatus word 0, bits 15:8. The first that applies, in this order."""

    NONE = 0
    OPCODE = 1      # unknown opcode or a reserved flag set
    DIMENSION = 2   # d not a multiple of 8 in 8..d_max
    LENGTH = 3      # l_q or l_kv not in 1..l_max
    VALID = 4       # valid_q > l_q or valid_kv > l_kv
    PRUNING = 5     # rho is -128, T_int too wide, or the scale's shift is not in 12..63
    ALIGNMENT = 6   # an address not on a beat, or the record's not on 64 bytes: then it has none
    BUS = 7         # a read was answered with an AXI error; no record if of the descriptor


def _container(bits: int) -> int:
    return 4 if bits <= 4 else 8 if bits <= 8 else 16


@dataclass(frozen=True)
class CodeLayout:
    """Row sizes of the planes that all engines have: V and the output."""

    config: EngineConfig

    @property
    def beat_bits(self) -> int:
        return self.config.axi_data_width

    @property
    def beat_bytes(self) -> int:
        return self.config.axi_data_width // 8

    @property
    def v_bits(self) -> int:
        """Container of a V code."""
        return _container(self.config.width)

    @property
    def row_dims(self) -> int:
        """Dimensions that the longest row has room for: a power of two."""
        return 1 << (self.config.d_max - 1).bit_length()

    def _beats(self, bits: int) -> int:
        return -(-bits // self.beat_bits)

    def row_beats(self, plane: str, d: int) -> int:
        """Beats of a row of plane ``v`` or ``out`` with d dimensions."""
        bits = {"v": self.v_bits, "out": self.config.out_width}[plane]
        return self._beats(d * bits)

    def row_bytes(self, plane: str, d: int) -> int:
        return self.row_beats(plane, d) * self.beat_bytes

    def _pack(self, values, bits: int, unit: int | None = None) -> np.ndarray:
        """(rows, d) integers as (rows, bytes), each in ``bits`` bits; rows are padded to ``unit``
        bytes, a beat by default."""
        u = np.asarray(values, np.int64) & ((1 << bits) - 1)
        planes = ((u[..., None] >> np.arange(bits)) & 1).astype(np.uint8)
        rows = np.packbits(planes.reshape(len(u), -1), axis=1, bitorder="little")
        return np.pad(rows, ((0, 0), (0, -rows.shape[1] % (unit or self.beat_bytes))))

    def pack_v(self, codes) -> np.ndarray:
        return self._pack(codes, self.v_bits)

    def unpack_out(self, raw, rows: int, d: int) -> np.ndarray:
        """(rows, d) int64 from the bytes of an out plane."""
        dtype = {16: "<i2", 32: "<i4"}[self.config.out_width]
        table = np.frombuffer(bytes(raw), dtype).reshape(rows, -1)
        return table[:, :d].astype(np.int64)

    def write_bytes(self, job: AttentionJob) -> int:
        """Bytes a job writes: all its output rows and the status record."""
        return job.l_q * self.row_bytes("out", job.d) + STATUS_BYTES


class HdpLayout(CodeLayout):
    """Row sizes of the planes of an HDP coprocessor.

    Members
    -------
    queries, keys : tuple of str
        Operand planes of a head by their rows, in the order of memory.
    """

    config: HdpConfig
    queries = ("q_i", "q_f")
    keys = ("k_i", "k_f", "v")

    @property
    def i_bits(self) -> int:
        """Container of an integer part."""
        return _container(self.config.int_width)

    @property
    def f_bits(self) -> int:
        """Container of a fraction magnitude."""
        return _container(self.config.frac)

    @property
    def signs_beside(self) -> bool:
        """Signs and |F| of a row share a beat."""
        return self.row_dims * (1 + self.f_bits) <= self.beat_bits

    def row_beats(self, plane: str, d: int) -> int:
        """Beats of a row of plane ``i``, ``f``, ``v`` or ``out`` with d dimensions."""
        if plane == "f":
            return 1 if self.signs_beside else self._beats(d) + self._beats(d * self.f_bits)
        return self._beats(d * self.i_bits) if plane == "i" else super().row_beats(plane, d)

    def pack_i(self, codes) -> np.ndarray:
        """Integer plane of codes (rows, d)."""
        return self._pack(self.config.format.split(codes)[0], self.i_bits)

    def pack_f(self, codes) -> np.ndarray:
        """Sign and fraction plane of codes (rows, d)."""
        fraction = np.abs(self.config.format.split(codes)[1])
        negative = np.asarray(codes) < 0
        if self.signs_beside:
            signs = self._pack(negative, 1, self.row_dims // 8)
            rest = self._pack(fraction, self.f_bits, self.beat_bytes - signs.shape[1])
            return np.concatenate([signs, rest], axis=1)
        return np.concatenate([self._pack(negative, 1), self._pack(fraction, self.f_bits)], axis=1)

    # -- what a job moves, in bytes ----------------------------------------------------------
    def read_bytes(self, job: HdpJob, kept: bool, held: Collection[str] = ()) -> int:
        """Bytes a job reads: its descriptor, both integer planes and, if kept, the rest.

        Planes of K and V that are ``held`` (see :func:`held_planes`) are not read. A head in tiles
        reads those of each tile, but the keys once if they are a single tile (and not causal).
        """
        total = DESCRIPTOR_BYTES
        if not is_tiled(job, self.config):
            return total + sum(
                self._plane_bytes(plane, job.valid_q, job.valid_kv, job.d)
                for plane in planes_read(job, kept) if plane not in held)
        there: set[str] = set()
        for tile in tiles(job, self.config, kept):
            planes = planes_of(tile.phase) if tile.keys else ()
            total += sum(self._plane_bytes(plane, tile.queries, tile.keys, job.d)
                         for plane in planes if plane not in there)
            if job.valid_kv <= self.config.held_rows and not job.causal:
                there |= {plane for plane in planes if plane[0] != "q"}
        return total

    def _plane_bytes(self, plane: str, queries: int, keys: int, d: int) -> int:
        return (queries if plane[0] == "q" else keys) * self.row_bytes(plane[-1], d)

    def read_first(self, job: HdpJob) -> tuple[str, ...]:
        """Planes that a core is through with before it writes a row of the job's output.

        The scheduler's ``fetched``, which lets rows out, follows ``fraction_loaded``; V may come
        later. The planes of a head in tiles are read again for each of them.
        """
        return () if is_tiled(job, self.config) else ("q_i", "q_f", "k_i", "k_f")


def planes_read(job: HdpJob, kept: bool) -> tuple[str, ...]:
    """Planes that the work on a job needs."""
    if not (job.valid_q and job.valid_kv):
        return ()
    return ("q_i", "k_i", "q_f", "k_f", "v") if kept else ("q_i", "k_i")


def held_planes(jobs: Sequence[HdpJob], kept: Sequence[bool | None],
                config: HdpConfig) -> list[set[str]]:
    """Planes of K and V that each job finds on the chip, read for the jobs before it.

    A job with ``same_kv`` does if the one before it has the same d and valid keys, and the same
    valid queries if they are causal. ``kept`` is None for a job with an error, which leaves
    nothing; neither does a head that was worked off in tiles, nor does it find anything.
    """
    held: list[set[str]] = []
    left: set[str] = set()
    for n, job in enumerate(jobs):
        tiled = is_tiled(job, config)
        if tiled or not (job.same_kv and n and _same_keys(jobs[n - 1], job)):
            left = set()
        held.append(set(left))
        left = set() if tiled or kept[n] is None else \
            left | set(planes_read(job, kept[n])) - {"q_i", "q_f"}
    return held


def _same_keys(a: HdpJob, b: HdpJob) -> bool:
    return ((a.d, a.valid_kv, a.causal) == (b.d, b.valid_kv, b.causal)
            and (not a.causal or a.valid_q == b.valid_q))


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

    def reserve_results(self, job: AttentionJob, layout: CodeLayout) -> None:
        """Room for the output plane and the status record of the next job."""
        out = np.full(job.l_q * layout.row_bytes("out", job.d), FILL, np.uint8)
        self.out.append(self.place(out))
        self.status.append(self.place(np.full(STATUS_BYTES, FILL, np.uint8)))

    def describe(self, n: int, words: np.ndarray) -> None:
        """Write the descriptor of job ``n``."""
        at = self.table + n * DESCRIPTOR_BYTES
        self.data[at : at + DESCRIPTOR_BYTES] = words.astype("<u4").tobytes()


def descriptor(job: HdpJob, addresses: Sequence[int]) -> np.ndarray:
    """The 16 words of a job; ``addresses`` of q_i, q_f, k_i, k_f, v, out and status."""
    flags = ((Flag.CAUSAL if job.causal else 0) | (Flag.EXACT if job.exact else 0)
             | (Flag.DENSE if job.dense else 0) | (Flag.DROP if job.drop else 0)
             | (Flag.SAME_KV if job.same_kv else 0))
    mant, shift = job.scale
    words = [Opcode.HDP | flags, job.l_q | job.l_kv << 16, job.valid_q | job.valid_kv << 16,
             job.d | (job.rho & 0xFF) << 8 | shift << 16, job.tau_head, mant, *addresses]
    return np.array(words + [0] * (WORDS - len(words)), np.uint32)


def build_image(jobs: Sequence[HdpJob], config: HdpConfig) -> Image:
    """Lay out operands, outputs, status records and the descriptor table of ``jobs``.

    Output planes and status records are filled with ``FILL``, so that a word the coprocessor
    failed to write shows. Jobs with ``same_kv`` share the planes of the job before them.
    """
    layout = HdpLayout(config)
    image = Image()
    image.table = image.reserve(DESCRIPTOR_BYTES * len(jobs))
    keys: list[int] = []
    for n, job in enumerate(jobs):
        addresses = [image.place(layout.pack_i(job.q)), image.place(layout.pack_f(job.q))]
        if not (job.same_kv and n):
            keys = [image.place(plane) for plane in (
                layout.pack_i(job.k), layout.pack_f(job.k), layout.pack_v(job.v))]
        elif not (np.array_equal(job.k, jobs[n - 1].k) and np.array_equal(job.v, jobs[n - 1].v)):
            raise ValueError(f"job {n} with same_kv must have the K and V of the job before it")
        addresses += keys
        image.reserve_results(job, layout)
        image.describe(n, descriptor(job, [*addresses, image.out[-1], image.status[-1]]))
    return image


@dataclass(frozen=True)
class HdpStatus:
    """A status record.

    Words: 0 = done (bit 0), error code (bits 15:8); 1 = head_kept; 2, 3 = theta_head;
    4 = blocks_kept; 5 = blocks_total; 6 = bytes read for the job, its descriptor included;
    7 = bytes written for it, this record included; the rest zero. A job with an error has zeros
    from word 1 on and its output is not written, but for strips of a head in tiles before the error
    was met. Of a pruned head in tiles no mask is made and blocks_kept is 0. Memory without a record
    in it, such as the fill of :func:`build_image`, reads as not done.
    """

    done: bool
    error: Error
    head_kept: bool
    theta_head: int
    blocks_kept: int
    blocks_total: int
    read_bytes: int
    write_bytes: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> "HdpStatus":
        w = np.frombuffer(raw, "<u4").astype(object)
        code = w[0] >> 8 & 0xFF
        done = w[0] & 0xFFFF00FF == 1 and code in set(Error)
        return cls(done=done, error=Error(code) if done else Error.NONE, head_kept=w[1] == 1,
                   theta_head=w[2] | w[3] << 32, blocks_kept=w[4], blocks_total=w[5],
                   read_bytes=w[6], write_bytes=w[7])

    @classmethod
    def expected(cls, job: HdpJob, result: HdpResult, config: HdpConfig,
                 held: Collection[str] = ()) -> "HdpStatus":
        """The record the coprocessor writes for a good job that finds ``held`` planes."""
        layout = HdpLayout(config)
        unmasked = is_tiled(job, config) and not result.head_kept
        return cls(done=True, error=Error.NONE, head_kept=result.head_kept,
                   theta_head=result.theta_head,
                   blocks_kept=0 if unmasked else result.blocks_kept,
                   blocks_total=result.blocks_total,
                   read_bytes=layout.read_bytes(job, result.head_kept, held),
                   write_bytes=layout.write_bytes(job))


def outputs(memory: bytes, image: Image, jobs: Sequence[AttentionJob],
            layout: CodeLayout) -> list[tuple[np.ndarray, bytes]]:
    """``(out (l_q, d), bytes of the status record)`` of every job from memory after the run."""
    results = []
    for job, out, status in zip(jobs, image.out, image.status, strict=True):
        size = job.l_q * layout.row_bytes("out", job.d)
        results.append((layout.unpack_out(memory[out : out + size], job.l_q, job.d),
                        memory[status : status + STATUS_BYTES]))
    return results


def read_results(memory: bytes, image: Image, jobs: Sequence[HdpJob],
                 config: HdpConfig) -> list[tuple[np.ndarray, HdpStatus]]:
    """``(out (l_q, d), status)`` of every job from memory after the run."""
    return [(out, HdpStatus.from_bytes(record))
            for out, record in outputs(memory, image, jobs, HdpLayout(config))]


Layout, Status = HdpLayout, HdpStatus
