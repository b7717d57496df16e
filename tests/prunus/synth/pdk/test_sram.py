# SPDX-License-Identifier: Apache-2.0
"""Figures of SRAM macros: those of the data file are those of IHP's Liberty files."""

import json
import os
from pathlib import Path

import pytest

from prunus.synth.pdk import sram
from prunus.synth.pdk.liberty import LibertyError, numbers, parse

ROOT = Path(__file__).resolve().parents[4]
PDK = Path(os.environ.get("PRUNUS_PDK", ROOT.parent / "shared" / "pdk"))
LIBS = sorted((PDK / "sram").glob("*.lib"))
LEVELS = ("!A_MEN & !A_WEN & !A_REN", "A_MEN & !A_WEN & A_REN", "A_MEN & A_WEN & !A_REN",
          "A_MEN & A_WEN & A_REN", "A_MEN & !A_WEN & !A_REN", "!A_MEN & !A_WEN & A_REN",
          "!A_MEN & A_WEN & !A_REN")


def power(rise, fall, when=""):
    said = f'when : "{when}"; ' if when else ""
    return (f'internal_power() {{ {said}rise_power("scalar") {{ values ({rise}); }} '
            f'fall_power("scalar") {{ values ({fall}); }} }}\n')


def bus(name, most, pf, rise, fall):
    return (f"bus(A_{name}) {{ capacitance : {pf};\n  pin(A_{name}[0]) {{ capacitance : 0.003; }}\n"
            f"  pin(A_{name}[{most}:0]) {{ {power(9, 9, '!A_MEN')}{power(rise, fall, 'A_MEN')} }}"
            " }\n")


def pin(name, pf, powers):
    return f"pin(A_{name}) {{ capacitance : {pf};\n{powers} }}\n"


def library(**changed):
    """A macro of 4 words of 2 bits, with another figure for everything."""
    clock = "".join(power(10 * n, 0.5, when) for n, when in enumerate(LEVELS))
    table = ('index_1("0.01,0.04"); index_2("0.005,0.01"); values ("1,2", \\\n"3,{}");')
    text = f"""library(x) {{
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW";
  capacitive_load_unit (1,pf); revision : 1.2.3;
  cell(RM_IHPSG13_2P_4x2_c2_bm) {{
    area : 7.5;
    memory() {{ type : ram; address_width : 2; word_width : 2; }}
    {pin("CLK", 0.5, clock)}
    {pin("MEN", 0.1, power(1, 2))} {pin("REN", 0.2, power(3, 4, "A_MEN"))}
    {pin("WEN", 0.4, power(5, 6, "A_MEN"))}
    {bus("ADDR", 1, 0.005, 0.1, 0.2)} {bus("DIN", 1, 0.007, 0.3, 0.4)}
    {bus("BM", 1, 0.009, 0.5, 0.6)}
    bus(A_DOUT) {{
      timing() {{ timing_type : rising_edge;
        cell_rise(t) {{ {table.format(4)} }} cell_fall(t) {{ {table.format(5)} }} }} }}
    cell_leakage_power : 8;
  }} }}"""
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_every_figure_is_read():
    assert sram.read(library()) == {
        "name": "RM_IHPSG13_2P_4x2_c2_bm", "words": 4, "bits": 2, "ports": 2, "multiplexed": 2,
        "masked": True, "revision": "1.2.3", "area_um2": 7.5, "leakage_nw": 8, "delay_ns": 5,
        "clock": {"pf": 0.5, "pj": {
            "idle": 0.5, "read": 10.5, "write": 20.5, "write_read": 30.5, "enabled_only": 40.5,
            "read_without_enable": 50.5, "write_without_enable": 60.5}},
        "enables": {"men": {"pf": 0.1, "pj": [1, 2]}, "ren": {"pf": 0.2, "pj": [3, 4]},
                    "wen": {"pf": 0.4, "pj": [5, 6]}},
        "address": {"pf": 0.004, "pj": [0.1, 0.2]}, "data": {"pf": 0.005, "pj": [0.3, 0.4]},
        "mask": {"pf": 0.006, "pj": [0.5, 0.6]}}


@pytest.mark.parametrize(("changed", "message"), [
    ({'"1nW"': '"1pW"'}, "leakage_power_unit must be 1nW, not '1pW'"),
    ({"(1,pf)": "(1,ff)"}, "capacitive_load_unit must be 1,pf, not '1,ff'"),
    ({"RM_IHPSG13_2P_4x2_c2_bm": "sg13g2_inv_1"}, "must be an SRAM macro of SG13G2"),
    ({"word_width : 2": "word_width : 3"}, "must have the size in its name"),
    ({LEVELS[1]: "A_MEN"}, "the clock of 'RM_.*' has no internal power with !A_WEN & A_MEN & A_R"),
])
def test_files_that_are_refused(changed, message):
    with pytest.raises(LibertyError, match=message):
        sram.read(library(**changed))


def test_the_command_writes_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sram, "FILE", tmp_path / "sram.json")
    path = tmp_path / "x.lib"
    path.write_text(library())
    assert sram.main([str(path)]) == 0
    found = json.loads((tmp_path / "sram.json").read_text())
    assert found["macros"] == [sram.read(library())]
    assert found["made_by"] == sram.COMMAND == "python -m prunus.synth.pdk.sram LIB..."


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot be read: No such file or directory"),
    ("module x; endmodule", "cannot be read: no Liberty at line 1"),
])
def test_bad_files_are_one_line(tmp_path, capfd, monkeypatch, content, message):
    monkeypatch.setattr(sram, "FILE", tmp_path / "sram.json")
    path = tmp_path / "x.lib"
    if content is not None:
        path.write_text(content)
    assert sram.main([str(path)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: lib '{path}' {message}")
    assert len(err.splitlines()) == 1
    assert not sram.FILE.exists()


def test_a_port_costs_the_same_beside_another_one():
    """As docs/area.md says: of macros of one size and shape."""
    shapes: dict[tuple, list[dict]] = {}
    for one in sram.kept()["macros"]:
        shapes.setdefault((one["words"], one["bits"], one["multiplexed"]), []).append(one)
    pairs = [same for same in shapes.values() if len(same) == 2]
    assert len(pairs) == 6
    for single, double in pairs:
        assert (single["ports"], double["ports"]) == (1, 2)
        assert single["clock"] == double["clock"]


def test_a_cycle_without_enable_costs_nothing():
    for one in sram.kept()["macros"]:
        pj = one["clock"]["pj"]
        assert pj["idle"] == pj["enabled_only"] == 0 < pj["read"] < pj["write"]


needs_liberty = pytest.mark.skipif(
    not LIBS, reason=f"no Liberty files in {PDK / 'sram'} (PRUNUS_PDK says where)")


@needs_liberty
def test_all_energy_is_that_of_the_rising_edge():
    for path in LIBS:
        clock = parse(path.read_text()).first("cell").first("pin", "A_CLK")
        for power in clock.all("internal_power"):
            assert numbers(power.first("fall_power").text("values")) == [0]


@needs_liberty
def test_the_data_file_is_that_of_the_liberty_files():
    assert sram.FILE.read_text() == sram.document([path.read_text() for path in LIBS])
