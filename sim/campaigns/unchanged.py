# SPDX-License-Identifier: Apache-2.0
"""Is the Verilog of all presets what it was? ``python -m prunus.sim.campaigns.unchanged REVISION``
emits the presets of another commit from its sources and from those here, and compares the files.
The other sources lie in a temporary clone, so workers are those of this machine."""

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from prunus.console import Parser

from ..simulators.cache import ROOT
from .campaign import Task, TaskError, add_options, command, options_of, run

__all__ = ["emitted_by", "main"]

KINDS = ("v", "json")


def emitted_by(root: str, revision: str, preset: str) -> list[str]:
    """The texts that the sources in ``root`` give for a preset, one of each of KINDS."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, "-m", "prunus", "verilog", preset, "-o", scratch], cwd=root,
            env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise TaskError(f"{preset} at {revision} cannot be emitted: {lines[-1]}")
        return [(Path(scratch) / f"{preset}.{kind}").read_text("utf-8") for kind in KINDS]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True,
                          text=True).stdout.strip()


@command
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="python -m prunus.sim.campaigns.unchanged", description=__doc__)
    parser.add_argument("revision", help="a commit or tag")
    parser.add_argument("--only-verilog", action="store_true", help="do not compare the .json")
    add_options(parser, cluster=False)
    options = parser.parse_args(arguments)
    try:
        commit = _git("rev-parse", "--verify", f"{options.revision}^{{commit}}")
    except subprocess.CalledProcessError:
        parser.error(f"revision must be a commit of this repository, not {options.revision!r}")
    kinds = KINDS[:1] if options.only_verilog else KINDS
    with tempfile.TemporaryDirectory() as scratch:
        there = Path(scratch) / "there"
        # A clone of its own leaves no trace in the repository, however this ends.
        _git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(there))
        _git("-C", str(there), "checkout", "--quiet", "--detach", commit)
        presets = sorted(path.stem for path in (there / "configs").glob("*.toml"))
        tasks = [Task(f"{preset}, {name}", emitted_by, (str(root), name, preset))
                 for preset in presets
                 for root, name in ((there, commit[:10]), (ROOT, "here"))]
        with closing(run("unchanged", tasks, options_of(options))) as done:
            results = list(done)
    different = 0
    for preset, before, after in zip(presets, results[::2], results[1::2], strict=True):
        if failure := before.failure or after.failure:
            print(failure)
            different += 1
            continue
        for kind, old, new in zip(kinds, before.value, after.value, strict=False):
            same = old == new
            different += not same
            print(f"{preset}.{kind}: {'the same' if same else 'different'}, {len(new):,} bytes")
    total = len(presets) * len(kinds)
    print(f"{total - different} of {total} files are those of {options.revision}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
