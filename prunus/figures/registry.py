# SPDX-License-Identifier: Apache-2.0
"""All figures by name."""

from dataclasses import replace

from . import (
    benches,
    boards,
    buys,
    calibrations,
    criteria,
    energy,
    hdp,
    heat,
    heat_forms,
    heat_front,
    heat_rtl,
    leopard,
    masks,
    methods,
    papers,
    power,
    silicon,
    simulation,
    training,
    vit,
)
from .figure import Figure

__all__ = ["FIGURES"]


def _found() -> dict[str, Figure]:
    modules = (hdp, criteria, masks, methods, calibrations, papers, vit, leopard, energy, power,
               training, boards, benches, simulation, silicon, buys, heat,
               heat_forms, heat_front, heat_rtl)
    found = {figure.name: figure for module in modules for figure in module.FIGURES}
    # What shows the data of another figure has its file and its command.
    return {name: figure if figure.of is None else replace(
        figure, bench=found[figure.of].bench, files=found[figure.of].files)
        for name, figure in found.items()}


FIGURES = _found()
