# SPDX-License-Identifier: Apache-2.0
"""Jobs cut into tables that fit the memory of a board."""

from collections.abc import Sequence
from dataclasses import dataclass

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import Image, build_image, described, out_bytes
from prunus.golden.jobs import Job
from prunus.golden.layout import Plane
from prunus.golden.records import STATUS_BYTES

__all__ = ["Table", "folded_image", "image_bytes", "plan"]

ALIGN = 64


@dataclass(frozen=True, eq=False)
class Table:
    """Jobs for one doorbell and the image with them; ``first`` is the number of the first."""

    first: int
    jobs: list[Job]
    image: Image


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _sizes(job: Job, config: EngineConfig) -> dict[Plane, int]:
    """What each operand plane of a job takes of an image."""
    kind, operands = engine_of(config).kind(job), job.operands()
    layout = kind.layout(config)
    return {plane: _aligned(len(operands[plane.of])
                            * layout.row_bytes(plane.kind, operands[plane.of].shape[1]))
            for plane in kind.planes_of(job)}


def image_bytes(job: Job, config: EngineConfig) -> int:
    """That a job takes of the image that ``build_image`` makes."""
    return config.descriptor_bytes + STATUS_BYTES + _aligned(out_bytes(job, config)) + sum(
        size for plane, size in _sizes(job, config).items() if plane.of not in job.shared)


def folded_image(job: Job, config: EngineConfig) -> Image:
    """The image of a single job whose output lies over operands that are read before it is written.

    Where the output is longer than these planes, which are the first ones, it stays where it was.
    """
    image, kind = build_image([job], config), engine_of(config).kind(job)
    through = kind.read_first(job, config)
    room = sum(size for plane, size in _sizes(job, config).items() if plane.name in through)
    if _aligned(out_bytes(job, config)) > room:
        return image
    first, out = config.descriptor_bytes, image.out[0]
    status = image.data[image.status[0] :]
    image.out, image.status = [first], [out]
    image.data[out:] = status
    values = described(image, 0, kind, config)
    image.describe(0, kind.descriptor_of(config).pack(values | {"out": first, "status": out}))
    return image


def plan(jobs: Sequence[Job], config: EngineConfig, memory_bytes: int) -> list[Table]:
    """Tables of as many jobs as fit, in order.

    The first job of a table has operands of its own even if it shares some with the job before.

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
            job = job.alone()
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
            raise ValueError(
                f"job {first} ({group[0].describe()}) must fit the memory of "
                f"{memory_bytes} bytes, and takes {len(image.data)}")
        tables.append(Table(first, group, image))
        first += len(group)
    return tables
