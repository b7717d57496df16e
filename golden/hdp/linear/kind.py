# SPDX-License-Identifier: Apache-2.0
"""A linear layer as a kind of job: its descriptor, its planes and its status record."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...engine import JobKind
from ...layout import Plane
from ...records import Error, Field, Record
from ..config import HdpConfig
from ..planes import HdpLayout
from .compute import (
    Activation,
    Arrangement,
    LinearJob,
    LinearResult,
    Output,
    linear,
)
from .cost import product_of
from .sizes import LONGEST, MOST_TILE, RECORD_BYTES, TABLE_BYTES, Sizes

__all__ = ["LinearKind", "LinearLayout", "LinearStatus"]

ALIGN = 64


@dataclass(frozen=True)
class LinearStatus:
    """The status record of a linear job.

    ``clipped`` counts codes of the product that did not fit 8 bits. A job with an error has zeros
    but for the error; what it wrote before an error of the bus means nothing.
    """

    done: bool
    error: Error
    clipped: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


class LinearLayout(HdpLayout):
    """Planes of linear jobs beside those of heads.

    ===== ============================================== ==============
    kind  a row holds                                    container bits
    ===== ============================================== ==============
    w4    weights of 4 bits, two's complement            4
    c     bias, multiplier and shift of a channel        64
    wide  sums                                           32
    ===== ============================================== ==============

    A row of plane c is 8 bytes: the bias in bits 31:0, the multiplier in 47:32, the shift in 53:48.
    Before them lie the 256 bytes of the table, where the activation is one.
    """

    def row_beats(self, kind: str, d: int) -> int:
        bits = {"w4": 4, "c": 8, "wide": 32}.get(kind)
        return super().row_beats(kind, d) if bits is None else self.beats(d * bits)

    def pack(self, kind: str, codes) -> np.ndarray:
        if kind == "c":
            return np.asarray(codes, np.uint8)
        if kind == "w4":
            return self.pack_bits(codes, 4)
        if kind == "out":
            return self.pack_bits(codes, self.config.out_width)
        return super().pack(kind, codes)

    def job_bytes(self, job: LinearJob) -> int:
        """Bytes of the output of a job in memory."""
        rows, dims = job.output()
        if job.output_is_held:
            return 0
        if job.target is Output.DIGITS:
            return self.fractions_at(job) + rows * self.row_bytes("f", dims)
        return rows * self.row_bytes("wide" if job.target is Output.WIDE else "v", dims)

    def fractions_at(self, job: LinearJob) -> int:
        """Where the plane of fractions begins, behind that of integer parts."""
        rows, dims = job.output_shape()
        return -(-rows * self.row_bytes("i", dims) // ALIGN) * ALIGN

    def unpack(self, raw: bytes, job: LinearJob) -> np.ndarray:
        """The output of a job from its bytes."""
        rows, dims = job.output()
        if job.output_is_held:
            return np.zeros((0, 0), np.int64)
        if job.target is Output.DIGITS:
            return self._digits(raw, rows, dims, self.fractions_at(job))
        dtype = "<i4" if job.target is Output.WIDE else "i1"
        return np.frombuffer(bytes(raw), dtype).reshape(rows, -1)[:, :dims].astype(np.int64)

    def _digits(self, raw: bytes, rows: int, dims: int, fractions_at: int) -> np.ndarray:
        """Codes of planes i and f, as far as these belong together; 999 of digits that do not."""
        def nibbles(table: np.ndarray) -> np.ndarray:
            return np.stack([table & 15, table >> 4], axis=-1).reshape(len(table), -1)[:, :dims]

        i_bytes, f_bytes = self.row_bytes("i", dims), self.row_bytes("f", dims)
        table = np.frombuffer(bytes(raw), np.uint8)
        whole = nibbles(table[: rows * i_bytes].reshape(rows, i_bytes)).astype(np.int64)
        rest = table[fractions_at : fractions_at + rows * f_bytes].reshape(rows, f_bytes)
        signs = np.unpackbits(rest[:, : self.beat_bytes * self.beats(dims)], axis=1,
                              bitorder="little")[:, :dims].astype(bool)
        mags = nibbles(rest[:, self.beat_bytes * self.beats(dims) :]).astype(np.int64)
        whole = np.where(whole > 7, whole - 16, whole)
        codes = 16 * whole + np.where(signs, -mags, mags)
        return np.where((whole != 0) & (signs != (whole < 0)), 999, codes)


def strip_of(job: LinearJob, sizes: Sizes) -> int:
    """Rows of the strips of a job. What is held is one strip."""
    if job.held or job.output_is_held:
        return -(-job.rows // 2) * 2
    return sizes.strip(job.rows, job.x.shape[1], sizes.unit if job.transposed else 2)


def tile_of(job: LinearJob, sizes: Sizes) -> int:
    """Channels of the tiles of a job: of groups, a group."""
    if job.groups > 1:
        return job.span
    run = job.run if job.target is Output.DIGITS else None
    return sizes.tile(job.channels, job.k, run)


class LinearKind(JobKind):
    """A linear layer on the array of HDP."""

    opcode = 16
    Job = LinearJob
    Status = LinearStatus
    planes = (Plane("x", "x", "v"), Plane("w", "w", "v"), Plane("c", "c", "c"),
              Plane("r", "r", "v"))
    descriptor = Record([
        Field(0, 0, 8, "opcode", "the kind of job"),
        Field(0, 8, 1, "narrow", "weights have 4 bits"),
        Field(0, 9, 2, "activation", "0 none, 1 ReLU, 2 a table at the front of plane c"),
        Field(0, 11, 1, "residual", "plane r is added"),
        Field(0, 12, 1, "held_x", "X is on the chip: what the job before held"),
        Field(0, 13, 1, "held_y", "Y stays on the chip"),
        Field(0, 14, 1, "wide", "Y is sums of 32 bits"),
        Field(0, 15, 1, "digits", "Y is planes of integer parts and fractions"),
        Field(0, 16, 1, "transposed", "16 rows of the product lie side by side in Y, not channels"),
        Field(0, 17, 1, "fence", "begins when all before is written"),
        Field(0, 18, 1, "words", "plane x is output words of heads, one head after the other"),
        Field(0, 24, 6, "residual_shift", "of the residual"),
        Field(1, 0, 16, "m", "rows of X"),
        Field(1, 16, 16, "k", "dimensions of a group, a multiple of 8"),
        Field(2, 0, 16, "span", "channels of a group, a multiple of 8"),
        Field(2, 16, 16, "strip", "rows in work together, even"),
        Field(3, 0, 8, "tile", "channels in work together, a multiple of 16; of groups, span"),
        Field(3, 8, 8, "groups", "blocks on the diagonal of W"),
        Field(3, 16, 16, "residual_multiplier", "of the residual"),
        Field(4, 0, 16, "stride", "of rows of Y: beats in memory, granules on the chip"),
        Field(4, 16, 16, "p_inner", "dimensions of Y from one p to the next"),
        Field(5, 0, 16, "inner", "extent of b"),
        Field(5, 16, 16, "middle", "extent of c"),
        Field(6, 0, 16, "run", "extent of q"),
        Field(6, 16, 16, "a_row", "rows of Y from one a to the next"),
        Field(7, 0, 16, "c_row", "rows of Y from one c to the next"),
        Field(7, 16, 16, "p_row", "rows of Y from one p to the next"),
        Field(8, 0, 16, "b_inner", "dimensions of Y from one b to the next"),
        Field(8, 16, 16, "x_run", "dimensions of a head in plane x, a multiple of 16"),
        Field(9, 0, 32, "x", "address of plane x"),
        Field(10, 0, 32, "w", "address of plane w"),
        Field(11, 0, 32, "out", "address of Y; of digits, of the plane of integer parts"),
        Field(12, 0, 32, "status", "address of the status record"),
        Field(13, 0, 32, "c", "address of plane c"),
        Field(14, 0, 32, "r", "address of plane r"),
        Field(15, 0, 32, "out_f", "address of the plane of fractions"),
    ])
    status = Record([
        Field(0, 0, 8, "done", "1"),
        Field(0, 8, 24, "error", "error code"),
        Field(1, 0, 32, "clipped", "codes of the product that did not fit 8 bits"),
        Field(6, 0, 32, "read_bytes", "bytes read for the job, its descriptor included"),
        Field(7, 0, 32, "write_bytes", "bytes written for it, this record included"),
    ])

    @property
    def addresses(self) -> tuple[str, ...]:
        return *super().addresses, "out_f"

    def layout(self, config: HdpConfig) -> LinearLayout:
        return LinearLayout(config)

    def planes_of(self, job: LinearJob) -> tuple[Plane, ...]:
        others = {"w": Plane("w", "w", "w4")} if job.bits == 4 else {}
        if job.heads is not None:
            others["x"] = Plane("x", "x", "out")
        return tuple(others.get(plane.name, plane) for plane in self.planes
                     if plane.of in job.operands())

    def out_bytes(self, job: LinearJob, config: HdpConfig) -> int:
        return LinearLayout(config).job_bytes(job)

    def unpack(self, raw: bytes, job: LinearJob, config: HdpConfig) -> np.ndarray:
        return LinearLayout(config).unpack(raw, job)

    def fields(self, job: LinearJob, config: HdpConfig) -> dict[str, int]:
        sizes, layout = Sizes(config), LinearLayout(config)
        rows, dims = job.output_shape()
        p = job.channels // job.run
        split = job.arrangement is Arrangement.SPLIT
        heads = job.arrangement is Arrangement.HEADS
        kind = {Output.WIDE: "wide", Output.DIGITS: "i"}.get(job.target, "v")
        stride = sizes.granules(dims) if job.output_is_held else layout.row_beats(kind, dims)
        return {
            "narrow": job.bits == 4, "activation": list(Activation).index(job.activation),
            "residual": job.residual is not None, "held_x": job.held,
            "held_y": job.output_is_held, "wide": job.target is Output.WIDE,
            "digits": job.target is Output.DIGITS, "transposed": job.transposed,
            "fence": job.fence, "residual_shift": job.residual_scale[1],
            "residual_multiplier": job.residual_scale[0],
            "m": job.rows, "k": job.k, "span": job.span, "groups": job.groups,
            "strip": strip_of(job, sizes), "tile": tile_of(job, sizes),
            "stride": stride, "inner": job.inner, "middle": job.middle, "run": job.run,
            "a_row": job.middle * p if split else 1, "c_row": p if split else 0,
            "p_row": 1 if split else job.rows if heads else 0,
            "p_inner": 0 if split or heads else job.inner * job.run,
            "b_inner": job.run,
            "words": job.heads is not None,
            "x_run": 0 if job.heads is None else job.heads.shape[2],
        }

    def limits(self, config: HdpConfig) -> dict[str, tuple[int, int]]:
        """Nothing prunes here; all fields of a linear job are for :meth:`checks`."""
        return {}

    def checks(self, v: Mapping[str, Any], config: HdpConfig) -> dict[Error, Any]:
        """What makes a descriptor one with an error, of numbers or of values in hardware."""
        sizes = Sizes(config)
        unit = sizes.unit

        def beyond(value, most):
            return (value == 0) | (value > most)

        return {
            Error.OPCODE: (v["activation"] == 3) | (v["held_y"] & (v["wide"] | v["digits"]))
            | (v["transposed"] & (v["wide"] | v["digits"] | v["residual"]))
            | (v["wide"] & v["digits"]) | (v["words"] & v["held_x"]),
            Error.DIMENSION: beyond(v["k"], sizes.longest_k) | ((v["k"] & 7) != 0)
            | beyond(v["span"], LONGEST) | ((v["span"] & 7) != 0) | (v["groups"] == 0)
            | (v["words"] & (beyond(v["x_run"], config.d_max)
                             | ((v["x_run"] & (unit - 1)) != 0)))
            | beyond(v["tile"], MOST_TILE) | ((v["tile"] & (unit - 1)) != 0)
            | ((v["groups"] != 1) & ((v["tile"] != v["span"])
                                     | ((v["k"] & (max(unit, 2 * config.taps) - 1)) != 0)))
            | (v["groups"] * v["k"] > LONGEST) | (v["groups"] * v["span"] > LONGEST)
            | ((v["tile"] >> 1) * sizes.granules(v["k"]) > sizes.ring),
            Error.LENGTH: beyond(v["m"], LONGEST) | beyond(v["strip"], LONGEST)
            | ((v["strip"] & 1) != 0)
            | ((v["strip"] >> 1) * sizes.granules(v["groups"] * v["k"]) > sizes.ring)
            | ((v["held_x"] | v["held_y"]) & (v["strip"] < v["m"])),
            Error.VALID: (v["inner"] == 0) | (v["middle"] == 0) | (v["run"] == 0)
            | (v["transposed"] & (((v["m"] & (unit - 1)) != 0) | ((v["strip"] & (unit - 1)) != 0))),
        }

    def extents(self, values: Mapping[str, int],
                config: HdpConfig) -> tuple[dict[str, int], dict[str, int]]:
        layout, v = LinearLayout(config), values
        channels = v["groups"] * v["span"]
        reads = {"w": channels * layout.row_bytes("w4" if v["narrow"] else "v", v["k"]),
                 "c": channels * RECORD_BYTES + TABLE_BYTES * (v["activation"] == 2)}
        dims = v["groups"] * v["k"]
        if v["words"]:
            reads["x"] = -(-dims // v["x_run"]) * v["m"] * layout.row_bytes("out", v["x_run"])
        elif not v["held_x"]:
            reads["x"] = v["m"] * layout.row_bytes("v", dims)
        if v["residual"]:
            reads["r"] = v["m"] * layout.row_bytes("v", channels)
        if v["held_y"]:
            return reads, {}
        extents = {"a_row": v["m"] // (v["inner"] * v["middle"]), "c_row": v["middle"],
                   "p_row": channels // v["run"]}
        rows = 1 + sum((extent - 1) * v[name] for name, extent in extents.items())
        size = rows * v["stride"] * layout.beat_bytes
        if v["digits"]:
            return reads, {"out": size, "out_f": size + rows * layout.beat_bytes}
        return reads, {"out": size}

    def compute(self, job: LinearJob, config: HdpConfig) -> LinearResult:
        return linear(job, config)

    def record(self, job: LinearJob, result: LinearResult, config: HdpConfig,
               held: Collection[str] = ()) -> LinearStatus:
        product = product_of(job)
        return LinearStatus(
            done=True, error=Error.NONE, clipped=result.clipped,
            read_bytes=product.read_bytes(config), write_bytes=product.write_bytes())

    def spoils(self, config: HdpConfig) -> bool:
        return True

    def result_places(self, job: LinearJob, out: int, config: HdpConfig) -> dict[str, int]:
        apart = LinearLayout(config).fractions_at(job) if job.target is Output.DIGITS else 0
        return {"out": 0 if job.output_is_held else out, "out_f": out + apart if apart else 0}

    def readable(self, job: LinearJob, out: int, config: HdpConfig) -> dict[str, tuple[int, int]]:
        layout, dims = LinearLayout(config), job.output()[1]
        starts = {Output.CODES: {"v": out},
                  Output.DIGITS: {"i": out, "f": out + layout.fractions_at(job)}}
        return {kind: (at, layout.row_bytes(kind, dims))
                for kind, at in starts.get(job.target, {}).items()}

    def read_first(self, job: LinearJob, config: HdpConfig) -> tuple[str, ...]:
        return ()

    def describe(self, job: LinearJob) -> str:
        return job.describe()

    def refuse(self, job: LinearJob, config: HdpConfig, after: Any = None) -> str:
        """Why a coprocessor cannot do a job behind another one of its table, or nothing."""
        sizes, values = Sizes(config), self.fields(job, config)
        for error, wrong in self.checks(values, config).items():
            if wrong:
                return (f"{job.describe()}: {error.name.lower()}; k goes up to "
                        f"{sizes.longest_k}, {job.rows} rows of {job.x.shape[1]} dimensions take "
                        f"{sizes.pairs(job.rows, job.x.shape[1])} of {sizes.ring} granules")
        unit = sizes.unit
        if job.transposed and (job.inner % unit or job.middle != 1):
            return f"inner must be a multiple of {unit} where rows lie side by side"
        plain = job.run == job.channels and job.inner == job.middle == 1
        if not (plain or job.transposed) and job.run % unit:
            return f"run must be a multiple of {unit} or all channels, not {job.run}"
        if job.target is Output.DIGITS and job.run > config.axi_data_width:
            return f"run must be at most {config.axi_data_width} of digits, not {job.run}"
        if job.target is Output.DIGITS and job.groups > 1 and job.span % job.run:
            return (f"run must divide the {job.span} channels of a group where these are digits, "
                    f"not {job.run}")
        if job.output_is_held:
            y = sizes.pairs(*job.output_shape())
            if sizes.pairs(job.rows, job.x.shape[1]) + y > sizes.ring:
                return (f"X and what is held must fit {sizes.ring} granules together, not take "
                        f"{sizes.pairs(job.rows, job.x.shape[1])} and {y}")
        if job.held:
            if not (isinstance(after, LinearJob) and after.output_is_held):
                return "the job before one with a held X must hold its Y"
            if after.output_shape() != job.x.shape:
                return (f"a held X must have the shape of what was held, {after.output_shape()}, "
                        f"not {job.x.shape}")
        return ""
