# SPDX-License-Identifier: Apache-2.0
"""What a user names: forms, what they are chosen by, and the file of a report."""

__all__ = ["KINDS", "REPORT", "RULES"]

KINDS = ("dense", "svd", "tucker", "ttm", "butterfly")
RULES = ("edp", "products", "uniform")
REPORT = "report.json"
