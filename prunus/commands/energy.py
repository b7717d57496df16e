# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus energy``: what heads cost on every engine, an estimate."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from prunus.golden.energy import GROUPS, Event
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config, load_config_of
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.jobs import Job
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.topk.config import TopkConfig

from ..engines import FRONTS
from ..engines import hdp as hdp_files
from ..engines import leopard as leopard_files
from ..engines import topk as topk_files
from ..errors import InputError
from ..heads import example_heads
from ..power.estimate import Costs, load_of
from ..power.work import top_k_for
from ..report import print_json, print_table, status_line
from ..run import compute
from ..synth.tools import Progress
from ..webpage.dense import plain_unit
from .digits import spare_bits, threshold_for

__all__ = ["Machine", "Settings", "energy", "measure"]


@dataclass(frozen=True)
class Machine:
    """What heads cost on one machine.

    Members
    -------
    machine : str
    cycles : float
    picojoules : dict of str to float
        By group.
    events : list of Event
        Those of all heads together.
    against : float
        Energy of its machine without pruning over its own.
    """

    machine: str
    cycles: float
    picojoules: dict[str, float]
    events: list[Event]
    against: float = 1.0

    @property
    def total(self) -> float:
        return sum(self.picojoules.values())

    @property
    def on_chip(self) -> float:
        return self.total - self.picojoules["dram"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line says beside the machines.

    Members
    -------
    base : LeopardConfig
        A machine without pruning, for engines that have no mode without it.
    share : float
        Of the keys, to be pruned.
    fill : bool
        Shift codes until they fill LeOPArd's width.
    """

    base: LeopardConfig
    share: float
    fill: bool


Work = tuple[str, Sequence[Job], EngineConfig]      # name of a machine, what it does, and it itself
Pair = tuple[Work, Work]                            # with pruning and without


def _hdp(path: Path, config: HdpConfig, settings: Settings) -> Pair:
    """As the file or the default says; rho knows no share."""
    pruned, dense = (hdp_files.load_jobs(path, config, hdp_files.Options(dense=dense))
                     for dense in (False, True))
    return (config.name, pruned, config), (f"{config.name}, dense", dense, config)


def _leopard(path: Path, config: LeopardConfig, settings: Settings) -> Pair:
    heads = leopard_files.load_jobs(path, config, None)
    shift = spare_bits(heads, config) if settings.fill else 0
    heads = [replace(job, q=job.q << shift, k=job.k << shift) for job in heads]
    t_int = threshold_for(heads, settings.share)
    return ((config.name, [replace(job, threshold=t_int) for job in heads], config),
            (settings.base.name, leopard_files.load_jobs(path, settings.base, None), settings.base))


def _topk(path: Path, config: TopkConfig, settings: Settings) -> Pair:
    """Without pruning it is one full-width unit of the same size and no filter."""
    heads = topk_files.load_jobs(path, config, 1)
    kept = top_k_for(heads, settings.share, config)
    plain = plain_unit(config)
    return ((config.name, [replace(job, top_k=kept) for job in heads], config),
            (f"{config.name}, all keys", leopard_files.load_jobs(path, plain, None), plain))


PAIRS: dict[str, Callable[[Path, Any, Settings], Pair]] = {
    "hdp": _hdp, "leopard": _leopard, "topk": _topk}
DEFAULTS = {engine: FRONTS[engine].preset for engine in PAIRS}


def _configs(given: Sequence[str], leopard: str | None) -> list[EngineConfig]:
    """Those that are given, and the default of every engine of which none is, by engine."""
    chosen = [load_config(name) for name in given]
    if leopard is not None:
        chosen.append(load_config_of(LeopardConfig, leopard))
    for engine, name in DEFAULTS.items():
        if not any(config.engine == engine for config in chosen):
            chosen.append(load_config(name))
    return sorted(chosen, key=lambda config: list(PAIRS).index(config.engine))


def measure(path: Path, configs: Sequence[EngineConfig], settings: Settings, costs: Costs,
            progress: Progress | None = None) -> list[Machine]:
    """All machines on the heads of a file, each followed by itself without pruning."""
    machines: list[Machine] = []
    for config in configs:
        pair = []
        for name, jobs, machine in PAIRS[config.engine](path, config, settings):
            if progress:
                progress(f"{path.stem} on {name}")
            _, table = engine_of(machine).arrange(jobs, machine)
            load, events = load_of(table, compute(table, machine), machine)
            pair.append(Machine(name, costs.cycles(load), costs.picojoules(load),
                                _merged(events)))
        machines += [replace(machine, against=pair[1].on_chip / machine.on_chip)
                     for machine in pair]
    return machines


def _merged(events: Sequence[Event]) -> list[Event]:
    """Counts of the same event in several heads together."""
    counts: dict[Event, int] = {}
    for event in events:
        key = replace(event, count=0)
        counts[key] = counts.get(key, 0) + event.count
    return [replace(event, count=count) for event, count in counts.items()]


def energy(
    files: Annotated[list[Path] | None, typer.Argument(
        metavar="IN.npz", help="Heads as prunus run takes them. Default: those of examples/.",
        show_default=False)] = None,
    config: Annotated[list[str] | None, typer.Option(
        help="A preset or a TOML file, of any engine; may be repeated. Default: one of each engine "
        f"of which none is given, {', '.join(DEFAULTS.values())}.", show_default=False)] = None,
    leopard: Annotated[str | None, typer.Option(
        "--leopard", help="The same, for a preset or a TOML file of LeOPArd.",
        show_default=False)] = None,
    base: Annotated[str, typer.Option(
        "--baseline", help="LeOPArd's baseline.")] = "leopard_base",
    share: Annotated[float, typer.Option(
        help="Of the keys, that LeOPArd's threshold and Top-K prune, in [0, 1).")] = 0.75,
    fill: Annotated[bool, typer.Option(
        "--fill", help="Shift Q and K left until their codes fill LeOPArd's width.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all counts.")] = False,
) -> None:
    """Estimate the energy of heads on every engine, with pruning and without."""
    if not 0 <= share < 1:
        raise InputError(f"share must lie in [0, 1), not {share}")
    settings = Settings(base=load_config_of(LeopardConfig, base), share=share, fill=fill)
    configs, costs = _configs(config or [], leopard), Costs.load()
    with status_line() as progress:
        rows = [(path, machine) for path in files or example_heads()
                for machine in measure(path, configs, settings, costs, progress)]
    if as_json:
        print_json({"note": costs.note, "error": costs.error, "sources": costs.sources,
                    "machines": [{
                        "heads": path.stem, "machine": m.machine, "cycles": round(m.cycles),
                        "picojoules": m.picojoules, "on_chip_pj": m.on_chip, "total_pj": m.total,
                        "against_unpruned": m.against,
                        "events": [asdict(event) for event in m.events]} for path, m in rows]})
        return
    print_table(
        ["heads", "machine", "cycles", *(f"{group}, nJ" for group in GROUPS), "on chip, nJ",
         "unpruned / it"],
        [[path.stem, m.machine, f"{m.cycles:,.0f}",
          *(f"{m.picojoules[group] / 1000:,.0f}" for group in GROUPS),
          f"{m.on_chip / 1000:,.0f}", f"{m.against:.2f}"] for path, m in rows],
        title="energy", keys=2)
    typer.echo(costs.note)
