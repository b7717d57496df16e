# SPDX-License-Identifier: Apache-2.0
"""Memory that commands take for many heads: none of the size of scores for each of them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from prunus.app import run as prunus
from prunus.commands.digits import threshold_for
from prunus.engines.leopard import load_jobs
from prunus.golden.engines import ENGINES, engine_of, load_config
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.run import run_golden
from prunus.sim.engines import hdp, random_jobs

L, D = 192, 8
SCORES = L * L * 8          # bytes of the scores of a head
FEW, MANY = 4, 16
CONFIGS = {"hdp": ["hdp_edge"], "leopard": ["leopard_ae"], "topk": ["topk_edge", "--top-k", "8"]}


@pytest.fixture
def heads(tmp_path):
    """A file of so many heads."""
    def made(count):
        rng = np.random.default_rng(1)
        path = tmp_path / f"{count}.npz"
        q, k, v = (rng.integers(-128, 128, (count, L, D)).astype(np.int8) for _ in "qkv")
        np.savez(path, q=q, k=k, v=v, scale=1e-3)
        return path

    return made


def growth(work):
    """Bytes of the peak that each head adds."""
    work(FEW)                           # what is made once
    peaks = []
    for count in (FEW, MANY):
        tracemalloc.start()
        work(count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MANY - FEW)


def test_every_engine_is_measured():
    assert list(CONFIGS) == list(ENGINES)


@pytest.mark.parametrize("engine", CONFIGS)
def test_run(engine, heads, tmp_path, capfd):
    """Operands and outputs are 64-bit words here, 6 * L * D * 8 bytes of a head at the most."""
    bound = 8 * L * D * 8
    assert bound < SCORES / 2
    name, *options = CONFIGS[engine]

    def work(count, *more):
        assert prunus(["run", str(heads(count)), str(tmp_path / "o.npz"), "--config", name,
                       *options, *more]) == 0

    assert growth(work) < bound
    assert growth(lambda count: work(count, "--trace")) > SCORES, "it can be told apart"


@pytest.mark.parametrize("words", [["energy"], ["digits", "--share", "0.5"]],
                         ids=lambda words: words[0])
def test_other_commands(words, heads, capfd):
    def work(count):
        assert prunus([*words, str(heads(count))]) == 0

    assert growth(work) < 10 * L * D * 8 < SCORES / 2


def test_thresholds(heads):
    config = load_config("leopard_ae")
    jobs = {count: load_jobs(heads(count), config, None) for count in (FEW, MANY)}
    assert growth(lambda count: threshold_for(jobs[count], 0.5)) < SCORES / 50


@pytest.mark.parametrize("name", ["hdp_tiny", "hdp_tiles", "hdp_quad", "leopard_tiny", "topk_tiny"])
def test_a_summary_says_what_a_result_does(name):
    config = load_config(name)
    engine = engine_of(config)
    jobs = random_jobs(config, 20, seed=3)
    whole = run_golden(jobs, config, whole=True)
    brief = run_golden(jobs, config)
    assert [status for _, status in whole.outputs] == [status for _, status in brief.outputs]
    for about in (engine.bound_cycles, engine.events, engine.held):
        assert about(jobs, whole.golden, config) == about(jobs, brief.golden, config)
    if config.engine == "hdp":
        assert predict_cycles(jobs, whole.golden, config) == \
            predict_cycles(jobs, brief.golden, config)
        for result, summary in zip(whole.golden, brief.golden, strict=True):
            assert summary.mask.dtype == bool
            np.testing.assert_array_equal(summary.mask, result.mask)


def test_the_model_of_cycles_forgets_heads():
    """Rows of blocks of all heads together would be more than their masks."""
    config = load_config("hdp_edge")
    rng = np.random.default_rng(1)
    job = replace(hdp.random_jobs(config, 1, seed=1)[0], **{
        name: rng.integers(-128, 128, (L, D)) for name in "qkv"}, valid_q=L, valid_kv=L,
        same_kv=False, causal=False, dense=True, exact=False, drop=False, tau_head=0)
    result = engine_of(config).compute(job, config).summary()
    assert growth(lambda count: predict_cycles(
        [job] * count, [result] * count, config)) < SCORES / 20


def test_too_little_memory_is_a_line(heads, tmp_path, capfd, monkeypatch):
    from prunus import cli

    def fail(job, config):
        raise MemoryError

    monkeypatch.setattr("prunus.golden.hdp.kind.head", fail)
    with pytest.raises(SystemExit, match="1"):
        cli.main(["run", str(heads(1)), str(tmp_path / "o.npz"), "--json"])
    out, err = capfd.readouterr()
    assert (out, err.count("\n"), err[:35]) == ("", 1, "error: there is not enough memory f")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.npz"]


def test_an_array_that_memory_has_no_room_for_is_not_called_damaged(heads, tmp_path, capfd,
                                                                   monkeypatch):
    def fail(archive, name):
        raise MemoryError

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", fail)
    path = heads(1)
    assert prunus(["run", str(path), str(tmp_path / "o.npz")]) == 2
    assert capfd.readouterr().err == (f"error: q in {str(path)!r} takes more memory than there "
                                      "is\n")
