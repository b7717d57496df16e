# SPDX-License-Identifier: Apache-2.0
"""The error of whatever takes something from a user."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Something the user gave cannot be used: names it, its value and what is allowed."""
