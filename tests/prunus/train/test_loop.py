# SPDX-License-Identifier: Apache-2.0
"""The training of thresholds: it goes on where it stopped, and does what it is for."""

from dataclasses import replace

import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from prunus.errors import InputError, RunError  # noqa: E402
from prunus.models.attention import Dense, Hard  # noqa: E402
from prunus.models.model import Classifier  # noqa: E402
from prunus.models.sentences import read_sentences  # noqa: E402
from prunus.train.distil import divergence  # noqa: E402
from prunus.train.loop import Trainer, batches  # noqa: E402
from prunus.train.settings import Settings  # noqa: E402

SETTINGS = Settings(seed=1, steps=8, every=3, batch=4, weights=False, budget=50, held_out=0.4,
                    start=0.0, rate=0.05, weight_rate=1e-3, strength=10.0, sharpness=10.0,
                    depth=1000.0, slope=10.0, distil=0.0, temperature=2.0)
TEACHER = pytest.mark.parametrize("distil", [0.0, 0.4], ids=["labels", "teacher"])
TRAINING = pytest.mark.parametrize("weights", [False, True], ids=["thresholds", "weights"])


@pytest.fixture
def make(tmp_path):
    """Trainers of one model and data; ``correct`` is what the model as given gets right."""
    path = tiny.make_model(tmp_path / "model")
    sentences = read_sentences(tiny.write_sentences(tmp_path / "data.tsv", 40), 2)
    fit, held = sentences.divide(0.4, seed=0)

    def trainer(settings=SETTINGS, name="x.ckpt", correct=10, fit=fit, **fields):
        return Trainer(Classifier(path), replace(settings, **fields), fit, held, correct=correct,
                       path=tmp_path / name)
    trainer.fit, trainer.held = fit, held
    return trainer


def state(trainer):
    weights = trainer.classifier.model.state_dict()
    return (trainer.candidates, trainer.thresholds.tolist(),
            {name: value.tolist() for name, value in weights.items()})


@TRAINING
@TEACHER
@pytest.mark.parametrize("last", [4, 5, 6])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(make, weights, distil, last):
    whole = make(name="whole", weights=weights, distil=distil)
    chosen = whole.run()

    def stop(step, note):
        if step == last:
            raise KeyboardInterrupt

    first = make(weights=weights, distil=distil)
    with pytest.raises(KeyboardInterrupt):
        first.run(stop)
    again = make(weights=weights, distil=distil)
    torch.manual_seed(99)
    assert again.resume() and again.step == last - last % 3
    assert again.run() == chosen
    assert state(again) == state(whole)
    assert [c.step for c in whole.candidates] == [0, 3, 6, 8]


@TRAINING
def test_the_seed_says_everything(make, weights):
    first, second, other = (make(weights=weights, name=str(n), seed=seed)
                            for n, seed in enumerate((1, 1, 2)))
    for trainer in (first, second, other):
        trainer.run()
    assert state(first) == state(second) and state(first) != state(other)


def test_only_weights_that_are_to_be_trained_change(make):
    before = state(make())[2]
    thresholds, weights = make(), make(weights=True)
    thresholds.run()
    weights.run()
    assert state(thresholds)[2] == before and state(weights)[2] != before
    assert thresholds.candidates[-1].thresholds != (0.0, 0.0)


def test_the_regulariser_raises_thresholds(make):
    weak, strong = (make(strength=strength, name=str(strength), steps=12)
                    for strength in (0.0, 100.0))
    weak.run()
    strong.run()
    assert min(strong.thresholds.tolist()) > 0.2
    assert sum(strong.thresholds.tolist()) > sum(weak.thresholds.tolist())
    assert strong.candidates[-1].pruned > strong.candidates[1].pruned


def test_the_model_has_the_weights_of_the_chosen_checkpoint(make):
    """Nothing is within a budget that no checkpoint can meet: the weights as they were."""
    before = state(make())[2]
    trainer = make(weights=True, budget=0, correct=10**6)
    assert trainer.run().step == 0 and state(trainer)[2] == before
    lucky = make(weights=True, correct=-10**6, budget=0, name="other")
    best = max(lucky_run(lucky), key=lambda c: (c.pruned, c.correct))
    assert lucky.chosen() == best and best.step > 0
    assert state(lucky)[2] != before
    saved = Classifier.correct(lucky.classifier, lucky.held, hard(lucky, best))
    assert sum(saved) == best.correct


