# SPDX-License-Identifier: Apache-2.0
"""Thresholds for LeOPArd: learn them on a language model, and drive them through the engine.

What needs no torch: :mod:`.thresholds` (the file), :mod:`.budget` and the commands; the rest comes
with ``pip install -e '.[models]'``.
"""
