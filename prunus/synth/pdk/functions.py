# SPDX-License-Identifier: Apache-2.0
"""Functions of Liberty: what a pin does, as a formula of other pins."""

import re
from collections.abc import Callable

__all__ = ["expression", "pins_of", "truth"]

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[01]|[!'&*|+^()])")


def _tokens(function: str) -> list[str]:
    found, at, text = [], 0, function.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{function!r} is no function of pins")
        found.append(match[1])
        at = match.end()
    return found


class _Reader:
    """In Liberty ``^`` binds more than ``*``, which binds more than ``+``; a ``'`` behind a term
    or a ``!`` in front of it is its complement."""

    def __init__(self, function: str):
        self._function, self._tokens, self._at = function, [*_tokens(function), ""], 0

    def whole(self) -> str:
        made = self._sum()
        if self._tokens[self._at]:
            raise ValueError(f"{self._tokens[self._at]!r} is too much in {self._function!r}")
        return made

    def _taken(self, some: str) -> bool:
        token = self._tokens[self._at]
        if token and token in some:
            self._at += 1
            return True
        return False

    def _chain(self, some: str, operator: str, part: Callable[[], str]) -> str:
        made = part()
        while self._taken(some):
            made = f"({made} {operator} {part()})"
        return made

    def _sum(self) -> str:
        return self._chain("|+", "|", self._product)

    def _product(self) -> str:
        return self._chain("&*", "&", lambda: self._chain("^", "^", self._term))

    def _term(self) -> str:
        if self._taken("!"):
            return f"(1 ^ {self._term()})"
        if self._taken("("):
            made = self._sum()
            if not self._taken(")"):
                raise ValueError(f"a bracket is open in {self._function!r}")
        else:
            made = self._tokens[self._at]
            if not re.match(r"\w", made):
                raise ValueError(f"a pin is missing in {self._function!r}")
            self._at += 1
        while self._taken("'"):
            made = f"(1 ^ {made})"
        return made


def expression(function: str) -> str:
    """A function with all its brackets, which C and Python read alike, of pins that are 0 or 1.

    Raises ValueError if it is none.
    """
    return _Reader(function).whole()


def pins_of(function: str) -> list[str]:
    """The pins that a function names, in the order of their names."""
    return sorted({token for token in _tokens(function) if re.match(r"[A-Za-z_]", token)})


def truth(function: str, values: dict[str, int]) -> int:
    """What a function gives for values of its pins."""
    return int(eval(expression(function), {"__builtins__": {}}, dict(values)))
