# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus run``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prunus.golden.engines import load_config

from .. import report
from ..engines import chosen_options, front_of, with_engine_options
from ..errors import InputError
from ..files import check_output, write_files
from ..run import BACKENDS, Run, check_hardware, not_installed

__all__ = ["run", "save"]


class Backend(StrEnum):
    GOLDEN = "golden"
    VERILATOR = "verilator"
    SERIAL = "serial"
    UIO = "uio"


@with_engine_options
def run(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="q, k, v (heads, l, d) integer "
                                           "codes and scale; see docs/cli.md.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where the outputs go.")],
    config: Annotated[str, typer.Option(
        help="A preset (see prunus presets) or a TOML file.")] = "hdp_edge",
    backend: Annotated[Backend, typer.Option(help="The specification, the RTL on Verilator, a "
                                             "board on a serial port, or the coprocessor beside "
                                             "this Linux.")] = Backend.GOLDEN,
    port: Annotated[str | None, typer.Option(help="Serial port of the board, such as "
                                             "/dev/ttyUSB0.", show_default=False)] = None,
    baud: Annotated[int | None, typer.Option(min=300, help="Of the board, default 1000000.",
                                             show_default=False)] = None,
    device: Annotated[str | None, typer.Option(
        metavar="PATH[@ADDRESS]", help="Registers: a UIO device such as /dev/uio0, or "
        "/dev/mem@ADDRESS.", show_default=False)] = None,
    memory: Annotated[str | None, typer.Option(
        metavar="PATH[@ADDRESS+SIZE]", help="Memory that the coprocessor reaches: a u-dma-buf such "
        "as /dev/udmabuf0, or PATH@ADDRESS+SIZE.", show_default=False)] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Also write mask, scores and what else the "
                                        "engine has of them (golden only).")] = False,
    trace_file: Annotated[Path | None, typer.Option(
        metavar="WAVE", help="Also write the waveform of all signals, .fst or .vcd (verilator "
        "only).", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **options: Any,
) -> None:
    """Run heads of attention through the coprocessor."""
    if trace and backend is not Backend.GOLDEN:
        raise InputError("--trace needs --backend golden: the RTL has no such outputs")
    more = check_hardware(backend, {"port": port, "baud": baud, "device": device, "memory": memory})
    if trace:
        more["whole"] = True
    more |= _trace(trace_file, backend, source, target)
    chosen = load_config(config)
    front = front_of(chosen)
    jobs = front.load_jobs(source, chosen, chosen_options(chosen, options))
    path = check_output(target, source)
    with report.heads_progress() as progress:
        if progress and backend is Backend.VERILATOR:
            more["stage"] = progress.stage
        done = BACKENDS[backend](jobs, chosen, progress, **more)
    save(path, done, trace)
    summary = done.summary(front.figures(done))
    if as_json:
        report.print_json(summary)
    else:
        wave = [("waveform", str(trace_file))] if trace_file else []
        report.print_lines([*front.lines(summary), *_lines(summary), *wave])


def _trace(path: Path | None, backend: Backend, *others: Path) -> dict[str, Any]:
    """The option of backend ``verilator`` for a waveform; ``others`` are other files of the run."""
    if path is None:
        return {}
    if backend is not Backend.VERILATOR:
        raise InputError(f"--trace-file needs --backend verilator, not {backend}")
    try:
        from prunus.sim.waveforms import check_waveform
    except ModuleNotFoundError as err:
        raise not_installed(err) from None
    check_waveform(path)
    if path.resolve() in [other.resolve() for other in others]:
        raise InputError(f"--trace-file must not be {str(path)!r}, the input or the output")
    return {"trace": check_output(path)}


def save(path: Path, done: Run, trace: bool) -> None:
    """Write the outputs and figures of all heads, and golden's traces if wanted."""
    front = front_of(done.config)
    arrays: dict[str, Any] = {
        "out": np.stack([out for out, _ in done.outputs]).astype(np.int32),
        "out_frac": np.int64(done.config.out_frac),
        **front.arrays(done),
    }
    if done.cycles is not None:
        arrays["cycles"] = np.int64(done.cycles)
    for name in front.trace if trace else ():
        arrays[name] = np.stack([getattr(result, name) for result in done.golden])
    # Given a file rather than a name, savez does not append .npz.
    write_files({path: lambda file: np.savez(file, **arrays)})


def _lines(summary: dict) -> list[tuple[str, str]]:
    """What there is to say of a run of any engine."""
    lines = [("read", f"{summary['read_bytes']} bytes"),
             ("written", f"{summary['write_bytes']} bytes")]
    if summary["sim_s"] is not None:
        lines += [("time", f"{summary['build_s']:.1f} s build, "
                           f"{summary['sim_s']:.1f} s simulation")]
    return lines
