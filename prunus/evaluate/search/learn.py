# SPDX-License-Identifier: Apache-2.0
"""Strengths and temperatures of all heads, learned together by their gradients.

Heads are not independent, so what each of them may prune by itself says little of all together.
Here every strength moves at once, in a float copy of the engine's arithmetic whose mask is soft:

    HDP      a block counts sigmoid((distance - d) / width), d its least distance in integer scores
    LeOPArd  a key counts sigmoid((x - threshold) / width), x its logit

Integer scores, and products without those of fractions, are of codes as golden has them. The loss
is

    divergence from the model by itself + weight * share that counts

and of a decoder the first term is half the divergence and half what the tokens of the text lose. A
larger weight prunes more; each gives a setting. Golden says what these are worth: nothing that is
learned here is believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config

from ...models.attention import Heads
from ...models.model import Decoder
from ..core import Evaluator
from ..tasks import TASKS
from .trial import Texts

__all__ = ["WEIGHTS", "Soft", "learn"]

WEIGHTS = (0.02, 0.05, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.3, 0.45, 0.7)
STEPS = 45                  # for each weight; of the first one twice as many
BATCH = {False: 16, True: 1}            # texts of a step, of a decoder True
RATES = (0.05, 0.015)       # of strengths, in units of the logits, and of 1 / temperature
WIDTHS = (0.4, 0.15)        # of the soft mask, from the first step of a weight to its last
COLDEST, HOTTEST = 0.5, 2.0             # temperatures
NOTHING = -1e30             # a logit that does not count
FAR = 60.0                  # a distance beyond which all are alike


@dataclass(frozen=True, kw_only=True)
class _How:
    """What of a setting is not learned, layer by layer."""

    drop: Sequence[bool]
    exact: Sequence[bool]
    balanced: Sequence[bool]


class Soft:
    """A rule of :class:`prunus.models.attention.Switch`: the engine's arithmetic, soft.

    Parameters
    ----------
    config : EngineConfig
    strengths, inverse : Tensor, (layers, heads)
        Distances or thresholds, and 1 / temperature.
    how : _How
    width : float
        Of the mask, in units of the logits. 0 is the hard one.

    Members
    -------
    kept, visible : Tensor
        Blocks or keys that count, and all of them, summed over what was seen.
    """

    def __init__(self, config: EngineConfig, strengths: Tensor, inverse: Tensor, how: _How,
                 width: float):
        self.config, self.strengths, self.inverse = config, strengths, inverse
        self.how, self.width = how, width
        self.kept = self.visible = torch.zeros(())

    def share(self) -> Tensor:
        """Of what counts."""
        return self.kept / self.visible

    def __call__(self, heads: Heads) -> Tensor:
        strength, inverse = (x[heads.layer].view(1, -1, 1, 1)
                             for x in (self.strengths, self.inverse))
        visible = heads.visible.expand(*heads.q.shape[:2], -1, -1)
        if self.config.engine == "hdp":
            logits, log_weight = self._hdp(heads, visible, strength, inverse)
        else:
            logits = heads.logits() * inverse
            log_weight = self._count(logits - strength, visible)
        scores = (logits + log_weight if self.how.drop[heads.layer] else
                  logits * log_weight.exp())
        return torch.softmax(scores.masked_fill(~visible, NOTHING), -1) @ heads.v

    def _count(self, above: Tensor, among: Tensor) -> Tensor:
        """Logarithms of how much each counts; ``above`` its strength, in units of the logits."""
        if self.width:
            log_weight = logsigmoid(above / self.width)
        else:
            log_weight = torch.where(above >= 0, 0.0, NOTHING)
        self.kept = self.kept + (log_weight.exp() * among).sum()
        self.visible = self.visible + among.sum()
        return log_weight

    def _hdp(self, heads: Heads, visible: Tensor, strength: Tensor,
             inverse: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the codes, and of each pair the logarithm of what its block counts."""
        config: Any = self.config
        rows = visible.any(-1)[..., None]               # tokens that are not padding
        q, k = heads.q * rows, heads.k * rows
        k = (k - k.sum(-2, keepdim=True) / rows.sum(-2, keepdim=True)) * rows
        if self.how.balanced[heads.layer]:
            q, k = _balanced(q, k, heads.group)
        (q, q_unit), (k, k_unit) = (_codes(x, config.codes_of(name).max_code)
                                    for name, x in (("q", q), ("k", k)))
        unit, step = q_unit * k_unit * heads.scaling, 2.0**config.frac
        q_whole, k_whole = (_whole(x, step, config.digits == "rounded") for x in (q, k))
        products = q @ k.mT
        if not self.how.exact[heads.layer]:
            products = products - (q - q_whole * step) @ (k - k_whole * step).mT
        unit_of_whole = unit * step**2 * inverse
        whole = (q_whole @ k_whole.mT).masked_fill(~visible, NOTHING)
        distance = whole.amax(-1, keepdim=True) - whole
        # As the job says it, in units of the integer scores.
        nearest = _blocks(distance, 1e30, "min")
        above = strength - (nearest * unit_of_whole).clamp(max=FAR)
        if not self.width:
            above = torch.round(strength / unit_of_whole) - nearest
        log_weight = self._count(above, _blocks(visible.float(), 0.0, "max") > 0)
        length = q.shape[-2]
        of_pairs = log_weight.repeat_interleave(2, -2).repeat_interleave(2, -1)
        return products * unit * inverse, of_pairs[..., :length, :length]


