# SPDX-License-Identifier: Apache-2.0
"""HEAT: linear layers as short chains of small matrix products, chosen by what they cost.

:mod:`.chain` says what a chain is and runs it, :mod:`.forms` enumerates those that a coprocessor
can run, :mod:`.fit` finds their factors, :mod:`.cost` and :mod:`.paths` say what they cost,
:mod:`.pareto` and :mod:`.assign` choose among them. None of these needs torch.
"""
