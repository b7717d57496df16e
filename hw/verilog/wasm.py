# SPDX-License-Identifier: Apache-2.0
"""Yosys and nextpnr as WebAssembly keep their machine code in the user's folder for caches."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import platformdirs

__all__ = ["cache_environment"]


def _home_is_writable() -> bool:
    """Whether the user's folder for caches can be written, or made."""
    try:
        folder = platformdirs.user_cache_path()
    except RuntimeError:        # there is no home folder
        return False
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK | os.X_OK)


@contextmanager
def cache_environment() -> Iterator[dict[str, str]]:
    """The environment for such a program.

    Both fail if they cannot write their cache, as where the home folder is read-only. A temporary
    folder stands in then.
    """
    if _home_is_writable():
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="prunus-cache-") as folder:
        yield {**os.environ, "XDG_CACHE_HOME": folder, "YOWASP_CACHE_DIR": folder}
