# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus run``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config
from prunus.golden.jobs import AttentionJob, visible_limits

from .. import report
from ..engines import FRONTS, chosen_options, front_of, with_engine_options
from ..errors import InputError
from ..evaluate.calibration import Calibration, arrays_of, load_calibration
from ..files import check_output, write_files
from ..heads import (
    attention_fields,
    bools_per_head,
    integers_per_head,
    read_arrays,
    real_per_head,
    real_scales,
)
from ..run import BACKENDS, Run, check_hardware, not_installed

__all__ = ["BACKEND", "BAUD", "DEVICE", "MEMORY", "PORT", "Backend", "run", "save"]

CONFIG = FRONTS["hdp"].preset
MOST = 2**16                # layers, and heads of one
CODES = ("centred", "balanced")     # what codes are made by, which cannot be changed any more


class Backend(StrEnum):
    GOLDEN = "golden"
    VERILATOR = "verilator"
    SERIAL = "serial"
    UIO = "uio"


BACKEND = Annotated[Backend, typer.Option(help="The specification, the RTL on Verilator, a board "
                                          "on a serial port, or the coprocessor beside this "
                                          "Linux.")]
PORT = Annotated[str | None, typer.Option(help="Serial port of the board, such as /dev/ttyUSB0.",
                                          show_default=False)]
BAUD = Annotated[int | None, typer.Option(min=300, help="Of the board, default 1000000.",
                                          show_default=False)]
DEVICE = Annotated[str | None, typer.Option(
    metavar="PATH[@ADDRESS]", help="Registers: a UIO device such as /dev/uio0, or "
    "/dev/mem@ADDRESS.", show_default=False)]
MEMORY = Annotated[str | None, typer.Option(
    metavar="PATH[@ADDRESS+SIZE]", help="Memory that the coprocessor reaches: a u-dma-buf such as "
    "/dev/udmabuf0, or PATH@ADDRESS+SIZE.", show_default=False)]


@with_engine_options
def run(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="q, k, v (heads, l, d) integer "
                                           "codes and scale; see docs/cli.md.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where the outputs go.")],
    config: Annotated[str | None, typer.Option(
        help="A preset (see prunus presets) or a TOML file. Default: that of the calibration, or "
        f"{CONFIG}.", show_default=False)] = None,
    calibration: Annotated[Path | None, typer.Option(
        metavar="TOML", help="Prune each head as this calibration says of its layer and head, "
        "which IN.npz names.", show_default=False)] = None,
    backend: BACKEND = Backend.GOLDEN,
    port: PORT = None,
    baud: BAUD = None,
    device: DEVICE = None,
    memory: MEMORY = None,
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
    said = None if calibration is None else load_calibration(calibration)
    chosen = load_config(config or (said.preset if said else None) or (
        FRONTS[said.method].preset if said else CONFIG))
    front, given = front_of(chosen), {}
    wanted = chosen_options(chosen, options)
    if said is not None and calibration is not None:
        if said.method != chosen.engine:
            raise InputError(f"calibration {str(calibration)!r} is of engine {said.method}, and "
                             f"config {chosen.name} is of engine {chosen.engine}")
        if wanted != front.options():
            raise InputError("options of the engine must not be given beside --calibration, which "
                             "says of each head how it is pruned")
        given = _calibrated(source, said, calibration, chosen)
    jobs = front.load_jobs(source, chosen, wanted, given)
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


def _calibrated(source: Path, calibration: Calibration, path: Path,
                config: EngineConfig) -> dict[str, Any]:
    """Arrays that prune the heads of a file as a calibration says. Raises InputError."""
    arrays = read_arrays(source, "layer", "head", "temperature", *CODES)
    for name in ("layer", "head"):
        if name not in arrays:
            raise InputError(f"{name} is missing: --calibration {str(path)!r} needs arrays layer "
                             f"and head in {str(source)!r}, as prunus capture writes them")
    jobs = [AttentionJob(**fields) for fields in attention_fields(arrays, config)]
    heads = len(jobs)
    layers, numbers = (integers_per_head(arrays, name, heads, 0, 0, MOST)
                       for name in ("layer", "head"))
    given = arrays_of([calibration.choice(*of) for of in zip(layers, numbers, strict=True)],
                      [visible_limits(job) for job in jobs])
    for name in CODES:
        if name in given and name in arrays:
            there = bools_per_head(arrays, name, heads)
            for layer, head, wanted, has in zip(layers, numbers, given[name], there, strict=True):
                if wanted != has:
                    raise InputError(
                        f"{name} must be {str(bool(wanted)).lower()} of layer {layer}, head "
                        f"{head}, as --calibration {str(path)!r} says, and the codes of "
                        f"{str(source)!r} were made otherwise: prunus capture takes the "
                        "calibration")
    # The scale of the file is divided by the temperature that its heads were written with.
    before = real_per_head("temperature", arrays.get("temperature", np.array(1.0)), heads)
    if not (np.isfinite(before) & (before > 0)).all():
        raise InputError(f"temperature must be finite and above 0, not "
                         f"{before[~(np.isfinite(before) & (before > 0))][0]}")
    return given | {"scale": real_scales(arrays, heads) * (before / given["temperature"])}


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
