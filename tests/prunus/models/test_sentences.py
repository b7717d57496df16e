# SPDX-License-Identifier: Apache-2.0
"""Labelled sentences from TSV files."""

import re

import numpy as np
import pytest

from prunus.errors import InputError
from prunus.models.sentences import (
    Sentences,
    read_documents,
    read_images,
    read_sentences,
)


def write(tmp_path, text):
    path = tmp_path / "some.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [
    "good film\t1\nbad \" film\t0\n",
    "1\tgood film\n0\tbad \" film\n",
    "label\tcontent\n1\tgood film\n\n0\tbad \" film",
    "sentence\tlabel\ngood film\t1\nbad \" film\t0",
])
def test_either_order_with_and_without_a_header(tmp_path, text):
    assert read_sentences(write(tmp_path, text), 2) == Sentences(
        ("good film", 'bad " film'), (1, 0))


@pytest.mark.parametrize("text", [
    "gj04\t1\t\tThe sailors rode.\ncj99\t0\t*\tThe more.\n",
    "idx\tsentence\tlabel\n7\tThe sailors rode.\t1\n8\tThe more.\t0\n",
    "Label\tsource\tText\n1\t0\tThe sailors rode.\n0\t0\tThe more.\n",
])
def test_other_layouts(tmp_path, text):
    """CoLA's own, which has no header, and those of copies of GLUE."""
    assert read_sentences(write(tmp_path, text), 2) == Sentences(
        ("The sailors rode.", "The more."), (1, 0))


def test_ends_of_lines_of_unicode_are_no_ends(tmp_path):
    text = "a film\u2028and\x85more\x0b\t1\r\nanother\t0\r\n"
    path = tmp_path / "some.tsv"
    path.write_bytes(text.encode())
    assert read_sentences(path, 2) == Sentences(("a film\u2028and\x85more\x0b", "another"), (1, 0))


def test_documents(tmp_path):
    path = write(tmp_path, "One day.\nThe end.\n<|endoftext|>\n\n<|endoftext|>\nTwo\u2028days.\n")
    assert read_documents(path) == ("One day.\nThe end.", "Two\u2028days.")
    for text in ("", "\n<|endoftext|>\n"):
        with pytest.raises(InputError, match="must hold documents, and holds none"):
            read_documents(write(tmp_path, text))


IMAGES = {"pixel_values": np.ones((2, 1, 2, 3)), "labels": np.array([1, 0])}


def test_images(tmp_path):
    np.savez(tmp_path / "some.npz", **IMAGES)
    read = read_images(tmp_path / "some.npz", (1, 2, 3), 2)
    assert read == Sentences((np.ones(6, np.float32).tobytes(),) * 2, (1, 0))


@pytest.mark.parametrize(("fields", "message"), [
    ({"labels": None}, "must be an .npz archive with pixel_values and labels, and is none"),
    ({"pixel_values": np.ones((2, 1, 3, 2))},
     "pixel_values must be floats of shape (n, 1, 2, 3), not float64 of (2, 1, 3, 2)"),
    ({"pixel_values": np.ones((2, 1, 2, 3), np.uint8)}, "must be floats of shape (n, 1, 2, 3)"),
    ({"pixel_values": np.full((2, 1, 2, 3), np.nan)}, "pixel_values must be finite"),
    ({"pixel_values": np.ones((0, 1, 2, 3))}, "must be floats of shape"),
    ({"labels": np.array([1, 0, 1])}, "labels must be integers of shape (2,), not int64 of (3,)"),
    ({"labels": np.array([1.0, 0])}, "labels must be integers of shape (2,), not float64 of (2,)"),
    ({"labels": np.array([1, 2])}, "labels must lie in 0..1, the classes of the model, not 1..2"),
    ({"labels": np.array([-1, 1])}, "labels must lie in 0..1, the classes of the model, not -1"),
])
def test_bad_images(tmp_path, fields, message):
    path = tmp_path / "some.npz"
    np.savez(path, **{name: value for name, value in {**IMAGES, **fields}.items()
                      if value is not None})
    with pytest.raises(InputError, match=re.escape(message)):
        read_images(path, (1, 2, 3), 2)


def test_unreadable_images(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_images(tmp_path / "none", (1, 2, 3), 2)
    with pytest.raises(InputError, match="must be an .npz archive"):
        read_images(write(tmp_path, "text"), (1, 2, 3), 2)


def test_a_sentence_may_look_like_a_label(tmp_path):
    read = read_sentences(write(tmp_path, "1984\t1\n7 days\t0\n"), 2)
    assert read == Sentences(("1984", "7 days"), (1, 0))


@pytest.mark.parametrize(("text", "message"), [
    ("a film\t1\nno label\n", "line 2: must have 2 columns as the first line, not 1"),
    ("gj04\t1\t\tA film.\ngj04\t1\tA film.\n",
     "line 2: must have 4 columns as the first line, not 3"),
    ("a\t1\tb\n", "line 1: must have two columns, a sentence and a label, or CoLA's four, or a "
                  "header that names them, not 3"),
    ("a film\n", "line 1: must have two columns, a sentence and a label, or CoLA's four"),
    ("index\tsentence\n0\ta film\n1\tanother\n2\tone more\n",
     "label must lie in 0..1, the classes of the model, not 2"),
    ("gj04\tgood\t\tA film.\n", "must have a column of labels 0..1, and has none"),
    ("id\tlabel\tsentence\n0\t-1\ta film\n", "line 2: label must lie in 0..1, the classes of"),
    ("sentence\tlabel\tidx\n", "must hold sentences, and holds none"),
    ("a film\t1\nanother\t2\n", "line 2: label must lie in 0..1, the classes of the model, not 2"),
    ("label\tcontent\n", "must hold sentences, and holds none"),
    ("", "must hold sentences, and holds none"),
    ("a film\t1\n0\tanother\n", "must have a column of labels 0..1, and has none"),
])
def test_bad_files_say_what_is_allowed(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_sentences(write(tmp_path, text), 2)


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file or directory"):
        read_sentences(tmp_path / "none", 2)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\t1")
    with pytest.raises(InputError, match="must be text in UTF-8, and is none"):
        read_sentences(tmp_path / "bytes", 2)


def test_division_keeps_every_sentence_and_shares_no_text():
    texts = tuple(f"sentence {n % 90}" for n in range(100))
    every = Sentences(texts, tuple(n % 2 for n in range(100)))
    fit, held = every.divide(0.2, seed=3)
    assert len(set(held.texts)) == 18 and not set(fit.texts) & set(held.texts)
    together = list(zip(fit.texts + held.texts, fit.labels + held.labels, strict=True))
    assert sorted(together) == sorted(zip(every.texts, every.labels, strict=True))
    assert every.divide(0.2, seed=3) == (fit, held)
    assert every.divide(0.2, seed=4) != (fit, held)


def test_some_of_them():
    every = Sentences(("a", "b", "c"), (0, 1, 0))
    assert every[1:] == Sentences(("b", "c"), (1, 0)) and len(every[:2]) == 2
    assert every[[2, 0]] == Sentences(("c", "a"), (0, 0))
