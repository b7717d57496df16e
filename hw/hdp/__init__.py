# SPDX-License-Identifier: Apache-2.0
"""The HDP engine: integer pass, sparsity engine, fetch upon mask, scores, value path."""
