# SPDX-License-Identifier: Apache-2.0
"""A whole board of each vendor through the real tools, kept as simulators are: on an ECP5 the
smallest coprocessor that there can be, three minutes of a core, and a Gowin's own preset, eight."""

import json

import pytest

from prunus import cli
from prunus.golden.engines import load_config

pytest.importorskip("amaranth_boards")
CONFIG = """
engine = "leopard"
width = 8
digit = 2
dpus = 1
taps = 8
d_max = 8
l_max = 8
axi_data_width = 64
"""
MHZ, MEMORY_KIB = 50, 4


@pytest.mark.large
def test_placed_routed_and_packed(capfd, tmp_path):
    """The clock is met, resources are those of a coprocessor, and the bitstream is of the chip."""
    (tmp_path / "least.toml").write_text(CONFIG)
    config = load_config(tmp_path / "least.toml")
    with pytest.raises(SystemExit) as stop:
        cli.main(["fpga", "ulx3s_12f", "--config", str(tmp_path / "least.toml"), "--mhz", str(MHZ),
                  "--memory-kib", str(MEMORY_KIB), "--json", "-o", str(tmp_path)])
    out, err = capfd.readouterr()
    assert (stop.value.code or 0, err) == (0, "")
    figures = json.loads(out)
    assert figures["mhz"] == figures["seeds"][0]["mhz"] >= MHZ == figures["clock_mhz"]
    used, available = figures["used"], figures["available"]
    assert available["lut"] == 24288
    assert available["lut"] > used["lut"] > used["ff"] > 5000
    assert used["dsp"] >= config.taps
    assert used["bram"] >= MEMORY_KIB // 2 + 1      # heads, and the link's
    bits = (tmp_path / "ulx3s_12f-least.bit").read_bytes()
    assert bits.startswith(b"\xff\x00Part: LFE5U-12F-6CABGA381\x00")
    assert len(bits) > 100_000


@pytest.mark.large
def test_a_gowin(capfd, tmp_path):
    """As it comes: the clock is met, and the bitstream is the text that Gowin's own tools write."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["fpga", "tang_nano_20k", "--json", "-o", str(tmp_path)])
    out, err = capfd.readouterr()
    assert (stop.value.code or 0, err) == (0, "")
    figures = json.loads(out)
    assert figures["mhz"] > 2 * figures["clock_mhz"] == 54      # see docs/fpga.md: not all is seen
    used, available = figures["used"], figures["available"]
    assert available == {"lut": 20736, "ff": 15552, "dsp": 48, "bram": 46}
    assert available["lut"] > used["lut"] > used["ff"] > 5000
    assert used["dsp"] >= load_config(figures["config"]).taps
    assert used["bram"] >= figures["memory_bytes"] >> 11
    lines = (tmp_path / "tang_nano_20k-leopard_small.fs").read_text().splitlines()
    assert set("".join(lines)) == {"0", "1"}
    assert len(lines) > 1000
    # The ID of a GW2A-18C stands in the command 06.
    assert f"{0x06:08b}{0:024b}{0x0000081B:032b}" in lines
