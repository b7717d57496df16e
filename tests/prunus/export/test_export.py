# SPDX-License-Identifier: Apache-2.0
"""Registers and records in SystemRDL and what PeakRDL makes of it, against golden's tables."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest

from prunus.console import install_hint
from prunus.export.rdl import record_maps, systemrdl
from prunus.golden import registers
from prunus.golden.engines import engine_of, load_config
from prunus.golden.records import WORD_BITS, Field, Record
from prunus.hw.verilog.emit import Emission
from tests.prunus.test_cli import prunus
from tests.sim.wide import widened

CONFIGS = [load_config(name) for name in ("hdp_tiny", "hdp_fine", "leopard_tiny", "topk_tiny",
                                            "heat_tiny")]
WIDE = [widened(CONFIGS[0]), widened(CONFIGS[2], 40)]
BY_CONFIG = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
needs_packages = pytest.mark.skipif(
    not all(map(find_spec, ("systemrdl", "peakrdl_html", "peakrdl_cheader", "peakrdl_ipxact"))),
    reason="needs the extra export")


@pytest.fixture
def quick(monkeypatch):
    """No Verilog, which takes seconds."""
    monkeypatch.setattr("prunus.hw.verilog.emit.emit", lambda config, gate: Emission(
        verilog="//\n", metadata={"name": config.name}, waivers="lint_off\n"))


def _compiled(text, name, tmp_path):
    from systemrdl import RDLCompiler

    path = tmp_path / "one.rdl"
    path.write_text(text, encoding="utf-8")
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate(top_def_name=name).top


def _fields(top):
    """``(address, register, low, width, field)`` of all fields of a compiled map."""
    return {(register.absolute_address, register.inst_name, field.low, field.width,
             field.inst_name) for register in top.registers() for field in register.fields()}


@needs_packages
@pytest.mark.parametrize("config", [*CONFIGS, *WIDE], ids=lambda config: config.name)
def test_registers_of_systemrdl(config, tmp_path):
    top = _compiled(systemrdl(config), config.name, tmp_path)
    known = registers.register_map(config)
    assert _fields(top) == {(register.address, register.name, bits.low, bits.width, bits.name)
                            for register in known for bits in register.fields}
    constants = registers.constants(config)
    access = {(register.name, bits.name): bits.access or register.access
              for register in known for bits in register.fields}
    for register in top.registers():
        whole = 0
        for field in register.fields():
            kind = access[register.inst_name, field.inst_name]
            assert field.is_sw_writable == (kind != "ro")
            assert field.is_sw_readable == (kind != "wo")
            whole |= (field.get_property("reset") or 0) << field.low
        if register.inst_name in constants:
            assert whole == constants[register.inst_name]


@needs_packages
@pytest.mark.parametrize("config", [*CONFIGS, *WIDE], ids=lambda config: config.name)
def test_records_of_systemrdl(config, tmp_path):
    kinds = engine_of(config).kinds_of(config)
    assert len(kinds) == 1 + (config.name == "heat_tiny")
    for n, kind in enumerate(kinds):
        for suffix, record in (("descriptor", kind.descriptor_of(config)), ("record", kind.status)):
            top = _compiled(systemrdl(config), f"{config.name}_{suffix}{f'_{n}' if n else ''}",
                            tmp_path)
            assert {(address, low, width, name)
                    for address, _, low, width, name in _fields(top)} == {
                (field.word * 4, field.low, field.width, field.name) for field in record}


@needs_packages
def test_a_field_over_words_is_cut(tmp_path):
    """Where it is not two whole words from an even one."""
    descriptor = Record([Field(1, 16, 40, "odd"), Field(3, 0, 64, "late")])
    kind = type("Kind", (), {"opcode": 1, "status": Record([Field(2, 0, 64, "wide")]),
                             "descriptor_of": lambda config: descriptor})
    engine = type("Engine", (), {"title": "X", "kinds_of": lambda config: [kind]})
    texts = record_maps(engine, load_config("hdp_tiny").model_copy(update={"name": "x"}))
    assert _fields(_compiled(texts["x_record"], "x_record", tmp_path)) == {
        (8, "word_2", 0, 64, "wide")}
    found = _fields(_compiled(texts["x_descriptor"], "x_descriptor", tmp_path))
    assert found == {(4, "word_1", 16, 16, "odd_0"), (8, "word_2", 0, 24, "odd_1"),
                     (12, "word_3", 0, 32, "late_0"), (16, "word_4", 0, 32, "late_1")}
    assert WORD_BITS == 32


@needs_packages
@BY_CONFIG
def test_all_files(config, capfd, tmp_path, quick):
    """What the command writes says of registers what golden says."""
    code, out, err = prunus(capfd, "verilog", config.name, "-o", tmp_path, "--export")
    assert (code, err) == (0, "")
    assert all(tmp_path.joinpath(line).is_file() for line in out.split())
    header = (tmp_path / f"{config.name}_regs.h").read_text("utf-8")
    xml = ElementTree.parse(tmp_path / f"{config.name}.ipxact.xml").getroot()
    space = {"x": xml.tag[1:].split("}")[0]}
    found = {register.findtext("x:name", None, space): int(
        register.findtext("x:addressOffset", None, space).strip("'h"), 16)
        for register in xml.iter(f"{{{space['x']}}}register")}
    assert found == {register.name: register.address
                     for register in registers.register_map(config)}
    prefix = config.name.upper()
    for register in registers.register_map(config):
        for bits in register.fields:
            mask = ((1 << bits.width) - 1) << bits.low
            name = f"{prefix}__{register.name.upper()}__{bits.name.upper()}_bm"
            assert re.search(rf"#define {name} {mask:#x}$", header, re.M)
    if shutil.which("gcc"):
        source = tmp_path / "all.c"
        source.write_text(f'#include "{config.name}_regs.h"\n#include "prunus.h"\n'
                          f"int all(void) {{ return (int)sizeof({config.name}_t); }}\n")
        subprocess.run(["gcc", "-std=c11", "-Werror", "-c", str(source), "-o",
                        str(tmp_path / "all.o")], check=True)
    assert (tmp_path / f"{config.name}_html" / "index.html").is_file()
    assert (tmp_path / "prunus.c").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@needs_packages
def test_a_folder_of_before_is_replaced(capfd, tmp_path, quick):
    old = tmp_path / "hdp_tiny_html"
    old.mkdir()
    (old / "stale").touch()
    assert prunus(capfd, "verilog", "hdp_tiny", "-o", tmp_path, "--export")[0] == 0
    assert not (old / "stale").exists() and (old / "index.html").is_file()


@needs_packages
def test_a_file_in_the_way(capfd, tmp_path, quick):
    (tmp_path / "hdp_tiny_html").touch()
    code, out, err = prunus(capfd, "verilog", "hdp_tiny", "-o", tmp_path, "--export")
    assert (code, out) == (2, "")
    assert err == (f"error: output must be a directory, and '{tmp_path}/hdp_tiny_html' is none\n")
    assert [path.name for path in tmp_path.iterdir()] == ["hdp_tiny_html"]


def test_without_the_packages(capfd, tmp_path, quick, monkeypatch):
    """Verilog needs none of them, and --export says what is missing before it writes."""
    monkeypatch.setitem(__import__("sys").modules, "peakrdl_cheader", None)
    monkeypatch.setitem(__import__("sys").modules, "peakrdl_cheader.exporter", None)
    code, _, err = prunus(capfd, "verilog", "hdp_tiny", "-o", tmp_path / "a", "--export")
    assert code == 2
    assert err.startswith("error: --export needs the Python package 'peakrdl_cheader")
    assert install_hint("export") in err
    assert not list((tmp_path / "a").iterdir())
    assert prunus(capfd, "verilog", "hdp_tiny", "-o", tmp_path / "b")[0] == 0
    assert len(list((tmp_path / "b").iterdir())) == 3


def test_no_register_has_an_access_that_systemrdl_does_not_know():
    for config in CONFIGS:
        assert systemrdl(config).count("    reg {") > 20
