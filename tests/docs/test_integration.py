# SPDX-License-Identifier: Apache-2.0
"""Every fact of docs/integration.md, measured; the numbers are those of the page."""

import json
import re

import numpy as np
import pytest

from prunus.golden import registers
from prunus.golden.engines import load_config
from prunus.golden.image import build_image
from prunus.host.driver import writable_ranges
from prunus.sim.engines import hdp, leopard
from prunus.sim.simulate import emitted
from prunus.sim.simulators.cache import ROOT
from prunus.sim.simulators.verilator import VerilatorRunner

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.M))
MAKERS = {"hdp_tiny": hdp, "leopard_tiny": leopard}
FACTS = {}


def fact(check):
    FACTS[check.__name__] = check
    return check


class Seen:
    """What was observed of a coprocessor."""

    def __init__(self, preset: str, folder):
        self.config, made = load_config(preset), MAKERS[preset]
        self.text = emitted(self.config)
        jobs = [made.build(made.Recipe(l_q=32, l_kv=24, valid_q=32, valid_kv=24, d=32, seed=n),
                           self.config) for n in range(5)]
        self.image = build_image(jobs, self.config)
        self.results = writable_ranges(self.image, jobs, self.config)
        np.savez(folder / "image.npz", image=np.frombuffer(bytes(self.image.data), np.uint8),
                 table=self.image.table, count=len(jobs), config=preset)
        runner = VerilatorRunner()
        runner.launch(runner.compile(self.text, preset), preset, "tests.docs.integration_bench",
                      env={"OBSERVE_IMAGE": str(folder / "image.npz"),
                           "OBSERVE_NOTES": str(folder / "notes.json")}, scratch=folder)
        self.notes = json.loads((folder / "notes.json").read_text(encoding="utf-8"))
        self.beat = self.config.axi_data_width // 8

    def __getitem__(self, name: str):
        return self.notes[name]

    def pins(self, *names: str) -> set[tuple]:
        """Values that pins of addresses had, over all bursts."""
        order = ("channel", "id", "size", "burst", "lock", "cache", "prot", "qos")
        return {tuple(row[order.index(name)] for name in names) for row in self["constants"]}

    def ports(self, name: str) -> int:
        """Bits of a port in the Verilog."""
        width = re.search(rf"^  (?:in|out)put (?:\[(\d+):0\] )?{name};", self.text, re.M)
        return int(width[1] or 0) + 1


@pytest.fixture(scope="module", params=list(MAKERS))
def seen(request, tmp_path_factory) -> Seen:
    return Seen(request.param, tmp_path_factory.mktemp(request.param))


@fact
def one_clock(seen, clocks):
    edges = set(re.findall(r"@\s*\(([^)]*)\)", seen.text))
    assert edges == {"posedge clk", "*"} or edges == {"posedge clk"}
    assert len({edge for edge in edges if "edge" in edge}) == clocks


@fact
def no_primitives(seen):
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"//.*", "", seen.text)))
    assert not words & {"always_latch", "latch", "tri", "inout", "bufif0", "specify", "negedge"}
    assert not re.search(r"#\s*\d|1'bz|'hz", seen.text)
    defined = set(re.findall(r"^module (\w+)", seen.text, re.M))
    used = set(re.findall(r"^  (\w+) (?:#\(.*?\) )?\w+ \(\s*$", seen.text, re.M))
    assert used and used - {"module"} <= defined


@fact
def power_up(seen):
    assert len(set(seen["results"])) == 1, "the first table equals that after a reset"


@fact
def synchronous(seen):
    assert seen["table_after_a_pulse_between_edges"] == 0x1240


@fact
def one_cycle(seen, cycles):
    assert (cycles, seen["table_after_a_cycle"]) == (1, 0)


@fact
def reset_ends_bursts(seen):
    assert seen["arvalid_around_a_reset"] == [1, 0]


@fact
def burst_kind(seen, kind):
    assert seen.pins("burst", "size") == {(kind, seen.beat.bit_length() - 1)}


