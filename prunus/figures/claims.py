# SPDX-License-Identifier: Apache-2.0
"""What the papers claim of their figures, and whether it holds of what is measured here.

A verdict looks at the 95% interval of what was lost, never at the loss alone:

    holds            the whole interval lies within what the claim allows
    does not hold    the whole interval lies outside
    cannot be said   the limit lies within the interval, or nothing near was measured

What is cheap at a smaller share than the claim's does not show that it holds, nor what is dear at a
larger share that it does not. Of two methods the one that prunes less has it easier: no verdict
stands on that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["CLAIMS", "LEARNED_CLAIM", "LEARNED_LIMIT", "Claim", "Found", "Loss", "Verdict", "found",
           "loss_of", "nearest"]

HDP, LEOPARD = "arXiv 2407.12893", "arXiv 2204.03227"
FAIR = 0.01                 # of a share: so much less may be pruned by the one that loses less
NEAR = 0.1                  # of a share: a point that is farther off says nothing of a claim


class Verdict(StrEnum):
    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "cannot be said"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Points of accuracy or MCC (hundredths), or percent of perplexity; more is worse."""

    lost: float
    low: float
    high: float

    def at_most(self, limit: float) -> Verdict:
        if self.high <= limit:
            return Verdict.HOLDS
        return Verdict.FAILS if self.low > limit else Verdict.OPEN

    def above(self, limit: float) -> Verdict:
        if self.low > limit:
            return Verdict.HOLDS
        return Verdict.FAILS if self.high <= limit else Verdict.OPEN


def loss_of(change: Mapping, relative: bool) -> Loss:
    """Of a difference with its interval, as figures have them."""
    low, high = change["interval"]
    if relative:                            # perplexity: more is worse
        return Loss(lost=100 * change["difference"], low=100 * low, high=100 * high)
    return Loss(lost=-100 * change["difference"], low=-100 * high, high=-100 * low)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of a paper, in words that can be tested.

    Members
    -------
    said : str
        With the published number.
    curve : str
        Whose points it is about.
    share : str
        ``blocks``, ``scores`` or ``heads``: what the share is of.
    at : float
        The share, by the model's name if models differ.
    limit : float
        The loss that is allowed.
    falls_from : float or None
        The claim is that more is lost, from this share on; ``at`` lies beyond it.
    against : bool
        The loss is that beyond the rival of the curve, not beyond the model by itself.
    only : tuple of str
        Names of the models that it is about; of others nothing was claimed.
    slack : float or None
        The share must be reached, but for so much: a point that prunes less cannot show that the
        claim holds, and one that prunes more cannot show that it does not. Without it the nearest
        point says what is said.
    published : dict
        From a curve to the loss that the paper has there, where it has one.
    """

    said: str
    source: str
    curve: str
    share: str
    at: float | Mapping[str, float]
    limit: float
    falls_from: float | None = None
    against: bool = False
    only: tuple[str, ...] = ()
    slack: float | None = None
    published: Mapping[str, float] = field(default_factory=dict)

    def judge(self, loss: Loss) -> Verdict:
        if self.falls_from is not None:
            return loss.above(self.limit)
        return loss.at_most(self.limit)

    def at_of(self, name: str) -> float:
        return self.at[name] if isinstance(self.at, Mapping) else self.at


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of a claim in a model; ``row`` is None where nothing near was measured."""

    claim: Claim
    model: str
    row: dict | None
    loss: Loss | None
    verdict: Verdict


def nearest(rows: Sequence[dict], curve: str, share: str, at: float) -> dict | None:
    """The point of a curve whose share is nearest, if it is near."""
    among = [row for row in rows if row["curve"] == curve]
    if not among:
        return None
    best = min(among, key=lambda row: abs(row[f"{share}_pruned"] - at))
    return best if abs(best[f"{share}_pruned"] - at) <= NEAR else None


