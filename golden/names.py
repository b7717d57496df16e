# SPDX-License-Identifier: Apache-2.0
"""Names that a configuration cannot have, because Verilog or a coprocessor has them."""

import re

__all__ = ["KEYWORDS", "LONGEST", "check_name"]

LONGEST = 41        # characters

# Reserved in SystemVerilog (IEEE 1800-2017, annex B), where a name might be one of them.
KEYWORDS = frozenset("""
    accept_on alias always and assert assign assume automatic before begin bind bins binsof bit
    break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config
    const constraint context continue cover covergroup coverpoint cross deassign default defparam
    design disable dist do edge else end enum event eventually expect export extends extern final
    first_match for force foreach forever fork forkjoin function generate genvar global highz0
    highz1 if iff ifnone implements implies import incdir include initial inout input inside
    instance int integer interconnect interface intersect join large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter
    pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup pure
    rand randc randcase randsequence rcmos real realtime ref reg reject_on release repeat restrict
    return rnmos rpmos rtran scalared sequence shortint shortreal signed small soft solve specify
    specparam static string strong strong0 strong1 struct super supply0 supply1 table tagged task
    this throughout time timeprecision timescale timeunit tran tri tri0 tri1 triand trior trireg
    type typedef union unique unique0 unsigned until untyped use uwire var vectored virtual void
    wait wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split())

_PORT = re.compile(r"clk|rst|irq|(s_axil|m_axi)_.*")
_TOP = "top"        # of a board


def check_name(name: str) -> None:
    """Refuse a name that modules, files and folders cannot have.

    A coprocessor's modules are called ``NAME__block``, so that those of two can be in one design.

    Raises
    ------
    ValueError
        The text says what is wrong.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name must be a lower-case identifier, not {name!r}")
    if len(name) > LONGEST:
        raise ValueError(f"name must have at most {LONGEST} characters, not {name!r}")
    if "__" in name or name.endswith("_"):
        raise ValueError("name must have single underscores between its parts, as modules are "
                         f"called NAME__block, not {name!r}")
    if name in KEYWORDS:
        raise ValueError(f"name must be none of SystemVerilog's words, not {name!r}")
    if name == _TOP or _PORT.fullmatch(name):
        raise ValueError("name must be none of a port or of the top of a board, not "
                         f"{name!r}")
