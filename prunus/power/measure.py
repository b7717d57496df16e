# SPDX-License-Identifier: Apache-2.0
"""What heads cost on a configuration: simulated, replayed through gates, priced."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.hdp.linear import LinearJob
from prunus.golden.jobs import visible_limits
from prunus.sim.compare import MismatchError, check
from prunus.sim.record import Record
from prunus.sim.session import open_session
from prunus.sim.simulators.folders import scratch
from prunus.sim.simulators.runner import SimulationError

from ..errors import RunError
from ..synth.pdk.cells import library
from ..synth.tools import Progress
from .gates import Gates, gates
from .joules import KINDS, NO_WIRES, Energy, Prices
from .replay import Counts, replay
from .work import Work

__all__ = ["MOST_HEADS", "Machine", "Power", "measure"]

MOST_HEADS = 8          # of a table: more are several tables, which are replayed side by side
NANO = 1e-9


@dataclass(frozen=True, kw_only=True)
class Power:
    """What heads cost.

    Members
    -------
    config : EngineConfig
    heads, tables, cycles : int
        Cycles from each table's doorbell to its last write response.
    kept : float
        Share of blocks or scores.
    products : int
        Of Q K^T and P V together, if no pair were pruned.
    compared_bits, differing_bits : int
        Outputs of the gates against those of the RTL, in all cycles.
    joules : dict of str to dict of str to float
        By block, whose name is a path of instances, and by kind.
    assumed : dict of str to float
        As of :class:`prunus.power.joules.Energy`.
    logic_um2, memory_um2 : float
    flip_flops, gated : int
        All, and those behind a clock gate.
    clocked : float
        Share of flip-flops that are clocked in a cycle.
    clock_hz : float
    peak_w : float
        Of the cycle that takes most, without leakage.
    """

    config: EngineConfig
    heads: int
    tables: int
    cycles: int
    kept: float
    products: int
    compared_bits: int
    differing_bits: int
    joules: dict[str, dict[str, float]]
    assumed: dict[str, float]
    logic_um2: float
    memory_um2: float
    flip_flops: int
    gated: int
    clocked: float
    clock_hz: float
    peak_w: float

    @property
    def total(self) -> float:
        return sum(sum(kinds.values()) for kinds in self.joules.values())

    @property
    def nj_per_head(self) -> float:
        return self.total / NANO / self.heads

    def by_kind(self) -> dict[str, float]:
        """J."""
        return {kind: sum(block[kind] for block in self.joules.values()) for kind in KINDS}

    def by_block(self, depth: int) -> dict[str, float]:
        """J of blocks so deep in the hierarchy, the most first; the deeper ones are in these."""
        found: dict[str, float] = {}
        for name, kinds in self.joules.items():
            short = "/".join(name.split("/")[:depth])
            found[short] = found.get(short, 0.0) + sum(kinds.values())
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def summary(self, depth: int) -> dict[str, Any]:
        """Ready for JSON."""
        useful = self.kept * self.products
        return {
            "engine": self.config.engine, "config": self.config.name, "heads": self.heads,
            "tables": self.tables, "cycles": self.cycles, "kept": self.kept,
            "compared_bits": self.compared_bits, "differing_bits": self.differing_bits,
            "nj_per_head": self.nj_per_head,
            "nj": {kind: joules / NANO for kind, joules in self.by_kind().items()},
            "blocks": {name: joules / NANO for name, joules in self.by_block(depth).items()},
            "assumed_nj": {name: joules / NANO for name, joules in self.assumed.items()},
            "area_um2": {"logic": self.logic_um2, "memory": self.memory_um2},
            "pj_per_useful_product": self.total / useful * 1e12 if useful else None,
            "pj_per_dense_product": self.total / self.products * 1e12 if self.products else None,
            "clock_mhz": self.clock_hz / 1e6,
            "mean_mw": self.total / self.cycles * self.clock_hz * 1e3,
            "peak_mw": self.peak_w * 1e3,
            "flip_flops": self.flip_flops, "gated_flip_flops": self.gated,
            "clocked_share": self.clocked}


def pairs(jobs: Sequence[Any]) -> int:
    """Products of Q K^T and P V, of all pairs of a query and a key that it may see; of X W^T."""
    return sum(job.rows * job.k * job.channels if isinstance(job, LinearJob)
               else 2 * job.d * int(visible_limits(job).sum()) for job in jobs)


def _tables(jobs: Sequence[Any]) -> list[Sequence[Any]]:
    """Parts of about equal length, none with more than MOST_HEADS."""
    count = -(-len(jobs) // MOST_HEADS)
    ends = [round(n * len(jobs) / count) for n in range(count + 1)]
    return [jobs[a:b] for a, b in zip(ends, ends[1:], strict=False)]


def _recorded(table: Sequence[Any], config: EngineConfig, path: Path,
              progress: Progress | None) -> int:
    """Run a table on the RTL, which is held against golden; the cycles that it takes."""
    try:
        with open_session(config, record=path, stage=progress) as session:
            simulation = session.simulate(table)
            check(simulation, table, config)
    except (SimulationError, MismatchError) as err:
        raise RunError(str(err)) from None
    return simulation.registers["cycles"]


class Machine:
    """The gates of a configuration, and what they cost. Parameters are those of :func:`measure`."""

    def __init__(self, config: EngineConfig, clock_gates: bool = False, wires: str = NO_WIRES,
                 glitches: bool = False, seed: int | None = None, clock_hz: float = 100e6,
                 progress: Progress | None = None):
        config = config.of_macros()
        self._config, self._clock_hz, self._progress = config, clock_hz, progress
        self.gates: Gates = gates(config, clock_gates, progress)
        self.prices = Prices(self.gates.netlist, library(), wires)
        self._delays = self.prices.delays() if glitches else None
        self._netlist = (self.gates.netlist if seed is None
                         else self.gates.netlist.begun_at_random(seed))
        self._at_random = seed is not None

    def play(self, number: int, table: Sequence[Any], folder: Path,
             told: Callable[[int, int], None] | None = None) -> tuple[Counts, Energy]:
        """A table on the RTL, which is held against golden, and through the gates."""
        path = folder / f"table-{number}.ports"
        cycles = _recorded(table, self._config, path, self._progress)
        record = Record.read(path)
        # The interrupt comes with the last write response, after which `cycles` stands still.
        end = int(record["irq"].argmax())
        # The record begins in a reset, which a random beginning is given time to end in.
        reset = int(record["rst"].argmin()) if self._at_random else 0
        counts = replay(self._netlist, library(), record, (end - cycles, end),
                        weights=self.prices.weights(), delays=self._delays, compare_from=reset,
                        progress=told)
        path.unlink()
        return counts, self.prices.energy(counts, self._clock_hz)


def measure(work: Work, config: EngineConfig, *, clock_gates: bool = False, wires: str = NO_WIRES,
            glitches: bool = False, seed: int | None = None, clock_hz: float = 100e6,
            workers: int | None = None, progress: Progress | None = None) -> Power:
    """Energy of heads, counted in the gates of the configuration's RTL while they run.

    Parameters
    ----------
    work : Work
    config : EngineConfig
    clock_gates : bool
        Whether Yosys puts clock gates in front of flip-flops with enables.
    wires : str
        Wire-load model of the library.
    glitches : bool
        Whether nets change as often as delays of cells let them, and not once in a cycle.
    seed : int or None
        Flip-flops and memories begin with random bits of this seed, and not as the RTL does. Then
        outputs are compared from the end of the reset on.
    clock_hz : float
        For leakage and power.
    workers : int or None
        Tables that are played at the same time; None for as many as there are processors.
    progress : callable or None
        Called with a few words.

    Raises
    ------
    InputError
        When a tool is missing.
    RunError
        When the RTL is not golden, or gates are not the RTL.
    """
    _, arranged = engine_of(config).arrange(work.jobs, config)
    machine = Machine(config, clock_gates, wires, glitches, seed, clock_hz, progress)
    tables = _tables(arranged)
    shown = [0] * len(tables)

    def told(number: int) -> Callable[[int, int], None]:
        def tell(done: int, rows: int) -> None:
            shown[number] = done
            if progress:
                progress(f"replaying cycle {sum(shown):,}")
        return tell

    with (scratch("prunus-power-") as folder,
          ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool):
        played = list(pool.map(
            lambda number: machine.play(number, tables[number], folder, told(number)),
            range(len(tables))))
    netlist = machine.gates.netlist
    joules = {"/".join(path) or "top": {
        kind: float(sum(energy.by_block[kind][n] for _, energy in played)) for kind in KINDS}
        for n, path in enumerate(netlist.blocks)}
    counts = [some for some, _ in played]
    flops = sum(len(bank.data) for bank in netlist.banks)
    cycles = sum(some.cycles for some in counts)
    clocked = sum(int(rise.sum()) for some in counts for rise in some.rise)
    return Power(
        config=config, heads=len(work.jobs), tables=len(tables), cycles=cycles,
        kept=work.kept / work.visible if work.visible else 0.0, products=pairs(work.jobs),
        compared_bits=sum(some.compared_bits for some in counts),
        differing_bits=sum(some.differing_bits for some in counts), joules=joules,
        assumed={name: sum(energy.assumed[name] for _, energy in played)
                 for name in played[0][1].assumed},
        logic_um2=machine.gates.logic_um2, memory_um2=machine.gates.memory_um2, flip_flops=flops,
        gated=sum(int((bank.gate >= 0).sum()) for bank in netlist.banks),
        clocked=clocked / flops / cycles, clock_hz=clock_hz,
        peak_w=max(float(some.trace.max()) for some in counts if some.trace is not None) * clock_hz)
