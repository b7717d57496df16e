# SPDX-License-Identifier: Apache-2.0
"""The Verilog of a whole board; tests/host/test_pty.py runs it."""

import re

import pytest

from prunus.golden.engines import load_config
from prunus.hw.boards.system import System
from prunus.hw.boards.top import divisor_for
from prunus.sim.board import emitted_system
from tests.hw.helpers import refusal
from tests.hw.lint import lint

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny"])
def test_lint_and_ports(tmp_path, name):
    source = tmp_path / f"{name}__system.v"
    text = emitted_system(load_config(name), 8192)
    source.write_text(text, encoding="utf-8")
    head = re.search(rf"^module {name}__system\((.*?)\);", text, re.M | re.S)[1]
    assert head.replace(" ", "").split(",") == ["clk", "rst", "rx", "tx", "irq", "error"]
    assert len(re.findall(rf"^module {name}\(", text, re.M)) == 1
    done = lint(source)
    assert (done.returncode, done.stderr) == (0, "")


def test_addresses_that_a_board_does_not_have():
    config = load_config("hdp_tiny").model_copy(update={"axi_address_width": 64})
    text = refusal(lambda: System(config=config, divisor=4, memory_bytes=8192))
    assert text == "axi_address_width must be 32 on a board, not 64"


@pytest.mark.parametrize(("mhz", "baud", "divisor"), [
    (60, 1_000_000, 60), (62.5, 1_000_000, 62), (50, 115200, 434), (48, 12_000_000, 4)])
def test_divisor(mhz, baud, divisor):
    assert divisor_for(mhz, baud) == divisor


@pytest.mark.parametrize(("mhz", "baud"), [(48, 12_500_000), (60, 11_000_000), (12, 5_000_000)])
def test_no_divisor(mhz, baud):
    assert refusal(lambda: divisor_for(mhz, baud)) == (
        f"baud must be at most a quarter of {mhz} MHz and within 2% of a whole fraction of it, "
        f"not {baud}")
