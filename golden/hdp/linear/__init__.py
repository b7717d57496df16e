# SPDX-License-Identifier: Apache-2.0
"""Linear layers on the array of HDP: matrix products of codes, and chains of them."""

from .compute import Activation, Arrangement, LinearJob, LinearResult, Output, linear
from .cost import Cost, Product, chain_cost
from .kind import LinearKind, LinearLayout, LinearStatus
from .sizes import Sizes
from .tables import encode_requant, gelu_table, tanh_table

__all__ = ["Activation", "Arrangement", "Cost", "LinearJob", "LinearKind", "LinearLayout",
           "LinearResult", "LinearStatus", "Output", "Product", "Sizes", "chain_cost",
           "encode_requant", "gelu_table", "linear", "tanh_table"]
