# SPDX-License-Identifier: Apache-2.0
"""What the documents name exists: links, files, commands, options, modules; their Python runs."""

import ast
import contextlib
import importlib
import importlib.util
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md",
                                  "examples/README.md")] + sorted((ROOT / "docs").rglob("*.md"))
# The changelog and notes say what was; what they name may be gone.
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md" and page.parent.name != "notes"]
ROOMS = ("configs", "docs", "examples", "formal", "golden", "host", "hw", "prunus", "sim", "sw",
         "tests")
PLACEHOLDER = re.compile(r"<\w+>|\b(NAME|ENGINE)\b")       # hw/<room>, golden/NAME


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


# -- Markdown --------------------------------------------------------------------------------------
def _tokens(text: str) -> list[Token]:
    """All tokens in turn, those within lines of text as well."""
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    return [token for block in blocks for token in (block, *(block.children or ()))]


@cache
def _page(page: Path) -> list[Token]:
    return _tokens(page.read_text("utf-8"))


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


@cache
def _anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    seen: dict[str, int] = {}
    found, tokens = set(), _page(page)
    for n, token in enumerate(tokens):
        if token.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", _plain(tokens[n + 1]).lower()).replace(" ", "-")
            count = seen[slug] = seen.get(slug, -1) + 1
            found.add(f"{slug}-{count}" if count else slug)
    return found


