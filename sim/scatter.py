# SPDX-License-Identifier: Apache-2.0
"""Images in pieces at random addresses of all bits, so that every carry of an address moves."""

from collections.abc import Sequence
from random import Random

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import Image, build_image, described
from prunus.golden.jobs import Job

from .cases import Batch

__all__ = ["scatter"]

ALIGN = 64
GAP = 4096              # between pieces, so that a byte beyond one is seen


def _starts(image: Image, jobs: Sequence[Job], config: EngineConfig) -> list[int]:
    """Where table, planes and records begin in the image."""
    engine, starts = engine_of(config), {image.table, *image.out, *image.status}
    for n, job in enumerate(jobs):
        kind = engine.kind(job)
        values = described(image, n, kind, config)
        starts |= {values[name] for name in kind.addresses}
    return sorted(starts)


def _address(size: int, bits: int, rng: Random) -> int:
    """For a piece: often it lies across a power of two, sometimes it ends with the memory."""
    top = 1 << bits
    room = top - -(-size // ALIGN) * ALIGN
    kind = rng.random()
    if kind < 0.1:
        return room
    if kind < 0.75:
        border = 1 << rng.randrange(13, bits)
        border *= rng.randrange(1, top // border + 1)
        before = rng.randrange(1, max(size // ALIGN, 1) + 1) * ALIGN
        return min(max(border - before, 0), room)
    return rng.randrange(room // ALIGN) * ALIGN


def scatter(jobs: Sequence[Job], config: EngineConfig, seed: int) -> Batch:
    """A batch whose table, planes and records lie at random addresses, the same for a seed."""
    image, rng, engine = build_image(jobs, config), Random(seed), engine_of(config)
    starts = _starts(image, jobs, config)
    image.reserve(0, ALIGN)
    places: list[tuple[int, int, int]] = []
    beat = config.axi_data_width // 8
    for first, end in zip(starts, [*starts[1:], len(image.data)], strict=True):
        size = end - first
        while True:
            address = _address(size, config.axi_address_width, rng)
            if first == image.table:
                address -= address % config.descriptor_bytes
            elif first not in image.status:     # planes lie on a beat, not more
                address -= min(address, rng.randrange(0, ALIGN, beat))
            if all(address + size + GAP <= other or other + length + GAP <= address
                   for _, length, other in places):
                break
        places.append((first, size, address))
    moved = {first: address for first, _, address in places}
    for n, job in enumerate(jobs):
        kind = engine.kind(job)
        values = described(image, n, kind, config)
        image.describe(n, kind.descriptor_of(config).pack(
            values | {name: moved[values[name]] for name in kind.addresses}))
    return Batch(jobs, image=image, places=places)
