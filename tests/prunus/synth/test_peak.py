# SPDX-License-Identifier: Apache-2.0
"""Designs that are too large for the memory at hand."""

import resource

import pytest

from prunus.errors import InputError
from prunus.synth import peak
from tests.prunus.synth.test_area import fake_emit, prunus

MIB = 2**20
# Resident memory of Yosys at its peak, mapping to gates, by bytes of Verilog.
MEASURED = {"topk_tiny": (266_725, 270), "leopard_tiny": (379_185, 331),
            "hdp_tiny": (482_161, 317), "hdp_edge": (635_739, 367), "leopard_ae": (523_280, 487)}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One with so many MiB, in a container of so many, and a limit of the process."""
    def make(machine=8000, container="max", process=None):
        (tmp_path / "meminfo").write_text(
            f"MemTotal: 99999999 kB\nMemAvailable:   {machine * 1024} kB\n")
        (tmp_path / "memory.max").write_text(f"{container}\n")
        monkeypatch.setattr(peak, "_MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(peak, "_CGROUP", tmp_path / "memory.max")
        soft = resource.RLIM_INFINITY if process is None else process * MIB
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
        return peak.available_bytes()

    return make


def test_the_least_of_all_limits(machine):
    assert machine() == peak.WASM_BYTES == 4096 * MIB
    assert machine(machine=700) == 700 * MIB
    assert machine(container=600 * MIB) == 600 * MIB
    assert machine(container=600 * MIB, process=500) == 500 * MIB


def test_machines_that_say_nothing(tmp_path, monkeypatch, machine):
    machine()
    for name in ("_MEMINFO", "_CGROUP"):
        monkeypatch.setattr(peak, name, tmp_path / "none")
    assert peak.available_bytes() == peak.WASM_BYTES


@pytest.mark.parametrize("name", MEASURED)
def test_the_estimate_is_an_upper_one(name):
    verilog, peak_mib = MEASURED[name]
    assert 1 <= peak.needed_bytes(verilog) / MIB / peak_mib <= 1.9


def test_too_little(machine):
    """The estimate grows with the Verilog."""
    machine(machine=300)
    peak.check_memory("x", "")
    with pytest.raises(InputError, match=r"config 'x' may need [\d,]+ MiB of memory for its "
                                         "synthesis, and 300 MiB are there"):
        peak.check_memory("x", " " * MIB)
    machine()
    peak.check_memory("x", " " * MIB)


@pytest.mark.parametrize("target", ["sg13g2", "ecp5"])
def test_refused_before_yosys_starts(capfd, monkeypatch, machine, target):
    monkeypatch.setattr("prunus.hw.verilog.emit.emit", fake_emit)
    monkeypatch.setattr("prunus.synth.area.yosys", lambda *_: pytest.fail("Yosys was started"))
    machine(machine=100)
    code, out, err = prunus(capfd, "area", "--config", "hdp_tiny", "--target", target)
    assert (code, out) == (2, "")
    assert err.startswith("error: config 'hdp_tiny' may need ")
    assert len(err.splitlines()) == 1
