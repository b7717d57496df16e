# SPDX-License-Identifier: Apache-2.0
"""What docs/buys.md says of its table."""

import pytest

from prunus.figures import buys
from prunus.figures.figure import load

ROWS = {row["stage"]: row for row in load(buys.FIGURES[0])["data"]}
GOT = {stage: buys.per(row) for stage, row in ROWS.items()}
PAIRS = {config: ({"hdp": "dense"}.get(config[:3], "baseline")) for config in buys.PRESETS}


def of(config):
    return GOT[f"{config}, pruned"], GOT[f"{config}, {PAIRS[config]}"]


def test_by_hand():
    """10 heads of 1,000 products each at 2 pJ, in 500 cycles."""
    row = {"nj_per_head": 2.0, "pj_per_dense_product": 2.0, "heads": 10, "cycles": 500,
           "config": "hdp_edge", "area_um2": {"logic": 7.2576e6, "memory": 2.7424e6},
           "ecp5": {"lut": 9_000, "dsp": 10}}
    assert buys.per(row) == pytest.approx({
        "macs": 20, "multiplier": 20 / 32, "lut": 20 / 10.05, "gates": 20, "mm2": 2, "pj": 2})


def test_the_rtl_was_compared():
    assert all(row["differing_bits"] == 0 < row["compared_bits"] for row in ROWS.values())


@pytest.mark.parametrize("config", buys.PRESETS)
def test_pruning_pays_per_multiplier_and_per_joule(config):
    pruned, plain = of(config)
    assert pruned["multiplier"] > plain["multiplier"]
    low, high = (0.4, 0.6) if config.startswith("hdp") else (0.65, 0.75)
    assert low < pruned["pj"] / plain["pj"] < high


@pytest.mark.parametrize("config", ["leopard_ae", "topk_edge"])
def test_it_does_not_per_gate_and_per_mm2(config):
    pruned, plain = of(config)
    assert pruned["gates"] < plain["gates"] and pruned["mm2"] < plain["mm2"]


def test_ita_does_more_per_gate_and_lut():
    ita = buys._ita()
    assert all(got["gates"] < ita["gates"] and got["lut"] < ita["lut"] for got in GOT.values())
    edge, ecp5 = GOT["hdp_edge, dense"], GOT["hdp_ecp5, dense"]
    assert ecp5["lut"] > 2 * edge["lut"] and ecp5["gates"] > 2 * edge["gates"]
