# SPDX-License-Identifier: Apache-2.0
"""What linear jobs cost: cycles of the array and of the bus, bytes, products.

The array makes 2 rows x 2 channels x T dimensions in a cycle, 2T of weights of 4 bits. A block of
2 x 2 results takes two cycles at least, as results leave two at a time. Cycles of a whole table
are those of :mod:`.timing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from math import ceil

from ...records import STATUS_BYTES
from ..config import HdpConfig
from .compute import Activation, LinearJob, Output
from .sizes import RECORD_BYTES, TABLE_BYTES, Sizes
from .timing import BLOCK_CYCLES, cycles_of

__all__ = ["Cost", "Product", "chain_cost", "linear_bound", "linear_cycles", "product_of"]

SIGN_BYTES = 8          # a beat: signs of a row of a head, of digits


@dataclass(frozen=True)
class Product:
    """One job of a chain as far as its cost goes.

    Members
    -------
    rows, k, span, groups, bits : int
        As of :class:`LinearJob`.
    held_x, held_y, wide, table, residual, transposed, fence, words : bool
    digits : int
        Channels of a head if Y is digits, else 0.
    """

    rows: int
    k: int
    span: int
    groups: int = 1
    bits: int = 8
    held_x: bool = False
    held_y: bool = False
    wide: bool = False
    table: bool = False
    residual: bool = False
    transposed: bool = False
    fence: bool = False
    digits: int = 0
    words: bool = False

    @property
    def products(self) -> int:
        return self.rows * self.k * self.span * self.groups

    def _blocks(self) -> int:
        return -(-self.rows // 2) * -(-self.span // 2) * self.groups

    def _steps(self, config: HdpConfig) -> int:
        """Cycles that multiply for a block."""
        return -(-self.k // (config.taps * (2 if self.bits == 4 else 1)))

    def array_cycles(self, config: HdpConfig) -> int:
        """In which the array is busy, or kept from it by results that leave."""
        return self._blocks() * max(BLOCK_CYCLES, self._steps(config))

    def work_cycles(self, config: HdpConfig) -> int:
        """In which the array multiplies."""
        return self._blocks() * self._steps(config)

    def read_bytes(self, config: HdpConfig) -> int:
        sizes, beat = Sizes(config), config.axi_data_width // 8
        dims = self.groups * self.k
        one = self.held_x or self.held_y
        strip = self.rows if one else sizes.strip(self.rows, dims,
                                                  sizes.unit if self.transposed else 2)
        weights = -(-self.k * self.bits // (8 * beat)) * beat + RECORD_BYTES
        return (config.descriptor_bytes + -(-self.rows // strip) * self.span * self.groups * weights
                + (0 if self.held_x else self.rows * -(-dims // beat) * beat
                   * (2 if self.words else 1))
                + (self.rows * self.span * self.groups if self.residual else 0)
                + (TABLE_BYTES if self.table else 0))

    def write_bytes(self) -> int:
        size = 0 if self.held_y else self.rows * self.span * self.groups
        signs = size // self.digits * SIGN_BYTES if self.digits else 0
        return (4 if self.wide else 1) * size + signs + STATUS_BYTES


@dataclass(frozen=True)
class Cost:
    """Of jobs one after the other.

    Members
    -------
    cycles : int
        That the model says they take.
    array_cycles, bus_cycles : int
        Of the array, and of the busier direction of the bus; the greater is a lower bound.
    read_bytes, write_bytes, products : int
    work_cycles : int
        Of the array's, those in which it multiplies.
    """

    cycles: int = 0
    array_cycles: int = 0
    bus_cycles: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    products: int = 0
    work_cycles: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, field.name) + getattr(other, field.name)
                      for field in fields(self)))

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes + self.write_bytes


def _alone(product: Product, config: HdpConfig) -> Cost:
    """Of one job, but for its cycles, which depend on the others."""
    array, beat = product.array_cycles(config), config.axi_data_width // 8
    read, written = product.read_bytes(config), product.write_bytes()
    bus = -(-max(read, written) // beat)
    return Cost(0, array, bus, read, written, product.products, product.work_cycles(config))


def product_cost(product: Product, config: HdpConfig) -> Cost:
    """Of one job."""
    return chain_cost([product], config)


def product_of(job: LinearJob) -> Product:
    """What the cost of a job depends on."""
    return Product(rows=job.rows, k=job.k, span=job.span, groups=job.groups, bits=job.bits,
                   held_x=job.held, held_y=job.output_is_held, wide=job.target is Output.WIDE,
                   table=job.activation is Activation.TABLE, residual=job.residual is not None,
                   digits=job.run if job.target is Output.DIGITS else 0,
                   transposed=job.transposed, fence=job.fence, words=job.heads is not None)


def linear_bound(jobs: Sequence[LinearJob], config: HdpConfig) -> int:
    """Cycles that a table of linear jobs needs at least with every multiplier busy: one product of
    8 x 8 bits per multiplier and cycle, two of 8 x 4."""
    return ceil(sum(Fraction(product_of(job).products, 2 if job.bits == 4 else 1)
                    for job in jobs) / config.multipliers)


def linear_cycles(jobs: Sequence[LinearJob], config: HdpConfig) -> int:
    """Cycles that the model says a table takes."""
    return chain_cost([product_of(job) for job in jobs], config).cycles


def chain_cost(products: Sequence[Product], config: HdpConfig) -> Cost:
    """Of a table of linear jobs: a job is loaded while the one before is computed."""
    total = sum((_alone(product, config) for product in products), Cost())
    return replace(total, cycles=cycles_of(products, config))
