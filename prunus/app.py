# SPDX-License-Identifier: Apache-2.0
"""All commands of ``prunus``."""

import sys
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from prunus import __version__
from prunus.golden.engines import ConfigError
from prunus.sim.campaigns.campaign import CampaignError

from .bench.command import bench
from .commands.calibrate import calibrate
from .commands.digits import digits
from .commands.energy import energy
from .commands.evaluate import evaluate
from .commands.image import image
from .commands.infer import infer
from .commands.linear import linear_layers
from .commands.presets import presets
from .commands.report import report
from .commands.run import run as run_heads
from .commands.verilog import verilog
from .compress.command import compress
from .errors import InputError, RunError
from .fpga.command import fpga
from .power.command import power
from .synth.command import area
from .train.capture import accuracy, capture
from .train.command import train_thresholds

__all__ = ["app", "run"]


class _Commands(TyperGroup):
    """Says of each command all that its first line says, on as many lines as that takes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, command.get_short_help_str(1000)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prunus {__version__}")
        raise typer.Exit


# Without markup, help is plain text and errors of usage come out as exceptions.
app = typer.Typer(name="prunus", cls=_Commands, add_completion=False,
                  rich_markup_mode=None, pretty_exceptions_enable=False,
                  context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def _options(version: Annotated[bool, typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Say which version this "
        "is.")] = False) -> None:
    """Coprocessors for pruned attention: generate them, run heads through them."""


for name, command in (
        ("presets", presets), ("verilog", verilog), ("run", run_heads),
        ("linear", linear_layers), ("image", image),
        ("bench", bench),
        ("area", area), ("power", power), ("fpga", fpga), ("digits", digits), ("energy", energy),
        ("train-thresholds", train_thresholds), ("capture", capture), ("accuracy", accuracy),
        ("evaluate", evaluate), ("calibrate", calibrate), ("infer", infer), ("report", report),
        ("compress", compress)):
    app.command(name)(command)


def _usage(err: Any) -> str:
    """An error of usage in a line."""
    text = err.format_message()
    if isinstance(err.__cause__, ValidationError):
        value = err.__cause__.errors()[0]["input"]
        text = text.replace("Value error, ", "").replace("Input should", "it should")
        text += "" if repr(value) in text else f", not {value!r}"
    text = " ".join(text.split()).removesuffix(".")
    context = getattr(err, "ctx", None)
    return f"{text}; see {context.command_path} -h" if context else text


def run(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code. Errors a user can mend are one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(arguments or ["--help"], prog_name="prunus", standalone_mode=False)
    except (InputError, ConfigError, CampaignError) as err:
        typer.echo(f"error: {err}", err=True)
        return 2
    except RunError as err:
        typer.echo(f"error: {err}", err=True)
        return 1
    except typer.TyperException as err:
        typer.echo(f"error: {_usage(err)}", err=True)
        return 2
    if code == 130:             # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return code or 0
