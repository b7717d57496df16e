# SPDX-License-Identifier: Apache-2.0
"""Yosys and nextpnr as WebAssembly keep their machine code in the user's folder for caches."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

__all__ = ["cache_environment"]


def _writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return folder.is_absolute() and os.access(there, os.W_OK | os.X_OK)


@contextmanager
def cache_environment() -> Iterator[dict[str, str]]:
    """The environment for such a program.

    Both fail if they cannot write their cache, as where the home folder is read-only. A temporary
    folder stands in then.
    """
    if _writable(platformdirs.user_cache_path()):
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="prunus-cache-") as folder:
        yield {**os.environ, "XDG_CACHE_HOME": folder, "YOWASP_CACHE_DIR": folder}
