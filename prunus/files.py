# SPDX-License-Identifier: Apache-2.0
"""Output files that appear whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from .errors import InputError

__all__ = ["check_directory", "check_output", "make_directory", "publish", "put_directory",
           "write_files"]


def make_directory(path: Path) -> None:
    """Have a directory for outputs."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise InputError(f"output {str(path)!r} cannot be made: {err.strerror}") from None


def check_output(path: Path, source: Path | None = None) -> Path:
    """Refuse an output that cannot be written, before the work; returns the file meant.

    ``source`` is an input that it must not replace.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"output {str(path)!r} must lie in an existing directory, and "
                         f"{str(target.parent)!r} is none")
    if target.is_dir():
        raise InputError(f"output must be a file, and {str(path)!r} is a directory")
    if target.exists() and not target.is_file():
        raise InputError(f"output must be a regular file, and {str(path)!r} is none")
    if source is not None and target.exists() and target.samefile(source):
        raise InputError(f"output must not be the input file {str(source)!r}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"output {str(path)!r} cannot be written: no permission in "
                         f"{str(target.parent)!r}")
    return target


def check_directory(path: Path) -> Path:
    """Refuse a folder of outputs that :func:`put_directory` cannot put there; returns the path."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"output must be a directory, and {str(path)!r} is none")
    return path


def put_directory(made: Path, path: Path) -> None:
    """Have the folder ``made`` at ``path``, in the place of what a run before has left there."""
    old = made.with_name(f"{made.name}.old")
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(made, path)
    except OSError as err:
        if old.exists():
            os.replace(old, path)
        raise InputError(f"output {str(path)!r} cannot be written: {err.strerror}") from None
    shutil.rmtree(old, ignore_errors=True)


def _mode() -> int:
    """Permissions of a new file; temporary files are private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def publish(directory: Path) -> None:
    """Give a folder and its files the permissions of new ones; some libraries' are private."""
    mode = _mode()
    directory.chmod(mode | (mode & 0o444) >> 2)
    for path in directory.iterdir():
        path.chmod(mode)


def write_files(writers: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Write all files beside their places first, then put them there."""
    temporary: dict[Path, str] = {}
    try:
        for path, write in writers.items():
            handle, temporary[path] = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                write(file)
            os.chmod(temporary[path], _mode())
        for path, name in list(temporary.items()):
            os.replace(name, path)
            del temporary[path]
    except OSError as err:
        names = ", ".join(repr(str(path)) for path in writers)
        raise InputError(f"output {names} cannot be written: {err.strerror or err}") from None
    finally:
        for name in temporary.values():
            with contextlib.suppress(OSError):
                os.unlink(name)
