# SPDX-License-Identifier: Apache-2.0
"""Jobs cut into tables that fit the memory of a board."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.config import Config
from golden.hdp import Job
from golden.memory import DESCRIPTOR_BYTES, STATUS_BYTES, Image, Layout, build_image
from golden.tiles import is_tiled

__all__ = ["Table", "folded_image", "image_bytes", "plan"]

ALIGN = 64
OUT_WORD, STATUS_WORD, PLANE_WORDS = 11, 12, range(6, 11)    # of a descriptor


@dataclass(frozen=True, eq=False)
class Table:
    """Jobs for one doorbell and the image with them; ``first`` is the number of the first."""

    first: int
    jobs: list[Job]
    image: Image


def image_bytes(job: Job, config: Config) -> int:
    """That a job takes of an image of :func:`golden.memory.build_image`."""
    layout = Layout(config)
    rows = {"q_i": job.l_q, "q_f": job.l_q, "out": job.l_q}
    if not job.same_kv:
        rows |= dict.fromkeys(("k_i", "k_f", "v"), job.l_kv)
    planes = (n * layout.row_bytes("out" if plane == "out" else plane[-1], job.d)
              for plane, n in rows.items())
    return DESCRIPTOR_BYTES + STATUS_BYTES + sum(-(-size // ALIGN) * ALIGN for size in planes)


def folded_image(job: Job, config: Config) -> Image:
    """The image of a single job whose output lies over the planes of Q and K.

    A coprocessor writes rows of a head after its last fraction plane has been read (the
    scheduler's ``fetched`` follows ``fraction_loaded``), and V lies behind them. Where the output
    is longer than these planes, it stays where it was; so does that of a head in tiles, whose
    planes are read again after its first rows are written.
    """
    image = build_image([job], config)
    if is_tiled(job, config):
        return image
    words = np.frombuffer(bytes(image.data[image.table : image.table + DESCRIPTOR_BYTES]),
                          "<u4").copy()
    first, *_, v = (int(words[n]) for n in PLANE_WORDS)
    out, = image.out
    size = job.l_q * Layout(config).row_bytes("out", job.d)
    if size > v - first:
        return image
    status = image.data[image.status[0] :]
    image.out, image.status = [first], [out]
    image.data[out:] = status
    words[[OUT_WORD, STATUS_WORD]] = first, out
    image.data[image.table : image.table + DESCRIPTOR_BYTES] = words.tobytes()
    return image


def plan(jobs: Sequence[Job], config: Config, memory_bytes: int) -> list[Table]:
    """Tables of as many jobs as fit, in order.

    The first job of a table has K and V of its own even if it shares them with the job before.

    Raises
    ------
    ValueError
        A job does not fit even alone.
    """
    groups: list[list[Job]] = []
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
        image = build_image(group, config)
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