@fact
def burst_length(seen, beats, size, bus):
    assert max(n for channel in ("ar", "aw") for _, n in seen[channel]) == beats
    assert (seen.beat * 8, seen.beat * beats) == (bus, size)


@fact
def burst_borders(seen, beats, page):
    step = beats * seen.beat
    for address, n in [*seen["ar"], *seen["aw"]]:
        assert address % seen.beat == 0
        assert address // step == (address + n * seen.beat - 1) // step
    assert page % step == 0


@fact
def one_id(seen, number):
    assert seen.pins("id") == {(number,)}
    assert seen["ids_given"] == [0, 1] and len(set(seen["results"])) == 1


@fact
def constant_pins(seen, lock, cache, prot, qos):
    config = seen.config
    assert seen.pins("lock", "cache", "prot", "qos") == {(lock, cache, prot, qos)}
    assert (config.axi_cache, config.axi_prot, config.axi_qos) == (cache, prot, qos)


@fact
def address_bits(seen, bits):
    assert {seen.ports("m_axi_araddr"), seen.ports("m_axi_awaddr")} == {bits}
    assert seen.config.axi_address_width == bits


@fact
def read_beats(seen, most):
    assert seen["peaks"]["read_beats"] == most


@fact
def write_responses(seen, most):
    assert seen["peaks"]["responses"] == most


@fact
def addresses_ahead(seen, most):
    assert 1 < seen["peaks"]["addresses_ahead"] <= most


@fact
def data_ahead(seen, most):
    assert 0 < seen["peaks"]["data_ahead"] <= most


@fact
def always_ready(seen):
    assert seen["ready_fell"] == 0


@fact
def no_gaps(seen):
    assert seen["gaps"] == 0


@fact
def strobes(seen):
    assert set(seen["strobes"]) == {(1 << seen.beat) - 1}


def _within(address: int, size: int, ranges) -> bool:
    return any(first <= address and address + size <= first + length for first, length in ranges)


@fact
def only_results(seen):
    assert seen["written"]
    assert all(_within(at, seen.beat, seen.results) for at in seen["written"])
    assert len(seen["results"]) > 6 and len(set(seen["results"])) == 1


@fact
def only_operands(seen):
    end = len(seen.image.data)
    for address, beats in seen["ar"]:
        size = beats * seen.beat
        assert address + size <= end
        assert not any(address < first + length and first < address + size
                       for first, length in seen.results)


@fact
def register_window(seen, size, error, okay):
    assert 1 << seen.ports("s_axil_araddr") == size
    there = {str(register.address) for register in registers.register_map(seen.config)}
    assert len(seen["responses"]) == size // 4
    assert seen["responses"] == {at: okay if at in there else error for at in seen["responses"]}


@fact
def low_bits(seen, high, low):
    assert (high, low) == (1, 0)
    assert seen["low_bits"] == [registers.ID] * 4


@fact
def register_latency(seen, read, write):
    assert seen["read_cycles"] == [read]
    assert set(seen["write_cycles"]) == {write}


@fact
def irq_level(seen, value, bit):
    assert (value, bit) == (1, registers.Status.IRQ)
    assert seen["irq_until_cleared"] == [1]
    assert seen["irq_after_clear"] == 0


@fact
def irq_after_writes(seen, number):
    assert seen["open_at_irq"] == number


@fact
def irq_enable(seen):
    assert seen["irq_while_disabled"] == 0
    assert seen["status_while_disabled"] == 1 << registers.Status.IRQ
    assert seen["irq_enabled_again"] == 1


@fact
def doorbell_while_pending(seen, status):
    assert seen["status_after_second_doorbell"] == status
    assert seen["irq_until_cleared"] == [1]


def test_every_fact_of_the_page_is_measured():
    assert set(ROWS) == set(FACTS)
    assert len(ROWS) == len(re.findall(r"^\| `", PAGE, re.M)) > 25


@pytest.mark.parametrize("name", list(FACTS))
def test_fact(seen, name):
    """A check takes the numbers of its row, in their order."""
    row = re.sub(r"`[^`]*`", "", ROWS[name])
    FACTS[name](seen, *map(int, re.findall(r"\b\d+\b", row)))
