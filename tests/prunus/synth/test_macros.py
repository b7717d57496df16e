# SPDX-License-Identifier: Apache-2.0
"""Memories as SRAM macros: offered sizes, sizes between them, and larger and narrower ones."""

from dataclasses import dataclass
from functools import partial

import pytest

from prunus.synth import macros
from prunus.synth.macros import is_macro, macro
from prunus.synth.pdk import sram

# Joules are smaller than the absolute tolerance that there would be.
close = partial(pytest.approx, rel=1e-9, abs=0)
OFFERED = sram.kept()["macros"]


@dataclass(frozen=True)
class Shape:
    words: int
    width: int
    read_ports: int = 1
    write_ports: int = 1
    clocked: bool = True
    dual: bool = True


@pytest.mark.parametrize("one", OFFERED, ids=lambda one: one["name"])
def test_offered_sizes_are_taken_as_they_are(one):
    found = macro(one["words"], one["bits"], one["ports"] == 2)
    assert (found.pieces, found.interpolated, found.note) == (1, False, one["name"])
    assert (found.words, found.bits, found.ports) == (one["words"], one["bits"], one["ports"])
    clock = one["clock"]
    assert found.area_um2 == one["area_um2"]
    assert found.leakage_w == close(one["leakage_nw"] * 1e-9)
    assert found.read_j == close(clock["pj"]["read"] * 1e-12)
    assert found.write_j == close(clock["pj"]["write"] * 1e-12)
    assert found.idle_j == clock["pj"]["idle"] == 0
    assert found.clock_pf == clock["pf"] * one["ports"]
    assert found.address_j == close(sum(one["address"]["pj"]) / 2e12)
    assert found.data_j == close(sum(one["data"]["pj"]) / 2e12)
    assert (found.address_pf, found.data_pf) == (one["address"]["pf"], one["data"]["pf"])
    assert found.delay_ns == one["delay_ns"]


def test_figures_by_hand():
    """Of RM_IHPSG13_2P_1024x32: 48.2666 pJ a read; MEN rises with 0.087 and falls with 0.0053."""
    found = macro(1024, 32, True)
    assert found.area_um2 == 264167.2813
    assert found.read_j == close(48.2666e-12)
    assert found.leakage_w == close(637.8015e-9)
    assert found.enable_j == close(
        ((0.087 + 0.0053) + (0.0061 + 0.0022 + 0.0046 + 0.004) / 2) / 2 * 1e-12)
    assert found.enable_pf == close(0.00309605 + (0.00381634 + 0.00324098) / 2)


def test_between_sizes():
    """Halfway between 16 and 32 bits, and between 256 and 512 words of 32 bits."""
    ends = [macro(words, bits, True) for words, bits in
            ((256, 16), (256, 32), (512, 32))]
    for found, (low, high) in ((macro(256, 24, True), ends[:2]), (macro(384, 32, True), ends[1:])):
        assert (found.pieces, found.interpolated) == (1, True)
        for name in ("area_um2", "leakage_w", "read_j", "write_j", "data_j", "address_pf"):
            assert getattr(found, name) == close(
                (getattr(low, name) + getattr(high, name)) / 2)
    assert macro(256, 24, True).note == "256 x 24, interpolated"


def test_short_memories_are_as_tall_as_the_shortest():
    assert macro(32, 24, True).area_um2 == macro(64, 24, True).area_um2
    assert macro(32, 24, True).note == "64 x 24, interpolated"
    assert macro(32, 32, True).note == "RM_IHPSG13_2P_64x32_c2"


def test_large_memories_are_tiled():
    """3 columns of 27 bits and 2 rows of 1,024 words: one row is read, all see addresses."""
    whole, piece = macro(2048, 80, True), macro(1024, 27, True)
    assert (whole.pieces, whole.note) == (6, "6 x 1024 x 27, interpolated")
    for name, times in {"area_um2": 6, "leakage_w": 6, "clock_pf": 6, "address_j": 6,
                        "address_pf": 6, "read_j": 3, "write_j": 3, "enable_j": 3, "enable_pf": 3,
                        "data_j": 2, "data_pf": 2, "delay_ns": 1}.items():
        assert getattr(whole, name) == close(times * getattr(piece, name)), name
    assert macro(2048, 64, True).note == "4 x RM_IHPSG13_2P_1024x32_c2_bm_bist"


