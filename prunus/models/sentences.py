# SPDX-License-Identifier: Apache-2.0
"""Files of what models work on: labelled sentences, documents, images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

__all__ = ["Sentences", "read_documents", "read_images", "read_sentences", "read_text"]

END = "<|endoftext|>"       # a line between documents


@dataclass(frozen=True)
class Sentences:
    """Texts and the numbers of their classes; images are texts of bytes."""

    texts: tuple[Any, ...]
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


def read_text(path: Path) -> str:
    """Of a file in UTF-8. Raises InputError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as err:
        raise InputError(f"data {str(path)!r} cannot be read: {err.strerror or err}") from None
    except UnicodeDecodeError:
        raise InputError(f"data {str(path)!r} must be text in UTF-8, and is none") from None


def read_documents(path: Path) -> tuple[str, ...]:
    """Texts with a line ``<|endoftext|>`` between them. Raises InputError."""
    texts: list[list[str]] = [[]]
    for line in read_text(path).split("\n"):
        if line.strip() == END:
            texts.append([])
        else:
            texts[-1].append(line)
    said = tuple(text for text in ("\n".join(lines).strip() for lines in texts) if text)
    if not said:
        raise InputError(f"data {str(path)!r} must hold documents, and holds none")
    return said


def read_images(path: Path, shape: tuple[int, int, int], classes: int) -> Sentences:
    """An .npz with ``pixel_values`` (n, channels, height, width), as the processor of the model
    makes them, and ``labels`` (n,). Raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            pixels, labels = (np.asarray(file[name]) for name in ("pixel_values", "labels"))
    except OSError as err:
        raise InputError(f"data {str(path)!r} cannot be read: {err.strerror or err}") from None
    except Exception:       # whatever a damaged archive comes to
        raise InputError(f"data {str(path)!r} must be an .npz archive with pixel_values and "
                         f"labels, and is none") from None
    if pixels.shape[1:] != shape or pixels.dtype.kind != "f" or not len(pixels):
        raise InputError(f"data {str(path)!r}: pixel_values must be floats of shape (n, "
                         f"{', '.join(map(str, shape))}), not {pixels.dtype} of {pixels.shape}")
    if labels.shape != pixels.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(f"data {str(path)!r}: labels must be integers of shape "
                         f"{pixels.shape[:1]}, not {labels.dtype} of {labels.shape}")
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(f"data {str(path)!r}: pixel_values must be finite")
    if not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"data {str(path)!r}: labels must lie in 0..{classes - 1}, the classes of "
                         f"the model, not {labels.min()}..{labels.max()}")
    return Sentences(tuple(one.tobytes() for one in pixels), tuple(labels.tolist()))


def _is_label(text: str) -> bool:
    return text.isascii() and text.isdigit()


# Names of columns in headers that are known: those of GLUE and of its copies.
TEXT_COLUMNS, LABEL_COLUMN = ("sentence", "text", "content"), "label"
COLA = 4        # columns of CoLA's own files, which have no header: source, label, mark, sentence


def _named(header: list[str]) -> tuple[int, int] | None:
    """The columns of text and label that a header names."""
    names = [name.strip().lower() for name in header]
    texts = [names.index(name) for name in TEXT_COLUMNS if name in names]
    return (texts[0], names.index(LABEL_COLUMN)) if texts and LABEL_COLUMN in names else None


def _columns(rows: list[list[str]]) -> tuple[int, int] | None:
    """The columns of text and label of rows without a header."""
    if len(rows[0]) == COLA:
        return (3, 1) if all(_is_label(row[1]) for row in rows) else None
    label = next((c for c in (0, 1) if all(_is_label(row[c]) for row in rows)), None)
    return None if label is None else (1 - label, label)


def read_sentences(path: Path, classes: int) -> Sentences:
    """A TSV of sentences and labels.

    Two columns in either order, with a first line without a label as a header or none; CoLA's own
    four, without a header; or any that a header names ``sentence`` (``text``, ``content``) and
    ``label``.

    Raises
    ------
    InputError
        With the file, the line and what is allowed.
    """
    # Not splitlines: a sentence may hold what else Unicode takes for an end of line.
    rows = [(n, line.split("\t")) for n, line in enumerate(read_text(path).split("\n"), 1)
            if line.strip()]
    if not rows:
        raise InputError(f"data {str(path)!r} must hold sentences, and holds none")
    width = len(rows[0][1])
    columns = _named(rows[0][1])
    if columns is None and width not in (2, COLA):
        raise InputError(f"data {str(path)!r}, line {rows[0][0]}: must have two columns, a "
                         f"sentence and a label, or CoLA's four, or a header that names them, not "
                         f"{width}")
    for n, row in rows:
        if len(row) != width:
            raise InputError(f"data {str(path)!r}, line {n}: must have {width} columns as the "
                             f"first line, not {len(row)}")
    if columns is not None or (width == 2 and not any(map(_is_label, rows[0][1]))):
        rows = rows[1:]
    if not rows:
        raise InputError(f"data {str(path)!r} must hold sentences, and holds none")
    columns = columns or _columns([row for _, row in rows])
    if columns is None:
        raise InputError(f"data {str(path)!r} must have a column of labels 0..{classes - 1}, "
                         f"and has none")
    text, label = columns
    for n, row in rows:
        if not _is_label(row[label]) or int(row[label]) >= classes:
            raise InputError(f"data {str(path)!r}, line {n}: label must lie in 0..{classes - 1}, "
                             f"the classes of the model, not {row[label]}")
    return Sentences(tuple(row[text] for _, row in rows),
                     tuple(int(row[label]) for _, row in rows))
