# SPDX-License-Identifier: Apache-2.0
"""Registers, descriptors and records in the languages of those who use a coprocessor."""
