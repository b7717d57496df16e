# SPDX-License-Identifier: Apache-2.0
"""The list of blocks is complete and is the documents'; the proofs of small ones.

``make formal`` has all.
"""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import pytest
from amaranth.lib import wiring

import prunus.hw
from prunus.formal.blocks import WATCHED, Watched, block_proofs
from prunus.formal.proofs import check
from prunus.formal.query import Query, Verdict, decide
from prunus.formal.rtl import system
from prunus.formal.streams import induction
from prunus.formal.variants import changed
from prunus.hw.parts.repeated import Repeated

PAGE = Path(__file__).parents[2] / "docs" / "verification.md"
QUICK = ("SyncFIFO of 4", "SyncFIFOBuffered of 5", "turns of 3", "ReadArbiter", "of 512 bits",
         "WriteCollector", "JobRouter", "Csr", "Control", "FirstFault", "DescriptorDecoder")


def components(package: str) -> list[type]:
    """Those that the modules of a package define."""
    root = importlib.import_module(package)
    modules = [importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(
        root.__path__) if not found.ispkg]
    return [block for module in modules for block in vars(module).values()
            if inspect.isclass(block) and issubclass(block, wiring.Component)
            and block.__module__ == module.__name__]


def name_of(block: type) -> str:
    return f"{block.__module__.removeprefix('prunus.')}.{block.__name__}"


@pytest.mark.parametrize("package", ["prunus.hw.shell", "prunus.hw.parts"])
def test_every_block_of_the_shell_has_a_proof(package):
    proved = {case.block for case in WATCHED}
    missing = [name_of(block) for block in components(package)
               if block not in proved and block is not Repeated]
    assert missing == []


def test_every_block_that_makes_addresses_has_a_proof():
    """Those that fill in the address of a request."""
    proved = {case.block for case in WATCHED}
    packages = [found.name for found in pkgutil.walk_packages(prunus.hw.__path__, "prunus.hw.")
                if found.ispkg]
    makers = [block for package in packages for block in components(package)
              if "payload.address.eq" in inspect.getsource(block)]
    assert len(makers) >= 4
    assert [name_of(block) for block in makers if block not in proved] == []


def test_the_page_has_the_sentence_of_each():
    rows = dict.fromkeys(f"| `{name_of(case.block)}` | {case.says} |" for case in WATCHED)
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| block |"):].split("\n\n")[0].splitlines()[2:]
    assert table == list(rows)


def test_each_has_wrong_ones():
    wrong = {case.block for case in WATCHED if case.wrong}
    assert {case.block for case in WATCHED} == wrong


@pytest.mark.parametrize("proof", [p for p in block_proofs() if p.holds and any(
    name in p.name for name in QUICK)], ids=lambda proof: proof.name)
def test_it_is_proved(proof):
    outcome = check(proof)
    assert outcome.passed, outcome.detail


@pytest.mark.parametrize("case", [case for case in WATCHED if case.wrong and any(
    name in f"{case.block.__name__}, {case.name}" for name in QUICK)],
    ids=lambda case: case.block.__name__)
def test_a_wrong_one_is_told_by_a_run(case: Watched):
    query: Query = next(case.refuted(case.wrong[0]))
    answer = decide(query)
    assert answer.verdict is Verdict.REFUTED
    assert answer.counterexample.startswith("ok_")


@pytest.mark.parametrize("change", [change for case in WATCHED for change in case.wrong],
                         ids=lambda change: f"{change.block.__name__}-{change.name}")
def test_changes_are_of_the_source_there_is(change):
    module, name = sys.modules[change.block.__module__], change.block.__name__
    with changed(change):
        assert getattr(module, name) is not change.block
    assert getattr(module, name) is change.block


def test_something_comes_out():
    case = next(case for case in WATCHED if case.name == "SyncFIFO of 4")
    assert [decide(query).verdict for query in case.cover()] == [Verdict.REFUTED]


def test_what_always_holds_is_needed():
    """Without it a block that is right is not proved: the claims are not empty."""
    case = next(case for case in WATCHED if case.name == "SyncFIFO of 4")
    verdicts = {decide(query).verdict
                for query in induction(system(case.top()), lambda step: iter(()))}
    assert verdicts == {Verdict.PROVED, Verdict.REFUTED}
