# SPDX-License-Identifier: Apache-2.0
"""Reads Liberty files: groups with attributes and further groups."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Group", "LibertyError", "numbers", "parse"]

_COMMENT = re.compile(r"/\*.*?\*/", re.S)
# Files of memory compilers leave out semicolons, so the end of a line ends a value, too.
_TOKEN = re.compile(r"""
    \s*(?: (?P<kind>\w+)\s*\((?P<arguments>(?:"[^"]*"|[^()"])*)\)\s*(?P<opens>\{)?
         | (?P<name>\w+)\s*:\s*(?P<value>"[^"]*"|[^;\n{}]*)
         | (?P<closes>\})
         | ; )""", re.X)


class LibertyError(ValueError):
    """A text is no Liberty file, or lacks something."""


@dataclass
class Group:
    """``kind (name) { ... }``.

    Members
    -------
    kind, name : str
        Of ``cell (sg13g2_inv_1)``, ``cell`` and ``sg13g2_inv_1``.
    attributes : dict of str to str
        Simple ones, and the text in the brackets of complex ones. Of several of one name the last.
    groups : list of Group
    """

    kind: str
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def all(self, kind: str, name: str | None = None) -> Iterator["Group"]:
        """Groups in this one, of a kind, and of a name if one is given."""
        return (group for group in self.groups
                if group.kind == kind and name in (None, group.name))

    def first(self, kind: str, name: str | None = None) -> "Group":
        """The first of them. Raises LibertyError if there is none."""
        found = next(self.all(kind, name), None)
        if found is None:
            raise LibertyError(f"{self.kind} {self.name!r} has no {kind} {name or ''}".rstrip())
        return found

    def text(self, name: str) -> str:
        """An attribute. Raises LibertyError if there is none."""
        if name not in self.attributes:
            raise LibertyError(f"{self.kind} {self.name!r} has no {name}")
        return self.attributes[name]

    def number(self, name: str) -> float:
        """An attribute that is a number."""
        return float(self.text(name))


def _plain(text: str) -> str:
    return " ".join(text.replace("\\\n", " ").replace('"', "").split())


def numbers(text: str) -> list[float]:
    """Of an index or a table, row after row."""
    return [float(number) for number in text.replace(",", " ").split()]


def parse(text: str) -> Group:
    """The group of a whole file, ``library``. Raises LibertyError."""
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text).rstrip()
    root = Group("file", "")
    open_groups, at = [root], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or (match["closes"] and len(open_groups) == 1):
            rest = text[at:].lstrip()
            line = text.count("\n", 0, len(text) - len(rest)) + 1
            raise LibertyError(f"no Liberty at line {line}: {rest.splitlines()[0][:40]!r}")
        at = match.end()
        if match["closes"]:
            open_groups.pop()
        elif match["opens"]:
            group = Group(match["kind"], _plain(match["arguments"]))
            open_groups[-1].groups.append(group)
            open_groups.append(group)
        elif match["kind"]:
            open_groups[-1].attributes[match["kind"]] = _plain(match["arguments"])
        elif match["name"]:
            open_groups[-1].attributes[match["name"]] = _plain(match["value"])
    if len(open_groups) > 1:
        raise LibertyError(f"{open_groups[-1].kind} {open_groups[-1].name!r} is not closed")
    return root.first("library")
