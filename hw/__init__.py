# SPDX-License-Identifier: Apache-2.0
"""The coprocessor in Amaranth: what becomes Verilog."""
