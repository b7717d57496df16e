# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus power``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from prunus.golden.engines import load_config

from ..engines import FRONTS, engine_parameters, with_parameters
from ..errors import InputError
from ..files import check_output, write_files
from ..options import WorkersOfOne
from ..report import print_json, print_lines, print_table, status_line
from ..run import not_installed
from .work import SHARE, work_of

__all__ = ["power"]

CONFIG = FRONTS["hdp"].preset
MOST_MHZ = 10_000


class Wires(StrEnum):
    """Wire-load models of the library that are offered."""

    NONE = "none"
    SMALL = "10k"
    LARGE = "50k"


def _print(summary: dict) -> None:
    total, each = sum(summary["nj"].values()), summary["pj_per_dense_product"]
    print_lines([
        ("config", f"{summary['config']}, {summary['engine']}"),
        ("heads", f"{summary['heads']}, {summary['kept']:.1%} kept"
                  + (", dense" if summary["dense"] else "")),
        ("cycles", f"{summary['cycles']:,}"),
        ("gates", f"{summary['compared_bits']:,} bits of outputs compared with the RTL, "
                  f"{summary['differing_bits']} differ"),
        ("energy", f"{summary['nj_per_head']:,.1f} nJ per head"
                   + ("" if each is None else f", {each:.2f} pJ per product of dense attention")),
        ("power", f"{summary['mean_mw']:.1f} mW, at most {summary['peak_mw']:.1f} mW in a cycle, "
                  f"at {summary['clock_mhz']:g} MHz"),
        ("area", f"{summary['area_um2']['logic'] / 1e6:.3f} mm2 of logic, "
                 f"{summary['area_um2']['memory'] / 1e6:.3f} mm2 of memories"),
        ("flip-flops", f"{summary['flip_flops']:,}, of which {summary['clocked_share']:.1%} are "
                       "clocked in a cycle")])
    for title, some in (("kind", summary["nj"]), ("block", summary["blocks"])):
        print_table([title, "nJ per head", "share"],
                    [[name, f"{value / summary['heads']:,.1f}",
                      f"{value / total:.1%}"] for name, value in some.items()])


def power(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="Heads as prunus run takes "
                                           "them.")],
    config: Annotated[str, typer.Option(help="A preset (see prunus presets) or a TOML "
                                        "file.")] = CONFIG,
    dense: Annotated[bool, typer.Option("--dense", help="Prune nothing, on the same "
                                        "coprocessor.")] = False,
    baseline: Annotated[bool, typer.Option("--baseline", help="LeOPArd, Top-K: prune nothing, on "
                                           "one full-width unit of the same size.")] = False,
    share: Annotated[float, typer.Option(
        help="Of the keys, in [0, 1), that LeOPArd's threshold and Top-K prune where neither "
        "IN.npz nor an option says it.")] = SHARE,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Take the first N heads "
                                              "alone.", show_default=False)] = None,
    clock_gates: Annotated[bool, typer.Option("--clock-gates", help="Let Yosys put clock gates in "
                                              "front of flip-flops with enables.")] = False,
    clock_mhz: Annotated[float, typer.Option(help="Of the clock, for leakage and power.")] = 100.0,
    wires: Annotated[Wires, typer.Option(help="Wire-load model of the cells' library.")] =
        Wires.NONE,
    glitches: Annotated[bool, typer.Option("--glitches", help="Let nets change as often as delays "
                                           "of cells allow, not once in a cycle.")] = False,
    depth: Annotated[int, typer.Option(min=1, help="Of blocks in the hierarchy.")] = 2,
    workers: WorkersOfOne = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw where the energy goes, as "
                                              ".svg or .png.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **options: Any,
) -> None:
    """Count what heads cost in energy, in gates of an open 130 nm process."""
    if not 0 <= share < 1:
        raise InputError(f"share must lie in [0, 1), not {share}")
    if not 0 < clock_mhz <= MOST_MHZ:
        raise InputError(f"clock-mhz must lie in (0, {MOST_MHZ:,}], not {clock_mhz}")
    if dense and baseline:
        raise InputError("--dense and --baseline contradict each other: one is on this "
                         "coprocessor, the other on a plain one")
    chosen = load_config(config)
    if plot is not None:
        from .plot import check_plot

        check_plot(plot)
        check_output(plot, source)
    try:
        from .measure import measure
    except ModuleNotFoundError as err:
        raise not_installed(err) from None
    with status_line() as progress:
        if progress:
            progress("computing what is kept")
        work, machine = work_of(source, chosen, options, dense=dense, baseline=baseline,
                                share=share, limit=limit)
        found = measure(work, machine, clock_gates=clock_gates,
                        wires=str(wires),
                        glitches=glitches, clock_hz=clock_mhz * 1e6, workers=workers or None,
                        progress=progress)
    summary = found.summary(depth) | {"dense": dense or baseline, "clock_gates": clock_gates,
                                      "wires": str(wires), "glitches": glitches}
    if plot is not None:
        from .plot import energy_plot

        write_files({plot: lambda file: energy_plot([summary], file, plot.suffix[1:])})
    if as_json:
        print_json(summary)
    else:
        _print(summary)


power = with_parameters(power, [parameter for name, parameter in engine_parameters().items()
                                if name != "dense"])
