# SPDX-License-Identifier: Apache-2.0
"""The errors a user sees as one line instead of a traceback."""

__all__ = ["InputError", "RunError"]


class InputError(ValueError):
    """Something the user gave cannot be used: names it, its value and what is allowed."""


class RunError(RuntimeError):
    """The input was good, but the run failed."""
