# SPDX-License-Identifier: Apache-2.0
"""Digests of the emitted Verilog, kept in ``digests.json`` to hold every Python to one text.

After a change of the hardware: ``python -m tests.hw.verilog.digests``
"""

import hashlib
import json
from pathlib import Path

from prunus.golden.engines import load_config
from prunus.hw.verilog.emit import emit

__all__ = ["KEPT", "PRESETS", "digest"]

KEPT = Path(__file__).with_name("digests.json")
PRESETS = ("hdp_tiny", "hdp_own_tiny", "leopard_tiny", "topk_tiny")


def digest(preset: str) -> str:
    """Of the text behind the header, which names versions."""
    _, _, body = emit(load_config(preset)).verilog.partition("\n\n")
    return hashlib.sha256(body.encode()).hexdigest()


if __name__ == "__main__":
    KEPT.write_text(json.dumps({name: digest(name) for name in PRESETS}, indent=2) + "\n",
                    encoding="utf-8")
