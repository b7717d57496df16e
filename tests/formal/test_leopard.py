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


def test_what_the_solver_says():
    assert decide(TRUE).verdict is Verdict.PROVED
    answer = decide(FALSE)
    assert answer.verdict is Verdict.REFUTED
    assert int(answer.counterexample.removeprefix("x = ")) >= 7


def test_a_claim_it_cannot_decide_is_not_proved(monkeypatch):
    monkeypatch.setattr("prunus.formal.query.TIMEOUT_MS", 50)
    assert decide(HARD).verdict is Verdict.UNKNOWN
    for holds in (True, False):
        assert not check(Proof("t", "n", lambda: [HARD], holds=holds)).passed


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
