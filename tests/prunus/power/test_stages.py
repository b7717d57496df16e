# SPDX-License-Identifier: Apache-2.0
"""What the tiny presets cost in energy, cycles and area is what docs/figures/power.json says.

A change of the RTL that costs energy or area is seen here. One that is meant is measured again:
``python -m prunus.figures --measure power``, and ``python -m prunus.figures``.
"""

import pytest

from prunus.figures.figure import ROOT, load
from prunus.figures.power import FILE, STAGES, run
from prunus.figures.registry import FIGURES
from prunus.heads import EXAMPLES

WHOLE = 0.01        # of energy, cycles and area of a run
BLOCK = 0.02        # of a block's energy, relative to all

KEPT = {row["stage"]: row for row in load(FIGURES["power"], ROOT)["data"]}


def differences(found: dict, kept: dict) -> list[str]:
    """What is not as it was, a line each."""
    wholes = {"nj_per_head": (found["nj_per_head"], kept["nj_per_head"]),
              "cycles": (found["cycles"], kept["cycles"]),
              **{f"area_um2 of {name}": (found["area_um2"][name], value)
                 for name, value in kept["area_um2"].items()}}
    said = [f"{name}: {old:,.1f} -> {new:,.1f}" for name, (new, old) in wholes.items()
            if abs(new - old) > WHOLE * old]
    total = sum(kept["blocks"].values())
    for name in sorted(found["blocks"].keys() | kept["blocks"].keys()):
        new, old = (row["blocks"].get(name, 0.0) for row in (found, kept))
        if abs(new - old) > BLOCK * total:
            said.append(f"block {name}: {old:,.1f} -> {new:,.1f} nJ")
    return said


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.label)
def test_a_stage_costs_what_it_did(stage):
    found = run(stage, EXAMPLES / f"{FILE}.npz")
    assert found["differing_bits"] == 0
    assert differences(found, KEPT[stage.label]) == []


def test_all_stages_are_kept():
    assert list(KEPT) == [stage.label for stage in STAGES]


def test_a_change_is_seen():
    kept = KEPT[STAGES[0].label]
    name = next(iter(kept["blocks"]))
    dearer = kept | {"blocks": kept["blocks"] | {name: 1.3 * kept["blocks"][name]}}
    assert differences(kept, kept) == []
    assert len(differences(dearer, kept)) == 1
    assert differences(kept | {"nj_per_head": 0.98 * kept["nj_per_head"]}, kept)
    larger = {"area_um2": kept["area_um2"] | {"logic": 1.02 * kept["area_um2"]["logic"]}}
    assert differences(kept | larger, kept)


@pytest.mark.parametrize("config", ["hdp_tiny", "leopard_tiny"])
def test_a_random_beginning_changes_no_output(config):
    """From the end of the reset on, or the run would fail; and hardly the energy."""
    stage = next(stage for stage in STAGES if stage.config == config and stage.clock_gates)
    found = run(stage, EXAMPLES / f"{FILE}.npz", seed=2)
    assert found["compared_bits"] < KEPT[stage.label]["compared_bits"]
    assert found["differing_bits"] == 0
    assert differences(found, KEPT[stage.label]) == []
