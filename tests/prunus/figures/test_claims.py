# SPDX-License-Identifier: Apache-2.0
"""Verdicts over published claims."""

import copy
import re
from dataclasses import replace

import pytest

from prunus.figures.claims import CLAIMS, Claim, Loss, Verdict, found, loss_of, nearest
from prunus.figures.curves import claims_of, claims_table
from prunus.figures.figure import ROOT, load
from prunus.figures.registry import FIGURES

ROW = {"curve": "topk", "blocks_pruned": 0.5, "scores_pruned": 0.72, "heads_pruned": 0.0,
       "difference": -0.005, "interval": [-0.012, 0.002]}
MODEL = {"name": "cola", "model": "m", "relative": False, "rows": [ROW]}
CLAIM = Claim(said="70% of scores", source="here", curve="topk", share="scores", at=0.7,
              limit=1)


@pytest.mark.parametrize("low, high, within, beyond", [
    (-0.5, 0.9, Verdict.HOLDS, Verdict.FAILS), (0.9, 1.0, Verdict.HOLDS, Verdict.FAILS),
    (0.9, 1.1, Verdict.OPEN, Verdict.OPEN), (1.0, 3.0, Verdict.OPEN, Verdict.OPEN),
    (1.1, 3.0, Verdict.FAILS, Verdict.HOLDS)])
def test_the_whole_interval_decides(low, high, within, beyond):
    loss = Loss(lost=(low + high) / 2, low=low, high=high)
    assert (loss.at_most(1), loss.above(1)) == (within, beyond)


def test_what_is_lost():
    change = {"difference": -0.005, "interval": [-0.012, 0.002]}
    assert loss_of(change, relative=False) == Loss(
        lost=pytest.approx(0.5), low=pytest.approx(-0.2), high=pytest.approx(1.2))
    assert loss_of(change, relative=True) == Loss(
        lost=pytest.approx(-0.5), low=pytest.approx(-1.2), high=pytest.approx(0.2))


def test_the_nearest_point_that_is_near():
    rows = [ROW, {**ROW, "scores_pruned": 0.66}, {**ROW, "curve": "uniform", "scores_pruned": 0.7}]
    assert nearest(rows, "topk", "scores", 0.7) is ROW
    assert nearest(rows, "topk", "scores", 0.67) is rows[1]
    assert nearest(rows, "topk", "scores", 0.83) is None
    assert nearest(rows, "heads", "scores", 0.7) is None


def test_a_claim_follows_the_data():
    assert found(CLAIM, MODEL).verdict is Verdict.OPEN
    for interval, verdict in (([-0.009, 0.002], Verdict.HOLDS), ([-0.05, -0.02], Verdict.FAILS)):
        rows = [{**ROW, "interval": interval}]
        assert found(CLAIM, {**MODEL, "rows": rows}).verdict is verdict
    nothing = found(CLAIM, {**MODEL, "rows": []})
    assert (nothing.verdict, nothing.row, nothing.loss) == (Verdict.OPEN, None, None)


def test_a_claim_about_a_rival():
    claim = Claim(said="better", source="here", curve="topk", share="scores", at=0.7,
                  limit=0, against=True)
    for interval, verdict in (([0.01, 0.02], Verdict.HOLDS), ([-0.02, -0.01], Verdict.FAILS),
                              ([-0.01, 0.02], Verdict.OPEN)):
        against = {"curve": "spatten", "scores_pruned": 0.715, "interval": interval,
                   "difference": sum(interval) / 2}
        rows = [{**ROW, "against": against}]
        assert found(claim, {**MODEL, "rows": rows}).verdict is verdict
        # Who prunes less is not better for it.
        against["scores_pruned"] = 0.74
        assert found(claim, {**MODEL, "rows": rows}).verdict is {
            Verdict.HOLDS: Verdict.OPEN}.get(verdict, verdict)
        against["scores_pruned"] = 0.70
        assert found(claim, {**MODEL, "rows": rows}).verdict is {
            Verdict.FAILS: Verdict.OPEN}.get(verdict, verdict)


def test_a_share_must_be_reached():
    """Cheap points below it do not show that a claim holds, nor dear ones above that it fails."""
    claim = replace(CLAIM, slack=0.01)
    cheap, dear, unknown = [-0.001, 0.002], [-0.3, -0.2], [-0.02, 0.01]

    def verdict(*points):
        rows = [{**ROW, "scores_pruned": share, "interval": interval}
                for share, interval in points]
        one = found(claim, {**MODEL, "rows": rows})
        return one.row["scores_pruned"], one.verdict

    assert verdict((0.66, cheap)) == (0.66, Verdict.OPEN)
    assert verdict((0.69, cheap)) == (0.69, Verdict.HOLDS)
    assert verdict((0.66, cheap), (0.9, cheap)) == (0.9, Verdict.HOLDS)
    assert verdict((0.75, dear)) == (0.75, Verdict.OPEN)
    assert verdict((0.71, dear)) == (0.71, Verdict.FAILS)
    assert verdict((0.3, dear), (0.75, dear)) == (0.3, Verdict.FAILS)
    assert verdict((0.66, cheap), (0.72, dear)) == (0.72, Verdict.OPEN)
    assert verdict((0.68, unknown), (0.8, unknown)) == (0.68, Verdict.OPEN)
    assert verdict((0.68, unknown), (0.75, cheap)) == (0.75, Verdict.HOLDS)


