# SPDX-License-Identifier: Apache-2.0
"""Heads on a configuration: tables, windows, and what goes wrong on the way."""

from dataclasses import replace
from functools import cache

import pytest

from prunus.errors import RunError
from prunus.golden.engines import load_config
from prunus.heads import EXAMPLES
from prunus.power import measure as module
from prunus.power.measure import measure
from prunus.power.work import work_of
from prunus.sim.compare import MismatchError
from prunus.sim.simulators.runner import SimulationError

CONFIG = load_config("leopard_tiny")
HEADS = EXAMPLES / "minilm_sentence.npz"


@pytest.fixture(scope="module", autouse=True)
def _gates():
    """Read once for all."""
    kept = cache(module.gates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "gates", lambda config, gated, progress: kept(config, gated))
        yield


@pytest.fixture(scope="module")
def work():
    return work_of(HEADS, CONFIG, limit=2)[0]


@pytest.fixture(scope="module")
def whole(work):
    return measure(work, CONFIG, clock_gates=True)


def test_twice_is_the_same(work, whole):
    again = measure(work, CONFIG, clock_gates=True, workers=1)
    assert (again.joules, again.cycles, again.peak_w) == (
        whole.joules, whole.cycles, whole.peak_w)


def test_heads_in_tables_of_their_own(work, whole, monkeypatch):
    """Two tables are two records: energies and cycles add up to those of each."""
    monkeypatch.setattr(module, "MOST_HEADS", 1)
    both = measure(work, CONFIG, clock_gates=True)
    each = [measure(replace(work, jobs=[job]), CONFIG, clock_gates=True) for job in work.jobs]
    assert (both.tables, both.heads, whole.tables) == (2, 2, 1)
    assert both.cycles == sum(one.cycles for one in each) > whole.cycles
    assert both.total == pytest.approx(sum(one.total for one in each))
    assert both.compared_bits == sum(one.compared_bits for one in each)
    assert both.peak_w == max(one.peak_w for one in each)
    assert both.products == sum(one.products for one in each) == whole.products
    for name, joules in both.assumed.items():
        assert joules == pytest.approx(sum(one.assumed[name] for one in each))
    assert both.clocked == pytest.approx(sum(one.clocked * one.cycles for one in each)
                                         / both.cycles)


def test_leakage_follows_the_clock(work, whole):
    slow = measure(work, CONFIG, clock_gates=True, clock_hz=10e6)
    found, wanted = slow.by_kind(), whole.by_kind()
    assert found.pop("leakage") == pytest.approx(10 * wanted.pop("leakage"))
    assert found == wanted
    assert slow.peak_w == pytest.approx(whole.peak_w / 10)


def test_wires_cost_more(work, whole):
    wired = [measure(work, CONFIG, clock_gates=True, wires=wires).by_kind()
             for wires in ("none", "10k", "50k")]
    assert wired[0] == whole.by_kind()
    for less, more in zip(wired, wired[1:], strict=False):
        assert less["datapath"] < more["datapath"] and less["clock"] < more["clock"]
        assert less["leakage"] == more["leakage"]


def test_glitches_cost_more(work, whole):
    found, plain = measure(work, CONFIG, clock_gates=True, glitches=True).by_kind(), whole.by_kind()
    assert found["leakage"] == plain["leakage"]
    # A clock gate looks at a net that moves more often.
    assert plain["clock"] < found["clock"] < 1.01 * plain["clock"]
    assert 1.02 < found["datapath"] / plain["datapath"] < 2


def test_the_window_is_the_table(work, monkeypatch):
    """From the doorbell, `cycles` rows in front of the interrupt."""
    seen, real = [], module.replay

    def replay(netlist, library, record, window, **options):
        seen.append((int(record["irq"].argmax()), window))
        return real(netlist, library, record, window, **options)

    monkeypatch.setattr(module, "replay", replay)
    found = measure(work, CONFIG, clock_gates=True)
    ((irq, (first, end)),) = seen
    assert (end, end - first) == (irq, found.cycles)


@pytest.mark.parametrize("error", [SimulationError("it hangs"), MismatchError("it is wrong")])
def test_an_rtl_that_is_not_golden(work, monkeypatch, error):
    def check(*args):
        raise error

    monkeypatch.setattr(module, "check", check)
    with pytest.raises(RunError, match=f"^{error}$"):
        measure(work, CONFIG, clock_gates=True)


def test_progress(work):
    seen = []
    measure(work, CONFIG, clock_gates=True, progress=seen.append)
    assert any(text.startswith("replaying cycle ") for text in seen)