def _code(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    """``(kind, text)`` of inline code, indented blocks and fences; the kind of a fence is its
    language, and ``runnable`` of Python marked so."""
    marked = False
    for token in tokens:
        if token.type == "code_inline":
            yield "inline", " ".join(token.content.split())
        elif token.type == "code_block":
            yield "python" if re.match(r"(from|import) ", token.content) else "block", token.content
        elif token.type == "fence":
            yield "runnable" if marked else token.info or "block", token.content
        marked = token.type == "html_block" and "runnable" in token.content


# -- links -----------------------------------------------------------------------------------------
def bad_links(tokens: list[Token], page: Path) -> list[str]:
    """Relative links and images of a page that lead nowhere."""
    bad = []
    for token in tokens:
        target = token.attrGet("href") or token.attrGet("src")
        if not target or re.match(r"[a-z]+:", str(target)):
            continue
        path, _, anchor = str(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            bad.append(str(target))
    return bad


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links(page):
    assert bad_links(_page(page), page) == []


def test_a_broken_link_is_seen():
    text = "# Here\n\n[a](nowhere.md) [b](hdp.md#nothing) [c](#there) ![d](x.svg) [e](#here)"
    page = ROOT / "docs" / "hdp.md"
    assert bad_links(_tokens(text), page) == ["nowhere.md", "hdp.md#nothing", "#there", "x.svg",
                                              "#here"]
    assert bad_links(_tokens("[a](#speed) [b](../README.md#licence)"), page) == []


# -- files -----------------------------------------------------------------------------------------
def missing_files(tokens: list[Token]) -> list[str]:
    """Paths of the repository in inline code that do not exist, patterns that match nothing."""
    missing = []
    for kind, text in _code(tokens):
        if kind != "inline" or not re.fullmatch(rf"({'|'.join(ROOMS)})/[\w./*<>-]*", text):
            continue
        pattern = PLACEHOLDER.sub("*", text.rstrip("/"))
        if not any(ROOT.glob(pattern)):
            missing.append(text)
    return missing


@pytest.mark.parametrize("page", PRESENT, ids=_name)
def test_files(page):
    assert missing_files(_page(page)) == []


def test_a_missing_file_is_seen():
    text = "`golden/nothing.py` `hw/NAME/core.py` `tests/hw/<room>/none_<x>.py` `hw/top.py`"
    assert missing_files(_tokens(text)) == ["golden/nothing.py", "tests/hw/<room>/none_<x>.py"]


# -- commands --------------------------------------------------------------------------------------
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
VARIABLES = set(re.findall(r"^(\w+) *\?=", MAKEFILE, re.M)) | set(
    re.findall(r"\$\((\w+)[:)]", MAKEFILE))


@cache
def _help(module: str, *command: str) -> str | None:
    """What ``python -m module command --help`` prints; None if there is no such command."""
    output = io.StringIO()
    argv, environment = sys.argv, dict(os.environ)
    sys.argv = [module, *command, "--help"]
    os.environ |= {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), \
                warnings.catch_warnings(action="ignore"):
            runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        return None if end.code else output.getvalue()
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
    return output.getvalue()


def _options(words: list[str]) -> list[str]:
    """Options among the words of a command line, or of a synopsis with brackets."""
    names = [word.strip("[],").split("=")[0] for word in words]
    return [name for name in names if re.match(r"--?[a-z]", name)]


def _unknown(words: list[str], known: str) -> list[str]:
    return [name for name in _options(words) if not re.search(rf"(?<![\w-]){name}(?![\w-])", known)]


def _prunus(words: list[str]) -> list[str]:
    named = words[:1] if words and re.match(r"[a-z]", words[0]) else []
    known = _help("prunus", *named)
    return words[:1] if known is None else _unknown(words[len(named):], known)


def _make(words: list[str]) -> list[str]:
    bad = []
    for word in (word.strip("[],") for word in words):
        name, equals, _ = word.partition("=")
        known = VARIABLES if equals else TARGETS
        if re.fullmatch(r"[A-Za-z][\w-]*", name) and name not in known | {"PYTHON"}:
            bad.append(word)
    return bad


def _module(words: list[str]) -> list[str]:
    module, *rest = words
    try:
        if not importlib.util.find_spec(module):
            return [module]
    except ModuleNotFoundError:     # of the package that it would be in
        return [module]
    if module == "prunus":
        return _prunus(rest)
    ours = module.split(".")[0] in ROOMS
    return _unknown(rest, _help(module) or "") if ours and _options(rest) else []


COMMANDS = {("prunus",): _prunus, ("make",): _make, ("python", "-m"): _module}


def unknown_commands(line: str) -> list[str]:
    """Words of a command line that name no command, option, target or module."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words:
        words[0] = re.sub(r"^(\.venv|\$VENV)/bin/", "", words[0])
    for start, check in COMMANDS.items():
        if tuple(words[: len(start)]) == start and len(words) > len(start):
            return check(words[len(start):])
    return []


def _lines(tokens: list[Token]) -> Iterator[str]:
    """What may be a command line: lines of blocks, inline code, and headings of synopses."""
    for kind, text in _code(tokens):
        if kind == "inline":
            yield text
        elif kind in ("block", "sh", "shell", "bash", "console"):
            yield from (line.strip().removeprefix("$ ")
                        for line in text.replace("\\\n", " ").splitlines())
    for n, token in enumerate(tokens):
        if token.type == "heading_open":
            yield _plain(tokens[n + 1])


@pytest.mark.parametrize("page", PRESENT, ids=_name)
def test_commands(page):
    wrong = {line: bad for line in _lines(_page(page)) if (bad := unknown_commands(line))}
    assert wrong == {}


@pytest.mark.parametrize(("line", "bad"), [
    ("prunus run a.npz b.npz --rho 0.1 --json", []),
    ("prunus verilog CONFIG [-o DIR]", []),
    ("prunus --help", []),
    ("prunus nothing a.npz", ["nothing"]),
    ("prunus run a.npz b.npz --rh 0.1", ["--rh"]),
    (".venv/bin/prunus area --fmax all -z", ["-z"]),
    ("make verilog [CONFIG=hdp_edge]   # writes it", []),
    ("make nothing", ["nothing"]),
    ("make soak NOTHING=1", ["NOTHING=1"]),
    ("python -m prunus.sim.nothing", ["prunus.sim.nothing"]),
    ("python -m prunus.sim.campaigns.soak --jobs 1 --nothing", ["--nothing"]),
    ("PRUNUS_BUILD=/tmp python -m prunus digits --nothing", ["--nothing"]),
    ("python -m pytest -q", []),
])
def test_what_is_no_command_is_seen(line, bad):
    assert unknown_commands(line) == bad


def test_options_of_the_command_line():
    """Those that the section of a command names are its own."""
    command, wrong, tokens = None, [], _page(ROOT / "docs" / "cli.md")
    for n, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            words = _plain(tokens[n + 1]).split()
            command = words[1] if words[0] == "prunus" else None
        elif token.type == "code_inline" and token.content.startswith("--") and command:
            known = _help("prunus", command) or ""
            wrong += [(command, name) for name in _unknown(token.content.split(), known)]
    assert wrong == []


def test_the_command_line_page_has_every_option():
    """In the section of its command; -o and -h are the short names of two."""
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    parts = re.split(r"^## prunus (\w+).*$", text, flags=re.MULTILINE)
    missing = []
    for command, section in zip(parts[1::2], parts[2::2], strict=True):
        found = re.findall(r"(?<![\w-])--[a-z][a-z-]*", _help("prunus", command) or "")
        missing += [(command, name) for name in sorted({*found} - {"--output", "--help"})
                    if not re.search(rf"{name}(?![\w-])", section)]
    assert len(parts) > 20 and missing == []


# -- Python ----------------------------------------------------------------------------------------
def _imported(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def unresolved(source: str) -> list[str]:
    """Imports of a text that name no module, or nothing in it. Raises SyntaxError."""
    bad = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            bad += [alias.name for alias in node.names if not _imported(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            if not _imported(module):
                bad.append(module)
                continue
            bad += [f"{module}.{alias.name}" for alias in node.names
                    if not hasattr(sys.modules[module], alias.name)
                    and not _imported(f"{module}.{alias.name}")]
    return bad


@pytest.mark.parametrize("page", PRESENT, ids=_name)
def test_python(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, source in _code(_page(page)):
        if kind in ("python", "runnable"):
            assert unresolved(source) == []
        if kind == "runnable":
            exec(compile(source, _name(page), "exec"), {"__name__": "__main__"})


def test_wrong_python_is_seen():
    assert unresolved("from prunus.golden.jobs import Job, Nothing\nimport prunus.nothing") == [
        "prunus.golden.jobs.Nothing", "prunus.nothing"]
    with pytest.raises(SyntaxError):
        unresolved("with open(")
    marked = _tokens("<!-- runnable -->\n```python\n1 / 0\n```\n")
    assert list(_code(marked)) == [("runnable", "1 / 0\n")]


# -- the site --------------------------------------------------------------------------------------
def test_drawings_are_those_of_their_texts():
    images = ROOT / "docs" / "images"
    draw = runpy.run_path(str(images / "draw.py"))["draw"]
    assert {path.stem for path in images.glob("*.svg")} == {
        path.stem for path in images.glob("*.txt")}
    for source in images.glob("*.txt"):
        assert draw(source.read_text("utf-8")) == source.with_suffix(".svg").read_text("utf-8")


def _built(folder: Path, *more: str) -> subprocess.CompletedProcess:
    """mkdocs with all its warnings as errors. It must not be quiet, for then it counts none."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})


def test_the_site_builds(tmp_path):
    pytest.importorskip("mkdocs")
    done = _built(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_site_does_not_build_with_a_broken_link(tmp_path):
    pytest.importorskip("mkdocs")
    pages = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", pages)
    with (pages / "theory.md").open("a", encoding="utf-8") as file:
        file.write("\n[x](nowhere.md) [y](theory.md#nothing)\n")
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        settings.replace("docs/hooks.py", str(ROOT / "docs" / "hooks.py")), "utf-8")
    done = _built(tmp_path / "site", "-f", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 1
    assert "'nowhere.md'" in done.stderr and "'theory.md#nothing'" in done.stderr
