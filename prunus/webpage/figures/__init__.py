# SPDX-License-Identifier: Apache-2.0
"""Figures of a page, each from what the page says in JSON."""
