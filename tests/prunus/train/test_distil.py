# SPDX-License-Identifier: Apache-2.0
"""The distance from the teacher, against sums over classes by hand."""

import math

import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from prunus.train.distil import divergence, mixed_loss  # noqa: E402

TEACHER = [[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]]
STUDENT = [[1.0, 0.0, -0.5], [1.5, 1.0, 4.0]]
LABELS = [0, 1]


def shares(row, temperature=1.0):
    powers = [math.exp(x / temperature) for x in row]
    return [power / sum(powers) for power in powers]


def by_hand(temperature):
    """KL(teacher || student), mean of the sentences."""
    pairs = [(shares(t, temperature), shares(s, temperature))
             for t, s in zip(TEACHER, STUDENT, strict=True)]
    return sum(p * math.log(p / q) for ps, qs in pairs
               for p, q in zip(ps, qs, strict=True)) / len(pairs)


def entropy():
    return -sum(math.log(shares(row)[n])
                for row, n in zip(STUDENT, LABELS, strict=True)) / len(LABELS)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_divergence_against_its_definition(temperature):
    got = divergence(torch.tensor(TEACHER), torch.tensor(STUDENT), temperature)
    assert got.item() == pytest.approx(by_hand(temperature), rel=1e-5)
    same = divergence(torch.tensor(TEACHER), torch.tensor(TEACHER), temperature)
    assert same.item() == pytest.approx(0, abs=1e-7)
    shifted = divergence(torch.tensor(TEACHER), torch.tensor(TEACHER) + 7, temperature)
    assert shifted.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_has_both_parts_by_their_shares(share):
    got = mixed_loss(torch.tensor(STUDENT), torch.tensor(LABELS), torch.tensor(TEACHER),
                     share=share, temperature=3.0)
    assert got.item() == pytest.approx((1 - share) * entropy() + share * 9 * by_hand(3.0), rel=1e-5)


def test_labels_alone_need_no_teacher():
    got = mixed_loss(torch.tensor(STUDENT), torch.tensor(LABELS), None, share=0, temperature=2.0)
    assert got.item() == pytest.approx(entropy(), rel=1e-5)


def test_going_downhill_leads_to_the_teacher():
    student = torch.tensor(STUDENT, requires_grad=True)
    teacher = torch.tensor(TEACHER)
    for _ in range(200):
        (down,) = torch.autograd.grad(mixed_loss(student, torch.tensor(LABELS), teacher, share=1,
                                                 temperature=2.0), student)
        student = (student - 2 * down).detach().requires_grad_()
    assert torch.allclose(student.softmax(-1), teacher.softmax(-1), atol=1e-3)
