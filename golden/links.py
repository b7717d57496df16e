# SPDX-License-Identifier: Apache-2.0
"""Tables whose jobs read what others of the same table write."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .engine import EngineConfig
from .engines import engine_of
from .image import FILL, Image, build_image, described
from .jobs import Job

__all__ = ["Link", "linked_image"]


@dataclass(frozen=True)
class Link:
    """Operand ``operand`` of job ``reader`` is the output of job ``writer``, from ``row`` on.

    An operand that is made of the outputs of several jobs, one after the other, has a link for each
    of them, and ``part`` tells its first row in the operand.
    """

    reader: int
    operand: str
    writer: int
    row: int = 0
    part: int | None = None


def linked_image(jobs: Sequence[Job], links: Sequence[Link], config: EngineConfig) -> Image:
    """The image of :func:`prunus.golden.image.build_image`, with links. Where an operand would
    lie without its link there is ``FILL``.

    Raises
    ------
    ValueError
        A link goes backwards, its operand is another one than the writer gives, or is laid out
        otherwise.
    """
    engine, image = engine_of(config), build_image(jobs, config)
    for link in links:
        reader, writer = jobs[link.reader], jobs[link.writer]
        kind, source = engine.kind(reader), engine.kind(writer)
        if link.writer >= link.reader:
            raise ValueError(f"the writer of a link must come before job {link.reader}, "
                             f"not be job {link.writer}")
        operand, given = reader.operands()[link.operand], engine.compute(writer, config).out
        first = link.part or 0
        rows = len(operand) if link.part is None else min(len(operand) - first, len(given))
        if not np.array_equal(operand[first : first + rows], given[link.row : link.row + rows]):
            raise ValueError(f"{link.operand} of job {link.reader} must be what job {link.writer} "
                             "gives, and is not")
        values = described(image, link.reader, kind, config)
        layout, places = kind.layout(config), source.readable(
            writer, image.out[link.writer], config)
        for plane in (plane for plane in kind.planes_of(reader) if plane.of == link.operand):
            size = layout.row_bytes(plane.kind, operand.shape[1])
            if places.get(plane.kind, (0, 0))[1] != size:
                raise ValueError(f"{plane.name} of job {link.reader} must be laid out as the "
                                 f"output of job {link.writer}, and is not")
            at = values[plane.name]
            if link.part is None:
                image.data[at : at + rows * size] = bytes([FILL]) * (rows * size)
                values[plane.name] = places[plane.kind][0] + link.row * size
            else:       # the writer writes where the operand lies
                at += first * size
                image.data[at : at + rows * size] = bytes([FILL]) * (rows * size)
                image.out[link.writer] = at
                its = described(image, link.writer, source, config)
                image.describe(link.writer, source.descriptor_of(config).pack(
                    its | source.result_places(writer, at, config)))
        image.describe(link.reader, kind.descriptor_of(config).pack(values))
    return image
