# SPDX-License-Identifier: Apache-2.0
"""``python -m prunus`` is ``prunus``."""

from .cli import main

main()
