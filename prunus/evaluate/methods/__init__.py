# SPDX-License-Identifier: Apache-2.0
"""Methods of attention, one a module. The modules need NumPy only."""
