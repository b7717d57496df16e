# SPDX-License-Identifier: Apache-2.0
"""Operand planes of HDP: codes in two parts, so that a pruned head never fetches its fractions.

Beside the kinds of :mod:`prunus.golden.layout` there are:

===== =================================================================== =================
kind  a row holds                                                         container bits
===== =================================================================== =================
i     integer parts, two's complement                                     4 or 8
f     fractions, two's complement                                         4 or 8
===== =================================================================== =================

One of them may have signs and magnitudes instead: sign bits in whole beats, then magnitudes in
whole beats, in containers of 4 or 8 bits. F has them if digits are truncated, as I alone does not
tell the sign where it is 0; these are signs of the code. I has them if the longest row then takes
fewer beats, as that of 5 bits with a sign, whose magnitudes fit 4 bits.

Where a beat holds a row of both, the signs (of ``row_dims`` dimensions) lie below the magnitudes
in the same beat.
"""

from collections.abc import Collection, Sequence

import numpy as np

from ..layout import Layout, Plane, container
from .compute import HdpJob, HdpOutcome
from .config import HdpConfig
from .tiles import is_tiled, planes_of, tiles

__all__ = ["PLANES", "HdpLayout", "held_planes", "planes_read"]

PLANES = (Plane("q_i", "q", "i"), Plane("q_f", "q", "f"),
          Plane("k_i", "k", "i"), Plane("k_f", "k", "f"), Plane("v", "v", "v"))
_BY_NAME = {plane.name: plane for plane in PLANES}


class HdpLayout(Layout):
    """Row sizes and packing of the planes of an HDP coprocessor."""

    config: HdpConfig

    @property
    def signed_kind(self) -> str:
        """The kind that has signs and magnitudes, or none."""
        config, d = self.config, self.config.d_max
        if not config.rounded:
            return "f"
        whole, mag = container(config.int_width), container(config.format.int_mag)
        return "i" if self.beats(d) + self.beats(d * mag) < self.beats(d * whole) else ""

    @property
    def i_bits(self) -> int:
        """Container of an integer part, or of its magnitude."""
        return container(self.config.format.int_mag if self.signed_kind == "i"
                         else self.config.int_width)

    @property
    def f_bits(self) -> int:
        """Container of a fraction, or of its magnitude."""
        return container(self.config.frac)

    @property
    def signs_beside(self) -> bool:
        """Signs and magnitudes of a row share a beat; integer parts that could need no signs."""
        return self.signed_kind == "f" and self.row_dims * (1 + self.f_bits) <= self.beat_bits

    @property
    def signs_apart(self) -> bool:
        """Signs of a row have beats of their own."""
        return self.signed_kind != "" and not self.signs_beside

    def row_beats(self, kind: str, d: int) -> int:
        if kind not in ("i", "f"):
            return super().row_beats(kind, d)
        if kind == self.signed_kind and self.signs_beside:
            return 1
        signs = self.beats(d) if kind == self.signed_kind else 0
        return signs + self.beats(d * (self.i_bits if kind == "i" else self.f_bits))

    def pack(self, kind: str, codes) -> np.ndarray:
        if kind not in ("i", "f"):
            return super().pack(kind, codes)
        codes = self.checked(codes, self.config.format)
        digits = self.config.format.split(codes)[kind == "f"]
        bits = self.i_bits if kind == "i" else self.f_bits
        if kind != self.signed_kind:
            return self.pack_bits(digits, bits)
        negative, mags = (codes if kind == "f" else digits) < 0, np.abs(digits)
        if self.signs_beside:
            signs = self.pack_bits(negative, 1, self.row_dims // 8)
            rest = self.pack_bits(mags, bits, self.beat_bytes - signs.shape[1])
            return np.concatenate([signs, rest], axis=1)
        return np.concatenate([self.pack_bits(negative, 1), self.pack_bits(mags, bits)], axis=1)

    # -- what a job moves, in bytes ----------------------------------------------------------
    def read_bytes(self, job: HdpJob, kept: bool, held: Collection[str] = ()) -> int:
        """Bytes a job reads: its descriptor, both integer planes and, if kept, the rest.

        Planes of K and V that are ``held`` (see :func:`held_planes`) are not read. A head in tiles
        reads those of each tile, but the keys once if they are a single tile (and not causal).
        """
        total = self.config.descriptor_bytes
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
                there |= {plane for plane in planes if _BY_NAME[plane].of != "q"}
        return total

    def _plane_bytes(self, name: str, queries: int, keys: int, d: int) -> int:
        plane = _BY_NAME[name]
        return (queries if plane.of == "q" else keys) * self.row_bytes(plane.kind, d)


def planes_read(job: HdpJob, kept: bool) -> tuple[str, ...]:
    """Planes that the work on a job needs."""
    if not (job.valid_q and job.valid_kv):
        return ()
    return ("q_i", "k_i", "q_f", "k_f", "v") if kept else ("q_i", "k_i")


def held_planes(jobs: Sequence[HdpJob], results: Sequence[HdpOutcome | None],
                config: HdpConfig) -> list[set[str]]:
    """Planes of K and V that each job finds on the chip, read for the jobs before it.

    A job with ``same_kv`` does if the one before it has the same d and valid keys, and the same
    valid queries if they are causal. A job with an error, whose result is None, leaves nothing;
    neither does a head that was worked off in tiles, nor does it find anything.
    """
    held: list[set[str]] = []
    left: set[str] = set()
    for n, (job, result) in enumerate(zip(jobs, results, strict=True)):
        tiled = is_tiled(job, config)
        if tiled or not (job.same_kv and n and _same_keys(jobs[n - 1], job)):
            left = set()
        held.append(set(left))
        left = set() if tiled or result is None else \
            left | set(planes_read(job, result.head_kept)) - {"q_i", "q_f"}
    return held


def _same_keys(a: HdpJob, b: HdpJob) -> bool:
    return ((a.d, a.valid_kv, a.causal) == (b.d, b.valid_kv, b.causal)
            and (not a.causal or a.valid_q == b.valid_q))
