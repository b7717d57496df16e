# SPDX-License-Identifier: Apache-2.0
"""Fields of structures, and what the description beside the Verilog says of them."""

import re

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from prunus.golden.engines import ENGINES, load_config
from prunus.golden.records import Error
from prunus.golden.registers import register_map
from prunus.hw.verilog.emit import emit
from prunus.hw.verilog.fields import fields_of


class Mode(enum.Enum, shape=2):
    OFF = 0
    ON = 2


LAYOUT = data.StructLayout({
    "flag": 1, "mode": Mode, "pair": data.ArrayLayout(signed(5), 3), "nothing": 0,
    "inner": data.ArrayLayout(data.StructLayout({"a": 4, "b": signed(3)}), 2)})
VALUE = {"flag": 1, "mode": Mode.ON, "pair": [-3, 7, -16],
         "inner": [{"a": 9, "b": -1}, {"a": 3, "b": 2}]}


def test_fields_of():
    assert fields_of(LAYOUT) == [
        {"name": "flag", "low": 0, "width": 1, "signed": False},
        {"name": "mode", "low": 1, "width": 2, "signed": False, "values": {"OFF": 0, "ON": 2}},
        {"name": "pair", "low": 3, "width": 5, "signed": True, "count": 3},
        {"name": "inner[0].a", "low": 18, "width": 4, "signed": False},
        {"name": "inner[0].b", "low": 22, "width": 3, "signed": True},
        {"name": "inner[1].a", "low": 25, "width": 4, "signed": False},
        {"name": "inner[1].b", "low": 29, "width": 3, "signed": True}]
    assert fields_of(unsigned(3), "x", 4) == [{"name": "x", "low": 4, "width": 3, "signed": False}]


def test_fields_are_where_amaranth_has_them():
    bits = LAYOUT.const(VALUE).as_bits()
    read = {}
    for field in fields_of(LAYOUT):
        numbers = []
        for n in range(field.get("count", 1)):
            number = bits >> field["low"] + n * field["width"] & ((1 << field["width"]) - 1)
            if field["signed"] and number >> field["width"] - 1:
                number -= 1 << field["width"]
            numbers.append(number)
        read[field["name"]] = numbers if "count" in field else numbers[0]
    assert read == {"flag": 1, "mode": 2, "pair": [-3, 7, -16], "inner[0].a": 9, "inner[0].b": -1,
                    "inner[1].a": 3, "inner[1].b": 2}


@pytest.fixture(scope="module", params=[f"{engine}_tiny" for engine in ENGINES])
def tiny(request):
    config = load_config(request.param)
    return config, emit(config)


@pytest.mark.slow
def test_every_structure_is_a_port_of_a_module(tiny):
    _, emission = tiny
    described = emission.metadata["modules"]
    for module, ports in described.items():
        text, = re.findall(rf"^module {module}\(.*?^endmodule$", emission.verilog, re.M | re.S)
        for port, fields in ports.items():
            high, = re.findall(rf"^  (?:in|out)put (?:signed )?(?:\[(\d+):0\] )?{port};$",
                               text, re.M)
            at = 0
            for field in fields:
                assert field["low"] >= at
                at = field["low"] + field["width"] * field.get("count", 1)
            assert at == int(high or 0) + 1, (module, port)
    assert len(described) > 10
    # What the decoder hands on, by the names of the descriptor.
    decoder, = (ports for module, ports in described.items() if "descriptor_decoder" in module)
    names = {field["name"] for field in decoder["o__payload"]}
    assert names >= {"causal", "same_kv", "l_q", "l_kv", "valid_q", "valid_kv"}


@pytest.mark.slow
def test_registers_and_records(tiny):
    config, emission = tiny
    for entry, register in zip(emission.metadata["registers"], register_map(config), strict=True):
        assert [(f["name"], f["low"], f["width"], f["description"]) for f in entry["fields"]] == [
            (bits.name, bits.low, bits.width, bits.text) for bits in register.fields]
    assert emission.metadata["errors"] == {error.name: int(error) for error in Error}
    kinds = ENGINES[config.engine].kinds_of(config)
    for entry, kind in zip(emission.metadata["jobs"], kinds, strict=True):
        assert entry["opcode"] == kind.opcode
        for key, record in (("descriptor", kind.descriptor), ("status", kind.status)):
            # Every number by itself, all bits set, lies where its fields say.
            for name in record.names:
                pieces = [f for f in entry[key] if f["name"] == name]
                width = sum(f["width"] for f in pieces)
                full = -1 if pieces[-1]["signed"] else (1 << width) - 1
                words = record.pack({other: full if other == name else 0
                                     for other in record.names})
                want = sum(((1 << f["width"]) - 1) << 32 * f["word"] + f["low"] for f in pieces)
                assert int.from_bytes(np.asarray(words, "<u4").tobytes(), "little") == want
