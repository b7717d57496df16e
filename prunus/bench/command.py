# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus bench``."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from golden.engine import EngineConfig
from golden.engines import load_config
from golden.hdp.config import HdpConfig
from golden.leopard.config import LeopardConfig
from sim.campaigns.campaign import Options, Task, TaskError, run

from ..errors import InputError, RunError
from ..files import check_output, make_directory, write_files
from ..options import Fresh, Scheduler, Workers
from ..report import print_json, print_table
from . import leopard, plot, report
from .cases import Case, suite
from .measure import measure

__all__ = ["bench", "try_cases", "try_leopard"]


def _command(config: EngineConfig, data: Sequence[Path], quick: bool, wanted: str | None) -> str:
    """The command as somebody else would give it: of paths only their names."""
    words = ["prunus", "bench", "--config", config.name]
    words += [word for path in data for word in ("--data", path.resolve().name)]
    words += ["--quick"] if quick else []
    words += ["--cases", wanted] if wanted is not None else []
    return shlex.join(words)


def try_cases(cases: Sequence[Case], config: HdpConfig) -> tuple[list[dict], dict]:
    """``measure`` as a task."""
    try:
        return measure(cases, config)
    except RunError as err:
        raise TaskError(str(err)) from None


def try_leopard(cases: Sequence[leopard.LeopardCase], config: LeopardConfig,
                quick: bool) -> tuple[list[dict], dict]:
    """That of LeOPArd."""
    try:
        return leopard.measure(cases, config, quick)
    except RunError as err:
        raise TaskError(str(err)) from None


def _measured(function: Callable, arguments: tuple, config: EngineConfig,
              options: Options) -> tuple[list[dict], dict]:
    """The rows, and what was simulated for them; raises RunError.

    All cases are one task, as cycles depend a little on the doorbell before (up to 13 of 3,256 in
    a quick bench of hdp_tiny): apart, they would not be those of one simulation.
    """
    result, = run(f"bench-{config.name}", [Task("all cases", function, arguments)], options)
    if result.failure:
        raise RunError(result.failure)
    rows, simulation = result.value
    return rows, simulation


def _targets(directory: Path) -> dict[str, Path]:
    """Where the files go, checked before anything is simulated."""
    make_directory(directory)
    names = ["bench.json", "bench.md"]
    if plot.available():
        names += [f"speedup.{kind}" for kind in plot.KINDS]
    else:
        typer.echo("no plot: it needs the Python package 'matplotlib': pip install -e '.[plot]'",
                   err=True)
    return {name: check_output(directory / name) for name in names}


def _write(result: dict, targets: dict[str, Path]) -> None:
    texts = {"bench.json": json.dumps(result, indent=1) + "\n",
             "bench.md": report.markdown(result, [n for n in targets if n.endswith(".svg")])}

    def writer(name: str):
        if name in texts:
            return lambda file: file.write(texts[name].encode())
        return lambda file: plot.speedup_plot(result, file, name.rpartition(".")[2])

    write_files({path: writer(name) for name, path in targets.items()})


def bench(
    config: Annotated[str, typer.Option(help="A preset or a TOML file.")] = "hdp_edge",
    data: Annotated[list[Path] | None, typer.Option(
        metavar="PATH", help="Real heads beside those of examples/: a file as IN.npz of prunus "
        "run, or a directory of them. May be repeated.", show_default=False)] = None,
    cases: Annotated[str | None, typer.Option(
        metavar="PATTERNS", help="Only cases in whose name one of these comma-separated patterns "
        "occurs (kept, d64, mode/c*). Default: all.", show_default=False)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer, shorter cases.")] = False,
    directory: Annotated[Path | None, typer.Option(
        "--output", "-o", help="Also write bench.json, bench.md and the plot speedup.svg, .png "
        "there; made if missing.", show_default=False)] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    fresh: Fresh = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure cycles, pruned and dense, of the RTL on real and made heads."""
    chosen, data = load_config(config), data or []
    options = Options(workers=workers, scheduler=scheduler, fresh=fresh)
    for path in data:
        if not path.exists():
            raise InputError(f"data {str(path)!r} must be .npz files or directories of them, and "
                             "does not exist")
    if isinstance(chosen, LeopardConfig):
        _bench_leopard(chosen, data, cases, quick, directory, as_json, options)
        return
    work = suite(chosen, data=data, quick=quick, wanted=cases)
    targets = _targets(directory) if directory is not None else {}
    rows, simulation = _measured(try_cases, (work.cases, chosen), chosen, options)
    result = report.document(rows, simulation, work, chosen,
                             _command(chosen, data, quick, cases))
    _write(result, targets)
    if as_json:
        print_json(result)
        return
    table = report.columns()
    print_table([column.title for column in table],
                [[column.text(row) for column in table] for row in rows],
                brief=[column.title for column in report.brief()])
    for line in report.summary(result):
        typer.echo(line)
    for name in targets:
        typer.echo(directory / name)


def _bench_leopard(config: LeopardConfig, data: Sequence[Path], wanted: str | None, quick: bool,
                   directory: Path | None, as_json: bool, options: Options) -> None:
    found = leopard.cases(config, data=data, quick=quick, wanted=wanted)
    targets = {}
    if directory is not None:
        make_directory(directory)
        targets = {name: check_output(directory / name) for name in ("bench.json", "bench.md")}
    rows, simulation = _measured(try_leopard, (found, config, quick), config, options)
    result = leopard.document(rows, simulation, config, _command(config, data, quick, wanted))
    texts = {"bench.json": json.dumps(result, indent=1) + "\n",
             "bench.md": leopard.markdown(result, config)}
    write_files({path: lambda file, name=name: file.write(texts[name].encode())
                 for name, path in targets.items()})
    if as_json:
        print_json(result)
        return
    table = leopard.columns(config)
    print_table([column.title for column in table],
                [[column.text(row) for column in table] for row in rows],
                brief=[column.title for column in leopard.brief()])
    for line in leopard.summary(result):
        typer.echo(line)
    for name in targets:
        typer.echo(directory / name)
