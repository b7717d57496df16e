# SPDX-License-Identifier: Apache-2.0
"""What pruning costs a model and what it saves (docs/evaluate.md).

Nothing here imports torch before a model is loaded.
"""
