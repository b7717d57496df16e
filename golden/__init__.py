# SPDX-License-Identifier: Apache-2.0
"""The specification of Prunus: NumPy only, exact in integers. The RTL equals it bit for bit."""
