# SPDX-License-Identifier: Apache-2.0
"""Do two variants of a circuit, which an input tells apart, always do the same?

The claim is proved by induction over one cycle. Both variants begin with equal states, and the
states that stay equal are found as the largest set that does: at first all are taken for equal,
then those whose next values may differ are not, until no more go. Nothing is known of which states
can be reached, so what is proved holds from any equal states on, with any inputs, resets included;
but two variants may be the same without a proof. The solver's limit counts its resources, not time.
"""

from dataclasses import dataclass

import z3

from .query import Verdict
from .rtl import Change, Step, System, uses

__all__ = ["Sameness", "Variants"]

RESOURCES = 300_000     # of the solver, for a word of one variant
MOST_APART = 24         # states: a variant of which more differ is given up


@dataclass(frozen=True)
class Sameness:
    """What is known of a variant and the original.

    Members
    -------
    verdict : Verdict
        Unknown if the solver or the search for states gave up.
        Refuted means no more than that the induction fails: outputs may differ from some equal
        states on, which need not be reachable.
    differ : tuple of str
        An output that may differ, if one was found.
    states : int
        How many states may differ.
    """

    verdict: Verdict
    differ: tuple[str, ...] = ()
    states: int = 0


class Variants:
    """A circuit whose input ``selector`` chooses its variant, 0 the original.

    Parameters
    ----------
    system : System
    selector : str
    """

    def __init__(self, system: System, selector: str):
        self._system, self._selector = system, selector
        choice = next(line for line in system.lines
                      if line[1] == "input" and line[3:4] == (selector,))
        self._width = next(int(line[3]) for line in system.lines
                           if line[0] == choice[2] and line[1] == "sort")
        self._used = {int(line[0]): used for line in system.lines if (used := uses(line))}
        self._original = Step(system, system.free("a"), "now", self._chosen(0))

    def _chosen(self, variant: int) -> dict[str, z3.BitVecRef]:
        return {self._selector: z3.BitVecVal(variant, self._width)}

    def _differing(self, variant: int, apart: set[int],
                   resources: int) -> tuple[list[str], set[int], bool]:
        """Outputs and states whose values may differ if those ``apart`` do, and whether the solver
        gave up on one."""
        system, before = self._system, self._original
        other = {line: z3.BitVec(f"other {line}", system.widths[line]) for line in apart}
        after = Change(before, other, self._chosen(variant), self._used)
        outputs, states, doubtful = [], set(), False
        targets = [*system.outputs.items(), *((s, n) for s, n in system.following.items())]
        for key, line in targets:
            if abs(line) not in after.changed or key in apart:
                continue
            verdict = _unequal(before[line], after[line], resources)
            doubtful |= verdict == z3.unknown
            if verdict == z3.unsat:
                continue
            if isinstance(key, str):
                outputs.append(key)
                break
            states.add(key)
            if len(states) > MOST_APART:
                break
        return outputs, states, doubtful

    def compare(self, variant: int, resources: int = RESOURCES) -> Sameness:
        """Whether a variant does what the original does."""
        apart: set[int] = set()
        while True:
            outputs, states, doubtful = self._differing(variant, apart, resources)
            apart |= states
            if outputs or len(apart) > MOST_APART:
                given_up = doubtful or not outputs
                verdict = Verdict.UNKNOWN if given_up else Verdict.REFUTED
                return Sameness(verdict, tuple(outputs), len(apart))
            if not states:
                return Sameness(Verdict.PROVED, (), len(apart))


def _unequal(a: z3.BitVecRef, b: z3.BitVecRef, resources: int) -> z3.CheckSatResult:
    solver = z3.SolverFor("QF_BV")
    solver.set("rlimit", resources)
    solver.add(a != b)
    return solver.check()
