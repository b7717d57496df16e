# SPDX-License-Identifier: Apache-2.0
"""The same Verilog from every version of Python."""

import ast
import json
import re

import pytest

from prunus.sim.simulators.cache import ROOT
from tests.hw.verilog.digests import KEPT, PRESETS, digest

# What names signals after the variable that it is assigned to.
NAMED = re.compile(r"Signal(\.like)?|.*\.(read_port|write_port|create)", re.S)
FILES = sorted((ROOT / "hw").rglob("*.py"))


def _guessed(source: str) -> list[int]:
    """Lines of signals whose names Amaranth would guess wrongly in some version.

    Amaranth looks for the name in the byte code behind the call. A plain assignment has the same
    there in all versions; tuples, comprehensions and arguments do not.
    """
    tree, plain = ast.parse(source), set()
    for node in ast.walk(tree):
        if (isinstance(node, ast.Assign) and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name | ast.Attribute)):
            plain.add(node.value)
    return [node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Call) and node not in plain
            and NAMED.fullmatch(ast.unparse(node.func))
            and not any(keyword.arg == "name" for keyword in node.keywords)]


@pytest.mark.parametrize("line", [
    "a, b = Signal(), x", "a = b = Signal.like(x)", "a = [Signal() for _ in range(2)]",
    "f(Signal())", "a = Signal().x", "a, b = mem.read_port(), mem.write_port()"])
def test_guesses_are_found(line):
    assert set(_guessed(line)) == {1}


@pytest.mark.parametrize("line", [
    "a = Signal(8)", "self.a = Signal.like(b)", "a, b = (Signal(name=n) for n in 'ab')"])
def test_certain_names_are_none(line):
    assert _guessed(line) == []


def test_no_name_is_guessed():
    found = [f"{path.relative_to(ROOT)}:{line}" for path in FILES
             for line in _guessed(path.read_text(encoding="utf-8"))]
    assert found == []
    assert len(FILES) > 50


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_text_is_the_kept_one(preset):
    """Renewed by ``python -m tests.hw.verilog.digests``."""
    assert digest(preset) == json.loads(KEPT.read_text(encoding="utf-8"))[preset]
