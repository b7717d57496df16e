# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Signal

from prunus.hw.boards.pll import Ecp5Pll, GowinPll
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


@pytest.mark.parametrize(("source", "mhz"), [(27, 27), (27, 36), (27, 40.5), (27, 54), (27, 81)])
def test_exact_of_a_gowin(source, mhz):
    pll = GowinPll.near(source, mhz)
    assert pll.mhz == pytest.approx(mhz, rel=1e-9)
    assert pll.source_mhz == source


@pytest.mark.parametrize("mhz", [4.5, 10, 33.3, 61.8, 100, 123.4, 333, 600])
def test_within_what_a_gowin_can_do(mhz):
    pll = GowinPll.near(27.0, mhz)
    assert pll.mhz == pytest.approx(mhz, rel=0.02)
    assert 500 <= pll.mhz * pll.output <= 1250
    assert 3 <= pll.source_mhz / pll.divide <= 500
    assert 1 <= pll.divide <= 64 and 1 <= pll.multiply <= 64
    assert pll.output in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
    # The VCO is as fast as it may be.
    assert not any(pll.mhz * faster <= 1250 for faster in pll.OUTPUT_DIVIDERS
                   if faster > pll.output)


def test_dividers_of_an_rpll():
    """Two of its parameters are one less than what they divide by."""
    pll = GowinPll(source_mhz=27.0, divide=3, multiply=4, output=32)
    parameters = {name: getattr(value, "value", value) for name, value in pll.instance(
        Signal(), Signal(), Signal()).parameters.items()}
    assert parameters["FCLKIN"] == "27"
    assert [parameters[f"{name}_SEL"] for name in ("IDIV", "FBDIV", "ODIV")] == [2, 3, 32]


@pytest.mark.parametrize(("kind", "source", "mhz"), [
    (Ecp5Pll, 25, 1), (Ecp5Pll, 25, 900), (GowinPll, 27, 3),
    (GowinPll, 27, 3.375), (GowinPll, 27, 700)])
def test_refused(kind, source, mhz):
    assert refusal(lambda: kind.near(float(source), mhz)) == (
        f"mhz must be a clock that a PLL makes of {source} MHz, not {mhz}")