# -- the teacher -----------------------------------------------------------------------------
def test_without_labels_in_the_loss_they_say_nothing(make):
    """And with them they do."""
    other = replace(make.fit, labels=tuple(1 - label for label in make.fit.labels))
    for distil, same in ((1.0, True), (0.5, False)):
        given, turned = (make(weights=True, distil=distil, fit=fit, name=f"{distil}{n}")
                         for n, fit in enumerate((make.fit, other)))
        given.run()
        turned.run()
        assert (state(given) == state(turned)) == same


def distance(teacher, trainer):
    """From the teacher on what is learned from, pruned."""
    rule = Hard(trainer.thresholds.tolist(), trainer.classifier.layers)
    return divergence(teacher, trainer.classifier.all_logits(trainer.tokens, rule)).item()


def test_the_teacher_keeps_the_student_near(make):
    """Nearer than labels do, and nearer than where pruning put it; it is the model as given, which
    prunes nothing."""
    model = Classifier(make().classifier.model.name_or_path)
    held, fit = (model.all_logits(model.tokenise(sentences.texts), Dense())
                 for sentences in (make.held, make.fit))
    far = {}
    for distil in (0.0, 0.1, 1.0):
        trainer = make(weights=True, distil=distil, strength=0.0, steps=60, every=60, start=1.0,
                       rate=1e-6, depth=20.0, name=str(distil), correct=-10**6)
        before = distance(fit, trainer)
        trainer.run()
        assert torch.equal(trainer.held_teacher, held)
        assert distil == 0 or torch.equal(trainer.teacher, fit)
        far[distil] = distance(fit, trainer)
    assert far[1.0] < 0.2 * before and far[1.0] < 0.2 * min(far[0.0], far[0.1])


def test_the_model_as_given_has_nothing_to_learn_from_itself(make):
    """No dropout puts it at a distance from its teacher; labels have much to say."""
    for distil, nothing in ((1.0, True), (0.0, False)):
        trainer = make(weights=True, distil=distil, strength=0.0, start=-1000.0, name=str(distil),
                       steps=1)
        notes = []
        trainer.run(lambda step, note, notes=notes: notes.append(note))
        assert notes[0].startswith("loss 0.00, ") == nothing


def test_checkpoints_say_how_near_the_student_is(make):
    trainer = make(weights=True)
    trainer.run()
    first, *others = trainer.candidates
    assert (first.agree, first.divergence) == (len(trainer.held), 0)
    last = others[-1]
    said = trainer.classifier.all_logits(trainer.held_tokens, hard(trainer, last))
    assert trainer.chosen() == last
    p, q = trainer.held_teacher.softmax(-1).double(), said.softmax(-1).double()
    assert last.divergence == pytest.approx((p * (p / q).log()).sum().item() / len(p), rel=1e-4)
    assert last.agree == (p.argmax(-1) == q.argmax(-1)).sum().item() < len(p)


def hard(trainer, candidate):
    return Hard(candidate.thresholds, trainer.classifier.layers)


def lucky_run(trainer):
    trainer.run()
    return [c for c in trainer.candidates[1:] if c.correct >= 0]


def test_checkpoints_of_other_runs_are_refused(make, tmp_path):
    assert not make().resume()
    make().run()
    for fields, name in (({"seed": 2}, "seed"), ({"rate": 0.1, "weights": True}, "weights, rate")):
        with pytest.raises(InputError, match=f"belongs to a run with other {name}: "):
            make(**fields).resume()
    path = tmp_path / "x.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cannot be read \(.*\): say --fresh"):
        make().resume()


def test_losses_that_are_no_numbers_end_the_run(make):
    trainer = make(weights=True, weight_rate=1e30)
    with pytest.raises(RunError, match="went astray at step [23]: the loss is nan"):
        trainer.run()


def test_batches_have_every_sentence_once():
    lengths = [n * 7 % 23 for n in range(333)]
    made = batches(lengths, 4, 0, 0)
    assert sorted(i for batch in made for i in batch) == list(range(333))
    assert made != batches(lengths, 4, 0, 1) and made != batches(lengths, 4, 1, 0)
    assert made == batches(lengths, 4, 0, 0)
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in made]
    assert sum(spread) / len(spread) < 3
