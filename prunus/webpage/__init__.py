# SPDX-License-Identifier: Apache-2.0
"""One page in HTML that shows what is pruned of heads or of a model, and what that saves."""
