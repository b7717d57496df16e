# SPDX-License-Identifier: Apache-2.0
"""The table of mutations that :mod:`sim.mutate` tries."""

from dataclasses import dataclass

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True)
class Mutation:
    """A way to break a source.

    Members
    -------
    file : str
        Path from the root of the repository.
    old, new : str
        Exact text, which occurs once in the file, and what takes its place.
    why : str
        What it breaks, in a line.
    """

    file: str
    old: str
    new: str
    why: str


MUTATIONS: tuple[Mutation, ...] = ()
