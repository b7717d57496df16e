# SPDX-License-Identifier: Apache-2.0
"""Repeat a simulation that failed: the same jobs, pauses and seed, on the RTL as it is now.

    python -m prunus.sim.repeat build/failed/hdp_tiny-0123456789abcdef.npz --trace-file out.vcd
"""

import argparse
import sys
from pathlib import Path

from prunus.golden.errors import InputError

from .cases import Case
from .compare import MismatchError, check
from .simulate import SimulationError, repeat

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if it passes now, 1 if it fails again, 2 if it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m prunus.sim.repeat", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path, metavar="FILE.npz", help="that a failure named")
    parser.add_argument("--trace-file", type=Path, metavar="OUT",
                        help="write the waveform of all signals, .fst or .vcd")
    chosen = parser.parse_args(arguments)
    try:
        case = Case.load(chosen.case)
        simulations = repeat(case, trace=chosen.trace_file,
                             stage=lambda what: print(what, file=sys.stderr))
        if chosen.trace_file:
            print(f"waveform: {chosen.trace_file}")
        if case.batch is not None:
            check(simulations[case.batch], case.batches[case.batch].jobs, case.config, case.errors)
    except (InputError, SimulationError, MismatchError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2 if isinstance(err, InputError) else 1
    print("it passes on the RTL as it is now")
    return 0


if __name__ == "__main__":
    sys.exit(main())
