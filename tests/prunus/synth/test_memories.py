# SPDX-License-Identifier: Apache-2.0
"""Rows of memories: what they are made of, and the area of all their instances."""

from collections import Counter

import pytest

from prunus.synth.macros import macro, register_file_um2
from prunus.synth.memories import area_um2, memory_rows
from prunus.synth.netlist import Mapped, Memory


def mapped(*memories, **instances):
    return Mapped(cells={name: Counter() for name in instances}, area={}, instances=instances,
                  memories=list(memories), ram_cells={})


def test_macros_of_all_instances():
    """Two rows of each of three buffers are six of one kind."""
    rows = memory_rows(mapped(
        Memory("x__plane_buffer_q", "row_0_slice_0", 64, 80),
        Memory("x__plane_buffer_q", "row_1_slice_0", 64, 80),
        Memory("x__plane_buffer_v", "row_0_slice_0", 128, 72),
        x__plane_buffer_q=3, x__plane_buffer_v=1), "x")
    large, small = macro(64, 80, True), macro(128, 72, True)
    assert rows == [
        {"block": "plane_buffer", "name": "row_*_slice_*", "words": 64, "bits": 80,
         "instances": 6, "ports": 2, "kind": "macro", "um2": pytest.approx(6 * large.area_um2),
         "interpolated": True, "made_of": "3 x 64 x 27, interpolated"},
        {"block": "plane_buffer", "name": "row_*_slice_*", "words": 128, "bits": 72,
         "instances": 1, "ports": 2, "kind": "macro", "um2": pytest.approx(small.area_um2),
         "interpolated": True, "made_of": "3 x 128 x 24, interpolated"}]


def test_one_address_is_one_port():
    row, = memory_rows(mapped(Memory("x", "store", 512, 32, dual=False), x=1), "x")
    assert (row["block"], row["ports"], row["kind"]) == ("top", 1, "macro")
    assert row["made_of"] == "RM_IHPSG13_1P_512x32_c2_bm_bist"
    assert row["um2"] == macro(512, 32, False).area_um2


@pytest.mark.parametrize("memory", [
    Memory("x", "queue", 16, 64, clocked=False), Memory("x", "few", 4, 11),
    Memory("x", "sums", 128, 14, read_ports=2), Memory("x", "sums", 8, 14, 2, clocked=False)])
def test_the_rest_are_register_files(memory):
    area = register_file_um2(memory.words, memory.width, memory.read_ports, memory.clocked)
    assert area_um2(memory) == area
    row, = memory_rows(mapped(memory, x=2), "x")
    assert row == {"block": "top", "name": memory.name, "words": memory.words,
                   "bits": memory.width, "instances": 2, "ports": memory.read_ports + 1,
                   "kind": "register file", "um2": pytest.approx(2 * area),
                   "interpolated": False, "made_of": "flip-flops"}
