# SPDX-License-Identifier: Apache-2.0
"""A method in the place of a model's attention."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..models.attention import Heads
from ..run import Opened
from .layer import Counts, Layer
from .methods.base import Attended, Hardware, Method

__all__ = ["Hook"]


class Hook:
    """A rule of :class:`prunus.models.attention.Switch`: a method, text by text.

    Parameters
    ----------
    method : Method
    layers : int
        Of the model.
    through : Opened, optional
        The backend that computes the jobs of a method on hardware; golden without it.

    Members
    -------
    texts : sequence of int
        Numbers of the texts of the batch that is under way.
    counts : list of Counts
        What was pruned of each layer.
    """

    def __init__(self, method: Method, layers: int, through: Opened | None = None):
        self.method, self.layers, self.through = method, layers, through
        self.texts: Sequence[int] = ()
        self.counts = [Counts() for _ in range(layers)]

    def charge(self, method: Hardware, attended: Attended) -> None:
        """The heads of a layer of a text are a table of jobs: the next layer needs what they
        give."""

    def watched(self, layer: Layer, attended: Attended) -> None:
        """What a layer of a text became."""

    def __call__(self, heads: Heads) -> Tensor:
        out = torch.zeros_like(heads.q)
        for n, layer in enumerate(self.of_texts(heads)):
            attended = self._attend(layer)
            out[n, :, :layer.length] = torch.from_numpy(attended.out)
            self.counts[heads.layer].add(attended.counts)
            self.watched(layer, attended)
        return out

    def of_texts(self, heads: Heads) -> Iterator[Layer]:
        """The heads of a layer, text by text. Raises InputError."""
        q, k, v = (x.detach().double().numpy() for x in (heads.q, heads.k, heads.v))
        for name, x in (("queries", q), ("keys", k), ("values", v)):
            if not np.isfinite(x).all():
                raise InputError(f"model must have finite {name}, and layer {heads.layer} has NaN "
                                 "or infinity")
        cached = k.shape[2] - q.shape[2]
        for n, rows in enumerate(heads.rows()):
            yield Layer(number=heads.layer, layers=self.layers, text=self.texts[n],
                        q=q[n, :, :rows], k=k[n, :, :cached + rows], v=v[n, :, :cached + rows],
                        scaling=heads.scaling, group=heads.group,
                        # A single query is the last one, which sees all keys.
                        causal=heads.causal and rows > 1)

    def _attend(self, layer: Layer) -> Attended:
        if not isinstance(self.method, Hardware):
            return self.method.attend(layer)
        attended = self.method.attend(layer, self.through)
        self.charge(self.method, attended)
        return attended
