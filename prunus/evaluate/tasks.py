# SPDX-License-Identifier: Apache-2.0
"""What a model is judged by: tasks, and the files with their texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..models.sentences import read_sentences, read_text

__all__ = ["TASKS", "Columns", "Labelled", "Task", "read_labelled"]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a TSV has what: names in its first line, or numbers from 1 of a file without one.

    Without any the file has two columns, sentence and label in either order.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None

    def __bool__(self) -> bool:
        return bool(self.text or self.pair or self.label)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task.

    Members
    -------
    metric : str
    columns : Columns
        Of GLUE's own file.
    words : tuple of str
        Labels that GLUE writes as words, in the order of their numbers.
    generates : bool
        Texts have no labels: the model says the next token.
    """

    name: str
    about: str
    metric: str = "accuracy"
    columns: Columns = field(default_factory=Columns)
    words: tuple[str, ...] = ()
    generates: bool = False


ENTAILS = ("entailment", "not_entailment")

TASKS = {task.name: task for task in (
    Task(name="sst2", about="sentence and label"),
    Task(name="cola", about="four columns without names: source, label, mark, sentence",
         metric="mcc", columns=Columns(text="4", label="2")),
    Task(name="mrpc", about="pairs",
         columns=Columns(text="#1 String", pair="#2 String", label="Quality")),
    Task(name="qqp", about="pairs of questions",
         columns=Columns(text="question1", pair="question2", label="is_duplicate")),
    Task(name="qnli", about="question and sentence", words=ENTAILS,
         columns=Columns(text="question", pair="sentence", label="label")),
    Task(name="rte", about="pairs", words=ENTAILS,
         columns=Columns(text="sentence1", pair="sentence2", label="label")),
    Task(name="wnli", about="pairs",
         columns=Columns(text="sentence1", pair="sentence2", label="label")),
    Task(name="mnli", about="pairs", words=("entailment", "neutral", "contradiction"),
         columns=Columns(text="sentence1", pair="sentence2", label="gold_label")),
    Task(name="tsv", about="any: two columns, or those that options name"),
    Task(name="lm", about="a text, documents parted by a line <|endoftext|>",
         metric="perplexity", generates=True),
)}


@dataclass(frozen=True)
class Labelled:
    """Sentences, or pairs of them, and the numbers of their classes."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    pairs: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def first(self, count: int | None) -> "Labelled":
        return Labelled(self.texts[:count], self.labels[:count],
                        None if self.pairs is None else self.pairs[:count])


def read_labelled(path: Path, task: Task, classes: int, columns: Columns | None = None,
                  names: Sequence[str] = ()) -> Labelled:
    """The sentences of a TSV.

    Parameters
    ----------
    task : Task
    classes : int
        Of the model.
    columns : Columns, optional
        Instead of those of the task.
    names : sequence of str
        The model's own names of its classes, for labels that are words.

    Raises
    ------
    InputError
        With the file, the line and what is allowed.
    """
    columns = columns or task.columns
    if not columns:
        both = read_sentences(path, classes)
        return Labelled(both.texts, both.labels)
    if not (columns.text and columns.label):
        missing = "--label-column" if columns.text else "--text-column"
        raise InputError(f"{missing} must be given where one of the columns is")
    # Not splitlines: a sentence may hold what else Unicode takes for an end of line.
    rows = [(n, line.split("\t")) for n, line in enumerate(read_text(path).split("\n"), 1)
            if line.strip()]
    if not rows:
        raise InputError(f"data {str(path)!r} must hold sentences, and holds none")
    found, header = _places(path, columns, rows[0][1])
    rows = rows[1:] if header else rows
    if not rows:
        raise InputError(f"data {str(path)!r} must hold sentences, and holds none")
    width = max(place for place in found.values()) + 1
    for n, row in rows:
        if len(row) < width or (not header and len(row) != len(rows[0][1])):
            raise InputError(f"data {str(path)!r}, line {n}: must have "
                             f"{width if header else len(rows[0][1])} columns, not {len(row)}")
    numbers = _numbers(task, classes, names)
    labels = [_label(path, n, row[found["label"]], numbers, classes) for n, row in rows]
    return Labelled(
        tuple(row[found["text"]] for _, row in rows), tuple(labels),
        tuple(row[found["pair"]] for _, row in rows) if "pair" in found else None)


def _places(path: Path, columns: Columns, first: Sequence[str]) -> tuple[dict[str, int], bool]:
    """Indices of the columns, and whether the first line has their names."""
    wanted = {name: value for name in ("text", "pair", "label")
              if (value := getattr(columns, name))}
    if all(value in first for value in wanted.values()):
        return {name: first.index(value) for name, value in wanted.items()}, True
    found = {}
    for name, value in wanted.items():
        if not (value.isascii() and value.isdigit()):
            raise InputError(f"data {str(path)!r} must have a column {value!r}, and its first line "
                             f"names {', '.join(map(repr, first[:8]))}")
        if not 1 <= int(value) <= len(first):
            raise InputError(f"data {str(path)!r} must have a column {value}, and has "
                             f"{len(first)}")
        found[name] = int(value) - 1
    return found, False


def _numbers(task: Task, classes: int, names: Sequence[str]) -> dict[str, int]:
    """Of labels: numbers as they are, words as the model has them, or else GLUE."""
    numbers = {str(n): n for n in range(classes)}
    own = [name.lower() for name in names]
    words = own if set(task.words) <= set(own) or not task.words else task.words[:classes]
    return {word: n for n, word in enumerate(words)} | numbers


def _label(path: Path, line: int, text: str, numbers: dict[str, int], classes: int) -> int:
    number = numbers.get(text.strip().lower())
    if number is None:
        raise InputError(f"data {str(path)!r}, line {line}: label must lie in 0..{classes - 1}, "
                         f"the classes of the model, not {text!r}")
    return number
