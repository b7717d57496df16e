# SPDX-License-Identifier: Apache-2.0
"""Texts of tasks."""


import pytest

from prunus.errors import InputError
from prunus.evaluate.metrics import METRICS
from prunus.evaluate.tasks import TASKS, Columns, read_labelled


@pytest.fixture
def written(tmp_path):
    def write(text, name="dev.tsv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


def test_tasks():
    assert {"sst2", "cola", "lm", "tsv"} < set(TASKS)
    assert all(task.metric in METRICS for task in TASKS.values())
    assert [name for name, task in TASKS.items() if task.generates] == ["lm"]


@pytest.mark.parametrize(("task", "text", "want"), [
    ("sst2", "sentence\tlabel\na b\t1\nc\t0\n", (("a b", "c"), (1, 0), None)),
    ("sst2", "label\tcontent\n1\ta b\n", (("a b",), (1,), None)),
    ("tsv", "a b\t1\nc\t0\n", (("a b", "c"), (1, 0), None)),
    ("cola", "gj04\t1\t\tA b.\nbc01\t0\t*\tC d.\n", (("A b.", "C d."), (1, 0), None)),
    ("mrpc", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\ta \" b\tc\n",
     (("a \" b",), (1,), ("c",))),
    ("qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n3\t1\t2\ta?\tb?\t0\n",
     (("a?",), (0,), ("b?",))),
    ("rte", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n1\tc\td\tentailment\n",
     (("a", "c"), (1, 0), ("b", "d"))),
    ("qnli", "index\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n", (("a",), (0,), ("b",))),
    ("wnli", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n", (("a",), (1,), ("b",))),
])
def test_layouts_of_glue(written, task, text, want):
    got = read_labelled(written(text), TASKS[task], 2)
    assert (got.texts, got.labels, got.pairs) == want
    assert len(got.first(1)) == 1 and got.first(1).texts == want[0][:1]


def test_words_are_numbered_as_the_model_has_them(written):
    path = written("sentence1\tsentence2\tx\tgold_label\na\tb\tx\tcontradiction\n"
                   "a\tb\tx\tneutral\n")
    task = TASKS["mnli"]
    assert read_labelled(path, task, 3).labels == (2, 1)
    own = ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]
    assert read_labelled(path, task, 3, names=own).labels == (0, 1)
    assert read_labelled(path, task, 3, names=["LABEL_0", "LABEL_1", "LABEL_2"]).labels == (2, 1)


def test_columns_of_ones_own(written):
    path = written("id\tbody\tclass\n1\ta b\tbad\n2\tc\tgood\n")
    tsv = TASKS["tsv"]
    got = read_labelled(path, tsv, 2, Columns(text="body", label="class"), ["Good", "Bad"])
    assert (got.texts, got.labels) == (("a b", "c"), (1, 0))
    path = written("1\ta b\t0\n2\tc\t1\n")
    got = read_labelled(path, tsv, 2, Columns(text="2", pair="1", label="3"))
    assert (got.texts, got.labels, got.pairs) == (("a b", "c"), (0, 1), ("1", "2"))


BODY = Columns(text="body", label="class")


@pytest.mark.parametrize(("task", "text", "columns", "message"), [
    ("cola", "", None, "must hold sentences, and holds none"),
    ("sst2", "", None, "must hold sentences, and holds none"),
    ("rte", "index\tsentence1\tsentence2\tlabel\n", None, "must hold sentences, and holds none"),
    ("cola", b"\xff\t1\t\ta\n", None, "must be text in UTF-8"),
    ("cola", "a\t1\n", None, "must have a column 4, and has 2"),
    ("cola", "x\t1\t\ta\nx\t1\ta\n", None, "line 2: must have 4 columns, not 3"),
    ("cola", "x\t1\t\ta\nx\t2\t\ta\n", None,
     "line 2: label must lie in 0..1, the classes of the model, not '2'"),
    ("rte", "index\ta\tb\tlabel\n0\ta\tb\t1\n", None,
     "must have a column 'sentence1', and its first line names 'index', 'a', 'b', 'label'"),
    ("rte", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tmaybe\n", None,
     "line 2: label must lie in 0..1, the classes of the model, not 'maybe'"),
    ("rte", "index\tsentence1\tsentence2\tlabel\n0\ta\n", None, "line 2: must have 4 columns, not"),
    ("tsv", "a\tb\n", BODY, "must have a column 'body'"),
    ("tsv", "a\tb\n", Columns(text="0", label="1"), "must have a column 0, and has 2"),
    ("tsv", "a\tb\n", Columns(text="1"), "^--label-column must be given where"),
    ("tsv", "a\tb\n", Columns(label="1"), "^--text-column must be given where"),
    ("tsv", "a\tb\tc\n", None, "must have two columns"),
])
def test_bad_files(written, task, text, columns, message):
    with pytest.raises(InputError, match=message):
        read_labelled(written(text), TASKS[task], 2, columns)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_labelled(tmp_path / "none", TASKS["cola"], 2)


def test_a_line_ends_where_a_file_says_so(written):
    """And not where Unicode has another end of line within a sentence."""
    path = written("x\t1\t\tone\u2028two\x85three\nx\t0\t\tfour\n")
    assert read_labelled(path, TASKS["cola"], 2).texts == ("one\u2028two\x85three", "four")
