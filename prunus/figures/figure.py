# SPDX-License-Identifier: Apache-2.0
"""A figure: how it is measured, where its data are kept, and the table that they become."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prunus.golden.engines import load_config

from ..errors import InputError
from ..files import make_directory, write_files
from ..heads import EXAMPLES

__all__ = ["ROOT", "RTL", "Compared", "Figure", "Heads", "changes", "compared", "header", "load",
           "measured", "save", "table"]

ROOT = Path(__file__).resolve().parents[2]
RTL = ("numpy", "amaranth", "verilator")      # tools that figures of the RTL come from
ABOUT_BENCH = ("measured", "from", "versions", "heads", "earlier")
DIGITS = 9                  # significant ones that are kept of a float; the last ones vary


class Compared(StrEnum):
    """Which tests measure a figure again."""

    SIM = "measured again by make sim"
    LARGE = "measured again by make large"
    COMMAND = "too long for a test: measured by the command only"
    DERIVED = "follows from the data of another figure"


@dataclass(frozen=True)
class Heads:
    """Files of real heads: the examples, and those of a folder that is not in the repository.

    ``models`` and ``texts`` are folders of whole models and of what they read, if there are.
    """

    found: Mapping[str, Path]
    models: Path | None = None
    texts: Path | None = None

    @classmethod
    def under(cls, folder: Path | None, models: Path | None = None,
              texts: Path | None = None) -> "Heads":
        """The examples and the .npz files of ``folder``, or of ``folder``/qkv."""
        paths = sorted(EXAMPLES.rglob("*.npz"))
        if folder is not None:
            given = sorted(folder.glob("*.npz")) or sorted((folder / "qkv").glob("*.npz"))
            if not given:
                raise InputError(f"data must be a directory of .npz files, and {str(folder)!r} "
                                 "holds none")
            paths = given + paths
        return cls({path.stem: path for path in paths}, models, texts)

    def of(self, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
        """Those of ``names`` that are there."""
        return ((name, self.found[name]) for name in names if name in self.found)

    def missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.found]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Figures that stand in a page, or are one.

    Members
    -------
    name : str
        Of the place in the page and of the file in docs/figures.
    about : str
        One line for ``--list``.
    table : callable
        From the data to Markdown.
    measure : callable or None
        From the heads at hand to the data, which are ready for JSON: a list of rows, each with its
        ``file``, if some may be missing.
    of : str or None
        The figure with the data, where two show the same.
    files : tuple of str
        Files of heads, in the order of the rows.
    configs : tuple of str
        Presets that the figures belong to.
    tools : tuple of str
        Packages whose versions may matter.
    compared : Compared
    models : bool
        It is measured with whole models and texts, whose folders are given.
    page : str or None
        A page that is this figure and nothing else.
    also : str
        Another command that measures it, if not this one.
    bench : str or None
        The file with the data, if it is one that ``prunus bench`` writes.
    plots : callable or None
        From the data to what writes pictures beside them, by file name.
    """

    name: str
    about: str
    table: Callable[[Any], str]
    measure: Callable[[Heads], Any] | None = None
    of: str | None = None
    files: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ("numpy",)
    compared: Compared = Compared.SIM
    models: bool = False
    page: str | None = None
    also: str = ""
    bench: str | None = None
    plots: Callable[[Any], dict[str, Callable]] | None = None

    def path(self, root: Path) -> Path:
        """Of the data."""
        if self.bench is not None:
            return root / self.bench
        return root / "docs" / "figures" / f"{self.of or self.name}.json"

    @property
    def command(self) -> str:
        """That measures the figure again."""
        if self.also:
            return self.also
        outside = set(self.files) - {path.stem for path in EXAMPLES.rglob("*.npz")}
        return f"python -m prunus.figures --measure {self.name}" + (
            " --data DIR" if outside else "") + (
            " --models DIR --texts DIR" if self.models else "")


def table(titles: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in (titles, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(titles), *lines[1:]])


def load(figure: Figure, root: Path = ROOT) -> dict:
    """What is kept of a figure. Raises InputError."""
    path = figure.path(root)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if figure.bench is not None:
            document["cases"]
            about = {key: document.pop(key) for key in ABOUT_BENCH if key in document}
            return about | {"data": document}
        document["data"]
        return document
    except (OSError, ValueError, LookupError, TypeError) as err:
        reason = getattr(err, "strerror", None) or "not one that this command wrote"
        raise InputError(f"figures {os.fspath(path)!r} cannot be read: {reason}") from None


def save(figure: Figure, document: dict, root: Path = ROOT) -> None:
    path = figure.path(root)
    make_directory(path.parent)
    if figure.bench is not None:        # as prunus bench has it, and when and of what
        document = document["data"] | {
            key: document[key] for key in ABOUT_BENCH if key in document}
    text = json.dumps(document, indent=1) + "\n"
    pictures = figure.plots(document) if figure.plots is not None else {}
    write_files({path: lambda file: file.write(text.encode())} | {
        path.parent / name: write for name, write in pictures.items()})


def _plain(value: Any) -> Any:
    """The data as JSON gives them back, floats without digits that depend on the machine."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, int) else float(f"{float(value):.{DIGITS}g}")


def _versions(tools: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in tools:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def header(figure: Figure) -> dict:
    """What stands beside the data and does not come from measuring them."""
    return {
        "figure": figure.name, "about": figure.about, "command": figure.command,
        "compared": str(figure.compared),
        "configurations": {name: load_config(name).model_dump(mode="json", exclude={"name"})
                           for name in figure.configs},
    }


def measured(figure: Figure, heads: Heads, kept: dict | None) -> tuple[dict, list[str]]:
    """A new document, and the files whose rows are still those of ``kept``.

    Raises
    ------
    InputError
        When the figure cannot be measured here, or nothing is kept of what is missing.
    """
    if figure.measure is None:
        raise InputError(f"figure {figure.name} is not measured by this command: {figure.command}")
    missing = heads.missing(figure.files)
    if missing and kept is None:
        raise InputError(f"figure {figure.name} needs the heads {', '.join(missing)}: give their "
                         "folder by --data or PRUNUS_DATA")
    if figure.files and len(missing) == len(figure.files):
        raise InputError(f"figure {figure.name} needs some of the heads {', '.join(missing)}: give "
                         "their folder by --data or PRUNUS_DATA")
    begin = time.monotonic()
    data = _plain(figure.measure(heads))
    seconds = time.monotonic() - begin
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest()
               for name, path in heads.of(figure.files)}
    document = header(figure) | {
        "measured": date.today().isoformat(), "seconds": round(seconds, 1),
        "versions": _versions(figure.tools)}
    if kept is not None and missing:
        digests |= {name: kept["heads"][name] for name in missing}
        data += [row for row in kept["data"] if row["file"] in missing]
        data.sort(key=lambda row: figure.files.index(row["file"]))
        document["earlier"] = {name: kept.get("earlier", {}).get(name, kept["measured"])
                               for name in missing}
    if figure.files:
        document["heads"] = {name: digests[name] for name in figure.files}
    return document | {"data": data}, missing


def compared(figure: Figure, data: Any) -> Any:
    """Of the data of a figure what must come out again: no seconds."""
    return _plain(data if figure.bench is None else {
        key: value for key, value in data.items() if key != "simulation"})


def changes(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """What differs between two data, a line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            yield from changes(before.get(key), after.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, pair in enumerate(zip(before, after, strict=True)):
            yield from changes(*pair, f"{where}[{n}]")
    elif before != after:
        yield f"{where}: {before!r} -> {after!r}"