def test_narrow_memories_are_folded():
    """A mask of one bit has 32 of its words in one of a macro: the least area in one piece."""
    found, piece = macro(131072, 1, True), macro(1024, 32, True)
    assert found.pieces == 4
    assert found.area_um2 == close(4 * piece.area_um2)
    assert found.read_j == close(piece.read_j)
    assert found.data_j == close(4 * 32 * piece.data_j)     # a bit goes to all of them
    assert found.data_pf == close(4 * 32 * piece.data_pf)
    assert macro(512, 1, True).note == "64 x 8, interpolated"
    assert macro(8, 1, True).pieces == 1


def test_positive_and_growing():
    """No straight leads to nothing, and a larger memory is larger."""
    for dual in (False, True):
        for words in (8, 64, 100, 300, 1000, 3000, 20000):
            found = [macro(words, bits, dual) for bits in (1, 4, 8, 12, 24, 40, 65, 129)]
            for one in found:
                for name in ("area_um2", "leakage_w", "read_j", "write_j", "address_j", "data_j",
                             "enable_j", "clock_pf", "address_pf", "data_pf", "delay_ns"):
                    assert getattr(one, name) > 0, (words, one.bits, name)
            areas = [one.area_um2 for one in found if one.bits >= macros.MIN_BITS]
            assert areas == sorted(areas)
    assert macro(512, 32, True).area_um2 > macro(512, 32, False).area_um2


@pytest.mark.parametrize(("ports", "quantity", "mean", "most"), [
    (2, "area_um2", 0.018, 0.073), (2, "read_pj", 0.049, 0.162), (2, "write_pj", 0.007, 0.02),
    (2, "leakage_nw", 0.001, 0.001), (1, "area_um2", 0.034, 0.293), (1, "read_pj", 0.054, 0.19),
    (1, "write_pj", 0.045, 0.237), (1, "leakage_nw", 0.001, 0.001),
])
def test_macros_left_out_are_met(ports, quantity, mean, most):
    """Each macro from all others; the largest errors are those of the outermost."""
    found = [abs(error) for error in macros.errors(ports)[quantity].values()]
    assert len(found) == sum(one["ports"] == ports for one in OFFERED)
    assert sum(found) / len(found) <= mean
    assert max(found) <= most


def test_a_false_figure_is_far_from_the_others(monkeypatch):
    name = "RM_IHPSG13_2P_256x16_c2_bm_bist"
    assert abs(macros.errors(2)["area_um2"][name]) < 0.001
    false = [one | {"area_um2": 2 * one["area_um2"]} if one["name"] == name else one
             for one in OFFERED]
    monkeypatch.setattr(sram, "kept", lambda: {"macros": false})
    assert macros.errors(2)["area_um2"][name] == pytest.approx(-0.5, abs=0.001)


@pytest.mark.parametrize(("shape", "wanted"), [
    (Shape(64, 80), True), (Shape(64, 80, dual=False), True), (Shape(512, 1), True),
    (Shape(8, 62, dual=False), False), (Shape(32, 46), True), (Shape(4096, 72), True),
    (Shape(8, 62), False), (Shape(4, 11), False), (Shape(16, 64), False),
    (Shape(64, 80, clocked=False), False), (Shape(64, 80, read_ports=2), False),
    (Shape(64, 80, write_ports=2), False),
])
def test_what_is_a_macro(shape, wanted):
    assert is_macro(shape) is wanted


def test_register_files_by_hand():
    """Two words of three bits, read without a clock: 6 flip-flops, 2 gates, 3 multiplexers."""
    area = macros.register_file_um2(2, 3, 1, False)
    assert area == close(6 * 48.9888 + 2 * (27.216 + 9.072) + 3 * 38.1024 / 3)
    assert macros.register_file_um2(2, 3, 2, True) == close(
        area + 3 * 38.1024 / 3 + 6 * 48.9888)
