# SPDX-License-Identifier: Apache-2.0
"""The proofs about the hardware for the smallest sizes; ``make formal`` has all."""

import sys

import pytest
import z3
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.formal import __main__ as command
from prunus.formal import circuits
from prunus.formal.proofs import Proof, check
from prunus.formal.query import Query, Verdict, decide
from prunus.formal.rtl import Step, bounded, system
from prunus.formal.variants import Change, changed
from prunus.hw.leopard import dpu, reorder
from prunus.hw.shell import bursts, reader, writer

CONTROL = circuits.CONTROL[0]


def outcome(topic, name=None):
    proof, = [p for p in circuits.circuits(circuits.UNITS[:1], circuits.CONTROL[:1])
              if p.topic == topic and name in (None, p.name)]
    return check(proof)


@pytest.mark.parametrize("topic", [
    "RTL: dot-product unit, bounded", "must fail: RTL: the invariant is empty"])
def test_the_smallest_size(topic):
    result = outcome(topic)
    assert result.passed, result.detail


def test_claims_of_the_control():
    """Those of a cycle, and that nothing under way is lost; that all of the invariant holds on
    takes longer."""
    queries = list(circuits._control(CONTROL))
    short = [q for q in queries if q.name != "from cycle to cycle"
             or q.parts[0][0].startswith(("not lost", "offer", "room", "stage"))]
    assert len(short) > 20
    assert [(q.parts[0][0], decide(q)) for q in short
            if decide(q).verdict is not Verdict.PROVED] == []


@pytest.mark.parametrize("topic, name", [
    ("must fail: RTL: dot-product unit", "sign bit not inverted"),
    ("must fail: RTL: control of a unit", "kept below the threshold"),
    ("must fail: RTL: control of a unit", "a slot is lost"),
    ("must fail: RTL: control of a unit", "an offer is overwritten")])
def test_wrong_hardware_is_found(topic, name):
    result = outcome(topic, name)
    assert result.passed, result.detail


@pytest.mark.parametrize("case", [case for case in circuits.WINDOWS if case[1] == 64],
                         ids=lambda case: "{}-{}-{}".format(*case))
def test_windows_of_the_dmas(case):
    name = "{} DMA, {} bits, addresses of {}".format(*case)
    for topic in ("RTL: windows of the DMAs, induction", "must fail: RTL: no address on the bus"):
        result = outcome(topic, name)
        assert result.passed, result.detail


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", [
    "the carry is lost", "no base", "refused bursts are written"])
def test_wrong_windows_are_found(name, bits):
    result = outcome("must fail: RTL: windows of the DMAs", f"{name}, addresses of {bits}")
    assert result.passed, result.detail


@pytest.mark.parametrize("change", circuits.WRONG_UNITS + circuits.WRONG_CONTROL
                         + [change for _, change in circuits.WRONG_WINDOWS],
                         ids=lambda change: change.name)
def test_changes_are_of_the_source_there_is(change):
    block = change.block
    with changed(change):
        assert all(getattr(module, block.__name__) is not block
                   for module in (dpu, reorder, bursts, reader, writer)
                   if hasattr(module, block.__name__))
    assert getattr(sys.modules[block.__module__], block.__name__) is block


def test_a_change_of_text_that_is_not_there():
    with pytest.raises(ValueError, match="once in Reorder, not 0 times"):
        with changed(Change("none", reorder.Reorder, "no such text", "")):
            pass


class Counter(wiring.Component):
    """Counts ``up`` from 3, modulo 8."""

    up: In(1)
    any_limit: In(3)
    assume_up: Out(1)
    ok_small: Out(1)
    o: Out(3)

    def elaborate(self, platform):
        m = Module()
        count = Signal(3, init=3)
        with m.If(self.up):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [self.o.eq(count), self.ok_small.eq((count < 6) | (self.any_limit == 0)),
                     self.assume_up.eq(self.up | (count != 3))]
        return m


def test_terms_follow_the_circuit():
    counter = system(Counter())
    states = counter.reset()
    for n in range(3):
        step = Step(counter, states, str(n))
        states = step.after()
    up = [z3.BitVec(f"up@{n}", 1) for n in range(2)]
    claim = step[counter.outputs["o"]] == 3 + sum(z3.ZeroExt(2, u) for u in up)
    assert decide(Query("sum", (), claim)).verdict is Verdict.PROVED


@pytest.mark.parametrize("cycles, verdict", [(3, Verdict.PROVED), (4, Verdict.REFUTED)])
def test_bounded(cycles, verdict):
    query, = bounded("counter", system(Counter()), cycles)
    answer = decide(query)
    assert answer.verdict is verdict
    assert len(query.hypotheses) == cycles


def test_nothing_to_prove_is_an_error():
    with pytest.raises(ValueError, match="nothing to be proved begins with ko_"):
        list(bounded("counter", system(Counter()), 1, only="ko_"))


def test_the_command_lists_them(monkeypatch, capsys):
    holds = Query("true", (), z3.BoolVal(True))
    monkeypatch.setattr(command, "circuits", lambda: [Proof("RTL: some", "it", lambda: [holds])])
    monkeypatch.setattr(command, "block_proofs", list)
    assert command.main(["--only", "rtl"]) == 0
    assert capsys.readouterr().out.startswith("ok   RTL: some")
