# SPDX-License-Identifier: Apache-2.0
"""FPGA boards: what stands around a coprocessor so that a host can reach it."""
