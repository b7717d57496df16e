# SPDX-License-Identifier: Apache-2.0
"""What every engine is to the rest of the project: its configuration, its kinds of job, itself."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import softmax
from .energy import Event
from .formats import CodeRange
from .jobs import Job
from .layout import Layout, Plane
from .names import check_name
from .records import DESCRIPTOR_BYTES, WORD_BITS, Error, Record, widened

__all__ = ["Engine", "EngineConfig", "JobKind", "Result", "Status", "beyond", "head_checks"]


def beyond(value: Any, low: int, high: int) -> Any:
    """Whether a number, or a value in hardware, lies outside a range."""
    return (value < low) | (value > high)


def head_checks(values: Mapping[str, Any], limits: Mapping[str, tuple[int, int]],
                config: Any) -> dict[Error, Any]:
    """Of the descriptor of a head, by :data:`prunus.golden.jobs.HEAD_FIELDS`; ``limits`` are those
    of what says how to prune."""
    d = values["d"]
    pruning = beyond(values["shift"], softmax.SCALE_SHIFT_MIN, softmax.SCALE_SHIFT_MAX)
    for name, range_ in limits.items():
        pruning = pruning | beyond(values[name], *range_)
    return {
        Error.DIMENSION: (d % 8 != 0) | beyond(d, 8, config.d_max),
        Error.LENGTH: beyond(values["l_q"], 1, config.l_max)
        | beyond(values["l_kv"], 1, config.l_max),
        Error.VALID: (values["valid_q"] > values["l_q"]) | (values["valid_kv"] > values["l_kv"]),
        Error.PRUNING: pruning,
    }


class EngineConfig(CodeRange, BaseModel):
    """The outside of a coprocessor, and the widths that follow from it whatever makes the scores.

    Parameters
    ----------
    name : str
        Name of the emitted top module and files, see :func:`.names.check_name`.
    engine : str
        What makes the scores; tells the configurations apart.
    width : int
        W: bits of a Q, K or V code.
    d_max : int
        Largest head dimension; a job's d is any multiple of 8 up to it.
    l_max : int
        Largest l_q and l_kv of a job.
    axi_data_width : int
        Bits of an AXI4 beat.
    axi_address_width : int
        Bits of an address.
    axi_prot, axi_cache, axi_qos : int
        AxPROT, AxCACHE and AxQOS of all reads and writes. AxCACHE is a type of memory that AXI4
        knows; by default normal, non-cacheable and bufferable.
    memories : "block_ram" or "macro"
        What the operand buffers are made for. In block RAMs of an FPGA both banks of a plane lie in
        one memory with two ports. As SRAM macros of an ASIC each bank is a memory with one port,
        but for those that linear jobs use, and in HDP the queries of a row wait in registers.
        Cycles and results are the same.
    description : str
        One line for people. No hardware depends on it, so it is in no dump of the parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    engine: str
    width: int
    d_max: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = 64
    l_max: Annotated[int, Field(ge=2, le=1024, multiple_of=2)] = 512
    axi_data_width: Literal[64, 128, 256, 512] = 64
    axi_address_width: Literal[32, 40, 48, 64] = 32
    axi_prot: Annotated[int, Field(ge=0, le=7)] = 0
    axi_cache: Literal[0, 1, 2, 3, 6, 7, 10, 11, 14, 15] = 3
    axi_qos: Annotated[int, Field(ge=0, le=15)] = 0
    memories: Literal["block_ram", "macro"] = "block_ram"
    description: str = Field(default="", exclude=True, repr=False)
    tile: int | None = None     # None of an engine that does not work off heads in tiles

    @model_validator(mode="after")
    def _named(self):
        check_name(self.name)
        return self

    @model_validator(mode="after")
    def _described(self):
        if not self.description.isprintable():
            raise ValueError("description must be one line of printable text, not "
                             f"{self.description!r}")
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both are the same hardware."""
        return (isinstance(other, EngineConfig) and type(self) is type(other)
                and self.model_dump() == other.model_dump())

    def __hash__(self) -> int:
        return hash(tuple(self.model_dump().items()))

    def of_macros(self) -> Self:
        """The same coprocessor with memories for SRAM macros of an ASIC."""
        return self.model_copy(update={"memories": "macro"})

    def codes_of(self, operand: str) -> CodeRange:
        """What the codes of an operand of a job can be."""
        return self

    def limits_of(self, operand: str) -> str:
        """Why, in a few words for messages."""
        return f"codes of {self.width} bits"

    @property
    def wide(self) -> bool:
        """Whether an address has more bits than a word."""
        return self.axi_address_width > WORD_BITS

    @property
    def descriptor_bytes(self) -> int:
        """Bytes of a descriptor; a table begins at a multiple."""
        return DESCRIPTOR_BYTES << self.wide

    @property
    def score_width(self) -> int:
        """Signed bits of q·k over codes, with a bit to spare: |q·k| <= 2**(score_width - 2)."""
        return 2 * self.width - 2 + (self.d_max - 1).bit_length() + 2

    @property
    def length_width(self) -> int:
        """Bits of a length 0..l_max."""
        return self.l_max.bit_length()

    @property
    def held_rows(self) -> int:
        """Rows of Q, K and V of a head that a core holds."""
        return self.tile or self.l_max

    @property
    def held_width(self) -> int:
        """Bits of a number of rows 0..held_rows."""
        return self.held_rows.bit_length()

    @property
    def denominator_width(self) -> int:
        """Bits of the sum of l_max exponentials."""
        return softmax.EXP_FRAC + self.length_width

    @property
    def out_frac(self) -> int:
        """Fraction bits of an output word, in units of V codes."""
        return 7 if self.width <= 8 else 12

    @property
    def out_width(self) -> int:
        """Bits of an output word in memory."""
        return 16 if self.width <= 8 else 32


class Result(Protocol):
    """What golden gives for a job, beside what the engine alone knows of."""

    @property
    def out(self) -> np.ndarray:
        """Output codes, (rows, dims) int64."""
        ...

    def summary(self) -> Any:
        """What bounds, counts and models need: all but arrays of the size of the scores.

        Whatever takes results takes summaries, too.
        """
        ...


class Status(Protocol):
    """A status record, read; what the engine counts beside it."""

    @property
    def done(self) -> bool: ...

    @property
    def error(self) -> Any: ...

    @property
    def read_bytes(self) -> int: ...

    @property
    def write_bytes(self) -> int: ...


class JobKind(ABC):
    """One kind of job of an engine, as a host sees it.

    Members
    -------
    opcode : int
        Bits 7:0 of a descriptor's word 0.
    Job, Status : type
    planes : tuple of Plane
        Operands in the order of memory.
    descriptor, status : Record
        Every plane and ``out`` and ``status`` have an address in the descriptor. The descriptor is
        that of addresses of 32 bits, :meth:`descriptor_of` gives that of a configuration.
    """

    opcode: ClassVar[int]
    Job: ClassVar[type[Job]]
    Status: ClassVar[type]
    planes: ClassVar[tuple[Plane, ...]]
    descriptor: ClassVar[Record]
    status: ClassVar[Record]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Fields of the descriptor that are addresses."""
        return *(plane.name for plane in self.planes), "out", "status"

    def descriptor_of(self, config: Any) -> Record:
        """The descriptor of a coprocessor."""
        return widened(self.descriptor, self.addresses, config.axi_address_width)

    @abstractmethod
    def layout(self, config: Any) -> Layout:
        """Row sizes and packing of the planes."""

    def planes_of(self, job: Any) -> tuple[Plane, ...]:
        """Operands that a job has in memory."""
        return self.planes

    def out_bytes(self, job: Any, config: Any) -> int:
        """Bytes of the output of a job in memory."""
        return self.layout(config).out_bytes(job.output())

    def unpack(self, raw: bytes, job: Any, config: Any) -> np.ndarray:
        """The output (rows, dims) of a job from its bytes."""
        return self.layout(config).unpack_out(raw, *job.output())

    @abstractmethod
    def fields(self, job: Any, config: Any) -> dict[str, int]:
        """Values of the descriptor but for ``opcode`` and addresses."""

    def checks(self, values: Mapping[str, Any], config: Any) -> Mapping[Error, Any]:
        """What makes a descriptor one with an error, beside unnamed bits and addresses.

        ``values`` are numbers, or values in hardware; so are the conditions.
        """
        return head_checks(values, self.limits(config), config)

    def readable(self, job: Any, out: int, config: Any) -> dict[str, tuple[int, int]]:
        """Where the output of a job at ``out`` can be read as planes: address and bytes of a row by
        kind of plane."""
        return {"out": (out, self.layout(config).row_bytes("out", job.output()[1]))}

    def extents(self, values: Mapping[str, int],
                config: Any) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes from each address of a descriptor on that are read, and that are written."""
        layout, d = self.layout(config), values["d"]
        rows = {plane: values["valid_q" if plane.of == "q" else "valid_kv"]
                for plane in self.planes if values["valid_q"] and values["valid_kv"]}
        return ({plane.name: count * layout.row_bytes(plane.kind, d)
                 for plane, count in rows.items()},
                {"out": values["l_q"] * layout.row_bytes("out", d)})

    def spoils(self, config: Any) -> bool:
        """Whether a job whose reads fail may have written some of its output."""
        return bool(config.tile)

    def refuse(self, job: Any, config: Any, after: Any = None) -> str:
        """Why a job cannot stand behind job ``after`` in a table, in a few words; or nothing."""
        return ""

    def result_places(self, job: Any, out: int, config: Any) -> dict[str, int]:
        """Addresses of a job's output: that of ``out`` and what follows from it."""
        return {"out": out}

    @abstractmethod
    def limits(self, config: Any) -> Mapping[str, tuple[int, int]]:
        """What says how to prune: least and largest value of each such field of the descriptor.

        Hardware answers a value beyond them with ``Error.PRUNING`` and keeps as many bits as the
        range needs.
        """

    @abstractmethod
    def compute(self, job: Any, config: Any) -> Any:
        """What the hardware gives, bit for bit: the law."""

    @abstractmethod
    def record(self, job: Any, result: Any, config: Any, held: Collection[str] = ()) -> Any:
        """The Status of a good job that finds ``held`` planes on the chip."""

    @abstractmethod
    def read_first(self, job: Any, config: Any) -> tuple[str, ...]:
        """Planes that a core is through with before it writes a row of the job's output."""

    @abstractmethod
    def describe(self, job: Any) -> str:
        """How the job prunes, in a few words for messages."""

    def encode(self, job: Any, addresses: Mapping[str, int], config: Any) -> np.ndarray:
        """The words of a descriptor; ``addresses`` of all planes, ``out`` and ``status``."""
        return self.descriptor_of(config).pack(
            {"opcode": self.opcode, **self.fields(job, config), **addresses})


