# SPDX-License-Identifier: Apache-2.0
"""Images of tables whose jobs read what others write."""

import numpy as np
import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.linear import LinearJob, linear
from prunus.golden.image import FILL, build_image, described
from prunus.golden.links import Link, linked_image
from prunus.golden.softmax import encode_scale

CONFIG = load_config("heat_tiny")
ONES = np.ones(16, np.int64)


def layer(x, **more) -> LinearJob:
    w = np.random.default_rng(len(x)).integers(-128, 128, (16, x.shape[1]))
    return LinearJob(x=x, w=w, bias=0 * ONES, multiplier=ONES << 15, shift=27 * ONES, **more)


def jobs():
    """Q in digits, the same in codes, and a head that reads the digits."""
    x = np.random.default_rng(1).integers(-100, 101, (4, 16))
    q = layer(x, target="digits", arrangement="heads", run=16)
    codes = layer(x, arrangement="heads", run=16)
    y = linear(q).out
    return [q, codes, HdpJob(q=y, k=y, v=y, scale=encode_scale(0.01))]


def test_a_reader_has_the_address_of_its_writer():
    table = jobs()
    links = [Link(2, "q", 0), Link(2, "k", 0), Link(2, "v", 1)]
    plain, image = build_image(table, CONFIG), linked_image(table, links, CONFIG)
    kind = engine_of(CONFIG).kinds[0]
    before, values = (described(one, 2, kind, CONFIG) for one in (plain, image))
    assert values["q_i"] == values["k_i"] == image.out[0] and values["v"] == image.out[1]
    assert values["q_f"] == described(image, 0, engine_of(CONFIG).kinds[1], CONFIG)["out_f"]
    # What the host would have put there is not there.
    size = 4 * kind.layout(CONFIG).row_bytes("v", 16)
    assert image.data[before["v"] : before["v"] + size] == bytes([FILL]) * size
    assert {name for name in values if values[name] != before[name]} == {
        "q_i", "q_f", "k_i", "k_f", "v"}


@pytest.mark.parametrize(("link", "text"), [
    (Link(0, "x", 1), "the writer of a link must come before job 0, not be job 1"),
    (Link(1, "x", 0), "x of job 1 must be what job 0 gives, and is not"),
    (Link(2, "q", 1), "q_i of job 2 must be laid out as the output of job 1, and is not")])
def test_links_that_are_none(link, text):
    with pytest.raises(ValueError, match=text):
        linked_image(jobs(), [link], CONFIG)
