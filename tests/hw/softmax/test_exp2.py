# SPDX-License-Identifier: Apache-2.0
import numpy as np

from prunus.golden.softmax import T_FRAC, T_INT, exp2_neg
from prunus.hw.softmax.exp2 import Exp2
from tests.hw.softmax.bench import run_pipeline


def test_every_exponent():
    dut = Exp2()
    t = np.random.default_rng(1).permutation(1 << (T_INT + T_FRAC))
    e = run_pipeline(dut, lambda ctx: ctx.get(dut.e), t=t)
    np.testing.assert_array_equal(e, exp2_neg(t))
