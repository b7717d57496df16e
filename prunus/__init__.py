# SPDX-License-Identifier: Apache-2.0
"""The command line and what users do with the coprocessors."""
