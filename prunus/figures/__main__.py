# SPDX-License-Identifier: Apache-2.0
"""Figures of the documents: without an option, write them into README.md and docs/."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from prunus.golden.engines import ConfigError
from prunus.sim.campaigns.campaign import CampaignError

from ..errors import InputError, RunError
from ..files import write_files
from .figure import ROOT, Figure, Heads, changes, compared, load, measured, save
from .pages import pages, places, rendered, unmarked
from .registry import FIGURES

__all__ = ["faults", "main", "texts", "unused"]

TOLD = 20                   # changes that are said of a figure


def texts(root: Path) -> dict[Path, str]:
    """All pages with figures in them, as they must be. Raises InputError."""
    tables = {name: figure.table(load(figure, root)["data"])
              for name, figure in FIGURES.items() if figure.page is None}
    wholly = {root / figure.page: figure for figure in FIGURES.values() if figure.page}
    found = {path: figure.table(load(figure, root)["data"]) for path, figure in wholly.items()}
    for path in pages(root):
        if path not in wholly:
            where = path.relative_to(root).as_posix()
            found[path] = rendered(path.read_text(encoding="utf-8"), where, tables)
    return found


def unused(root: Path) -> list[str]:
    """Figures that stand in no page."""
    used = {place.name for path in pages(root)
            for place in places(path.read_text(encoding="utf-8"), path.name)}
    return [name for name, figure in FIGURES.items() if figure.page is None and name not in used]


def faults(root: Path) -> list[str]:
    """What is wrong with the figures of the pages, a line each. Raises InputError for marks."""
    wanted = texts(root)
    found = [f"{path.relative_to(root).as_posix()}: its figures are not those of docs/figures: "
             "make figures writes them" for path, text in wanted.items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    wholly = {root / figure.page for figure in FIGURES.values() if figure.page}
    found += [f"figures {name} stand in no page: put '<!-- figures: {name} -->' where they belong"
              for name in unused(root)]
    return found + [line for path in wanted if path not in wholly for line in unmarked(
        wanted[path], path.relative_to(root).as_posix())]


def _chosen(names: Sequence[str]) -> list[Figure]:
    for name in names:
        if name not in FIGURES:
            raise InputError(f"figures must be some of {', '.join(FIGURES)}, not {name!r}")
    # Figures of the same data are measured once.
    return [FIGURES[name] for name in dict.fromkeys(FIGURES[name].of or name for name in names)]


def _measure(figure: Figure, heads: Heads, root: Path) -> None:
    kept = load(figure, root) if figure.path(root).exists() else None
    document, missing = measured(figure, heads, kept)
    save(figure, document, root)
    where = figure.path(root).relative_to(root).as_posix()
    print(f"{figure.name}: {document['seconds']} s, {where}")
    if missing:
        print(f"{figure.name}: {', '.join(missing)} are not there, their rows are those of before")
    if kept:
        found = [*changes(*(compared(figure, one["data"]) for one in (kept, document)))]
        for line in found[:TOLD]:
            print(f"{figure.name}: {line}")
        if found[TOLD:]:
            print(f"{figure.name}: ... and {len(found) - TOLD} more")


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def _list(root: Path) -> None:
    for name, figure in FIGURES.items():
        there = figure.path(root).exists()
        when = load(figure, root).get("measured", "by prunus bench") if there else "never measured"
        print(f"{name:22} {figure.about}\n{'':22} {figure.compared}; {when}; "
              f"{FIGURES[figure.of or name].command}")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m prunus.figures", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="say what figures there are")
    what.add_argument("--check", action="store_true",
                      help="write nothing; exit code 1 if a page is not as it must be")
    what.add_argument("--measure", nargs="+", metavar="NAME",
                      help="measure figures again and keep them in docs/figures")
    parser.add_argument("--data", type=Path, metavar="DIR",
                        help="further heads, a directory of .npz files; default: PRUNUS_DATA")
    parser.add_argument("--models", type=Path, metavar="DIR", help="of models, for figures of them")
    parser.add_argument("--texts", type=Path, metavar="DIR", help="of the texts that models read")
    chosen = parser.parse_args(arguments)
    try:
        if not (root / "docs").is_dir():
            raise InputError(f"figures are those of a checkout, and {str(root)!r} has no docs")
        if chosen.list:
            _list(root)
        elif chosen.measure:
            figures = _chosen(chosen.measure)
            given = os.environ.get("PRUNUS_DATA")
            heads = Heads.under(chosen.data or (Path(given) if given else None),
                                chosen.models, chosen.texts)
            for figure in figures:
                _measure(figure, heads, root)
        elif chosen.check:
            found = faults(root)
            for line in found:
                print(line)
            return 1 if found else 0
        else:
            changed = {path: text for path, text in texts(root).items()
                       if not path.exists() or path.read_text(encoding="utf-8") != text}
            write_files({path: partial(_write, text) for path, text in changed.items()})
            for path in changed:
                print(path.relative_to(root).as_posix())
    except (InputError, ConfigError, CampaignError, RunError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1 if isinstance(err, RunError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
