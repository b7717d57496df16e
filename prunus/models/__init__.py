# SPDX-License-Identifier: Apache-2.0
"""Models of Hugging Face, with the attention of the engines in the place of their own.

What needs no torch: :mod:`.sentences`, :mod:`.hdp`, :mod:`.quantise`; the rest comes with
``pip install -e '.[models]'``.
"""
