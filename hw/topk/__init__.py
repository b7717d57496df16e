# SPDX-License-Identifier: Apache-2.0
"""The Top-K engine: full-width scores, and a filter that keeps the K best of a row."""
