# SPDX-License-Identifier: Apache-2.0
"""All proofs: ``python -m formal``; exit status 1 if any does not come out as it should, 3 if none
does so but the solver's resources were not enough for some."""

import argparse
import sys
import time

from prunus.console import Parser, guarded

from .blocks import block_proofs
from .circuits import circuits
from .proofs import ALL_SIZES, Outcome, check, proofs

__all__ = ["UNDECIDED", "main"]

UNDECIDED = 3       # exit status; 2 is for bad input


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m formal", description=__doc__)
    parser.add_argument("--width", type=int, nargs="+", choices=range(1, 17), metavar="W",
                        help="only these widths (1..16, default all), and nothing of the "
                             "hardware")
    parser.add_argument("--only", choices=("theorem", "rtl", "blocks"),
                        help="only what is proved of all sizes, or only of the hardware, or "
                             "only of its blocks")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="every proof, with the counterexamples of what must fail")
    return parser.parse_args(arguments)


def _line(topic: str, outcomes: list[Outcome]) -> str:
    good = sum(outcome.passed for outcome in outcomes)
    queries = sum(outcome.queries for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    most = max(outcome.most for outcome in outcomes)
    verdict = "ok  "
    if good < len(outcomes):
        refuted = any(not outcome.passed and not outcome.undecided for outcome in outcomes)
        verdict = "FAIL" if refuted else "?   "
    return (f"{verdict} {topic:<46} {good:>4} of {len(outcomes):>4}  {queries:>5} queries "
            f"{seconds:>6.1f} s {most / 1e6:>7.2f} M at most")


@guarded()
def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    begin = time.perf_counter()
    sizes = [s for s in ALL_SIZES if options.width is None or s.width in options.width]
    # Wrong updates of wide codes take the solver long to refute bit by bit.
    chosen = [] if options.only in ("rtl", "blocks") else proofs(
        sizes, [size for size in sizes if size.width <= 12])
    if options.only != "theorem" and options.width is None:
        chosen += block_proofs()
        chosen += [] if options.only == "blocks" else circuits()
    topics: dict[str, list] = {}
    for proof in chosen:
        topics.setdefault(proof.topic, []).append(proof)
    failed = []
    for topic, group in topics.items():
        outcomes = [check(proof) for proof in group]
        print(_line(topic, outcomes), flush=True)
        for outcome in outcomes:
            if options.verbose or not outcome.passed:
                print(f"       {outcome.proof.name}: {outcome.detail or 'proved'}")
        failed += [outcome for outcome in outcomes if not outcome.passed]
    undecided = sum(outcome.undecided for outcome in failed)
    print(f"{len(chosen) - len(failed)} of {len(chosen)} proofs came out as they should, "
          f"{f'{undecided} undecided, ' if undecided else ''}{time.perf_counter() - begin:.0f} s")
    if len(failed) > undecided:
        return 1
    return UNDECIDED if undecided else 0


if __name__ == "__main__":
    sys.exit(main())
