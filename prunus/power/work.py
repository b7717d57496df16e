# SPDX-License-Identifier: Apache-2.0
"""What is measured: heads, and how much of them is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Work"]


@dataclass(frozen=True)
class Work:
    """Heads, and what is kept of them.

    Members
    -------
    jobs : sequence of Job
    kept, visible : int
        Blocks or scores that are kept, and all that a query may see.
    """

    jobs: Sequence[Any]
    kept: int
    visible: int
