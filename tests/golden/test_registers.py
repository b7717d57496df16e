# SPDX-License-Identifier: Apache-2.0
"""The register map, and its page in the documentation."""

from pathlib import Path

import pytest

from golden import registers
from golden.engines import load_config, preset_names
from golden.records import VERSION
from golden.registers import ADDRESS_BITS, ID, REGISTERS, constants, counter_names, register_map

PAGE = Path(__file__).resolve().parents[2] / "docs" / "registers.md"


def test_addresses_are_words_of_their_own():
    addresses = [r.address for r in REGISTERS]
    assert len(set(addresses)) == len(addresses)
    assert all(a % 4 == 0 and a < 1 << ADDRESS_BITS for a in addresses)
    assert len({r.name for r in REGISTERS}) == len(REGISTERS)
    assert {r.access for r in REGISTERS} <= {"ro", "rw", "w1c"}


def test_id_is_text():
    assert ID.to_bytes(4, "little") == b"PRUN"


@pytest.mark.parametrize("name", preset_names("hdp"))
def test_constants_describe_the_hardware(name):
    config = load_config(name)
    values = constants(config)
    by_name = {r.name: r for r in REGISTERS}
    assert all(by_name[n].access == "ro" and 0 <= v < 1 << 32 for n, v in values.items())
    assert values["version"] == VERSION
    fmt, limits = values["format"], values["limits"]
    assert (fmt & 0xFF, fmt >> 8 & 0xFF, fmt >> 16) == \
        (config.width, config.frac, config.axi_data_width)
    assert (limits & 0xFFFF, limits >> 16) == (config.l_max, config.d_max)
    assert values["multipliers"] == config.multipliers * config.cores


def test_the_page_lists_every_register():
    """Those of HDP, then what is different in LeOPArd."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines()
            if line.startswith("| 0x")]
    others = [r for r in register_map(load_config("leopard_tiny")) if r not in REGISTERS]
    assert rows == [f"| 0x{r.address:02X} | `{r.name}` | {r.access} | {r.text} |"
                    for r in [*REGISTERS, *others]]


@pytest.mark.parametrize("name", preset_names("leopard"))
def test_constants_of_leopard(name):
    config = load_config(name)
    values, names = constants(config), {r.name for r in register_map(config)}
    assert values.keys() <= names
    assert values["units"] == config.dpus | config.taps << 16
    assert values["format"] >> 8 & 0xFF == config.digit
    assert (values["engine"], constants(load_config("hdp_tiny"))["engine"]) == (2, 1)
    assert names & set(registers.EVENTS) == set(registers.EVENTS)
    assert counter_names(config) == counter_names()[:5] + registers.EVENTS


def test_the_page_names_the_status_bits():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"{bit.value} | {bit.name}" in text for bit in registers.Status)
