# SPDX-License-Identifier: Apache-2.0
"""The errors a user sees as one line instead of a traceback."""

from prunus.golden.errors import InputError

__all__ = ["InputError", "RunError"]


class RunError(RuntimeError):
    """The input was good, but the run failed."""
