# SPDX-License-Identifier: Apache-2.0
"""The shell around the engines: registers, descriptors and the AXI4 read and write DMAs."""
