# SPDX-License-Identifier: Apache-2.0
"""Coprocessors for pruned attention: specification, hardware, simulations, command line.

The rooms ``golden``, ``hw``, ``host``, ``sim`` and ``formal`` stand beside this folder in the
repository; links in it make them packages of ``prunus``, here and in a wheel.
"""

__version__ = "0.1.0"
