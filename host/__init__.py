# SPDX-License-Identifier: Apache-2.0
"""The driver of a coprocessor on an FPGA: over a serial port, or on Linux beside it.

::

    from prunus.golden.engines import load_config
    from prunus.host import open_serial

    with open_serial("/dev/ttyUSB0", load_config("hdp_edge")) as coprocessor:
        results, counters = coprocessor.run(jobs)

On Linux beside the coprocessor, ``open_uio("/dev/uio0", config, memory="/dev/udmabuf0")``.
"""

from .coprocessor import Coprocessor, open_serial
from .link import Link, LinkError
from .transport import LinkTransport
from .uio import UioTransport, open_uio

__all__ = ["Coprocessor", "Link", "LinkError", "LinkTransport", "UioTransport", "open_serial",
           "open_uio"]
