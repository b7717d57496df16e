# SPDX-License-Identifier: Apache-2.0
"""Labelled sentences in TSV files, and how they are divided."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError

__all__ = ["Sentences", "read_sentences"]


@dataclass(frozen=True)
class Sentences:
    """Texts and the numbers of their classes."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, chosen) -> "Sentences":
        """Of some, by their indices or a slice."""
        if isinstance(chosen, slice):
            chosen = range(*chosen.indices(len(self)))
        return Sentences(tuple(self.texts[i] for i in chosen),
                         tuple(self.labels[i] for i in chosen))

    def divide(self, share: float, seed: int) -> tuple["Sentences", "Sentences"]:
        """The others, and a random share; no text is in both."""
        texts = list(dict.fromkeys(self.texts))
        count = round(share * len(texts))
        order = np.random.default_rng(seed).permutation(len(texts))
        held = {texts[i] for i in order[:count]}
        return (self[[i for i, text in enumerate(self.texts) if text not in held]],
                self[[i for i, text in enumerate(self.texts) if text in held]])


def _is_label(text: str) -> bool:
    return text.isascii() and text.isdigit()


def read_sentences(path: Path, classes: int) -> Sentences:
    """Two columns, sentence and label in either order; a first line without a label is a header.

    Raises
    ------
    InputError
        With the file, the line and what is allowed.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as err:
        raise InputError(f"data {str(path)!r} cannot be read: {err.strerror or err}") from None
    except UnicodeDecodeError:
        raise InputError(f"data {str(path)!r} must be text in UTF-8, and is none") from None
    rows = [(n, line.split("\t")) for n, line in enumerate(lines, 1) if line.strip()]
    for n, row in rows:
        if len(row) != 2:
            raise InputError(f"data {str(path)!r}, line {n}: must have two columns, a sentence "
                             f"and a label, not {len(row)}")
    if rows and not any(map(_is_label, rows[0][1])):
        rows = rows[1:]
    if not rows:
        raise InputError(f"data {str(path)!r} must hold sentences, and holds none")
    column = next((c for c in (0, 1) if all(_is_label(row[c]) for _, row in rows)), None)
    if column is None:
        raise InputError(f"data {str(path)!r} must have a column of labels 0..{classes - 1}, "
                         f"and has none")
    for n, row in rows:
        if int(row[column]) >= classes:
            raise InputError(f"data {str(path)!r}, line {n}: label must lie in 0..{classes - 1}, "
                             f"the classes of the model, not {row[column]}")
    return Sentences(tuple(row[1 - column] for _, row in rows),
                     tuple(int(row[column]) for _, row in rows))
