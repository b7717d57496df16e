# SPDX-License-Identifier: Apache-2.0
"""The driver of a board: heads through a coprocessor on an FPGA, over its serial port.

::

    from prunus.golden.engines import load_config
    from prunus.host import open_serial

    with open_serial("/dev/ttyUSB0", load_config("hdp_edge")) as coprocessor:
        results, counters = coprocessor.run(jobs)
"""

from .coprocessor import Coprocessor, open_serial
from .link import Link, LinkError
from .transport import LinkTransport

__all__ = ["Coprocessor", "Link", "LinkError", "LinkTransport", "open_serial"]
