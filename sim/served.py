# SPDX-License-Identifier: Apache-2.0
"""A coprocessor on Verilator behind a socket, with a file as its memory.

Any program can map the file and reach the registers through the socket, as software on an SoC
reaches registers and memory. A request is three 32-bit words in the order of the machine: what,
offset and value. The answer is two: the response of AXI4-Lite, and the value. A connection on which
``IRQ`` came is one of interrupts instead: it works like the file of a UIO device.
"""

from enum import IntEnum
from pathlib import Path
from typing import Any

from prunus.golden.engine import EngineConfig

from .live import LiveSimulation
from .simulate import emitted

__all__ = ["ANSWER", "REQUEST", "SERVED", "ServedSimulation", "What"]

SERVED = "PRUNUS_SERVED"    # environment variable with the path of the plan
REQUEST, ANSWER = "=3I", "=2I"


class What(IntEnum):
    """First word of a request."""

    READ = 0
    WRITE = 1
    WAIT = 2        # answered when the interrupt is high
    IRQ = 3         # not answered: from now on four bytes in enable, four bytes out tell of one
    SILENCE = 4     # with value 1 the memory answers no read, until there is one with 0


class ServedSimulation(LiveSimulation):
    """A simulated coprocessor, from ``with`` to its end.

    Parameters
    ----------
    config : EngineConfig
    memory : Path
        An existing file, whose bytes are the memory.
    base : int
        Address of its first byte, as the coprocessor sees it.

    Members
    -------
    port : str
        Path of the socket.
    """

    what = "coprocessor"
    module = "prunus.sim.inside.served_bench"
    variable = SERVED

    def __init__(self, config: EngineConfig, memory: Path, base: int = 0):
        super().__init__()
        self._config, self._memory, self._base = config, memory, base
        self.port = ""

    def design(self) -> tuple[str, str]:
        return emitted(self._config), self._config.name

    def plan(self, folder: Path) -> dict[str, Any]:
        return {"port": str(folder / "port"), "memory": str(self._memory), "base": self._base,
                "beat_bytes": self._config.axi_data_width // 8}

    def ready(self, name: str) -> None:
        self.port = name
