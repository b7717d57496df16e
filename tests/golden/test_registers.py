# SPDX-License-Identifier: Apache-2.0
"""The register map, and its page in the documentation."""

from pathlib import Path

import pytest

from prunus.golden import registers
from prunus.golden.engines import ENGINES, engine_of, load_config, make_config, preset_names
from prunus.golden.hdp import OCCUPANCY
from prunus.golden.leopard import EVENTS
from prunus.golden.records import VERSION, Error
from prunus.golden.registers import ADDRESS_BITS, ID, SHARED, constants, counter_names, register_map

PAGE = Path(__file__).resolve().parents[2] / "docs" / "registers.md"
ENGINE = pytest.mark.parametrize("engine", ENGINES)


def _map(engine):
    return register_map(load_config(preset_names(engine)[0]))


@ENGINE
def test_addresses_are_words_of_their_own(engine):
    mapped = _map(engine)
    addresses = [r.address for r in mapped]
    assert len(set(addresses)) == len(addresses)
    assert addresses == sorted(addresses)
    assert all(a % 4 == 0 and a < 1 << ADDRESS_BITS for a in addresses)
    assert len({r.name for r in mapped}) == len(mapped)
    assert {r.access for r in mapped} <= {"ro", "rw", "w1c"}
    assert set(SHARED) <= set(mapped)


def test_id_is_text():
    assert ID.to_bytes(4, "little") == b"PRUN"


def _check_constants(config):
    """What coprocessors of all engines tell of themselves."""
    values = constants(config)
    by_name = {r.name: r for r in register_map(config)}
    assert all(by_name[n].access == "ro" and 0 <= v < 1 << 32 for n, v in values.items())
    assert values["version"] == VERSION
    fmt, limits = values["format"], values["limits"]
    assert (fmt & 0xFF, fmt >> 16) == (config.width, config.axi_data_width)
    assert (limits & 0xFFFF, limits >> 16) == (config.l_max, config.d_max)
    return values


@pytest.mark.parametrize("name", preset_names("hdp"))
def test_constants_describe_the_hardware(name):
    config = load_config(name)
    values = _check_constants(config)
    assert values["format"] >> 8 & 0x7F == config.frac
    assert values["format"] >> 15 & 1 == (config.digits == "rounded")
    assert values["multipliers"] == config.multipliers * config.cores
    assert values["engine"] == 1 | config.linear << 16
    assert counter_names(config)[5:] == OCCUPANCY


@pytest.mark.parametrize("name", preset_names("leopard"))
def test_constants_of_leopard(name):
    config = load_config(name)
    values = _check_constants(config)
    assert values["format"] >> 8 & 0xFF == config.digit
    assert values["units"] == config.dpus | config.taps << 16
    assert values["engine"] == 2
    assert counter_names(config)[:5] == counter_names(load_config("hdp_tiny"))[:5]
    assert counter_names(config)[5:] == EVENTS


@ENGINE
def test_counters_of_all_engines_begin_alike(engine):
    assert [r.name for r in _map(engine) if r.address >= 0x40][:5] == [
        "jobs_done", "jobs_failed", "cycles", "read_bytes", "write_bytes"]


@pytest.mark.parametrize("name", preset_names())
def test_fields_say_what_the_hardware_tells(name):
    """The number in a field is the configuration's of that name."""
    config = load_config(name)
    values, seen = constants(config), set()
    for register in register_map(config):
        at = 0
        for bits in register.fields:
            assert at <= bits.low and bits.width > 0
            at = bits.low + bits.width
            if len(register.fields) > 1 and register.name in values:
                number = values[register.name] >> bits.low & ((1 << bits.width) - 1)
                told = {"opcode": engine_of(config).kinds[0].opcode, "address_high": 0,
                        "linear": getattr(config, "linear", 0)}
                assert number == (told.get(bits.name) if bits.name in told
                                  else getattr(config, bits.name))
                seen.add(bits.name)
        assert at <= 32
    assert seen >= {"width", "axi_data_width", "l_max", "d_max"}


@pytest.mark.parametrize("width", [40, 48, 64])
@ENGINE
def test_wide_addresses(engine, width):
    """Each register with an address has one more, of the bits that it lacks; all else stays."""
    narrow = load_config(preset_names(engine)[0])
    config = make_config(narrow.model_dump() | {"axi_address_width": width})
    mapped, more = register_map(config), width - 32
    added = [r for r in mapped if r not in register_map(narrow)]
    assert [r for r in mapped if r not in added] == register_map(narrow)
    names = ["table", "error_address", *(f"{window}_{end}" for window in registers.WINDOWS
                                         for end in ("base", "limit"))]
    assert [r.name for r in added] == [f"{name}_high" for name in names]
    access = {r.name: r.access for r in mapped}
    assert [r.access for r in added] == [access[name] for name in names]
    assert {(bits.low, bits.width) for r in added for bits in r.fields} == {(0, more)}
    assert all(r.address % 4 == 0 and r.address < 1 << ADDRESS_BITS for r in added)
    assert counter_names(config) == counter_names(narrow)
    assert constants(config) == constants(narrow) | {
        "engine": constants(narrow)["engine"] | more << 8}


def test_fields_of_status():
    status, = (r for r in SHARED if r.name == "status")
    assert [(bits.name, bits.low, bits.width, bits.access or status.access)
            for bits in status.fields] == [
        ("busy", 0, 1, "ro"), ("irq", 1, 1, "w1c"), ("write_error", 2, 1, "ro"),
        ("error", 3, 1, "w1c"), ("halted", 4, 1, "ro"), ("aborting", 5, 1, "ro"),
        ("outstanding", 6, 1, "ro")]


def test_windows_and_causes():
    """A base and a limit for each window; the first causes are the codes of the records."""
    names = [r.name for r in SHARED if r.address >= 0x80]
    assert names == ["lock", *(f"{window}_{end}" for window in registers.WINDOWS
                               for end in ("base", "limit"))]
    assert {cause.value: cause.name for cause in registers.Cause if cause < 7} == {
        error.value: error.name for error in Error if error < 7}
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| {cause.value} | {cause.name} |" in text
               for cause in registers.Cause if cause >= 7)


def test_the_page_lists_every_register():
    """Those of the first engine, then what is different in each other one."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines()
            if line.startswith("| 0x")]
    first, *others = (_map(engine) for engine in ENGINES)
    wide = register_map(make_config({"name": "x", "engine": next(iter(ENGINES)),
                                     "axi_address_width": 64}))
    different = [r for other in (*others, wide) for r in other if r not in first]
    assert rows == [f"| 0x{r.address:02X} | `{r.name}` | {r.access} | {r.text} |"
                    for r in [*first, *different]]


def test_the_page_names_the_status_bits():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"{bit.value} | {bit.name}" in text for bit in registers.Status)
