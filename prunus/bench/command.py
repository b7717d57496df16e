# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus bench``."""

import json
import shlex
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config
from prunus.sim.campaigns.campaign import Options, Task, TaskError, run

from ..console import install_hint
from ..errors import InputError, RunError
from ..files import check_output, make_directory, write_files
from ..options import Fresh, Scheduler, WorkersOfOne
from ..report import heads_progress, print_json, print_table
from . import plot
from .suite import BenchSuite, Progress
from .suites import suite_of

__all__ = ["bench", "try_suite"]


def _command(config: str, data: Sequence[Path], quick: bool, wanted: str | None) -> str:
    """The command as somebody else would give it: of paths only their names."""
    words = ["prunus", "bench", "--config", Path(config).name]
    words += [word for path in data for word in ("--data", path.resolve().name)]
    words += ["--quick"] if quick else []
    words += ["--cases", wanted] if wanted is not None else []
    return shlex.join(words)


_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)


def try_suite(work: Any, config: EngineConfig, quick: bool) -> tuple[list[dict], dict]:
    """The cases of a suite as a task."""
    try:
        return suite_of(config).measure(work, config, quick, _progress.get())
    except RunError as err:
        raise TaskError(str(err)) from None


def _measured(work: Any, config: EngineConfig, quick: bool,
              options: Options) -> tuple[list[dict], dict]:
    """The rows, and what was simulated for them; raises RunError.

    All cases are one task, as cycles depend a little on the doorbell before (up to 13 of 3,256 in
    a quick bench of hdp_tiny): apart, they would not be those of one simulation. It is done in this
    process unless somebody else is asked for, so that heads can be counted meanwhile.
    """
    if options.workers is None and not options.scheduler:
        options = replace(options, workers=0)
    task = Task("all cases", try_suite, (work, config, quick))
    with heads_progress() as progress:
        token = _progress.set(progress)
        try:
            result, = run(f"bench-{config.name}", [task], options, bar=options.workers != 0)
        finally:
            _progress.reset(token)
    if result.failure:
        raise RunError(result.failure)
    rows, simulation = result.value
    return rows, simulation


def _targets(directory: Path, plots: Sequence[str]) -> dict[str, Path]:
    """Where the files go, checked before anything is simulated."""
    make_directory(directory)
    names = ["bench.json", "bench.md"]
    if plots and not plot.available():
        typer.echo("no plot: it needs the Python package 'matplotlib': "
                   f"{install_hint('plot')}", err=True)
        plots = ()
    return {name: check_output(directory / name) for name in (*names, *plots)}


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
    workers: WorkersOfOne = None,
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
    suite = suite_of(chosen)
    work = suite.choose(chosen, data=data, quick=quick, wanted=cases)
    targets = _targets(directory, suite.plot_names()) if directory is not None else {}
    rows, simulation = _measured(work, chosen, quick, options)
    result = suite.document(work, rows, simulation, chosen, _command(config, data, quick, cases))
    _write(suite, result, chosen, targets)
    if as_json:
        print_json(result)
        return
    for part in suite.parts(rows, chosen):
        print_table([column.title for column in part.columns],
                    [[column.text(row) for column in part.columns] for row in part.rows],
                    brief=[column.title for column in part.brief])
    for line in suite.summary(result):
        typer.echo(line)
    if directory is not None:
        for name in targets:
            typer.echo(directory / name)


def _write(suite: BenchSuite, result: dict, config: EngineConfig,
           targets: dict[str, Path]) -> None:
    pictures = [name for name in targets if name.endswith(".svg")]
    texts = {"bench.json": json.dumps(result, indent=1) + "\n",
             "bench.md": suite.markdown(result, config, pictures)}
    writers = {name: lambda file, text=text: file.write(text.encode())
               for name, text in texts.items()} | suite.plots(result)
    write_files({path: writers[name] for name, path in targets.items()})
