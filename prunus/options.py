# SPDX-License-Identifier: Apache-2.0
"""Options that commands share: where their campaigns are run."""

from typing import Annotated

import typer

from prunus.sim.campaigns.campaign import HELP

__all__ = ["Fresh", "Scheduler", "Workers", "WorkersOfOne"]

Workers = Annotated[int | None, typer.Option(
    min=0, metavar="N", help=f"{HELP['workers']} Default: 1.", show_default=False)]
WorkersOfOne = Annotated[int | None, typer.Option(      # where there is one task
    min=0, metavar="N", help=f"{HELP['workers']} Default: 0.", show_default=False)]
Scheduler = Annotated[str | None, typer.Option(
    metavar="ADDRESS", help=HELP["scheduler"], show_default=False)]
Fresh = Annotated[bool, typer.Option("--fresh", help=HELP["fresh"])]
