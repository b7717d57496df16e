# SPDX-License-Identifier: Apache-2.0
"""Things made once and kept: directories named by a hash of all that went into them."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ROOT", "build_root", "cached", "digest"]

ROOT = Path(__file__).resolve().parents[2]


def build_root() -> Path:
    """Where generated files go: the environment's PRUNUS_BUILD, or build/ of the repository."""
    return Path(os.environ.get("PRUNUS_BUILD") or ROOT / "build").resolve()


def digest(*parts: str | bytes) -> str:
    """16 hexadecimal digits that stand for the sequence of ``parts``."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little") + raw)
    return state.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever happens to it."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(directory: Path, make: Callable[[Path], None]) -> bool:
    """Have ``directory``, calling ``make(temporary directory)`` if it does not exist.

    The temporary directory becomes ``directory`` by one rename, so that nobody sees it half made;
    a second process that wants it at the same time waits. True if it was made now.
    """
    if directory.is_dir():
        return False
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory.parent / f".{directory.name}.lock"):
        if directory.is_dir():
            return False
        work = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            make(work)
            work.chmod(0o755)
            work.rename(directory)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return True
