# SPDX-License-Identifier: Apache-2.0
"""The table of boards in docs/fpga_table.md, from the figures that ``prunus fpga`` wrote.

    python -m prunus.fpga.table build/fpga/*.json --bench docs/bench/bench.json \\
        -o docs/fpga_table.md

Cycles are those of the RTL on Verilator, from a bench of the same configuration or simulated
here; the same attention in PyTorch is measured here, on one thread, if torch is installed. HDP
computes the bench's random heads of which a quarter of the blocks is kept, LeOPArd the real heads
of an example, at the threshold that prunes three quarters of their scores; both all of them, too.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import ConfigError, load_config
from prunus.golden.jobs import AttentionJob
from prunus.host.tables import image_bytes

from ..bench.suites import suite_of
from ..console import Parser, guarded
from ..errors import InputError, RunError
from ..files import check_output, write_files
from ..report import status_line
from .command import by_seed

__all__ = ["heads_per_second", "main", "markdown", "pytorch"]

ROUNDS, ROUND_S = 60, 0.02
BITS_PER_BYTE = 10
KEYS = ("lut", "ff", "dsp", "bram")


def pytorch(jobs: Sequence[AttentionJob]) -> dict | None:
    """Heads per second of ``scaled_dot_product_attention`` on float32, in rounds of some 20 ms.

    All heads are one batch, on one thread. The best round is the one that other programs of the
    machine disturbed least.
    """
    try:
        import torch
    except ModuleNotFoundError:
        return None
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(1)
    rows, dims = jobs[0].q.shape
    q, k, v = (torch.randn(1, len(jobs), rows, dims) for _ in range(3))

    def rounds(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            scaled_dot_product_attention(q, k, v)
        return time.perf_counter() - begin

    with torch.inference_mode():
        calls = max(1, round(ROUND_S / min(rounds(3) / 3 for _ in range(3))))
        times = [rounds(calls) / calls / len(jobs) for _ in range(ROUNDS)]
    return {"best": 1 / min(times), "median": 1 / statistics.median(times),
            "torch": torch.__version__, "processor": _processor()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines
                 if line.startswith("model name")), platform.machine())


def _benched(case: str, config: EngineConfig, benches: Sequence[dict]) -> dict | None:
    """What a bench of this configuration says of a case."""
    parameters = config.model_dump(exclude={"name"})
    # A bench of before a parameter came says nothing of it.
    older = {name: field.default for name, field in type(config).model_fields.items()
             if name in parameters}
    return next((row for bench in benches if older | bench["parameters"] == parameters
                 for row in bench["cases"] if row["case"] == case), None)


def heads_per_second(config: EngineConfig, benches: Sequence[dict] = (),
                     progress: Callable[[str], None] | None = None) -> dict:
    """Cycles of the heads that the engine's bench rates, with pruning and dense."""
    def told(case: str) -> None:
        if progress:
            progress(f"{config.name}: simulating {case}")

    rate = suite_of(config).rate(config, lambda case: _benched(case.name, config, benches), told)
    row = rate.row
    return {"case": row["case"], "l": row["l_q"], "d": row["d"], "kept": rate.kept,
            "cycles": rate.cycles, "dense_cycles": rate.dense_cycles,
            "bytes": image_bytes(rate.jobs[0], config) + row["counters"]["write_bytes"]
            // row["heads"],
            "pytorch": pytorch(rate.jobs)}


def _size(figures: dict) -> str:
    """What there is of a coprocessor."""
    if "units" in figures:
        return f"{figures['units']} units of {figures['taps']} dimensions"
    return f"{figures['multipliers']} multipliers"


def _row(cells: Sequence) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _rows(head: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def markdown(figures: Sequence[dict], speeds: dict[str, dict]) -> str:
    """Two tables: what fits and how fast it is, and heads per second."""
    resources = [[f["board"], f["device"], f["config"], _size(f), f["l_max"], f["d_max"],
                  f"{f['memory_bytes'] >> 10} KB",
                  *(f"{f['used'][key]:,} of {f['available'][key]:,}" for key in KEYS),
                  f"{f['clock_mhz']:g}", by_seed(f),
                  f"`{f['path']}`"] for f in figures]
    lines = ["<!-- Written by python -m prunus.fpga.table; do not edit. -->", "",
             *_rows(["board", "device", "config", "size", "l_max", "d_max", "memory",
                     "LUT", "FF", "DSP", "block RAM", "clock, MHz", "MHz reached, by seed",
                     "longest path"], resources), ""]
    rates = []
    for f in figures:
        s = speeds[f["config"]]
        hz, torch = f["clock_mhz"] * 1e6, s["pytorch"]
        rates.append([
            f["board"], f["config"], s["case"], s["l"], s["d"], f"{s['kept']:.1%}",
            f"{s['cycles']:,.0f}", f"{s['dense_cycles']:,.0f}", f"{hz / s['cycles']:,.0f}",
            f"{hz / s['dense_cycles']:,.0f}",
            f"{torch['best']:,.0f} ({torch['median']:,.0f})" if torch else "-",
            f"{f['baud'] / BITS_PER_BYTE / s['bytes']:.1f}"])
    lines += _rows(["board", "config", "heads", "l", "d", "kept", "cycles a head", "dense",
                    "heads a second", "dense", "PyTorch, one core: best (median)",
                    "the serial line allows"], rates)
    torch = next((s["pytorch"] for s in speeds.values() if s["pytorch"]), None)
    if torch:
        lines += ["", f"PyTorch {torch['torch']} on {torch['processor']}, float32, dense, "
                      "`scaled_dot_product_attention` of all heads of a case at a time."]
    return "\n".join(lines) + "\n"


@guarded()
def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the table."""
    parser = Parser(prog="python -m prunus.fpga.table", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="+", type=Path, metavar="BOARD-CONFIG.json")
    parser.add_argument("--bench", action="append", default=[], type=Path, metavar="FILE",
                        help="bench.json of prunus bench, instead of a simulation")
    parser.add_argument("-o", "--output", type=Path, help="default: standard output")
    chosen = parser.parse_args(arguments)
    try:
        target = check_output(chosen.output) if chosen.output else None
        figures = [_read(path, lambda f: f["seeds"][0]["mhz"]) for path in chosen.figures]
        benches = [_read(path, lambda b: (b["parameters"], b["cases"][0]["case"]))
                   for path in chosen.bench]
        with status_line() as progress:
            speeds = {name: heads_per_second(load_config(name), benches, progress)
                      for name in dict.fromkeys(f["config"] for f in figures)}
        text = markdown(figures, speeds)
        if target is None:
            print(text, end="")
        else:
            write_files({target: lambda file: file.write(text.encode())})
    except (InputError, ConfigError, RunError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1 if isinstance(err, RunError) else 2
    return 0


def _read(path: Path, look: Callable[[dict], object]) -> dict:
    """A JSON file in which ``look`` finds what it wants."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        look(content)
        return content
    except (OSError, ValueError, LookupError, TypeError) as err:
        reason = getattr(err, "strerror", None) or "not one that prunus wrote"
        raise InputError(f"figures {os.fspath(path)!r} cannot be read: {reason}") from None


if __name__ == "__main__":
    sys.exit(main())
