# SPDX-License-Identifier: Apache-2.0
"""A claim, and what the solver says about it.

The solver's limit counts its resources, not seconds: steps of its own, of which it takes the same
number on every machine and under any load. A query of nothing but words has a context of its own,
so the number does not depend on the queries before it either. Those of integers share one: they are
small, and much harder for Z3 after the terms were copied, as it goes by the order in which they
were made.
"""

import time
from dataclasses import dataclass
from enum import StrEnum

import z3

__all__ = ["RESOURCES", "Answer", "Query", "Verdict", "decide"]

RESOURCES = 250_000_000     # of the solver, for a query: ten times what the dearest takes


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
    resources : int
        Most that the solver may take, if not ``RESOURCES``.
    parts : tuple
        Claims that make up the goal, with names, for a counterexample to say which are wrong.
    """

    name: str
    hypotheses: tuple[z3.BoolRef, ...]
    goal: z3.BoolRef
    ring: bool = False
    bits: bool = False
    resources: int = 0
    parts: tuple[tuple[str, z3.BoolRef], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the solver says.

    Members
    -------
    resources : int
        What the solver took of them.
    """

    name: str
    verdict: Verdict
    seconds: float
    resources: int
    counterexample: str = ""


def _solver(query: Query, context: z3.Context) -> z3.Solver:
    if query.bits:
        return z3.SolverFor("QF_BV", ctx=context)
    if not query.ring:
        return z3.Solver()
    return z3.Then(z3.With("simplify", som=True), "smt").solver()


def _spent(solver: z3.Solver) -> int:
    return dict(list(solver.statistics())).get("rlimit count", 0)


def decide(query: Query, resources: int = 0) -> Answer:
    """Ask for an assignment that contradicts the claim; one that comes is checked again."""
    begin = time.perf_counter()
    context = z3.Context() if query.bits else z3.main_ctx()

    def here(claim: z3.BoolRef) -> z3.BoolRef:
        return claim.translate(context) if query.bits else claim

    hypotheses, goal = [here(claim) for claim in query.hypotheses], here(query.goal)
    solver = _solver(query, context)
    solver.set("rlimit", resources or query.resources or RESOURCES)
    solver.add(*hypotheses, z3.Not(goal))
    before = _spent(solver)     # by all queries of the context
    found = solver.check()
    seconds, spent = time.perf_counter() - begin, _spent(solver) - before
    if found == z3.unsat:
        return Answer(query.name, Verdict.PROVED, seconds, spent)
    if found == z3.unknown:
        return Answer(query.name, Verdict.UNKNOWN, seconds, spent, solver.reason_unknown())
    model = solver.model()
    for claim, value in [*((h, True) for h in hypotheses), (goal, False)]:
        if z3.is_true(model.eval(claim, model_completion=True)) is not value:
            raise RuntimeError(f"the solver's counterexample of {query.name} is none: {model}")
    if query.parts:
        text = ", ".join(name for name, claim in query.parts if z3.is_false(
            model.eval(here(claim), model_completion=True)))
    else:
        text = ", ".join(sorted(f"{d.name()} = {model[d]}" for d in model.decls()
                                if d.arity() == 0))
    return Answer(query.name, Verdict.REFUTED, seconds, spent, text)
