# SPDX-License-Identifier: Apache-2.0
"""Machine-checked proofs about the specification, by the SMT solver Z3."""
