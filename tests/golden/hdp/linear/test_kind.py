# SPDX-License-Identifier: Apache-2.0
"""How linear jobs are described, laid out, and refused."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.linear import LinearJob, LinearKind, Sizes, linear
from prunus.golden.hdp.linear.kind import LinearLayout
from prunus.golden.records import Error

TINY, EDGE = load_config("heat_tiny"), load_config("hdp_edge")
KIND = LinearKind()


def job(rows=4, k=16, n=16, **more) -> LinearJob:
    ones = np.ones(n, np.int64)
    return LinearJob(**{"x": np.arange(rows * k).reshape(rows, k) % 256 - 128,
                        "w": np.ones((n, k), np.int64), "bias": 0 * ones, "multiplier": ones,
                        "shift": 4 * ones, **more})


def test_sizes_by_hand():
    """heat_tiny holds 64 rows of 32 dimensions in each bank, hdp_edge 512 of 64."""
    tiny, edge = Sizes(TINY), Sizes(EDGE)
    assert (tiny.unit, tiny.granule, tiny.ring, tiny.longest_k) == (16, 16, 128, 256)
    assert (edge.unit, edge.granule, edge.ring, edge.longest_k) == (16, 32, 1024, 4096)
    assert edge.strip(25, 1536) == 26 and edge.pairs(25, 1536) == 13 * 48
    assert edge.strip(128, 1536) == 32          # 42 rows fit: four strips of 32
    assert (edge.tile(384, 384), edge.tile(384, 4096), edge.tile(8, 8)) == (64, 16, 16)


@pytest.mark.parametrize(("change", "error"), [
    ({}, None), ({"activation": 3}, Error.OPCODE), ({"wide": 1, "held_y": 1}, Error.OPCODE),
    ({"k": 0}, Error.DIMENSION), ({"k": 12}, Error.DIMENSION), ({"span": 0}, Error.DIMENSION),
    ({"tile": 8}, Error.DIMENSION), ({"tile": 80}, Error.DIMENSION),
    ({"groups": 0}, Error.DIMENSION), ({"m": 0}, Error.LENGTH), ({"m": 4097}, Error.LENGTH),
    ({"strip": 3}, Error.LENGTH), ({"strip": 258}, Error.LENGTH),
    ({"held_x": 1, "strip": 2}, Error.LENGTH), ({"inner": 0}, Error.VALID),
    ({"run": 0}, Error.VALID)])
def test_what_makes_a_descriptor_wrong(change, error):
    values = {name: int(value) for name, value in KIND.fields(job(), TINY).items()} | change
    found = [code for code, wrong in KIND.checks(values, TINY).items() if wrong]
    assert found == ([] if error is None else [error])


@pytest.mark.parametrize(("change", "text"), [
    ({"k": 264}, "k goes up to 256"),
    ({"rows": 200, "target": "held"}, "X and what is held must fit 128 granules|length"),
    ({"n": 32, "arrangement": "split", "run": 8}, "run must be a multiple of 16 or all channels"),
    ({"rows": 8, "run": 1, "inner": 8}, "valid"),
    ({"held": True}, "the job before one with a held X must hold its Y")])
def test_what_a_coprocessor_refuses(change, text):
    import re
    assert re.search(text, KIND.refuse(job(**change), TINY))


def test_a_held_x_is_of_the_shape_that_is_held():
    before = job(n=24, target="held")
    y = linear(before).y
    assert KIND.refuse(job(k=24, x=y, held=True), TINY, before) == ""
    assert "shape" in KIND.refuse(job(rows=3, k=24, held=True), TINY, before)


@pytest.mark.parametrize("d", [16, 32])
def test_digits_read_as_what_was_packed(d):
    """The planes are those of Q or K of heads."""
    layout, rng = LinearLayout(TINY), np.random.default_rng(d)
    made = job(rows=5, n=2 * d, target="digits", arrangement="heads", run=d)
    codes = rng.integers(-128, 128, (10, d))
    whole = layout.pack("i", codes)
    gap = np.zeros(layout.fractions_at(made) - whole.size, np.uint8)
    raw = np.concatenate([whole.ravel(), gap, layout.pack("f", codes).ravel()]).tobytes()
    assert len(raw) == layout.job_bytes(made)
    assert (layout.unpack(raw, made) == codes).all()


def test_bytes_by_hand():
    status = KIND.record(job(rows=5, k=24, n=16, bits=4), linear(job(rows=5, k=24)), TINY)
    # Rows of 24 weights of 4 bits take two beats; parameters one a channel.
    assert status.read_bytes == 64 + 5 * 24 + 16 * (16 + 8)
    assert status.write_bytes == 5 * 16 + 64
    table = replace(job(), activation="table", table=np.zeros(256, np.int64))
    assert KIND.record(table, linear(table), TINY).read_bytes == 64 + 4 * 16 + 16 * 24 + 256
