# SPDX-License-Identifier: Apache-2.0
"""The memory of what is loaded and what is worked on."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory

__all__ = ["two_banks"]


def two_banks(m: Module, name: str, *, words: int, write_en, write_address, write_data, read_en,
              read_address, single_port: bool):
    """A memory of two banks of ``words`` words; what is read, there in the next cycle, until the
    next read.

    One memory with two ports, or, with ``single_port``, one with one port for each bank. The bank
    that is written must then not be read in the same cycle: a head is loaded into one while the one
    before it is worked on.

    Parameters
    ----------
    m : Module
        Gets the submodules ``name``, or ``name_bank_0`` and ``name_bank_1``.
    write_en, write_address, write_data, read_en, read_address : ValueLike
        Addresses count through both banks.
    """
    write_data, write_address, read_address = (
        Value.cast(value) for value in (write_data, write_address, read_address))
    if not single_port:
        mem: memory.Memory = memory.Memory(shape=len(write_data), depth=2 * words, init=[])
        m.submodules[name] = mem
        write = mem.write_port()
        read = mem.read_port()
        m.d.comb += [
            write.en.eq(write_en), write.addr.eq(write_address), write.data.eq(write_data),
            read.en.eq(read_en), read.addr.eq(read_address),
        ]
        return read.data

    def place(address, kind):
        """Bank and word."""
        if words & words - 1 == 0:
            return address[-1], address[:-1]
        bank = Signal(name=f"{name}_{kind}_bank")
        m.d.comb += bank.eq(address >= words)
        return bank, Mux(bank, address - words, address)

    write_bank, write_word = place(write_address, "write")
    read_bank, read_word = place(read_address, "read")
    answers = Signal(name=f"{name}_answers", reset_less=True)
    with m.If(read_en):
        m.d.sync += answers.eq(read_bank)
    banks = []
    for n in range(2):
        m.submodules[f"{name}_bank_{n}"] = mem = memory.Memory(
            shape=len(write_data), depth=words, init=[])
        write = mem.write_port()
        read = mem.read_port()
        at = Signal(len(write.addr), name=f"{name}_bank_{n}_address")
        m.d.comb += [
            write.en.eq(write_en & (write_bank == n)), read.en.eq(read_en & (read_bank == n)),
            at.eq(Mux(write.en, write_word, read_word)),
            write.addr.eq(at), write.data.eq(write_data), read.addr.eq(at),
        ]
        banks.append(read.data)
    return Mux(answers, banks[1], banks[0])
