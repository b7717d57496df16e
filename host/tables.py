# SPDX-License-Identifier: Apache-2.0
"""Jobs cut into tables that fit the memory of a board."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.engine import EngineConfig
from golden.hdp.planes import DESCRIPTOR_BYTES, STATUS_BYTES, CodeLayout, Image
from golden.image import image_of
from golden.jobs import AttentionJob

__all__ = ["Table", "folded_image", "image_bytes", "plan"]

ALIGN = 64
OUT_WORD, STATUS_WORD = 11, 12      # of a descriptor


@dataclass(frozen=True, eq=False)
class Table:
    """Jobs for one doorbell and the image with them; ``first`` is the number of the first."""

    first: int
    jobs: list[AttentionJob]
    image: Image


def _sizes(job: AttentionJob, layout: CodeLayout) -> dict[str, int]:
    """What each plane of a job takes of an image."""
    rows = {**dict.fromkeys(layout.queries, job.l_q), **dict.fromkeys(layout.keys, job.l_kv)}
    sizes = {plane: n * layout.row_bytes(plane[-1], job.d) for plane, n in rows.items()}
    sizes["out"] = job.l_q * layout.row_bytes("out", job.d)
    return {plane: -(-size // ALIGN) * ALIGN for plane, size in sizes.items()}


def image_bytes(job: AttentionJob, config: EngineConfig) -> int:
    """That a job takes of the image that ``build_image`` of its engine makes."""
    layout = image_of(config).Layout(config)
    shared = layout.keys if job.same_kv else ()
    return DESCRIPTOR_BYTES + STATUS_BYTES + sum(
        size for plane, size in _sizes(job, layout).items() if plane not in shared)


def folded_image(job: AttentionJob, config: EngineConfig) -> Image:
    """The image of a single job whose output lies over operands that are read before it is written.

    Where the output is longer than these planes, which are the first ones, it stays where it was.
    """
    engine = image_of(config)
    image, layout = engine.build_image([job], config), engine.Layout(config)
    sizes = _sizes(job, layout)
    if sizes["out"] > sum(sizes[plane] for plane in layout.read_first(job)):
        return image
    first, out = DESCRIPTOR_BYTES, image.out[0]
    status = image.data[image.status[0] :]
    image.out, image.status = [first], [out]
    image.data[out:] = status
    words = np.frombuffer(bytes(image.data[:DESCRIPTOR_BYTES]), "<u4").copy()
    words[[OUT_WORD, STATUS_WORD]] = first, out
    image.describe(0, words)
    return image


def plan(jobs: Sequence[AttentionJob], config: EngineConfig, memory_bytes: int) -> list[Table]:
    """Tables of as many jobs as fit, in order.

    The first job of a table has K and V of its own even if it shares them with the job before.

    Raises
    ------
    ValueError
        A job does not fit even alone.
    """
    groups: list[list[AttentionJob]] = []
    left = 0
    for job in jobs:
        size = image_bytes(job, config)
        if not groups or size > left:
            job = replace(job, same_kv=False)
            groups.append([])
            left, size = memory_bytes, image_bytes(job, config)
        groups[-1].append(job)
        left -= size
    tables, first = [], 0
    for group in groups:
        image = image_of(config).build_image(group, config)
        if len(image.data) > memory_bytes:
            image = folded_image(group[0], config)
        if len(image.data) > memory_bytes:
            job = group[0]
            raise ValueError(
                f"job {first} (l_q {job.l_q}, l_kv {job.l_kv}, d {job.d}) must fit the board's "
                f"memory of {memory_bytes} bytes, and takes {len(image.data)}")
        tables.append(Table(first, group, image))
        first += len(group)
    return tables
