# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus linear``: linear layers, alone or as a chain that stays on the chip."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear import LinearJob, LinearKind, linear
from prunus.golden.hdp.linear.cost import chain_cost, product_of

from .. import report
from ..errors import InputError
from ..files import check_output, write_files
from ..heads import read_named
from ..run import BACKENDS, Run
from .run import Backend

__all__ = ["linear_layers", "load_chain"]

PRESET = "hdp_edge"
STEPS = 5
ARRAYS = ("w", "bias", "multiplier", "shift", "table", "residual", "residual_scale")
NUMBERS = ("bits", "groups", "inner", "middle", "run")
TEXTS = ("activation", "arrangement")


def linear_layers(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="Codes x and w, bias, multiplier "
                                           "and shift; w_2 and so on of a chain; see "
                                           "docs/cli.md.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where Y goes.")],
    config: Annotated[str, typer.Option(help="A preset with linear layers, or a TOML file.")
                      ] = PRESET,
    backend: Annotated[Backend, typer.Option(help="The specification, or the RTL on Verilator "
                                             "(golden, verilator).")] = Backend.GOLDEN,
    wide: Annotated[bool, typer.Option("--wide", help="Y is sums of 32 bits instead of "
                                       "codes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a linear layer, or a chain of them, through the coprocessor."""
    chosen = load_config(config)
    if not isinstance(chosen, HdpConfig) or not chosen.linear:
        raise InputError(f"config {chosen.name} must have linear layers, as {PRESET} has")
    if backend not in (Backend.GOLDEN, Backend.VERILATOR):
        raise InputError(f"--backend must be golden or verilator, not {backend}")
    jobs = load_chain(source, chosen, wide)
    path = check_output(target, source)
    with report.heads_progress() as progress:
        more: dict[str, Any] = {}
        if progress and backend is Backend.VERILATOR:
            more["stage"] = progress.stage
        done = BACKENDS[backend](jobs, chosen, progress, **more)
    arrays: dict[str, Any] = {"y": done.outputs[-1][0],
                              "clipped": np.array([s.clipped for s in done.status])}
    if done.cycles is not None:
        arrays["cycles"] = np.int64(done.cycles)
    write_files({path: lambda file: np.savez(file, **arrays)})
    summary = _summary(done)
    if as_json:
        report.print_json(summary)
    else:
        report.print_lines(_lines(summary))


def load_chain(path: Path, config: HdpConfig, wide: bool = False) -> list[LinearJob]:
    """The jobs of a file: ``w`` of the first one, ``w_2`` of the second, and so on; all but the
    last are held.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    names = {(name, n): name if n == 1 else f"{name}_{n}"
             for name in (*ARRAYS, *NUMBERS, *TEXTS) for n in range(1, STEPS + 1)}
    arrays = read_named(path, ["x", *names.values()])
    if "x" not in arrays or "w" not in arrays:
        raise InputError(f"{'w' if 'x' in arrays else 'x'} is missing, the input needs x, w, bias, "
                         "multiplier and shift")
    count = max(n for (name, n), text in names.items() if name == "w" and text in arrays)
    kind = LinearKind()
    jobs: list[LinearJob] = []
    x = arrays["x"]
    for n in range(1, count + 1):
        given = {name: arrays[text] for (name, of), text in names.items()
                 if of == n and text in arrays}
        fields = _fields(given, n) | {"x": x}
        if n > 1:
            fields["held"] = True
        if n < count:
            fields["target"] = "held"
        elif wide:
            fields["target"] = "wide"
        try:
            job = LinearJob(**fields)
        except ValueError as err:
            raise InputError(f"step {n}: {err}") from None
        if wrong := kind.refuse(job, config, jobs[-1] if jobs else None):
            raise InputError(f"step {n} cannot be done by {config.name}: {wrong}")
        jobs.append(job)
        x = linear(job).y
    return jobs


def _fields(given: Mapping[str, np.ndarray], step: int) -> dict[str, Any]:
    """Fields of a job from arrays of a file. Raises InputError."""
    fields: dict[str, Any] = {}
    for name in ("w", "bias", "multiplier", "shift"):
        if name not in given:
            raise InputError(f"{name} of step {step} is missing")
    for name, array in given.items():
        if name in TEXTS:
            if array.dtype.kind != "U" or array.shape != ():
                raise InputError(f"{name} of step {step} must be a text, not {array.dtype} of "
                                 f"shape {array.shape}")
            fields[name] = str(array)
            continue
        if array.dtype.kind not in "iu":
            raise InputError(f"{name} of step {step} must have an integer dtype, "
                             f"not {array.dtype}")
        if name in NUMBERS:
            if array.shape != ():
                raise InputError(f"{name} of step {step} must be one number, not of shape "
                                 f"{array.shape}")
            fields[name] = int(array)
        elif name == "residual_scale":
            if array.shape != (2,):
                raise InputError(f"residual_scale of step {step} must be a multiplier and a shift, "
                                 f"not of shape {array.shape}")
            fields[name] = (int(array[0]), int(array[1]))
        else:
            fields[name] = array.astype(np.int64)
    return fields


def _summary(done: Run) -> dict[str, Any]:
    """What there is to say, ready for JSON."""
    config = done.config
    cost = chain_cost([product_of(job) for job in done.jobs], config)
    bound = engine_of(config).bound_cycles(done.jobs, done.golden, config)
    return {
        "backend": done.backend, "config": config.name, "multipliers": config.multipliers,
        "steps": [job.describe() for job in done.jobs], "products": cost.products,
        "cycles": done.cycles, "bound_cycles": bound, "model_cycles": cost.cycles,
        "utilisation": bound / done.cycles if done.cycles else None,
        "clipped": [status.clipped for status in done.status],
        "read_bytes": done.read_bytes, "write_bytes": done.write_bytes,
        "build_s": done.build_s, "sim_s": done.sim_s,
    }


def _lines(s: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("backend", f"{s['backend']}, {s['config']}, {s['multipliers']} multipliers"),
             *((f"step {n}", f"{text}; {clipped} codes clipped")
               for n, (text, clipped) in enumerate(zip(s["steps"], s["clipped"], strict=True), 1)),
             ("products", str(s["products"])), ("bound", f"{s['bound_cycles']} cycles"),
             ("predicted", f"{s['model_cycles']} cycles")]
    if s["cycles"] is not None:
        lines.append(("cycles", f"{s['cycles']} ({s['utilisation']:.1%} utilisation)"))
    lines += [("read", f"{s['read_bytes']} bytes"), ("written", f"{s['write_bytes']} bytes")]
    if s["sim_s"] is not None:
        lines.append(("time", f"{s['build_s']:.1f} s build, {s['sim_s']:.1f} s simulation"))
    return lines
