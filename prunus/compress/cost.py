# SPDX-License-Identifier: Apache-2.0
"""What a chain costs on the array: cycles, bytes across the bus, energy.

A block of 2 rows by 2 channels takes ``k / T`` cycles with T taps, twice as many products with
weights of 4 bits, and 2 cycles at least. Bytes of a job: its weights, bias and scale of each
channel, X unless it was held on the chip, a descriptor; Y unless it is held, a status.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.cost import Cost, Product

from ..power.linear import Rates, outside_nj, rates_of
from .chain import Form, Step

__all__ = ["JOB_CYCLES", "MEMORY_PJ", "Cost", "Energy", "chain_cost", "edp", "form_cost",
           "job_cost"]

JOB_CYCLES = 60         # to begin and end a job
MEMORY_PJ = 20.0        # of a bit of the memory outside, unless somebody says otherwise


@dataclass(frozen=True)
class Energy:
    """What cycles and bytes take.

    Members
    -------
    rates : Rates
        On the chip.
    bit_pj : float
        Of a bit to or from the memory outside; 0 leaves that memory out.
    """

    rates: Rates
    bit_pj: float

    @classmethod
    def of_config(cls, config: HdpConfig, bit_pj: float = MEMORY_PJ) -> "Energy":
        """As counted in gates, see :func:`prunus.power.linear.rates_of`. Raises InputError."""
        return cls(rates_of(config), bit_pj)

    @property
    def bare(self) -> "Energy":
        """Of the chip alone."""
        return replace(self, bit_pj=0.0)

    def of(self, cost: Cost) -> float:
        """In joules."""
        return 1e-9 * (self.rates.nanojoules(cost) + outside_nj(cost, self.bit_pj))


def edp(cost: Cost, energy: Energy) -> float:
    """Joules times cycles."""
    return energy.of(cost) * cost.cycles


def job_cost(rows: int, step: Step, config: HdpConfig, *, held_x: bool = False,
             held_y: bool = False, held_w: bool = False) -> Cost:
    """Of one matrix product.

    Parameters
    ----------
    held_x, held_y : bool
        X is on the chip already; Y stays there.
    held_w : bool
        The codes of the weight are there too: a product made them.
    """
    product = Product(rows=rows, k=step.k, span=step.n, groups=step.groups, bits=step.bits,
                      held_x=held_x, held_y=held_y)
    array, written = product.array_cycles(config), product.write_bytes()
    read = product.read_bytes(config) - (
        step.parameters * step.bits // 8 if held_w else 0)
    bus = ceil(max(read, written) / (config.axi_data_width // 8))
    return Cost(max(array, bus) + JOB_CYCLES, array, bus, read, written, product.products,
                product.work_cycles(config))


def chain_cost(steps: Sequence[Step], rows: int, config: HdpConfig, *,
               fused: bool = True) -> Cost:
    """Of steps after each other.

    Parameters
    ----------
    rows : int
        Of the first step's X.
    fused : bool
        What lies between the steps stays on the chip.
    """
    total = Cost()
    for number, step in enumerate(steps):
        total += job_cost(rows, step, config, held_x=fused and number > 0,
                          held_y=fused and number + 1 < len(steps))
        rows, _ = step.view.shape(rows, step.groups * step.n)
    return total


def form_cost(form: Form, rows: int, config: HdpConfig, *, fused: bool = True) -> Cost:
    """Of a layer, for so many rows of its X."""
    return chain_cost(form.steps, rows * form.split, config, fused=fused)
