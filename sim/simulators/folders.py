# SPDX-License-Identifier: Apache-2.0
"""Folders that refuse: full disks and missing permissions become a line for the user."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prunus.golden.errors import InputError

__all__ = ["check_room", "full", "room_is_missing", "scratch", "usable"]

PROBE_BYTES = 1 << 16
_FULL = (errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EROFS)
_SAID = {os.strerror(code): code for code in _FULL} | {"File size limit exceeded": errno.EFBIG}
_ANY = re.compile("|".join(_SAID))


def full(err: OSError) -> bool:
    """Whether a disk says no, rather than a file being missing."""
    return err.errno in _FULL


@contextmanager
def usable(folder: Path, what: str, variable: str,
           errors: Callable[[OSError], bool] = full) -> Iterator[None]:
    """Raise InputError instead of an OSError that ``errors`` accepts.

    The text says what folder it is and that ``variable`` of the environment chooses another.
    """
    try:
        yield
    except OSError as err:
        if not errors(err):
            raise
        raise InputError(f"{what} {str(folder)!r} cannot be written: {err.strerror or err}; "
                         f"{variable} in the environment names another folder") from None


def check_room(folder: Path) -> None:
    """Raise OSError unless the folder takes some more bytes."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(PROBE_BYTES))


def room_is_missing(text: str, folder: Path) -> None:
    """Raise OSError if a program failed as its disk is full: by what it said, or by a try."""
    if found := _ANY.search(text):
        raise OSError(_SAID[found[0]], found[0])
    check_room(folder)


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary directory; raises InputError where there is none, or as it is full."""
    asked = Path(os.environ.get("TMPDIR") or "/tmp")
    with usable(asked, "temporary folder", "TMPDIR", lambda _: True):
        folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        with usable(folder.parent, "temporary folder", "TMPDIR"):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
