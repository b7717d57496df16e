# SPDX-License-Identifier: Apache-2.0
"""A claim, and what the solver says about it."""

import time
from dataclasses import dataclass
from enum import StrEnum

import z3

__all__ = ["Answer", "Query", "Verdict", "decide"]

TIMEOUT_MS = 60_000


class Verdict(StrEnum):
    PROVED = "proved"       # no assignment contradicts it
    REFUTED = "refuted"     # one does
    UNKNOWN = "unknown"     # the solver gave up


@dataclass(frozen=True)
class Query:
    """``hypotheses`` imply ``goal``, for all values of the free variables.

    Members
    -------
    ring : bool
        To be decided as an identity of polynomials over words rather than bit by bit.
    bits : bool
        Of nothing but words, and large: goes bit by bit to a SAT solver as a whole.
    parts : tuple
        Claims that make up the goal, with names, for a counterexample to say which are wrong.
    """

    name: str
    hypotheses: tuple[z3.BoolRef, ...]
    goal: z3.BoolRef
    ring: bool = False
    bits: bool = False
    parts: tuple[tuple[str, z3.BoolRef], ...] = ()


@dataclass(frozen=True)
class Answer:
    name: str
    verdict: Verdict
    seconds: float
    counterexample: str = ""


def _solver(query: Query) -> z3.Solver:
    if query.bits:
        return z3.SolverFor("QF_BV")
    if not query.ring:
        return z3.Solver()
    return z3.Then(z3.With("simplify", som=True), "smt").solver()


def decide(query: Query) -> Answer:
    """Ask for an assignment that contradicts the claim; one that comes is checked again."""
    begin = time.perf_counter()
    solver = _solver(query)
    solver.set("timeout", TIMEOUT_MS)
    solver.add(*query.hypotheses, z3.Not(query.goal))
    found = solver.check()
    seconds = time.perf_counter() - begin
    if found == z3.unsat:
        return Answer(query.name, Verdict.PROVED, seconds)
    if found == z3.unknown:
        return Answer(query.name, Verdict.UNKNOWN, seconds)
    model = solver.model()
    for claim, value in [*((h, True) for h in query.hypotheses), (query.goal, False)]:
        if z3.is_true(model.eval(claim, model_completion=True)) is not value:
            raise RuntimeError(f"the solver's counterexample of {query.name} is none: {model}")
    if query.parts:
        text = ", ".join(name for name, claim in query.parts
                         if z3.is_false(model.eval(claim, model_completion=True)))
        return Answer(query.name, Verdict.REFUTED, seconds, text)
    text = ", ".join(sorted(f"{d.name()} = {model[d]}" for d in model.decls() if d.arity() == 0))
    return Answer(query.name, Verdict.REFUTED, seconds, text)
