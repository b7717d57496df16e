# SPDX-License-Identifier: Apache-2.0
"""``prunus area``: size and speed of the hardware, with Yosys and nextpnr."""
