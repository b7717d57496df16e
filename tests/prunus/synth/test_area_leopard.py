# SPDX-License-Identifier: Apache-2.0
"""``prunus area`` of LeOPArd: leopard_tiny on an ECP5 and in the cells of a small library."""

import json
from collections import Counter

import pytest

from prunus.golden.engines import load_config
from prunus.golden.leopard.memories import memory_bits
from prunus.synth import area as sizes
from prunus.synth.netlist import Mapped
from tests.prunus.synth.test_area import check_area, library, prunus

TINY = load_config("leopard_tiny")
COUNTS = {"dot_product_unit": 2, "dot_product": 2, "query_store": 2, "reorder": 2, "key_bank": 2,
          "code_buffer": 2, **dict.fromkeys((
              "top", "csr", "dispatcher", "reader", "writer", "control", "first_fault",
              "leopard_core", "scheduler",
              "loader", "row_issue", "qk_unit", "row_loader", "merger", "row_collector",
              "row_weights", "value_unit", "row_output", "result_writer"), 1)}
ITEMS = {"reorder", "dot-product units", "query stores", "bounds and thresholds"}


def check_sums(result):
    """The total is that of the blocks, that of early termination the sum of its items."""
    by_name = {block["block"]: block for block in result["blocks"]}
    assert {name: block["instances"] for name, block in by_name.items()} == COUNTS
    pruning = result["pruning"]
    assert set(pruning["items"]) == ITEMS
    for key in result["resources"]:
        assert result["total"][key] == pytest.approx(sum(b[key] for b in result["blocks"]))
        assert pruning["total"][key] == pytest.approx(
            sum(item[key] for item in pruning["items"].values()))
        share = pruning["share"][key]
        assert share == pytest.approx(pruning["total"][key] / result["total"][key])
        items, plain = pruning["items"], result["plain_accumulator"]
        assert items["reorder"][key] == by_name["reorder"][key]
        assert items["query stores"][key] == by_name["query_store"][key] / 2
        assert items["dot-product units"][key] == pytest.approx(
            by_name["dot_product_unit"][key] - 2 * plain[key])
        assert items["bounds and thresholds"][key] == pytest.approx(
            by_name["row_loader"][key] - result["plain_row_loader"][key])
    return by_name


@pytest.mark.large
def test_ecp5(capfd):
    code, out, err = prunus(capfd, "area", "--config", "leopard_tiny", "--target", "ecp5",
                            "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    by_name = check_sums(result)
    budget = memory_bits(TINY)
    assert by_name["key_bank"]["memory_bits"] == budget["k"]
    assert by_name["code_buffer"]["memory_bits"] == budget["q"] + budget["v"]
    assert by_name["key_bank"]["bram"] and by_name["code_buffer"]["bram"]
    assert by_name["dot_product"]["dsp"] == by_name["query_store"]["bram"] == 0
    assert by_name["value_unit"]["dsp"] == TINY.taps
    for item in result["pruning"]["items"].values():
        assert item["lut"] > 0 and item["ff"] > 0 and item["dsp"] == item["bram"] == 0
    assert 0.05 < result["pruning"]["share"]["lut"] < 0.25


@pytest.mark.large
def test_standard_cells(capfd, tmp_path):
    code, out, err = prunus(capfd, "area", "--config", "leopard_tiny", "--json", "--liberty",
                            library(tmp_path))
    assert (code, err) == (0, "")
    result = json.loads(out)
    by_name = check_sums(result)
    check_area(result)
    assert result["multiplying"]["blocks"] == ["dot_product"]
    assert all(block["um2"] == int(block["um2"]) for block in by_name.values())
    # Registers of 6: the products of 32 dimensions, each of |q| and a digit.
    assert by_name["dot_product"]["um2"] > 2 * 6 * 32 * 9
    # The register behind it is that of a RAM here. Four rows with room for a second chunk, and
    # beside every piece of 8 whether it is one of the query.
    assert by_name["query_store"]["memory_bits"] == 2 * 4 * 2 * (32 * 9 + 32 // 8)
    assert 0.02 < result["pruning"]["share"]["um2"] < 0.25


def test_a_share_for_each_unit():
    """Six of anything: each has its own accumulator, all of them one query store."""
    blocks = [{"block": name, "instances": count, "lut": 10 * count} for name, count in (
        ("dot_product_unit", 6), ("query_store", 6), ("reorder", 6), ("row_loader", 1),
        ("value_unit", 1))]
    pruning = sizes._termination(blocks, {"lut": 4}, {"lut": 3}, ("lut",))
    assert {name: item["lut"] for name, item in pruning["items"].items()} == {
        "reorder": 60, "dot-product units": 36, "query stores": 50, "bounds and thresholds": 7}
    assert pruning["total"] == {"lut": 153} and pruning["share"] == {"lut": 153 / 200}


class Counted(sizes.Ecp5):
    """A LUT for every module that is kept apart, and for what is synthesised alone."""

    def synthesise(self, verilog, top, apart, progress):
        modules = [top, *apart]
        return Mapped(cells={name: Counter(LUT4=1) for name in modules},
                      area=dict.fromkeys(modules, 0.0), instances=dict.fromkeys(modules, 1),
                      memories=[], ram_cells={})


def test_nothing_is_there_for_pruning_where_nothing_is_pruned():
    """The baseline is given by block alone."""
    base = TINY.model_copy(update={"pruning": False})
    assert "pruning" in sizes.area(TINY, Counted())
    result = sizes.area(base, Counted())
    assert "pruning" not in result
    assert {block["block"] for block in result["blocks"]} == set(COUNTS)
