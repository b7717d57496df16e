# SPDX-License-Identifier: Apache-2.0
"""``prunus bench``: figures of the RTL on real and made heads."""
