# SPDX-License-Identifier: Apache-2.0
"""Energy of linear layers from what they cost in cycles and bytes.

The coefficients of a preset are fitted to what ``prunus power`` counts in its gates.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config
from prunus.golden.hdp.linear import Cost

from ..errors import InputError

__all__ = ["TABLE", "Rates", "linear_energy_nj", "outside_nj", "rates_of"]

TABLE = Path(__file__).with_name("linear_sg13g2.toml")
PICO_PER_NANO = 1000


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What linear layers cost on a coprocessor, nJ.

    Members
    -------
    array : float
        Of a cycle in which the array multiplies.
    idle : float
        Of another cycle.
    byte : float
        Of a byte that is read or written, on the chip.
    mean_error, worst_error : float
        Of runs that nothing was fitted on, as shares.
    """

    array: float
    idle: float
    byte: float
    mean_error: float = 0.0
    worst_error: float = 0.0

    def nanojoules(self, cost: Cost) -> float:
        """On the chip."""
        return (self.array * cost.work_cycles + self.idle * (cost.cycles - cost.work_cycles)
                + self.byte * cost.moved_bytes)


@cache
def _tables() -> Mapping[str, Rates]:
    with open(TABLE, "rb") as file:
        return {name: Rates(**rates) for name, rates in tomllib.load(file).items()}


def rates_of(config: EngineConfig) -> Rates:
    """Of a preset, or of one like it with another name. Raises InputError."""
    for name, rates in _tables().items():
        if load_config(name).model_dump(exclude={"name"}) == config.model_dump(exclude={"name"}):
            return rates
    raise InputError(f"config must be like one of {', '.join(_tables())}, whose energy of linear "
                     f"layers is measured, not {config.name}")


def outside_nj(cost: Cost, pj_per_bit: float) -> float:
    """Of the memory outside."""
    return 8 * cost.moved_bytes * pj_per_bit / PICO_PER_NANO


def linear_energy_nj(cost: Cost, config: EngineConfig, *,
                     pj_per_bit: float | None = None) -> float:
    """Energy of linear layers, nJ.

    Parameters
    ----------
    cost : Cost
        Of :func:`prunus.golden.hdp.linear.chain_cost`, or with cycles and bytes of counters.
    config : EngineConfig
        See :func:`rates_of`.
    pj_per_bit : float or None
        What a bit from or to the memory outside costs there; None counts the chip alone.

    Raises
    ------
    InputError
        Nothing is measured for the configuration.
    """
    return rates_of(config).nanojoules(cost) + outside_nj(cost, pj_per_bit or 0.0)
