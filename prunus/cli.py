# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus``."""

import sys

import typer

from prunus.golden.engines import ConfigError
from prunus.sim.campaigns.campaign import CampaignError

from .bench.command import bench
from .commands.digits import digits
from .commands.energy import energy
from .commands.presets import presets
from .commands.run import run
from .commands.verilog import verilog
from .errors import InputError, RunError
from .fpga.command import fpga
from .synth.command import area
from .train.capture import accuracy, capture
from .train.command import train_thresholds

__all__ = ["app", "main"]

app = typer.Typer(name="prunus", no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False,
                  help="Coprocessors for pruned attention: generate them, run heads through them.")
for command in (presets, verilog, run, bench, area, fpga, digits, energy, train_thresholds, capture,
                accuracy):
    app.command()(command)


def main(args: list[str] | None = None) -> None:
    """Run the command; errors a user can mend are one line on stderr and exit code 2."""
    try:
        app(args, prog_name="prunus")
    except (InputError, ConfigError, CampaignError, RunError) as err:
        typer.echo(f"error: {err}", err=True)
        sys.exit(1 if isinstance(err, RunError) else 2)


if __name__ == "__main__":
    main()
