# SPDX-License-Identifier: Apache-2.0
import pytest

from prunus.hw.boards.pll import Ecp5Pll
from tests.hw.helpers import refusal


@pytest.mark.parametrize(("source", "mhz"), [(25, 60), (25, 62.5), (25, 70), (50, 50), (100, 75),
                                             (25, 100), (12, 48)])
def test_exact(source, mhz):
    pll = Ecp5Pll.near(source, mhz)
    assert pll.mhz == pytest.approx(mhz, rel=1e-9)
    assert pll.source_mhz == source


@pytest.mark.parametrize("mhz", [10, 33.3, 61.8, 71.3, 123.4, 333])
def test_within_what_the_chip_can_do(mhz):
    pll = Ecp5Pll.near(25.0, mhz)
    assert pll.mhz == pytest.approx(mhz, rel=0.02)
    assert 400 <= pll.mhz * pll.output <= 800
    assert 3.125 <= pll.source_mhz / pll.divide <= 400
    assert pll.divide <= 128 and pll.multiply <= 80 and pll.output <= 128


@pytest.mark.parametrize("mhz", [1, 900])
def test_refused(mhz):
    assert refusal(lambda: Ecp5Pll.near(25.0, mhz)) == (
        f"mhz must be a clock that a PLL makes of 25 MHz, not {mhz}")
