# SPDX-License-Identifier: Apache-2.0
"""``prunus fpga``: bitstreams for boards, with Yosys, nextpnr and packers from PyPI."""
