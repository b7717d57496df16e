# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus``."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from golden.engines import ConfigError, load_config, preset_names
from golden.hdp.config import HdpConfig
from golden.leopard.config import LeopardConfig
from sim.campaigns.campaign import CampaignError

from . import heads as npz
from . import report
from .bench.command import bench
from .commands.digits import digits
from .commands.energy import energy
from .engines import leopard
from .errors import InputError, RunError
from .files import check_output, make_directory, write_files
from .fpga.command import fpga
from .run import BACKENDS, check_port
from .synth.command import area
from .train.capture import accuracy, capture
from .train.command import train_thresholds

__all__ = ["app", "main"]

app = typer.Typer(name="prunus", no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False,
                  help="Coprocessors for pruned attention: generate them, run heads through them.")


class Backend(StrEnum):
    GOLDEN = "golden"
    VERILATOR = "verilator"
    SERIAL = "serial"


class Pruned(StrEnum):
    ZERO = "zero"
    DROP = "drop"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CONFIG_HELP = "A preset (see prunus presets) or a TOML file."


@app.command()
def presets(as_json: Json = False) -> None:
    """List the presets."""
    configs = [load_config(name) for name in preset_names()]
    if as_json:
        report.print_json([config.model_dump() for config in configs])
        return
    fields = list(dict.fromkeys(["name", *HdpConfig.model_fields, *LeopardConfig.model_fields]))
    report.print_table(fields, [[config.model_dump().get(field, "-") for field in fields]
                                for config in configs])


@app.command()
def verilog(
    config: Annotated[str, typer.Argument(help=CONFIG_HELP)],
    directory: Annotated[Path, typer.Option("--output", "-o", help="Where to write, made if "
                                            "missing.")] = Path("build/verilog"),
) -> None:
    """Write NAME.v, and NAME.json with its parameters, ports and registers."""
    chosen = load_config(config)
    make_directory(directory)
    source, description = (check_output(directory / f"{chosen.name}.{kind}")
                           for kind in ("v", "json"))
    from hw.verilog.emit import emit  # slow to import, and only this command needs it

    emission = emit(chosen)
    text = json.dumps(emission.metadata, indent=2) + "\n"
    write_files({source: lambda file: file.write(emission.verilog.encode()),
                 description: lambda file: file.write(text.encode())})
    for path in (source, description):
        typer.echo(directory / path.name)


def _refuse(first: str, given: dict[str, bool], why: str) -> None:
    for option, is_given in given.items():
        if is_given:
            raise InputError(f"{first} and {option} contradict each other: {why}")


def _check_engine(given: dict[str, bool], engine: str, config: HdpConfig | LeopardConfig) -> None:
    """Refuse options of another engine than the configuration's."""
    for option, is_given in given.items():
        if is_given and config.engine != engine:
            raise InputError(f"{option} is an option of engine {engine}, and config {config.name} "
                             f"is of engine {config.engine}")


@app.command()
def run(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="q, k, v (heads, l, d) integer "
                                           "codes and scale; see docs/cli.md.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where the outputs go.")],
    config: Annotated[str, typer.Option(help=CONFIG_HELP)] = "hdp_edge",
    backend: Annotated[Backend, typer.Option(help="The specification, the RTL on Verilator, or a "
                                             "board on a serial port.")] = Backend.GOLDEN,
    port: Annotated[str | None, typer.Option(help="Serial port of the board, such as "
                                             "/dev/ttyUSB0.", show_default=False)] = None,
    baud: Annotated[int | None, typer.Option(min=300, help="Of the board, default 1000000.",
                                             show_default=False)] = None,
    rho: Annotated[float | None, typer.Option(
        help="Block pruning ratio in (-1, 1), rounded to 1/128: a larger one prunes more. "
        f"Default: that of IN.npz, or {npz.DEFAULT_RHO}.", show_default=False)] = None,
    tau_head: Annotated[int | None, typer.Option(
        help=f"Heads with a theta_head below it are pruned, 0..{npz.TAU_MAX}. "
        "Default: that of IN.npz, or 0.", show_default=False)] = None,
    pruned: Annotated[Pruned | None, typer.Option(
        help="A pruned block has score 0, or probability 0. Default: zero.",
        show_default=False)] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Full products for kept blocks.")] = False,
    dense: Annotated[bool, typer.Option("--dense", help="No pruning at all.")] = False,
    threshold: Annotated[float | None, typer.Option(
        help="LeOPArd: keys with a logit below it are pruned. Default: that of IN.npz, or none.",
        show_default=False)] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Also write mask, scores and theta or "
                                        "digits (golden only).")] = False,
    as_json: Json = False,
) -> None:
    """Run heads of attention through the coprocessor."""
    if trace and backend is not Backend.GOLDEN:
        raise InputError("--trace needs --backend golden: the RTL has no such outputs")
    line = check_port(port, baud, backend is Backend.SERIAL)
    if dense:
        _refuse("--dense", {"--rho": rho is not None, "--tau-head": tau_head is not None,
                            "--pruned": pruned is not None}, "dense attention prunes nothing")
    chosen = load_config(config)
    _check_engine({"--rho": rho is not None, "--tau-head": tau_head is not None,
                   "--pruned": pruned is not None, "--exact": exact, "--dense": dense},
                  "hdp", chosen)
    _check_engine({"--threshold": threshold is not None}, "leopard", chosen)
    if isinstance(chosen, LeopardConfig):
        summary = _run_leopard(source, target, chosen, threshold, backend, trace, line)
    else:
        options = npz.Options(rho=rho, tau_head=tau_head, drop=pruned is Pruned.DROP, exact=exact,
                              dense=dense)
        summary = _run_hdp(source, target, chosen, options, backend, trace, line)
    if as_json:
        report.print_json(summary)
    elif isinstance(chosen, LeopardConfig):
        report.print_leopard_summary(summary)
    else:
        report.print_summary(summary)


def _run_hdp(source: Path, target: Path, config: HdpConfig, options: npz.Options, backend: Backend,
             trace: bool, line: dict) -> dict:
    jobs = npz.load_jobs(source, config, options)
    path = check_output(target, source)
    with report.heads_progress() as progress:
        done = BACKENDS[backend](jobs, config, progress, **line)
    npz.save_results(path, done.outputs, config, cycles=done.cycles,
                     trace=done.golden if trace else None)
    return done.summary()


def _run_leopard(source: Path, target: Path, config: LeopardConfig, threshold: float | None,
                 backend: Backend, trace: bool, line: dict) -> dict:
    jobs = leopard.load_jobs(source, config, threshold)
    path = check_output(target, source)
    with report.heads_progress() as progress:
        done = leopard.BACKENDS[backend](jobs, config, progress, **line)
    leopard.save_results(path, done, trace=trace)
    return done.summary()


app.command()(bench)
app.command()(area)
app.command()(fpga)
app.command()(digits)
app.command()(energy)
app.command()(train_thresholds)
app.command()(capture)
app.command()(accuracy)


def main(args: list[str] | None = None) -> None:
    """Run the command; errors a user can mend are one line on stderr and exit code 2."""
    try:
        app(args, prog_name="prunus")
    except (InputError, ConfigError, CampaignError, RunError) as err:
        typer.echo(f"error: {err}", err=True)
        sys.exit(1 if isinstance(err, RunError) else 2)


if __name__ == "__main__":
    main()
