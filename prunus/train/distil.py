# SPDX-License-Identifier: Apache-2.0
"""How far a model is from its teacher, the model as it was given, which prunes nothing."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

__all__ = ["divergence", "mixed_loss"]


def divergence(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """``KL(teacher || student)`` of logits over a temperature: the mean of the sentences, never
    negative, 0 where both say the same."""
    return kl_div(log_softmax(student / temperature, -1), log_softmax(teacher / temperature, -1),
                  reduction="batchmean", log_target=True)


def mixed_loss(student: Tensor, labels: Tensor, teacher: Tensor | None, *, share: float,
               temperature: float) -> Tensor:
    """``(1 - share) * cross-entropy + share * temperature**2 * KL(teacher || student)``.

    The square keeps gradients alike at all temperatures (Hinton et al., 2015). Without a share
    of its own the teacher may be None.
    """
    loss = torch.zeros(())
    if share < 1:
        loss = loss + (1 - share) * cross_entropy(student, labels)
    if share > 0:
        loss = loss + share * temperature**2 * divergence(teacher, student, temperature)
    return loss