def _reached(claim: Claim, rows: Sequence[dict], at: float, relative: bool,
             slack: float) -> tuple[dict | None, Verdict]:
    """The first point that prunes enough, if it holds there; the last that prunes no more, if it
    does not hold there; or the nearest, of which nothing can be said."""
    def share(row: dict) -> float:
        return row[f"{claim.share}_pruned"]

    among = sorted((row for row in rows if row["curve"] == claim.curve), key=share)
    for wanted, side in ((Verdict.HOLDS, [row for row in among if share(row) >= at - slack][:1]),
                         (Verdict.FAILS, [row for row in among if share(row) <= at + slack][-1:])):
        for row in side:
            if claim.judge(loss_of(row, relative)) is wanted:
                return row, wanted
    return nearest(among, claim.curve, claim.share, at), Verdict.OPEN


def found(claim: Claim, model: Mapping) -> Found:
    at, relative = claim.at_of(model["name"]), model["relative"]
    if claim.slack is not None:
        row, verdict = _reached(claim, model["rows"], at, relative, claim.slack)
        return Found(claim=claim, model=model["model"], row=row, verdict=verdict,
                     loss=loss_of(row, relative) if row else None)
    row = nearest(model["rows"], claim.curve, claim.share, at)
    if row is None or (claim.against and "against" not in row):
        return Found(claim=claim, model=model["model"], row=None, loss=None, verdict=Verdict.OPEN)
    loss = loss_of(row["against"] if claim.against else row, relative)
    verdict = claim.judge(loss)
    if claim.against:
        more = row[f"{claim.share}_pruned"] - row["against"][f"{claim.share}_pruned"]
        if (verdict is Verdict.HOLDS and more < -FAIR) or (
                verdict is Verdict.FAILS and more > FAIR):
            verdict = Verdict.OPEN
    return Found(claim=claim, model=model["model"], row=row, loss=loss, verdict=verdict)


def _with_ours(said: str, curves: Sequence[tuple[str, str]], **how) -> list[Claim]:
    """A claim of the paper's rule, and the same of ours."""
    return [Claim(said=f"{said}: {rule}", source=HDP, curve=curve, **how)
            for curve, rule in curves]


BOTH = (("magnitude", "the paper's rule"), ("distance", "our rule"))
TOGETHER = (("magnitude_heads", "the paper's rule"), ("distance_heads", "our rule"))
OF_HEADS = (("heads", "truncated digits"), ("heads_rounded", "rounded digits"))

# Of thresholds that were learned, at what they prune.
LEARNED_CLAIM, LEARNED_LIMIT = "less than 0.2% lost: learned", 0.2

# "Held" is at most a point, or a percent of perplexity: what the paper allows its heads.
CLAIMS: dict[str, list[Claim]] = {
    "blocks": [
        *_with_ours("70% of blocks go, accuracy is held", BOTH, share="blocks", at=0.7, limit=1,
                    slack=FAIR),
        Claim(said="beyond 75% of scores Top-K falls, by more than a point", source=HDP,
              curve="topk", share="scores", at=0.8, falls_from=0.75, limit=1),
        *_with_ours("beyond 75% of scores HDP loses less than Top-K", BOTH, share="scores", at=0.8,
                    limit=0, against=True)],
    "heads": [
        *_with_ours("13 to 17% of heads go for 1%", OF_HEADS, share="heads", at=0.15, limit=1,
                    slack=0.02)],
    "spatten": [
        *_with_ours("at 35% of heads HDP loses less than SpAtten",
                    OF_HEADS, share="heads", at=0.35, limit=0, against=True,
                    published={"heads": 7.5, "spatten": 10})],
    "net": [
        *_with_ours("net 75% (SST-2), 65% (CoLA), accuracy is held", TOGETHER, share="blocks",
                    at={"sst2": 0.75, "cola": 0.65}, limit=1, only=("cola", "sst2"),
                    slack=FAIR)],
    "leopard": [
        Claim(said="less than 0.2% lost at 75% of scores: not learned, one share for all layers",
              source=LEOPARD, curve="layers", share="scores", at=0.75, limit=LEARNED_LIMIT,
              slack=0.05)],
}
