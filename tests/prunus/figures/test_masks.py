# SPDX-License-Identifier: Apache-2.0
"""What each criterion keeps of real heads."""

import runpy

import numpy as np
import pytest

from prunus.figures.figure import ROOT, Heads, load
from prunus.figures.masks import SHARE, by_distance, by_magnitude, by_threshold, picture
from prunus.figures.registry import FIGURES
from prunus.golden.reference import attention, relative_rms
from prunus.heads import EXAMPLES, read_arrays

PATH = EXAMPLES / "minilm_sentence.npz"
IMAGES = ROOT / "docs" / "images"


def real():
    arrays = read_arrays(PATH)
    q, k, v = (arrays[name].astype(float) for name in "qkv")
    return [(q @ k.T * float(arrays["scale"]), v) for q, k, v in zip(q, k, v, strict=True)]


def near(kept) -> None:
    """Masks and errors belong together, but for the codes and the fixed point of softmax."""
    for mask, error, (logits, v) in zip(kept.masks, kept.errors, real(), strict=True):
        want = attention(logits, v)
        by_hand = relative_rms(attention(np.where(mask, logits, -np.inf), v), want)
        assert error == pytest.approx(by_hand, abs=0.06)
        assert mask.shape == (24, 24) and error > 0.03


@pytest.mark.parametrize("criterion", [by_magnitude, by_distance])
def test_blocks(criterion):
    kept = criterion(PATH, drop=True)
    assert abs(kept.pruned - SHARE) < 0.01 and len(kept.masks) == len(kept.errors) == 12
    blocks = [mask.reshape(12, 2, 12, 2) for mask in kept.masks]
    assert all((block == block[:, :1, :, :1]).all() for block in blocks)
    assert 1 - np.mean(kept.masks) == pytest.approx(kept.pruned)
    zero = criterion(PATH)
    assert zero.parameter == kept.parameter and np.mean(zero.errors) < np.mean(kept.errors)


def test_what_is_near_the_largest_is_kept():
    kept = by_distance(PATH, drop=True)
    near(kept)
    for mask, (logits, _) in zip(kept.masks, real(), strict=True):
        behind = logits.max(axis=1, keepdims=True) - logits
        assert mask[behind == 0].all() and behind[mask].mean() < behind[~mask].mean()
    assert 0 < kept.parameter < 5


def test_pairs():
    kept = by_threshold(PATH)
    near(kept)
    assert kept.pruned == pytest.approx(SHARE, abs=0.001)
    for mask, (logits, _) in zip(kept.masks, real(), strict=True):
        assert (mask == (logits >= kept.parameter)).mean() > 0.995


def test_the_picture_is_that_of_the_data():
    data = load(FIGURES["criteria_masks"])["data"]
    text = (IMAGES / "criteria_masks.txt").read_text()
    assert picture(data) == text
    assert len([line for line in text.splitlines() if line.startswith("cells")]) == 4
    for name in ("magnitude", "distance", "threshold"):
        bits = "".join(data[name]["mask"])
        assert bits.count("0") / len(bits) == pytest.approx(data[name]["pruned"])


def test_files_that_are_missing_are_left_out():
    rows = FIGURES["criteria_heads"].measure(Heads({PATH.stem: PATH}))
    assert [row["file"] for row in rows] == ["minilm_sentence"]
    assert f"| {rows[0]['distance']:.3f} |" in FIGURES["criteria_heads"].table(rows)


def test_cells_are_drawn():
    draw = runpy.run_path(str(IMAGES / "draw.py"))["draw"]
    drawn = draw("size 6 6\ntitle x\ncells 1 2 1 | 110 024\n")
    assert [line for line in drawn.splitlines() if 'class="cell"' in line] == [
        '<path class="cell" fill-opacity="0.25" d="M10,20h20v10h-20z"/>',
        '<path class="cell" fill-opacity="0.5" d="M20,30h10v10h-10z"/>',
        '<path class="cell" fill-opacity="1" d="M30,30h10v10h-10z"/>']
    assert '<rect class="frame" x="10" y="20" width="30" height="20"/>' in drawn
