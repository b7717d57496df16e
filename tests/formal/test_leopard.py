# SPDX-License-Identifier: Apache-2.0
"""The proofs for a few sizes, that wrong things are not proved, and that they are about golden.

``make formal`` proves all sizes.
"""

import numpy as np
import pytest
import z3

from prunus.formal import __main__ as command
from prunus.formal import leopard, proofs
from prunus.formal.accumulator import UPDATES, accumulator_width
from prunus.formal.leopard import MARGINS, RIGHT, STATEMENTS, Size, Sums
from prunus.formal.proofs import BROKEN, Proof, check
from prunus.formal.query import Query, Verdict, decide
from prunus.formal.start import DIGITS
from prunus.golden.leopard import digits
from prunus.golden.leopard.config import LeopardConfig
from tests.golden.leopard.test_digits import codes

SIZES = [Size(12, 2), Size(8, 3), Size(5, 4), Size(4, 1)]
PROOFS = proofs.proofs(SIZES)
TOPICS = sorted({proof.topic for proof in PROOFS})


@pytest.mark.parametrize("topic", TOPICS)
def test_proofs_come_out_as_they_should(topic):
    outcomes = [check(proof) for proof in PROOFS if proof.topic == topic]
    assert [f"{o.proof.name}: {o.detail}" for o in outcomes if not o.passed] == []
    assert all(o.queries for o in outcomes)


def test_every_wrong_margin_and_update_is_tried_and_every_statement_broken():
    assert set(BROKEN) == set(MARGINS)
    assert {name for names in BROKEN.values() for name in names} == set(STATEMENTS)
    for wrong in [*(f"margin {name}" for name in MARGINS), *UPDATES, *DIGITS, "<= for <"]:
        assert f"must fail: {wrong}" in TOPICS


def test_all_sizes_are_proved_by_the_command():
    assert {(s.width, s.digit) for s in proofs.ALL_SIZES} == {
        (width, digit) for width in range(1, 17) for digit in (1, 2, 3, 4)}
    names = {proof.name for proof in proofs.proofs([Size(16, 3)], [])}
    assert names == {"W=16 B=3", "T=6"}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_they_are_about_what_golden_computes(size):
    """Sums of one dimension, with numbers put in."""
    q, k = codes(size.width, 1, 6), codes(size.width, 2, 6)
    element = Sums.element(size)
    for x, y in zip(q.tolist(), k.tolist(), strict=True):
        put = [(z3.Int("q"), z3.IntVal(x)), (z3.Int("k"), z3.IntVal(y))]
        bounds = digits.upper_bounds([[x]], [[y]], width=size.width, digit=size.digit)
        for t, bound in enumerate(bounds, 1):
            claimed = z3.simplify(z3.substitute(element.bound(size, t, RIGHT), put))
            assert claimed.as_long() == bound.item()
        assert z3.simplify(z3.substitute(element.s, put)).as_long() == x * y


@pytest.mark.parametrize(("width", "d"), [(12, 64), (8, 32), (16, 128), (4, 8), (13, 40)])
def test_the_width_is_that_of_the_configuration(width, d):
    assert accumulator_width(width, d) == LeopardConfig(name="a", width=width, d_max=d).score_width


# -- the prover itself ------------------------------------------------------------------------
x = z3.Int("x")
TRUE = Query("true", (x > 1,), x * x > 1)
FALSE = Query("false", (x > 1,), x < 7)
HARD = Query("hard", (x > 2, z3.Int("y") > 2, z3.Int("z") > 2), x**3 + z3.Int("y")**3
             != z3.Int("z")**3)
FACTORS = [z3.ZeroExt(10, word) for word in z3.BitVecs("a b", 10)]
HARDER = Query("harder", tuple(z3.UGT(f, 1) for f in FACTORS), FACTORS[0] * FACTORS[1] != 1000003,
               bits=True)


def test_what_the_solver_says():
    assert decide(TRUE).verdict is Verdict.PROVED
    answer = decide(FALSE)
    assert answer.verdict is Verdict.REFUTED
    assert int(answer.counterexample.removeprefix("x = ")) >= 7


def test_a_claim_it_cannot_decide_is_not_proved(monkeypatch):
    monkeypatch.setattr("prunus.formal.query.RESOURCES", 50_000)
    assert decide(HARD).verdict is Verdict.UNKNOWN
    for holds in (True, False):
        outcome = check(Proof("t", "n", lambda: [HARD], holds=holds))
        assert not outcome.passed
        assert outcome.undecided
        assert "undecided" in outcome.detail


def test_a_claim_that_is_refuted_is_so_whatever_else_is_undecided(monkeypatch):
    monkeypatch.setattr("prunus.formal.query.RESOURCES", 50_000)
    for holds in (True, False):
        outcome = check(Proof("t", "n", lambda: [HARD, FALSE], holds=holds))
        assert outcome.passed is not holds
        assert not outcome.undecided


def test_the_limit_counts_what_the_solver_does_and_nothing_else():
    """The same number again, whatever was asked before."""
    spent = decide(HARDER).resources
    decide(FALSE)
    assert decide(HARDER).resources == spent > decide(TRUE).resources
    assert decide(HARDER, spent // 2).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("queries, status, word", [
    ("HARD", command.UNDECIDED, "?   "), ("HARD FALSE", 1, "FAIL"), ("TRUE", 0, "ok  ")])
def test_undecided_has_a_status_of_its_own(monkeypatch, capsys, queries, status, word):
    monkeypatch.setattr("prunus.formal.query.RESOURCES", 50_000)
    asked = [globals()[name] for name in queries.split()]
    monkeypatch.setattr(command, "proofs", lambda sizes, wrong: [
        Proof("t", "n", lambda query=query: [query]) for query in asked])
    assert command.main(["--width", "3"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(word)
    assert ("1 undecided" in lines[-1]) is ("HARD" in queries)


@pytest.mark.parametrize(("queries", "holds", "passed"), [
    ([TRUE, TRUE], True, True), ([TRUE, FALSE], True, False), ([FALSE, TRUE], True, False),
    ([TRUE, FALSE], False, True), ([TRUE, TRUE], False, False)])
def test_a_proof_passes_only_if_it_comes_out_as_it_should(queries, holds, passed):
    assert check(Proof("t", "n", lambda: queries, holds=holds)).passed is passed


def test_the_command_says_what_failed(monkeypatch, capsys):
    assert command.main(["--width", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("ok   theorem: upper bound")
    late = MARGINS["one step late"]
    monkeypatch.setattr(command, "proofs", lambda sizes, wrong: [
        Proof("theorem", str(size), lambda size=size: leopard.theorem("ends at S", size, late))
        for size in sizes])
    assert command.main(["--width", "3"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL theorem")
    assert lines[1] == "       W=3 B=1: W=3 B=1 U_T = S: element: refuted by k = 0, q = 1"
    assert lines[-1].startswith("0 of 4 proofs came out as they should")


def test_division_rounds_as_a_shift():
    """``k / 2**r`` of the proofs rounds down, as the shift of golden does."""
    for k in (-9, -8, -1, 0, 7):
        assert z3.simplify(z3.IntVal(k) / 4).as_long() == np.int64(k) >> 2
