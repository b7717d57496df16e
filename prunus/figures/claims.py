# SPDX-License-Identifier: Apache-2.0
"""What the papers claim of their figures, and whether it holds of what is measured here.

A verdict looks at the 95% interval of what was lost, never at the loss alone:

    holds            the whole interval lies within what the claim allows
    does not hold    the whole interval lies outside
    cannot be said   the limit lies within the interval, or nothing near was measured

Of two methods the one that prunes less has it easier: no verdict stands on that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CLAIMS", "Claim", "Found", "Loss", "Verdict", "found", "loss_of", "nearest"]

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
    judge : callable
        From a loss to the verdict.
    against : bool
        The loss is that beyond the rival of the curve, not beyond the model by itself.
    only : tuple of str
        Names of the models that it is about; of others nothing was claimed.
    """

    said: str
    source: str
    curve: str
    share: str
    at: float | Mapping[str, float]
    judge: Callable[[Loss], Verdict]
    against: bool = False
    only: tuple[str, ...] = ()

    def at_of(self, name: str) -> float:
        return self.at[name] if isinstance(self.at, Mapping) else self.at


def at_most(limit: float) -> Callable[[Loss], Verdict]:
    return lambda loss: loss.at_most(limit)


def above(limit: float) -> Callable[[Loss], Verdict]:
    return lambda loss: loss.above(limit)


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


def found(claim: Claim, model: Mapping) -> Found:
    row = nearest(model["rows"], claim.curve, claim.share, claim.at_of(model["name"]))
    if row is None or (claim.against and "against" not in row):
        return Found(claim=claim, model=model["model"], row=None, loss=None, verdict=Verdict.OPEN)
    loss = loss_of(row["against"] if claim.against else row, model["relative"])
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

# "Held" is at most a point, or a percent of perplexity: what the paper allows its heads.
CLAIMS: dict[str, list[Claim]] = {
    "blocks": [
        *_with_ours("70% of blocks go and accuracy is held", BOTH, share="blocks", at=0.7,
                    judge=at_most(1)),
        Claim(said="Top-K falls beyond 75%: by more than a point at 80%", source=HDP, curve="topk",
              share="scores", at=0.8, judge=above(1)),
        *_with_ours("beyond 75% HDP loses less than Top-K", BOTH, share="scores", at=0.8,
                    judge=at_most(0), against=True)],
    "heads": [
        *_with_ours("13 to 17% of heads go for 1%", OF_HEADS, share="heads", at=0.15,
                    judge=at_most(1))],
    "spatten": [
        *_with_ours("at 35% of heads HDP loses less than SpAtten (7.5 against 10 points)",
                    OF_HEADS, share="heads", at=0.35, judge=at_most(0), against=True)],
    "net": [
        *_with_ours("75% (SST-2) and 65% (CoLA) net of blocks and heads", TOGETHER, share="blocks",
                    at={"sst2": 0.75, "cola": 0.65}, judge=at_most(1), only=("cola", "sst2"))],
    "leopard": [
        Claim(said="thresholds cost less than 0.2%: one share for all layers, not learned",
              source=LEOPARD, curve="layers", share="scores", at=0.75, judge=at_most(0.2))],
}