class Engine(ABC):
    """One engine.

    Members
    -------
    name, title, about : str
        In configurations, as people write it, and what it does in a few words.
    Config : type of EngineConfig
    kinds : tuple of JobKind
    counters : tuple of (str, str)
        Name and meaning of the counter registers that it has beside those of all engines.
    format : str
        What bits 15:8 of the register ``format`` hold, beside W, and where.
    format_part : tuple of (str, int, str)
        Name, bits and meaning of its parts, the low one first, if these bits mean anything.
    size : (str, str)
        Name and meaning of the register that says how large the hardware is.
    size_parts : tuple of (str, str)
        Name and meaning of its halves, the low one first, if these are two numbers.
    derived : tuple of str
        Properties of a configuration that belong into the description of the hardware.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    Config: ClassVar[type[EngineConfig]]
    kinds: ClassVar[tuple[JobKind, ...]]
    counters: ClassVar[tuple[tuple[str, str], ...]]
    format: ClassVar[str]
    format_part: ClassVar[tuple[tuple[str, int, str], ...]] = ()
    size: ClassVar[tuple[str, str]]
    size_parts: ClassVar[tuple[tuple[str, str], ...]] = ()
    derived: ClassVar[tuple[str, ...]]

    def kinds_of(self, config: Any) -> tuple[JobKind, ...]:
        """Kinds of job of a configuration; heads come first."""
        return self.kinds

    def kind(self, job: Job) -> JobKind:
        """Of a job. Raises TypeError for one of another engine."""
        for kind in self.kinds:
            if type(job) is kind.Job:
                return kind
        raise TypeError(f"job must be one of engine {self.name}, not {type(job).__name__}")

    def compute(self, job: Job, config: Any) -> Any:
        """The result of a job of any of its kinds."""
        return self.kind(job).compute(job, config)

    @abstractmethod
    def identity(self, config: Any) -> tuple[int, int]:
        """Values of bits 15:8 of the register ``format`` and of the register for the size."""

    @abstractmethod
    def held(self, jobs: Sequence[Any], results: Sequence[Any], config: Any) -> list[set[str]]:
        """Planes that each job finds on the chip, read for the jobs before it in the table.

        ``results`` has None for a job with an error.
        """

    @abstractmethod
    def arrange(self, jobs: Sequence[Any], config: Any) -> tuple[list[int], list[Any]]:
        """The indices of ``jobs`` in the order that a table should have, and the jobs in that order
        as they should lie in memory. Outputs are those of the jobs given."""

    @abstractmethod
    def bound_cycles(self, jobs: Sequence[Any], results: Sequence[Any], config: Any) -> int:
        """Cycles that a table of jobs needs at least."""

    def predict_cycles(self, jobs: Sequence[Any], results: Sequence[Any],
                       config: Any) -> int | None:
        """Cycles that a model of the hardware says a table takes; None where there is no model."""
        return None

    @abstractmethod
    def memory_bits(self, config: Any) -> dict[str, int]:
        """Bits of the memories of a core, by what they hold."""

    @abstractmethod
    def events(self, jobs: Sequence[Any], results: Sequence[Any], config: Any) -> list[Event]:
        """What happens on the way through the jobs, for an estimate of energy."""
