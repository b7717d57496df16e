# SPDX-License-Identifier: Apache-2.0
"""What a model is compressed with: batches, lessons, moments."""

import numpy as np
import pytest

from prunus.evaluate.tasks import TASKS
from tests.prunus.models.tiny import make_decoder, make_model, need_torch, write_sentences

torch = need_torch()

from prunus.compress.texts import Lesson, Teacher, Texts, divided, moments  # noqa: E402
from prunus.evaluate.core import Evaluator  # noqa: E402


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    make_model(path / "model")
    return Evaluator(path / "model", TASKS["sst2"], write_sentences(path / "train.tsv", 50))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    make_decoder(path / "model")
    (path / "text.txt").write_text("w1 w2 w3 w4\n<|endoftext|>\nw5 w6\n")
    return Evaluator(path / "model", TASKS["lm"], path / "text.txt")


def test_what_is_held_back_is_seen_by_no_step():
    fit, held = divided(50, 10, 3)
    assert len(held) == 10 and sorted(fit + held) == list(range(50))
    assert divided(50, 10, 3) == (fit, held) != divided(50, 10, 4)


def test_batches_without_padding_are_all_texts(evaluator):
    texts = Texts(evaluator, range(50))
    batches = list(texts.alike(20))
    assert sum(len(batch["input_ids"]) for batch in batches) == 20
    assert all(bool(batch["attention_mask"].all()) for batch in batches)


@pytest.mark.parametrize("room", [1 << 30, 0])
def test_the_teacher_says_what_the_model_says(evaluator, room):
    texts = Texts(evaluator, range(50))
    model = evaluator.model.model
    with torch.no_grad():
        teacher = Teacher(model, texts, room)
        assert bool(teacher._kept) == bool(room)
        numbers = [7, 3, 40]
        batch = texts.batch(numbers)
        hidden, logits = teacher.of(numbers, batch)
        want = Lesson(model, batch)
    assert hidden.shape == want.hidden.shape == (2, int(batch["attention_mask"].sum()), 16)
    np.testing.assert_allclose(hidden, want.hidden, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(logits, want.logits, atol=1e-4)


def test_the_loss_of_a_decoder_is_that_of_its_tokens(decoder):
    texts = Texts(decoder, [0, 1])
    batch = texts.batch([0, 1])
    with torch.no_grad():
        lesson = Lesson(decoder.model.model, batch)
        ours = texts.task_loss(lesson.logits, [0, 1], batch)
        want = decoder.model.loss([text["input_ids"] for text in decoder.texts])
    assert float(ours) == pytest.approx(float(want), rel=1e-5)


def test_moments_are_those_of_the_inputs(evaluator):
    texts, model = Texts(evaluator, range(50)), evaluator.model.model
    name = "bert.encoder.layer.0.intermediate.dense"
    second, mean = moments(model, [name], texts.alike(50))[name]
    rows = []
    handle = model.get_submodule(name).register_forward_pre_hook(
        lambda module, given: rows.append(given[0][0].double()))
    with torch.no_grad():
        for n in range(50):
            model(**texts.batch([n]))
    handle.remove()
    x = torch.cat(rows).numpy()
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(second, x.T @ x / len(x), rtol=1e-4, atol=1e-5)
