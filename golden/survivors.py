# SPDX-License-Identifier: Apache-2.0
"""What engines have in common that choose keys one by one: from survivors to output words."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from . import softmax
from .engine import EngineConfig
from .jobs import AttentionJob, exponentials, matmul, row_tops
from .layout import Layout, Plane

__all__ = ["HEADS", "SurvivorConfig", "SurvivorLayout", "Taps", "attend", "buffer_bits",
           "held_planes", "planes_read", "ring_bits", "weights", "whole_words"]

HEADS = 2       # that a core holds the operands of

# Dimensions that a unit takes per cycle; by default 64, or ``d_max`` if that is less.
Taps = Annotated[int, Field(
    ge=8, le=128, multiple_of=8,
    default_factory=lambda given: min(64, given.get("d_max", 64)))]


class SurvivorConfig(EngineConfig):
    """Parameters of a coprocessor whose back end takes survivors one by one.

    A subclass has a field ``taps`` of type :data:`Taps`, where its own fields have room for it.
    """

    tile: None = None
    if TYPE_CHECKING:       # else it would be a field before those of a subclass
        taps: int

    @model_validator(mode="after")
    def _taps_of_a_row(self):
        if self.taps > self.d_max:
            raise ValueError(f"taps must be at most d_max, which is {self.d_max}, "
                             f"not {self.taps!r}")
        return self

    @property
    def chunks(self) -> int:
        """Cycles that a unit takes for ``d_max`` dimensions."""
        return -(-self.d_max // self.taps)

    @property
    def output_lanes(self) -> int:
        """Dimensions that are normalised per cycle: a beat of output words, at most four."""
        return min(4, self.axi_data_width // self.out_width)

    @property
    def cores(self) -> int:
        """One; several are not built."""
        return 1

    @property
    def accumulator_width(self) -> int:
        """Signed bits of a row of P.V before it is normalised."""
        return softmax.EXP_FRAC + self.width + (self.l_max - 1).bit_length()


def whole_words(d: int, config: SurvivorConfig) -> int:
    """Dimensions that are read of a key or a row of V with ``d``: whole words of ``taps``."""
    return -(-d // config.taps) * config.taps


def weights(job: AttentionJob, scores, mask) -> np.ndarray:
    """(l_q, l_kv): what V is multiplied by, from scores and survivors; a row is divided by its sum
    afterwards."""
    e = exponentials(scores, mask, row_tops(scores, mask), job.scale)
    # Survivors come one by one and in any order, so each weight has a shift of its own.
    mant, shift = softmax.quantise_pair(e[..., None])
    return mant[..., 0] << shift


def attend(job: AttentionJob, scores, mask, config: SurvivorConfig) -> np.ndarray:
    """(l_q, d): output words of a head from its scores and survivors, (l_q, l_kv) each.

    A row without survivors is zero.
    """
    w = weights(job, scores, mask)
    return softmax.normalise(matmul(w, job.v), w.sum(axis=1), width=config.width,
                             out_frac=config.out_frac)


# -- planes ---------------------------------------------------------------------------------------
class SurvivorLayout(Layout):
    """Row sizes and packing of planes of which a head needs all.

    Members
    -------
    planes : tuple of Plane
        Each one of an operand of its own.
    """

    planes: ClassVar[tuple[Plane, ...]]

    def read_bytes(self, job: AttentionJob, held: Collection[str] = ()) -> int:
        """Bytes a job reads: its descriptor and the planes that are not ``held``."""
        rows = {"q": job.valid_q, "k": job.valid_kv, "v": job.valid_kv}
        return self.config.descriptor_bytes + sum(
            rows[plane.of] * self.row_bytes(plane.kind, job.d) for plane in self.planes
            if plane.name in planes_read(job) and plane.name not in held)


def planes_read(job: AttentionJob) -> tuple[str, ...]:
    """Planes that the work on a job needs."""
    return ("q", "k", "v") if job.valid_q and job.valid_kv else ()


def held_planes(jobs: Sequence[AttentionJob], results: Sequence[Any]) -> list[set[str]]:
    """Planes of K and V that each job finds on the chip, read for the jobs before it.

    A job with ``same_kv`` does if the one before it has the same d and valid keys and no error,
    that is, a result.
    """
    held: list[set[str]] = []
    left: set[str] = set()
    for n, (job, result) in enumerate(zip(jobs, results, strict=True)):
        same = n and job.same_kv and (job.d, job.valid_kv) == (jobs[n - 1].d, jobs[n - 1].valid_kv)
        left = left if same else set()
        held.append(set(left))
        left = left | set(planes_read(job)) - {"q"} if result is not None else set()
    return held


# -- memories -------------------------------------------------------------------------------------
def buffer_bits(read: int, config: SurvivorConfig) -> int:
    """Of a buffer of codes of which ``read`` dimensions are read at a time."""
    layout = Layout(config)
    beat = min(layout.row_dims, layout.beat_bits // layout.v_bits)
    word, ratio = max(beat, read), max(beat, read) / min(beat, read)
    words = -(-config.d_max // word)
    if ratio not in [1 << n for n in range(7)]:
        words, word = 1, -(-config.d_max // beat) * beat        # whole rows
    rows = 1 << max(1, (config.l_max - 1).bit_length())
    return HEADS * rows * (1 << (words - 1).bit_length()) * word * config.width


def ring_bits(config: SurvivorConfig) -> int:
    """Of the ring of survivors, keys and scores."""
    survivors = 2 << (config.l_max - 1).bit_length()
    return survivors * ((config.l_max - 1).bit_length() + config.score_width)
