# SPDX-License-Identifier: Apache-2.0
"""constraints.txt has a version for all that ``make sim`` installs, and pyproject.toml's own."""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
            if line and not line.startswith("#"))
EXTRAS = PROJECT["optional-dependencies"]
FREE = {"models"}           # their torch depends on the machine


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _asked(extra: str | None) -> Iterator[Requirement]:
    """What an extra asks for, those within it too."""
    for text in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            for inner in requirement.extras:
                yield from _asked(inner)
        else:
            yield requirement


def test_every_pin_of_the_project_is_there_with_its_version():
    keys = {_key(name): version for name, version in PINS.items()}
    for extra in (None, *(extra for extra in EXTRAS if extra not in FREE)):
        for requirement in _asked(extra):
            assert f"=={keys[_key(requirement.name)]}" == str(requirement.specifier), extra


def test_what_the_pins_need_is_there():
    """All that would be installed here, so that nothing is left to the day of the set-up."""
    keys = {_key(name) for name in PINS}
    waiting = [*_asked(None), *_asked("dev")]
    seen, missing = set(), set()
    while waiting:
        requirement = waiting.pop()
        name = _key(requirement.name)
        if (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        if name not in keys:
            missing.add(name)
        try:
            needs = metadata.requires(requirement.name) or []
        except metadata.PackageNotFoundError:       # a tool that is not installed here
            continue
        waiting += [need for need in map(Requirement, needs)
                    if need.marker is None
                    or any(need.marker.evaluate({"extra": extra})
                           for extra in (*requirement.extras, ""))]
    assert missing == set()
