# SPDX-License-Identifier: Apache-2.0
"""A board on Verilator behind a pseudo-terminal: any program can open it as a serial port.

    python -m prunus.sim.board hdp_tiny
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prunus.console import Parser, guarded
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import ConfigError, load_config
from prunus.golden.errors import InputError

from .live import LiveSimulation
from .simulators.cache import build_root, cached, digest, generator
from .simulators.runner import SimulationError

__all__ = ["BENCH", "BoardSimulation", "Faults", "emitted_system"]

BENCH = "PRUNUS_BOARD"      # environment variable with the path of the plan
DIVISOR = 4                 # cycles of a bit: as few as the UART can do


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What happens to bytes on the line, in both directions.

    Members
    -------
    drop, flip, insert : float
        Chances that a byte is lost, that one of its bits changes, that another comes before it.
    seed : int
    """

    drop: float = 0.0
    flip: float = 0.0
    insert: float = 0.0
    seed: int = 0


def emitted_system(config: EngineConfig, memory_bytes: int, divisor: int = DIVISOR) -> str:
    """The Verilog of a system, kept as long as no source of it changes."""
    key = digest(config.model_dump_json(), str(memory_bytes), str(divisor), generator())
    directory = build_root() / "emitted" / f"{config.name}__system-{key}"

    def make(work: Path) -> None:
        from prunus.hw.boards.system import emit_system  # slow to import

        text = emit_system(config, divisor=divisor, memory_bytes=memory_bytes)
        (work / "system.v").write_text(text, encoding="utf-8")

    cached(directory, make)
    return (directory / "system.v").read_text(encoding="utf-8")


class BoardSimulation(LiveSimulation):
    """A simulated board, from ``with`` to its end.

    Parameters
    ----------
    config : EngineConfig
    memory_bytes : int
    faults : Faults

    Members
    -------
    port : str
        Path of the pseudo-terminal.
    """

    what = "board"
    module = "prunus.sim.inside.board_bench"
    variable = BENCH

    def __init__(self, config: EngineConfig, *, memory_bytes: int, faults: Faults | None = None):
        super().__init__()
        self._config, self._memory_bytes = config, memory_bytes
        self._faults = faults or Faults()
        self.port = ""

    def design(self) -> tuple[str, str]:
        from prunus.hw.boards.system import system_name

        return emitted_system(self._config, self._memory_bytes), system_name(self._config)

    def plan(self, folder: Path) -> dict[str, Any]:
        return {"divisor": DIVISOR, "faults": asdict(self._faults)}

    def ready(self, name: str) -> None:
        self.port = name


@guarded()
def main(args: list[str] | None = None) -> int:
    """Print the port of a simulated board and run it until Ctrl-C."""
    parser = Parser(prog="python -m prunus.sim.board", description=__doc__)
    parser.add_argument("config", nargs="?", default="hdp_tiny", help="preset or TOML file")
    parser.add_argument("--memory-kib", type=int, default=32, help="block RAM of the board")
    chosen = parser.parse_args(args)
    if not 1 <= chosen.memory_kib <= 1024:
        parser.error(f"memory-kib must lie in 1..1024, not {chosen.memory_kib}")
    try:
        config = load_config(chosen.config)
        with BoardSimulation(config, memory_bytes=chosen.memory_kib << 10) as board:
            print(board.port, flush=True)
            board.wait()
    except (ConfigError, InputError, SimulationError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1 if isinstance(err, SimulationError) else 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
