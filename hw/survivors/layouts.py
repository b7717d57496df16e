# SPDX-License-Identifier: Apache-2.0
"""What goes between the blocks of the back end, from survivors to output rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.hdl import C, Mux, ShapeLike, signed
from amaranth.lib import data

from prunus.golden.records import Record
from prunus.golden.softmax import MANT_BITS, RECIP_BITS
from prunus.golden.survivors import SurvivorConfig
from prunus.hw.softmax.quantise import SHIFT_INDEX_BITS

__all__ = ["PIECE", "SLOTS", "TAG", "FrontEnd", "chunk_count", "entry_layout", "head_layout",
           "ring_depth", "row_result_layout", "scored_row_layout", "slot_of", "survivor_layout",
           "values_layout", "visible_keys", "weight_layout"]

PIECE = 8           # dimensions are a multiple of it
SLOTS = 3           # jobs in a core: one is loaded, one computed, one written
TAG = 3             # bits that tell whose row it is: the bank of its queries, its job's slot

# Fields of every status record.
ALL_RECORDS = ("done", "error", "read_bytes", "write_bytes")


@dataclass(frozen=True)
class FrontEnd:
    """What an engine's front end has of its own, for the blocks around it.

    Members
    -------
    record : Record
        The status record of a head.
    fields : mapping of name to shape
        Of a job, what the front end wants to know of a head besides its keys and dimensions.
    counts : mapping of name to shape
        What the end of a row tells besides the number of survivors.
    words : (str, shape) or None
        What is counted in every cycle, for each bank of queries.

    The totals of a head are what its status record has of its own, in this order: survivors,
    ``counts``, ``words``.
    """

    record: Record
    fields: Mapping[str, ShapeLike] = field(default_factory=dict)
    counts: Mapping[str, ShapeLike] = field(default_factory=dict)
    words: tuple[str, ShapeLike] | None = None

    @property
    def totals(self) -> dict[str, str]:
        """Their fields of the record by the names they have here."""
        names = ["survivors", *self.counts, *([self.words[0]] if self.words else [])]
        own = [name for name in self.record.names if name not in ALL_RECORDS]
        return dict(zip(names, own, strict=True))


def chunk_count(config: SurvivorConfig, d8):
    """Chunks of 8*d8 dimensions, an expression."""
    return sum((d8 > n * config.taps // PIECE for n in range(1, config.chunks)), C(1))


def slot_of(tag):
    """The slot of the job that a row belongs to."""
    return tag[1:]


def head_layout(config: SurvivorConfig, front: FrontEnd) -> data.StructLayout:
    """A head whose operands are there: its job, the slot of that, the banks of queries and keys."""
    length = config.length_width
    return data.StructLayout({
        "slot": range(SLOTS), "bank": 1, "kv": 1, "valid_q": length, "valid_kv": length,
        "causal": 1, "d8": 5, **front.fields})


def visible_keys(head, limit):
    """Keys that a row sees of a head, an expression; ``limit`` is ``i + 1 + valid_kv - valid_q``,
    signed, for row i."""
    return Mux(~head.causal | (limit > head.valid_kv), head.valid_kv, Mux(limit < 0, 0, limit))


def survivor_layout(config: SurvivorConfig, front: FrontEnd,
                    tag_width: int = TAG) -> data.StructLayout:
    """A survivor: its key and score. Or, with ``end``, the end of a row: its survivors, what else
    was counted of it, and its tag. What belongs to the other kind means nothing."""
    return data.StructLayout({
        "end": 1, "key": range(config.l_max), "score": signed(config.score_width),
        "survivors": config.length_width, **front.counts, "tag": tag_width,
    })


def ring_depth(config: SurvivorConfig) -> int:
    """Survivors that wait for the end of their row or for their turn: those of two of the longest
    rows."""
    return 2 << (config.l_max - 1).bit_length()


def entry_layout(config: SurvivorConfig) -> data.StructLayout:
    """A survivor that waits."""
    return data.StructLayout({"key": range(config.l_max), "score": signed(config.score_width)})


def scored_row_layout(config: SurvivorConfig) -> data.StructLayout:
    """A row whose survivors are all there: how many, and the largest score (of none: anything)."""
    return data.StructLayout({
        "count": config.length_width, "top": signed(config.score_width), "tag": TAG})


def weight_layout(config: SurvivorConfig) -> data.StructLayout:
    """The weight of a survivor, ``mag << (SHIFT_STEP * shift)``.

    A row without survivors has one entry all the same, ``none``, with weight 0 and no key.
    """
    return data.StructLayout({
        "key": range(config.l_max), "mag": MANT_BITS, "shift": SHIFT_INDEX_BITS, "first": 1,
        "last": 1, "none": 1, "tag": TAG})


def row_result_layout() -> data.StructLayout:
    """The reciprocal of a row's denominator, see
    :class:`prunus.hw.softmax.reciprocal.Reciprocal`."""
    return data.StructLayout({"r": RECIP_BITS + 1, "p": 5, "empty": 1, "tag": TAG})


def values_layout(config: SurvivorConfig) -> data.ArrayLayout:
    """A chunk of a row of P.V."""
    return data.ArrayLayout(signed(config.accumulator_width), config.taps)
