# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus energy``: what heads cost on both engines, an estimate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from prunus.golden.energy import GROUPS, Costs, Event, picojoules
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config_of
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.jobs import Job
from prunus.golden.leopard.config import LeopardConfig

from ..engines import hdp as hdp_files
from ..engines import leopard as leopard_files
from ..errors import InputError
from ..heads import EXAMPLES
from ..report import print_json, print_table
from ..run import compute
from .digits import spare_bits, threshold_for

__all__ = ["Machine", "energy", "measure"]

NOTE = ("an estimate: published energies of operations in 45 nm times counts of them; no clock, "
        "control, wires or leakage")


@dataclass(frozen=True)
class Machine:
    """What heads cost on one machine.

    ``against`` is the energy of its machine without pruning over its own.
    """

    machine: str
    picojoules: dict[str, float]
    events: list[Event]
    against: float = 1.0

    @property
    def total(self) -> float:
        return sum(self.picojoules.values())

    @property
    def on_chip(self) -> float:
        return self.total - self.picojoules["dram"]


def _pair(name: str, pruned: list[Event], plain_name: str, plain: list[Event],
          costs: Costs) -> list[Machine]:
    machines = [Machine(name, picojoules(pruned, costs), pruned),
                Machine(plain_name, picojoules(plain, costs), plain)]
    return [replace(machine, against=machines[1].on_chip / machine.on_chip)
            for machine in machines]


def measure(path: Path, names: Sequence[str], share: float, fill: bool,
             costs: Costs) -> list[Machine]:
    """All machines on the heads of a file."""
    edge = load_config_of(HdpConfig, names[0])
    tile, base = (load_config_of(LeopardConfig, name) for name in names[1:])
    jobs = hdp_files.load_jobs(path, edge, hdp_files.Options())
    plain = hdp_files.load_jobs(path, edge, hdp_files.Options(dense=True))
    machines = _pair(edge.name, _events(jobs, edge), f"{edge.name}, dense", _events(plain, edge),
                     costs)
    heads = leopard_files.load_jobs(path, tile, None)
    shift = spare_bits(heads, tile) if fill else 0
    heads = [replace(job, q=job.q << shift, k=job.k << shift) for job in heads]
    t_int = threshold_for(heads, share)
    heads = [replace(job, threshold=t_int) for job in heads]
    whole = leopard_files.load_jobs(path, base, None)
    return machines + _pair(tile.name, _events(heads, tile), base.name, _events(whole, base), costs)


def _events(jobs: Sequence[Job], config: EngineConfig) -> list[Event]:
    return engine_of(config).events(jobs, compute(jobs, config), config)


def _merged(events: Sequence[Event]) -> list[dict]:
    """Counts of the same event in several heads together."""
    counts: dict[Event, int] = {}
    for event in events:
        key = replace(event, count=0)
        counts[key] = counts.get(key, 0) + event.count
    return [asdict(replace(event, count=count)) for event, count in counts.items()]


def energy(
    files: Annotated[list[Path] | None, typer.Argument(
        metavar="IN.npz", help="Heads as prunus run takes them. Default: those of examples/.",
        show_default=False)] = None,
    config: Annotated[str, typer.Option(help="An HDP preset or a TOML file.")] = "hdp_edge",
    tile: Annotated[str, typer.Option(
        "--leopard", help="A LeOPArd preset or a TOML file.")] = "leopard_ae",
    base: Annotated[str, typer.Option(
        "--baseline", help="LeOPArd's baseline.")] = "leopard_base",
    share: Annotated[float, typer.Option(
        help="Of the keys, that LeOPArd's threshold prunes, in [0, 1).")] = 0.75,
    fill: Annotated[bool, typer.Option(
        "--fill", help="Shift Q and K left until their codes fill LeOPArd's width.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all counts.")] = False,
) -> None:
    """Estimate the energy of heads on HDP and LeOPArd, with pruning and without."""
    if not 0 <= share < 1:
        raise InputError(f"share must lie in [0, 1), not {share}")
    costs = Costs.load()
    rows = [(path, machine) for path in files or sorted(EXAMPLES.glob("*.npz"))
            for machine in measure(path, (config, tile, base), share, fill, costs)]
    if as_json:
        print_json({"note": NOTE, "sources": costs.sources, "machines": [
            {"heads": path.stem, "machine": m.machine, "picojoules": m.picojoules,
             "on_chip_pj": m.on_chip, "total_pj": m.total, "against_unpruned": m.against,
             "events": _merged(m.events)} for path, m in rows]})
        return
    print_table(
        ["heads", "machine", *(f"{group}, nJ" for group in GROUPS), "on chip, nJ", "unpruned / it"],
        [[path.stem, m.machine, *(f"{m.picojoules[group] / 1000:,.0f}" for group in GROUPS),
          f"{m.on_chip / 1000:,.0f}", f"{m.against:.2f}"] for path, m in rows],
        title="energy")
    typer.echo(NOTE)
