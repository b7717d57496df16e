# SPDX-License-Identifier: Apache-2.0
"""Linear jobs that look for trouble, alone and in chains."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear import LinearJob, LinearKind, Output, Sizes, linear
from prunus.golden.hdp.linear.compute import (
    MULTIPLIER_BITS,
    SHIFT_BITS,
    TABLE,
    codes_of_heads,
)
from prunus.golden.hdp.linear.sizes import LONGEST, MOST_TILE

__all__ = ["hard_linear", "linear_table", "plain_job", "random_linear", "random_step",
           "wrong_fields"]

KIND = LinearKind()
LONGEST_CHAIN = 5
LARGEST = 1 << 14      # of an output word of a head
PRODUCTS = 60_000       # of a job, about; a few have more


def _multiple(rng, step: int, most: int) -> int:
    """A multiple of a step, small ones more often."""
    top = max(1, most // step)
    return step * int(min(top, 1 + rng.integers(0, top) * rng.random() ** 2))


def _codes(rng, shape: tuple[int, ...], low: int) -> np.ndarray:
    """Random, extreme, small, or the least of all."""
    kind = rng.random()
    if kind < 0.1:
        return np.full(shape, low)
    if kind < 0.2:
        return rng.choice([low, -low - 1], shape)
    if kind < 0.3:
        return rng.integers(-2, 3, shape)
    return rng.integers(low, -low, shape)


def _scales(rng, channels: int, k: int, bits: int) -> dict[str, np.ndarray]:
    """Bias, multiplier and shift, mostly such that results fill about their range."""
    spread = 2.0 ** (bits - 2) * 40 * np.sqrt(k)
    if rng.random() < 0.15:
        return {"bias": rng.integers(-(1 << 31), 1 << 31, channels),
                "multiplier": rng.integers(0, 1 << MULTIPLIER_BITS, channels),
                "shift": rng.integers(0, 1 << SHIFT_BITS, channels)}
    multiplier = rng.integers(1 << 14, 1 << MULTIPLIER_BITS, channels)
    shift = np.clip(np.rint(np.log2(spread * multiplier / 60)) + rng.integers(-2, 3, channels),
                    0, 63)
    return {"bias": rng.integers(-int(spread), int(spread) + 1, channels),
            "multiplier": multiplier, "shift": shift.astype(np.int64)}


def _divisor(rng, n: int, step: int = 1) -> int:
    """A divisor of n that is a multiple of a step."""
    return int(rng.choice([d for d in range(step, n + 1, step) if n % d == 0]))


def _view(rng, rows: int, channels: int, unit: int) -> dict[str, Any]:
    """A way to arrange Y, of those that there are for the shape."""
    ways: list[Callable[[], dict[str, Any]]] = [dict, dict]
    if channels % unit == 0:
        def split() -> dict[str, Any]:
            inner = _divisor(rng, rows)
            return {"arrangement": "split", "run": _divisor(rng, channels, unit), "inner": inner,
                    "middle": _divisor(rng, rows // inner)}
        ways += [split, split,
                 lambda: {"run": _divisor(rng, channels, unit), "inner": _divisor(rng, rows)},
                 lambda: {"arrangement": "heads", "run": _divisor(rng, channels, unit)}]
    if rows % unit == 0:
        ways += [lambda: {"run": 1, "inner": _divisor(rng, rows, unit),
                          "arrangement": str(rng.choice(["merge", "split"]))}] * 2
    return ways[int(rng.integers(len(ways)))]()


def random_step(config: HdpConfig, rng, x: np.ndarray | None = None,
                **fixed: Any) -> LinearJob | None:
    """A job, of a given held X if there is one; None if a drawn one cannot be done."""
    sizes = Sizes(config)
    unit = sizes.unit
    bits, groups = int(rng.choice([4, 8])), 1
    if x is None:
        rows = unit * int(rng.integers(1, 4)) if rng.random() < 0.3 else int(rng.integers(1, 40))
        k = _multiple(rng, 8, min(sizes.longest_k, 512))
    else:
        rows, k = x.shape
    span = _multiple(rng, 8, max(8, min(512, PRODUCTS // (rows * k))))
    if rng.random() < 0.2:
        step = max(unit, 2 * config.taps)
        groups = int(rng.integers(1, 5)) if x is None else int(rng.choice(
            [g for g in range(1, 9) if k % (g * step) == 0] or [1]))
        if groups > 1:
            k = _multiple(rng, step, min(sizes.longest_k, 128)) if x is None else k // groups
            span = unit * int(rng.integers(1, 5))
    channels = groups * span
    heads = None
    if x is None:
        x = _codes(rng, (rows, groups * k), -128)
        if groups * k % unit == 0 and rng.random() < 0.15:
            d = _divisor(rng, min(groups * k, config.d_max), unit)
            if groups * k % d == 0:
                heads = rng.integers(-LARGEST, LARGEST + 1, (groups * k // d, rows, d))
                x = codes_of_heads(heads)
    fields: dict[str, Any] = {
        "x": x, "heads": heads, "w": _codes(rng, (channels, k), -8 if bits == 4 else -128),
        "bits": bits, "groups": groups, **_scales(rng, channels, k, bits),
        **_view(rng, rows, channels, unit)}
    kind = rng.random()
    if kind < 0.2:
        fields |= {"activation": "table", "table": rng.integers(-128, 128, TABLE)}
    elif kind < 0.4:
        fields["activation"] = "relu"
    if rng.random() < 0.25 and fields.get("run") != 1:
        fields |= {"residual": _codes(rng, (rows, channels), -128),
                   "residual_scale": (int(rng.integers(0, 1 << MULTIPLIER_BITS)),
                                      int(rng.integers(8, 20)))}
    target = rng.random()
    if fields.get("arrangement") == "heads":
        fields["target"] = "digits" if target < 0.7 else "codes"
    elif target < 0.15:
        fields = {name: value for name, value in fields.items() if name not in (
            "activation", "table", "residual", "residual_scale", "arrangement", "run", "inner",
            "middle")} | {"target": "wide"}
    fields["fence"] = bool(rng.random() < 0.1)
    try:
        return LinearJob(**(fields | fixed))
    except ValueError:
        return None


def linear_table(config: HdpConfig, rng) -> Iterator[LinearJob]:
    """A chain of 1 to 5 jobs, the intermediates of which are held."""
    length = 1 if rng.random() < 0.5 else int(rng.integers(2, LONGEST_CHAIN + 1))
    before: LinearJob | None = None
    done = 0
    while done < length:
        last = done == length - 1
        x = linear(before).y if before else None
        job = random_step(config, rng, x, **({} if last else {"target": "held"}),
                          **({"held": True} if before else {}))
        ends = job is not None and (last or job.output_shape()[1] <= Sizes(config).longest_k)
        if job is None or not ends or KIND.refuse(job, config, before):
            if before and x is not None and rng.random() < 0.1:     # a dead end
                last, job = True, replace(random_plain(config, x), held=True)
                if KIND.refuse(job, config, before):
                    raise ValueError(f"a chain must be able to end: {job.describe()}")
                yield job
                return
            continue
        yield job
        before, done = job, done + 1


def random_plain(config: HdpConfig, x: np.ndarray) -> LinearJob:
    """The least job of an X."""
    k, ones = x.shape[1], np.ones(8, np.int64)
    return LinearJob(x=x, w=np.ones((8, k), np.int64), bias=0 * ones, multiplier=ones,
                     shift=4 * ones)


def random_linear(config: HdpConfig, count: int, seed: int) -> list[LinearJob]:
    """``count`` jobs or a few more, always the same for a seed."""
    rng = np.random.default_rng(seed)
    jobs: list[LinearJob] = []
    while len(jobs) < count:
        jobs += linear_table(config, rng)
    return jobs


def plain_job(rng, m: int, k: int, n: int) -> LinearJob:
    """A job of random codes, without anything else."""
    fields: dict[str, Any] = {"x": _codes(rng, (m, k), -128), "w": _codes(rng, (n, k), -128)}
    return LinearJob(**(fields | _scales(rng, n, k, 8)))


def hard_linear(config: HdpConfig, seed: int) -> list[LinearJob]:
    """What random jobs seldom do: sums beyond 32 bits of either sign, a job with an X of its own
    behind one that holds its Y, and a tile of few channels before two others."""
    rng, channels = np.random.default_rng(seed), 24
    ends = np.where(np.arange(channels) % 2, -(1 << 31), (1 << 31) - 1)
    most = LinearJob(
        x=np.full((5, 64), -128), w=np.where(ends[:, None] > 0, -128, 127) + np.zeros((1, 64), int),
        bias=ends, multiplier=np.full(channels, (1 << MULTIPLIER_BITS) - 1),
        shift=np.full(channels, 40))
    scales: dict[str, Any] = {**_scales(rng, channels, 64, 8), "target": Output.HELD}
    held = replace(most, x=_codes(rng, (16, 64), -128), **scales)
    return [replace(most, target=Output.WIDE), most, held,
            replace(most, x=_codes(rng, (4, 64), -128)), held,
            replace(random_plain(config, linear(held).y), held=True),
            plain_job(rng, 40, 8, 8), plain_job(rng, 2, 64, 80)]


def wrong_fields(values: Mapping[str, int], config: HdpConfig) -> Iterator[dict[str, int]]:
    """One thing at a time that a descriptor of plain codes may not say, and has a status record all
    the same; ``values`` are its own."""
    sizes = Sizes(config)
    unit, most = sizes.unit, sizes.ring * sizes.granule
    yield from ({"opcode": KIND.opcode ^ 1 << bit} for bit in range(8) if KIND.opcode != 1 << bit)
    yield from ({"activation": 3}, {"held_y": 1, "wide": 1}, {"held_y": 1, "digits": 1},
                {"wide": 1, "digits": 1}, {"words": 1, "held_x": 1, "x_run": unit})
    yield from ({"transposed": 1, "residual": 0, name: 1} for name in ("wide", "digits",
                                                                       "residual"))
    yield from ({name: n} for name in ("k", "span") for n in (
        0, values[name] + 1, values[name] + 4, LONGEST + 8, 0xFFF8))
    yield from ({"k": sizes.longest_k + 8}, {"groups": 0}, {"groups": 2, "tile": unit},
                {"groups": 2, "tile": values["span"], "k": unit + 8},
                {"groups": 255, "k": 2 * unit, "span": unit, "tile": unit, "strip": 2},
                {"groups": 255, "k": unit, "span": 2 * unit, "tile": 2 * unit, "strip": 2})
    yield from ({"tile": n} for n in (0, unit - 1, unit + 8, MOST_TILE + unit, 0xF0))
    yield {"k": sizes.longest_k, "tile": 2 * unit, "strip": 2, "residual": 0}
    yield from ({"words": 1, "x_run": n} for n in (0, 8, unit + 8, config.d_max + unit, 0xFFF0))
    yield from ({name: n} for name in ("m", "strip") for n in (0, LONGEST + 2, 0xFFFE))
    yield from ({"strip": values["m"] + 1}, {"strip": 4 * most // values["k"]},
                {"held_x": 1, "strip": values["m"] - 2}, {"held_y": 1, "strip": values["m"] - 2})
    yield from ({name: 0} for name in ("inner", "middle", "run"))
    yield from ({"transposed": 1, "residual": 0, **more} for more in (
        {"m": unit + 2, "strip": 2 * unit}, {"strip": unit + 2}))
    for name in KIND.addresses:
        if name != "status":
            yield {name: values[name] + 1}
            yield {name: values[name] + config.axi_data_width // 16}
