# SPDX-License-Identifier: Apache-2.0
"""Pictures of where energy goes."""

import io
import re
from pathlib import Path

import pytest

from prunus.errors import InputError
from prunus.power.measure import KINDS
from prunus.power.plot import COLOURS, MOST_BLOCKS, check_plot, energy_plot

pytest.importorskip("matplotlib")


def run(config, blocks=3, **more):
    return {"config": config, "heads": 2, "nj": dict.fromkeys(KINDS, 10.0),
            "blocks": {f"block{n}": 40.0 - n for n in range(blocks)}} | more


def texts(runs):
    file = io.BytesIO()
    energy_plot(runs, file, "svg")
    return re.findall(r"<!-- (.*?) -->", file.getvalue().decode())


def test_a_bar_for_each_run_and_the_blocks_of_the_first():
    found = texts([run("hdp_tiny"), run("other", 5, label="another")])
    assert {"hdp_tiny", "another", "block0", "block2", "blocks of hdp_tiny", *KINDS} <= set(found)
    assert "other" not in found and "block4" not in found
    assert set(COLOURS) == set(KINDS)


def test_the_largest_blocks_alone():
    found = texts([run("hdp_tiny", 2 * MOST_BLOCKS)])
    assert f"block{MOST_BLOCKS - 1}" in found and f"block{MOST_BLOCKS}" not in found


@pytest.mark.parametrize("name", ["x.pdf", "svg", "x", "x.SVG"])
def test_other_kinds(name):
    with pytest.raises(InputError, match=rf"plot '{name}' must end in .svg or .png"):
        check_plot(Path(name))
    check_plot(Path("x.svg"))
