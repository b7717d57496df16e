# SPDX-License-Identifier: Apache-2.0
"""Programs that end with the program that started them, whatever happens to either."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["child", "end"]

# Reads a pipe whose other end closes with the parent, then kills the group of processes.
_GUARD = 'read -r _ || kill -s KILL -- "-$1"'


def end(process: subprocess.Popen) -> None:
    """Kill a child and what it started; nothing happens if it has ended."""
    if process.poll() is None:          # else its number may be another's by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A child in a process group of its own, which ends with the block.

    A second process, the guard, ends the group if this process dies. make does not pass a signal
    on to its compilers, and nobody can catch SIGKILL, so both are needed. Ctrl-C on the terminal
    reaches this process alone.
    """
    options.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen(command, process_group=0, **options)
    try:
        guard = subprocess.Popen(["/bin/sh", "-c", _GUARD, "sh", str(process.pid)],
                                 stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, process_group=0)
        try:
            yield process
        finally:
            end(process)
            with suppress(BrokenPipeError):
                guard.communicate(b"\n")
    finally:
        end(process)
