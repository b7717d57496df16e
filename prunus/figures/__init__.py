# SPDX-License-Identifier: Apache-2.0
"""Figures of the documents: measured by a command, kept as JSON, written into the pages.

    python -m prunus.figures --list
    python -m prunus.figures --measure hdp_error --data DIR
    python -m prunus.figures                  # also: make figures
    python -m prunus.figures --check
"""
