# SPDX-License-Identifier: Apache-2.0
"""Memory that Yosys takes at its peak, estimated before it starts."""

import re
import resource
from pathlib import Path

from ..errors import InputError

__all__ = ["WASM_BYTES", "available_bytes", "check_memory", "needed_bytes"]

WASM_BYTES = 2**32          # WebAssembly addresses no more
_MIB = 2**20
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup/memory.max")
# Above the peaks of presets that were measured (tests/prunus/synth/test_peak.py), by 1.9 at most:
# wide multipliers are short in Verilog.
BASE_BYTES = 200 * _MIB
BYTES_OF_VERILOG = 800      # by byte of it


def needed_bytes(verilog: int) -> int:
    """An upper estimate for so many bytes of Verilog."""
    return BASE_BYTES + BYTES_OF_VERILOG * verilog


def available_bytes() -> int:
    """What Yosys can get: of the machine, of its container, of the process, of WebAssembly."""
    limits = [WASM_BYTES]
    if _MEMINFO.exists():
        found = re.search(r"^MemAvailable: +(\d+) kB", _MEMINFO.read_text(), re.M)
        limits += [int(found[1]) * 1024] if found else []
    if _CGROUP.exists() and (text := _CGROUP.read_text().strip()).isdigit():
        limits.append(int(text))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(limits + ([soft] if soft != resource.RLIM_INFINITY else []))


def check_memory(name: str, verilog: str) -> None:
    """Raise InputError if a design takes more memory than there is."""
    needed, there = needed_bytes(len(verilog)), available_bytes()
    if needed > there:
        raise InputError(f"config {name!r} may need {needed // _MIB:,} MiB of memory for its "
                         f"synthesis, and {there // _MIB:,} MiB are there")
