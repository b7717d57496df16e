# SPDX-License-Identifier: Apache-2.0
"""What a session and the bench inside its simulator say to each other, over a pair of sockets.

The session sends a :class:`Setup`, then a :class:`BatchRequest` for each doorbell. The bench
answers the first with :class:`Ready`, the others with any number of :class:`Progress` and a
:class:`BatchReply`; a :class:`Failure` takes the place of either. After a failure
a :class:`Restart` makes it go on, which is answered with :class:`Ready`, unless a rule of the bus
was broken. The bench ends when the
session sends None or closes its side.

Messages are pickled: both sides are this program, and nobody else has the sockets.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from prunus.golden.engine import EngineConfig

__all__ = ["CHANNEL", "Access", "BatchReply", "BatchRequest", "Drawn", "Failure", "Faults",
           "Progress", "Ready", "Restart", "Setup", "Side"]

CHANNEL = "PRUNUS_CHANNEL"      # environment variable with the bench's file descriptor


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the buses of a simulation behave.

    Members
    -------
    memory : str
        Whose memory answers: that in C++ (``cpp``) or that of cocotbext-axi (``python``).
    record : str or None
        A file for the ports of the top before each rising edge, with the memory in C++ only.
    """

    config: EngineConfig
    stall: float
    seed: int
    memory: str
    record: str | None = None


@dataclass(frozen=True)
class Restart:
    """A reset of coprocessor and buses.

    Members
    -------
    inputs : dict of str to int
        Further inputs of the top, which the reset finds with these values.
    """

    inputs: dict[str, int]


@dataclass(frozen=True)
class Ready:
    """The coprocessor is out of its reset, and is the one of the configuration."""


@dataclass(frozen=True)
class Progress:
    """Jobs of a doorbell that are done."""

    done: int


@dataclass(frozen=True)
class Failure:
    """What went wrong.

    Members
    -------
    text : str
        For the user.
    rule : bool
        A rule of the bus was broken, which the models of the bus do not survive.
    """

    text: str
    rule: bool = False


@dataclass(frozen=True)
class Access:
    """A register access of a test: a read, or a write of ``value``.

    Members
    -------
    size : int
        Bytes that are written, whose strobes are set.
    together : bool
        It does not wait for the one before it, which is of the same list.
    """

    address: int
    value: int = 0
    write: bool = False
    size: int = 4
    together: bool = False


class Side(IntEnum):
    """Channels of the memory's bus."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What the memory in C++ does to a table. That of cocotbext-axi knows none of it.

    Members
    -------
    read_errors, write_errors : float
        Chances that a beat that is read, or a burst that is written, is answered with an error.
    seed : int
        Of these answers and of the pauses.
    stall : float or None
        Chance of a pause in a cycle of each channel; None for that of the session.
    silence : (int, int) or None
        The :class:`Side` that does not move any more, and how many cycles after the doorbell. An
        abort follows, or the reset of the batch, if it has one.
    early : bool
        The table that ends for want of answers is aborted before the memory answers again.
    late : bool
        A reset or abort may come when the table is worked off, and is none then.
    interrupts : bool
        The interrupt of errors is let out, too, and served while the table goes on.
    fences : tuple of (int, int, int)
        ``(first, end, write)`` of addresses that bursts may go to; a rule is broken by others.
    bad_writes : tuple of (int, int)
        ``(first, end)`` of addresses whose writes are answered with SLVERR.
    """

    read_errors: float = 0.0
    write_errors: float = 0.0
    seed: int = 0
    stall: float | None = None
    silence: tuple[int, int] | None = None
    early: bool = False
    late: bool = False
    interrupts: bool = False
    fences: tuple[tuple[int, int, int], ...] = ()
    bad_writes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Drawn:
    """An answer with an error, by chance: of a beat that was read, or of a burst that was written.
    """

    address: int
    size: int
    response: int
    write: bool


@dataclass(eq=False, kw_only=True)
class BatchRequest:
    """One doorbell.

    Members
    -------
    image : ndarray of uint8
        Memory from address 0.
    table, count : int
        Address of the descriptors and how many to ring for.
    writable : list of (int, int)
        ``(address, size)`` of what may be written.
    read_errors : list of (int, int)
        ``(first, end)`` of addresses whose reads are answered with SLVERR.
    cycles : int
        The watchdog: a run that takes more has failed.
    before, during, after : list of Access
        Register accesses before the doorbell, right after it, and after the run.
    progress : bool
        Somebody wants to know how many jobs are done.
    reset : (int, int) or None
        Clock cycles from those during the run to a reset, and how many it lasts; 0 for an abort.
    places : list of (int, int, int)
        ``(first, size, address)`` of pieces of the image and where they lie in memory; without any
        all lies from address 0. ``writable`` counts in the image, the others are addresses.
    hold : int
        Write responses wait until there are so many, or until no more come.
    faults : Faults
    """

    image: np.ndarray
    table: int
    count: int
    writable: list
    read_errors: list
    cycles: int
    before: list[Access]
    during: list[Access]
    after: list[Access]
    progress: bool = False
    reset: tuple[int, int] | None = None
    places: tuple[tuple[int, int, int], ...] = ()
    hold: int = 0
    faults: Faults = Faults()


@dataclass(eq=False, kw_only=True)
class BatchReply:
    """What a doorbell left.

    Members
    -------
    image : ndarray of uint8
        Memory after the run.
    registers : dict
        The counters.
    bus_read_bytes, bus_write_bytes : int
        Bytes that the memory model saw move.
    cycles : int
        Clock cycles from before the doorbell's write to the interrupt.
    accesses : dict of str to list of (int, int, int)
        ``(value, response, irq)`` of the accesses before, during and after.
    aborted : bool
        A reset or abort ended the run, so there are no results.
    halted : bool
        It had ended before, for want of answers.
    drawn : list of Drawn
        Answers with errors.
    served : int
        Interrupts of errors.
    """

    image: np.ndarray
    registers: dict[str, int]
    bus_read_bytes: int
    bus_write_bytes: int
    cycles: int
    accesses: dict[str, list]
    aborted: bool = False
    halted: bool = False
    drawn: list[Drawn] = field(default_factory=list)
    served: int = 0
