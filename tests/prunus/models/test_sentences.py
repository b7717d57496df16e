# SPDX-License-Identifier: Apache-2.0
"""Labelled sentences from TSV files."""

import re

import pytest

from prunus.errors import InputError
from prunus.models.sentences import Sentences, read_sentences


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


def test_a_sentence_may_look_like_a_label(tmp_path):
    read = read_sentences(write(tmp_path, "1984\t1\n7 days\t0\n"), 2)
    assert read == Sentences(("1984", "7 days"), (1, 0))


@pytest.mark.parametrize(("text", "message"), [
    ("a film\t1\nno label\n", "line 2: must have two columns, a sentence and a label, not 1"),
    ("a\t1\tb\n", "line 1: must have two columns, a sentence and a label, not 3"),
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
