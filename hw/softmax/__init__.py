# SPDX-License-Identifier: Apache-2.0
"""Softmax of a block row: exponentials, weights, the reciprocal, and the output normaliser."""
