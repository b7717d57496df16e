# SPDX-License-Identifier: Apache-2.0
"""Benches, the simulator runner and the host driver."""
