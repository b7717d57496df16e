# SPDX-License-Identifier: Apache-2.0
import gc
import re

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned

from prunus.hw.arith.multiply import SplitMultiplier
from tests.hw.softmax.bench import run_pipeline

SHAPES = [(unsigned(5), 3), (unsigned(17), 17), (unsigned(18), 16), (unsigned(31), 16),
          (unsigned(34), 17), (signed(2), 4), (signed(18), 17), (signed(19), 17), (signed(35), 17),
          (unsigned(35), 16), (unsigned(51), 11), (signed(36), 16), (signed(52), 11)]


@pytest.mark.parametrize(("shape", "b_width"), SHAPES, ids=lambda x: repr(x))
def test_exact(shape, b_width):
    rng = np.random.default_rng(3)
    low, high = (-(1 << shape.width - 1), 1 << shape.width - 1) if shape.signed else (
        0, 1 << shape.width)
    a = np.concatenate([rng.integers(low, high, 500), [low, low, high - 1, high - 1, 0]])
    top = (1 << b_width) - 1
    b = np.concatenate([rng.integers(0, 1 << b_width, 500), [0, top, 0, top, top]])
    dut = SplitMultiplier(a_shape=shape, b_width=b_width)
    o = run_pipeline(dut, lambda ctx: ctx.get(dut.o), a=a, b=b)
    np.testing.assert_array_equal(o, a * b)
    assert dut.latency == -(-(shape.width - shape.signed) // 17)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(("shape", "b_width", "text"), [
    (unsigned(52), 16, "a_shape must have 1 to 51 bits without the sign, not unsigned(52)"),
    (signed(1), 16, "a_shape must have 1 to 51 bits without the sign, not signed(1)"),
    (signed(9), 18, "b_width must be 1 to 17, not 18"),
])
def test_bad_widths(shape, b_width, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        SplitMultiplier(a_shape=shape, b_width=b_width)
    gc.collect()       # while the filter holds
