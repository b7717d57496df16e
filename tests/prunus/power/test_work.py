# SPDX-License-Identifier: Apache-2.0
"""What is measured: heads and the coprocessor, as options and the file say."""

import numpy as np
import pytest

from prunus.commands.digits import threshold_for
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.golden.jobs import visible_limits
from prunus.heads import EXAMPLES, read_arrays
from prunus.power.measure import MOST_HEADS, _tables, pairs
from prunus.power.work import SHARE, work_of

HEADS = EXAMPLES / "minilm_sentence.npz"
HDP, LEOPARD, TOPK = (load_config(name) for name in ("hdp_edge", "leopard_edge", "topk_edge"))


def spoiled(tmp_path, **changed):
    path = tmp_path / "heads.npz"
    np.savez(path, **(read_arrays(HEADS) | changed))
    return path


@pytest.mark.parametrize("limit", [1, 3, None])
def test_the_first_heads(limit):
    whole, machine = work_of(HEADS, HDP)
    work, same = work_of(HEADS, HDP, limit=limit)
    assert machine == same == HDP
    assert len(work.jobs) == (limit or 12)
    for one, other in zip(work.jobs, whole.jobs, strict=False):
        np.testing.assert_array_equal(one.q, other.q)
    assert 0 < work.kept < work.visible <= whole.visible


def test_hdp_dense():
    work, machine = work_of(HEADS, HDP, dense=True, limit=2)
    assert machine == HDP and work.kept == work.visible > 0
    kept, _ = work_of(HEADS, HDP, limit=2)
    assert kept.visible == work.visible > 2 * kept.kept


@pytest.mark.parametrize("share", [0.0, 0.5, SHARE, 0.9])
def test_leopard_prunes_the_share_of_these_heads(share):
    """Of the first heads alone, all at one threshold."""
    work, machine = work_of(HEADS, LEOPARD, limit=3, share=share)
    assert machine == LEOPARD
    assert {job.threshold for job in work.jobs} == {threshold_for(work.jobs, share)}
    assert 1 - work.kept / work.visible == pytest.approx(share, abs=0.01)
    assert work.visible == sum(int(visible_limits(job).sum()) for job in work.jobs)


def test_the_file_and_an_option_say_it_first(tmp_path):
    """A share counts where neither does."""
    path = spoiled(tmp_path, threshold=np.array(1.0))
    named = [work_of(where, LEOPARD, given, limit=2, share=share)[0].jobs[1].threshold
             for where, given, share in ((HEADS, None, 0.5), (HEADS, None, 0.9), (path, None, 0.5),
                                         (path, None, 0.9), (path, {"threshold": 7.0}, 0.5),
                                         (HEADS, {"threshold": 7.0}, 0.9))]
    assert named[0] < named[1] and named[2] == named[3] and named[4] == named[5]
    assert len(set(named)) == 4 and named[4] == pytest.approx(7 * named[2], abs=7)


@pytest.mark.parametrize(("share", "k"), [(SHARE, 6), (0.5, 12), (0.0, 24), (0.99, 1)])
def test_top_k_keeps_the_rest_of_the_share(share, k):
    """Of 24 keys."""
    work, machine = work_of(HEADS, TOPK, limit=2, share=share)
    assert machine == TOPK and {job.top_k for job in work.jobs} == {k}
    assert work.kept == 2 * 24 * k and work.visible == 2 * 24 * 24


@pytest.mark.parametrize("config", [LEOPARD, TOPK])
def test_baselines(config):
    """One unit of the full width, of the same size, that prunes nothing."""
    work, machine = work_of(HEADS, config, baseline=True, limit=2)
    assert machine.name == f"{config.name}_baseline" and machine.engine == "leopard"
    assert (machine.digit, machine.dpus, machine.pruning) == (machine.width, 1, False)
    for name in ("width", "taps", "d_max", "l_max", "axi_data_width"):
        assert getattr(machine, name) == getattr(config, name)
    assert work.kept == work.visible == 2 * 24 * 24


def test_leopard_dense_is_on_its_own_units():
    work, machine = work_of(HEADS, LEOPARD, dense=True, limit=2)
    assert machine == LEOPARD and work.kept == work.visible


@pytest.mark.parametrize(("config", "options", "message"), [
    (HDP, {"baseline": True}, "--baseline is LeOPArd's and Top-K's, and config hdp_edge"),
    (TOPK, {"dense": True}, "--dense: config topk_edge is of engine topk, which always prunes"),
    (LEOPARD, {"dense": True, "given": {"threshold": 1}}, "--dense and an option that prunes"),
    (TOPK, {"baseline": True, "given": {"top_k": 1}}, "--dense and an option that prunes"),
    (LEOPARD, {"given": {"rho": 0.5}}, "--rho is an option of engine hdp"),
])
def test_contradictions(config, options, message):
    with pytest.raises(InputError, match=message):
        work_of(HEADS, config, **options)


def test_products_of_visible_pairs():
    """Of Q K^T and P V, with causal masks and padding."""
    work, _ = work_of(HEADS, LEOPARD, limit=2)
    assert pairs(work.jobs) == 2 * (2 * 32 * 24 * 24)
    assert pairs([]) == 0


@pytest.mark.parametrize("count", [1, 7, 8, 9, 12, 16, 17, 100])
def test_tables_are_alike(count):
    tables = _tables(range(count))
    assert [n for table in tables for n in table] == list(range(count))
    sizes = {len(table) for table in tables}
    assert max(sizes) <= MOST_HEADS and max(sizes) - min(sizes) <= 1
    assert len(tables) == -(-count // MOST_HEADS)
