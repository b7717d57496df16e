# SPDX-License-Identifier: Apache-2.0
"""Facts of the process that hardware is measured in: IHP's open 130 nm SG13G2."""