def _codes(x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Codes of each head, whose largest is ``most``, and their unit."""
    unit = x.abs().amax((-1, -2), keepdim=True).clamp(min=1e-30) / most
    return torch.round(x / unit), unit


def _whole(codes: Tensor, step: float, rounded: bool) -> Tensor:
    """Integer parts."""
    return torch.floor((codes + step / 2) / step) if rounded else torch.trunc(codes / step)


def _balanced(q: Tensor, k: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """As of :func:`prunus.evaluate.layer.quantised`."""
    queries = q.abs().amax(-2)
    sentences, heads, d = queries.shape
    queries = queries.view(sentences, heads // group, group, d).amax(2)
    queries = queries.repeat_interleave(group, 1)[..., None, :]
    keys = k.abs().amax(-2, keepdim=True)
    factors = torch.where((queries > 0) & (keys > 0), queries / keys.clamp(min=1e-30), 1.0).sqrt()
    return q / factors, k * factors


def _blocks(x: Tensor, fill: float, what: str) -> Tensor:
    """The least or largest of each block of 2 x 2, of (..., l, l)."""
    odd = x.shape[-1] % 2
    x = pad(x, (0, odd, 0, odd), value=fill)
    *front, length, _ = x.shape
    x = x.view(*front, length // 2, 2, length // 2, 2)
    return x.amin((-3, -1)) if what == "min" else x.amax((-3, -1))


# -- learning -------------------------------------------------------------------------------------
def _logits(evaluator: Evaluator, chosen: Sequence[int]) -> list[Tensor]:
    """Of each text, (rows, classes): of a decoder those that predict a token."""
    if isinstance(evaluator.model, Decoder):
        tokens = [evaluator.texts[n]["input_ids"] for n in chosen]
        return [evaluator.model.forward([one])[0][:-1] for one in tokens]
    batch = evaluator.model.tokenizer.pad([evaluator.texts[n] for n in chosen],
                                          return_tensors="pt")
    return list(evaluator.model.model(**batch).logits[:, None])


def _lost(evaluator: Evaluator, chosen: Sequence[int], own: list[Tensor],
          said: list[Tensor]) -> Tensor:
    """What is lost, in nats a row: the divergence, of a decoder also what the text says."""
    found: list[Tensor] = []
    for n, before, after in zip(chosen, own, said, strict=True):
        before, after = before.log_softmax(-1), after.log_softmax(-1)
        apart = (before.exp() * (before - after)).sum(-1)
        if evaluator.task.generates:
            next_ones = torch.tensor(evaluator.texts[n]["input_ids"][1:])[:, None]
            apart = (apart + (before - after).gather(1, next_ones)[:, 0]) / 2
        found.append(apart)
    return torch.cat(found).mean()


def learn(texts: Texts, preset: str, units: Sequence[Sequence[int]], start: Sequence[float],
          how: dict[str, list[bool]], seed: int) -> list[dict[str, list[float]]]:
    """Strengths and temperatures of each unit, for each of ``WEIGHTS``.

    Parameters
    ----------
    texts : Texts
    preset : str
    units : sequence, (layers, heads)
        The number of the unit that each head belongs to.
    start : sequence of float
        Strengths to begin with, of each unit.
    how : dict
        Fields of :class:`_How`.
    seed : int
        Of the order of texts.

    Returns
    -------
    list of dict
        ``strengths`` and ``temperatures`` of the units.
    """
    evaluator = Evaluator(texts.model, TASKS[texts.task], texts.data, length=texts.length,
                          columns=texts.columns or None)
    evaluator.keep(texts.chosen)
    network = evaluator.model.model.requires_grad_(False)
    network.eval()
    config, numbers, fixed = load_config(preset), torch.tensor(units), _How(**how)
    least = 0.0 if config.engine == "hdp" else -torch.inf
    strengths = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    inverse = torch.ones(len(start), requires_grad=True)
    optimiser = torch.optim.Adam([{"params": [strengths]}, {"params": [inverse]}])
    drawn, order = np.random.default_rng(seed), list[int]()
    batch = min(BATCH[evaluator.task.generates], len(evaluator))
    own: dict[int, Tensor] = {}
    found = []
    for n, weight in enumerate(WEIGHTS):
        steps = STEPS * 2 if n == 0 else STEPS
        for step in range(steps):
            while len(order) < batch:
                order += drawn.permutation(len(evaluator)).tolist()
            chosen, order = order[:batch], order[batch:]
            missing = [one for one in chosen if one not in own]
            if missing:
                with torch.no_grad(), evaluator.model.by_itself():
                    own |= zip(missing, _logits(evaluator, missing), strict=True)
            part = step / steps
            rule = Soft(config, strengths[numbers], inverse[numbers], fixed,
                        WIDTHS[0] + part * (WIDTHS[1] - WIDTHS[0]))
            evaluator.model.switch.rule = rule
            said = _logits(evaluator, chosen)
            lost = _lost(evaluator, chosen, [own[one] for one in chosen], said)
            for group, rate in zip(optimiser.param_groups, RATES, strict=True):
                group["lr"] = rate * (1.05 - part)
            optimiser.zero_grad()
            (lost + weight * rule.share()).backward()
            optimiser.step()
            with torch.no_grad():
                strengths.clamp_(min=least)
                inverse.clamp_(1 / HOTTEST, 1 / COLDEST)
        found.append({"strengths": strengths.tolist(), "temperatures": (1 / inverse).tolist()})
    return found
