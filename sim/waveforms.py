# SPDX-License-Identifier: Apache-2.0
"""Files of waveforms that Verilator writes while it simulates."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunus.golden.errors import InputError

from .simulators.folders import check_room
from .simulators.runner import SimulationError
from .simulators.verilator import VerilatorRunner

__all__ = ["check_waveform", "waveform"]


def check_waveform(path: Path) -> str:
    """``fst`` or ``vcd``, by the ending; raises InputError for a file that cannot be written."""
    kind = path.suffix.removeprefix(".")
    if kind not in VerilatorRunner.traces:
        endings = " or ".join(f".{kind}" for kind in VerilatorRunner.traces)
        raise InputError(f"trace file {str(path)!r} must end in {endings}")
    if path.is_dir():
        raise InputError(f"trace file must be a file, and {str(path)!r} is a directory")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"trace file {str(path)!r} must lie in a directory that can be written")
    return kind


@contextmanager
def waveform(target: Path | None) -> Iterator[Path | None]:
    """A place for the waveform, which becomes ``target`` when the simulation has ended.

    That of a failed simulation does too, and the error says so. Nothing is left of one that was
    interrupted.

    Raises
    ------
    InputError
        The folder of ``target`` cannot be written, or its disk is full.
    """
    if target is None:
        yield None
        return
    real = target.resolve()         # the simulator runs elsewhere
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{real.name}.", dir=real.parent))
        try:
            part = folder / real.name
            try:
                yield part
            except SimulationError as err:
                check_room(folder)
                if not part.exists():
                    raise
                os.replace(part, real)
                raise SimulationError(f"{err}\nthe waveform until then is in {str(target)!r}"
                                      ) from None
            check_room(folder)
            os.replace(part, real)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as err:
        raise InputError(f"trace file {str(target)!r} cannot be written: "
                         f"{err.strerror or err}") from None