def test_shares_differ_by_model():
    claim = CLAIMS["net"][0]
    assert (claim.at_of("sst2"), claim.at_of("cola")) == (0.75, 0.65)


# -- of what is kept ------------------------------------------------------------------------------
def kept(name: str) -> dict:
    return load(FIGURES[f"papers_{name}"])["data"]


def again(claim: Claim, model: dict, row: dict) -> tuple[str, str]:
    """The loss and the verdict of a row once more, from its numbers alone."""
    change = row["against"] if claim.against else row
    sign = 100 if model["relative"] else -100
    low, high = sorted(sign * edge for edge in change["interval"])
    holds, fails = high <= claim.limit, low > claim.limit
    if claim.falls_from is not None:
        holds, fails = low > claim.limit, high <= claim.limit
    share = f"{claim.share}_pruned"
    if claim.slack is not None:
        off = row[share] - claim.at_of(model["name"])
        holds, fails = holds and off >= -claim.slack, fails and off <= claim.slack
    if claim.against:
        more = row[share] - change[share]
        holds, fails = holds and more >= -0.01, fails and more <= 0.01
    return (f"{sign * change['difference']:+.1f} ({low:+.1f} to {high:+.1f})",
            "holds" if holds else "does not hold" if fails else "cannot be said")


@pytest.mark.parametrize("name", CLAIMS)
def test_the_table_says_what_the_data_say(name):
    data = kept(name)
    titles, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]]
                         for line in claims_table(name, data).splitlines()]
    table = {line[0]: dict(zip(titles, line, strict=True)) for line in lines}
    told = 0
    for claim in CLAIMS[name]:
        assert titles[0] == f"claim of {claim.source}"
        for model in data["models"]:
            cell = table[claim.said][f"`{model['model']}`"]
            if claim.only and model["name"] not in claim.only:
                assert cell == ""
                continue
            told += 1
            row = found(claim, model).row
            if row is None:
                assert cell == "**cannot be said**: nothing near was measured"
                continue
            loss, verdict = again(claim, model, row)
            assert cell.startswith(
                f"**{verdict}**: {loss} at {row[claim.share + '_pruned']:.1%}")
    assert told == len(claims_of(name, data))
    for run in data.get("learned", ()):
        low, high = run["loss"]["low"], run["loss"]["high"]
        assert table[f"less than 0.2% lost: learned, {run['title']}"]["`minilm-sst2`"].startswith(
            "**holds**" if high <= 0.2 else "**does not hold**" if low > 0.2
            else "**cannot be said**")
    assert len(lines) == len(CLAIMS[name]) + len(data.get("learned", ()))


@pytest.mark.parametrize("low, high, verdict", [
    (-1.0, 0.2, "holds"), (0.1, 0.3, "cannot be said"), (0.3, 0.5, "does not hold")])
def test_a_verdict_of_learned_thresholds(low, high, verdict):
    run = {"title": "t", "model": "m", "pruned": 0.75,
           "loss": {"lost": 0.2, "low": low, "high": high}}
    text = claims_table("leopard", {"models": [], "learned": [run]})
    assert text.splitlines()[-1] == (
        f"| less than 0.2% lost: learned, t | **{verdict}**: +0.2 ({low:+.1f} to {high:+.1f}) at "
        "75.0% |")


def test_verdicts_stand_in_tables_only():
    """What the code says of the intervals is not said once more by hand."""
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    explained = page.index("## Blocks of HDP")
    prose = re.sub(r"<!-- figures: .*?<!-- end figures -->", "", page[explained:], flags=re.DOTALL)
    assert re.findall(r"\bholds\b|does not hold|cannot be said", prose) == []
    assert all(f"*{verdict}*" in page[:explained] for verdict in Verdict)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_verdict_flips_when_the_data_do(name):
    """Losing nothing at all, and losing half of everything, are told apart."""
    data = kept(name)
    seen = []
    for change in ({"difference": 0.0, "interval": [0.0, 0.0]},
                   {"difference": -0.5, "interval": [-0.6, -0.4]}):
        other = copy.deepcopy(data)
        for model in other["models"]:
            model["relative"] = False
            for row in model["rows"]:
                row.update(change)
                if "against" in row:
                    row["against"].update(change)
                    for share in ("blocks_pruned", "scores_pruned", "heads_pruned"):
                        row["against"][share] = row[share]
        seen.append([one.verdict for one in claims_of(name, other)])
    for one, (fine, ruined) in zip(claims_of(name, data), zip(*seen, strict=True), strict=True):
        if one.row is not None:
            assert fine is not ruined
