# SPDX-License-Identifier: Apache-2.0
"""What a user names: forms, and the file of a report."""

__all__ = ["KINDS", "REPORT"]

KINDS = ("dense", "svd", "tucker", "ttm", "butterfly")
REPORT = "report.json"
