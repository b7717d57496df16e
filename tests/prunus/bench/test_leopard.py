# SPDX-License-Identifier: Apache-2.0
"""The bench of LeOPArd, on the smallest configuration."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from prunus.bench.leopard import SHARES, brief, cases, columns, document, figures, markdown, measure
from prunus.errors import InputError, RunError
from prunus.golden.engines import load_config
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.kind import LeopardKind
from tests.prunus.test_cli import EXAMPLE, prunus

TINY, AE, HP, BASE = (load_config(f"leopard_{name}") for name in ("tiny", "ae", "hp", "base"))


def test_the_command(capfd, tmp_path):
    """Figures of the RTL, files and a table."""
    code, out, err = prunus(capfd, "bench", "--config", "leopard_tiny", "--quick", "-o", tmp_path,
                            "--json", "--fresh")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert sorted(os.listdir(tmp_path)) == ["bench.json", "bench.md"]
    assert json.loads((tmp_path / "bench.json").read_text()) == result
    assert result["command"] == "prunus bench --config leopard_tiny --quick"
    row, = result["cases"]
    case, = cases(TINY, quick=True)
    golden = [leopard.head(job, TINY) for job in case.jobs]
    keys = 2 * 24 * 24
    assert (row["case"], row["heads"], row["l_q"], row["d"]) == ("minilm_sentence/0.75", 2, 24, 32)
    assert row["bound"] == leopard.bound_cycles(golden, TINY) <= row["steady_cycles"]
    assert row["over_bound"] == row["steady_cycles"] / row["bound"] < 1.1
    assert row["steady_cycles"] < row["cycles"]
    assert row["survive"] == sum(r.survivors for r in golden) / keys
    assert row["key_words"] == sum(r.digits_total for r in golden)
    assert row["key_words_full"] == 4 * keys
    assert (row["digits_wasted"], row["speedup"], row["baseline_bound"]) == (0, None, keys)
    spent = np.concatenate([r.digits[~r.mask] for r in golden])
    assert row["dropped"] == [(spent == t).sum() / keys for t in range(1, 5)]


@pytest.mark.parametrize("config", [AE, HP], ids=lambda c: c.name)
def test_short_heads_are_near_the_bound(config):
    """Units have as much to do as each other, and the next heads are there in time."""
    rows, _ = measure(cases(config), config, True)
    assert len(rows) == 2 * len(SHARES)
    assert {row["case"]: row["over_bound"] for row in rows if row["over_bound"] > 1.1} == {}


def test_cases():
    """Real heads with codes that fill the width, at thresholds that prune what they say."""
    found = cases(AE)
    assert [case.name for case in found] == [
        f"{name}/{share:g}" for name in ("minilm_sentence", "vit_patches") for share in SHARES]
    for case in found:
        assert max(abs(job.q).max() for job in case.jobs) > AE.max_code / 2
        results = [leopard.head(job, AE) for job in case.jobs]
        survive = sum(r.survivors for r in results) / sum(r.keys for r in results)
        assert 1 - survive == pytest.approx(case.share, abs=0.002)
    assert [case.name for case in cases(BASE)] == ["minilm_sentence/0", "vit_patches/0"]
    assert [case.name for case in cases(TINY, wanted="*0.5")] == ["minilm_sentence/0.5"]
    with pytest.raises(InputError, match="leopard_tiny has no room for any of the cases: give "):
        cases(TINY, wanted="vit")
    with pytest.raises(InputError, match="cases must occur in one of minilm_sentence/0, "):
        cases(TINY, wanted="none")


def test_wider_codes_have_the_same_logits(tmp_path):
    """The scale makes up for the shift, for the threshold and for the softmax."""
    with np.load(EXAMPLE) as data:
        arrays = dict(data)
    arrays |= {"q": arrays["q"] // 16, "k": arrays["k"] // 16,
               "scale": arrays["scale"] * 256}
    np.savez(tmp_path / "narrow.npz", **arrays)
    case, = cases(AE, data=[tmp_path / "narrow.npz"], wanted="narrow/0.5")
    job = case.jobs[0]
    scale = float(arrays["scale"]) / (job.q.max() / arrays["q"][0].max()) ** 2
    assert case.threshold == pytest.approx(job.threshold * scale)
    assert job.scale[0] * 2.0 ** -job.scale[1] == pytest.approx(scale * np.log2(np.e), rel=1e-4)


def _fake(case, config, cycles):
    """A simulation that gives what golden does."""
    status = [LeopardKind().record(job, leopard.head(job, config), config) for job in case.jobs]
    registers = {"cycles": cycles, "read_bytes": 800, "write_bytes": 80,
                 "key_words": sum(s.key_words for s in status) + 3}
    return SimpleNamespace(registers=registers, results=[
        (None, replace(s, key_words=s.key_words + 3 * (n == 0))) for n, s in enumerate(status)])


def test_figures_and_text():
    case, = cases(TINY, wanted="0.9")
    golden = [leopard.head(job, TINY) for job in case.jobs]
    row = figures(case, TINY, _fake(case, TINY, 1000), _fake(case, TINY, 1600), golden, 1200)
    assert (row["steady_cycles"], row["speedup"], row["bus_bound"]) == (600, 2.0, 100)
    assert row["digits_wasted"] == 3
    result = document([row], {"cycles": 1, "sim_s": 1.0, "cycles_per_s": 1.0, "build_s": 0.0},
                      TINY, "prunus bench")
    table = [line for line in markdown(result, TINY).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert table[2].startswith("| minilm_sentence/0.9 | 12 | 24 | 32 | 10.0% |")
    titles = [column.title for column in columns(TINY)]
    assert {column.title for column in brief()} < set(titles)
    assert titles[-4:] == ["at 1", "at 2", "at 3", "at 4"]


def test_failures_name_the_case(monkeypatch):
    from prunus.sim import simulate

    found = cases(TINY, quick=True)

    def fail(batches, config, progress):
        raise simulate.SimulationError("leopard_tiny, batch 1: no interrupt")

    monkeypatch.setattr(simulate, "simulate_batches", fail)
    with pytest.raises(RunError, match="leopard_tiny, minilm_sentence/0.75: no interrupt"):
        measure(found, TINY, True)
