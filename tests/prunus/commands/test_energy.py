# SPDX-License-Identifier: Apache-2.0
"""``prunus energy`` as a user runs it."""

import json

import numpy as np
import pytest

from prunus import cli
from prunus.commands.energy import DEFAULTS, PAIRS
from prunus.golden.engines import ENGINES
from prunus.heads import EXAMPLES
from prunus.power.estimate import COEFFICIENTS


def prunus(capfd, *args):
    with pytest.raises(SystemExit) as stop:
        cli.main(["energy", *args])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def test_examples_on_all_machines(capfd):
    code, out, err = prunus(capfd, "--fill", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["note"].startswith("an estimate for gates of IHP SG13G2")
    assert f"{result['error']['mean']:.1%} on average" in result["note"]
    assert result["sources"].keys() == {*COEFFICIENTS, "dram"}
    names = ["hdp_edge", "hdp_edge, dense", "leopard_ae", "leopard_base", "topk_edge",
             "topk_edge, all keys"]
    assert [(m["heads"], m["machine"]) for m in result["machines"]] == [
        (heads, name) for heads in ("minilm_sentence", "vit_patches") for name in names]
    for machine in result["machines"]:
        assert machine["total_pj"] == pytest.approx(sum(machine["picojoules"].values()))
        assert machine["on_chip_pj"] == machine["total_pj"] - machine["picojoules"]["dram"]
        events = [(event["group"], event["name"]) for event in machine["events"]]
        assert len(set(events)) == len(events)          # heads are merged
    pruned = result["machines"][::2]
    assert all(machine["against_unpruned"] > 1.05 for machine in pruned)
    assert all(machine["against_unpruned"] == 1 for machine in result["machines"][1::2])


def test_a_table_and_a_note(capfd):
    code, out, _ = prunus(capfd, str(EXAMPLES / "vit_patches.npz"), "--share", "0.9")
    lines = out.splitlines()
    assert code == 0 and lines[0].split("\t")[:3] == ["heads", "machine", "cycles"]
    assert [line.split("\t")[0] for line in lines[1:7]] == ["vit_patches"] * 6
    assert lines[-1].startswith("an estimate for gates of IHP")


@pytest.mark.parametrize(("args", "message"), [
    (["--share", "1"], "share must lie in [0, 1), not 1.0"),
    (["/nope.npz"], "input '/nope.npz' cannot be read: No such file or directory"),
    (["--leopard", "hdp_edge"], "config must be one of engine leopard here, and 'hdp_edge' is of "),
    (["--baseline", "topk_edge"], "config must be one of engine leopard here, and 'topk_edge' is "),
])
def test_bad_input(capfd, args, message):
    code, out, err = prunus(capfd, *args)
    assert (code, out) == (2, "") and err.startswith(f"error: {message}")


def machines(capfd, *args):
    code, out, err = prunus(capfd, *args, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)["machines"]


def test_every_engine_has_a_machine():
    assert list(PAIRS) == list(DEFAULTS) == list(ENGINES)


@pytest.mark.parametrize(("args", "names"), [
    (["--config", "hdp_mid"], ["hdp_mid", "leopard_ae", "topk_edge"]),
    (["--config", "leopard_hp"], ["hdp_edge", "leopard_hp", "topk_edge"]),
    (["--config", "leopard_hp", "--leopard", "leopard_ae"],
     ["hdp_edge", "leopard_hp", "leopard_ae", "topk_edge"]),
    (["--leopard", "leopard_hp", "--config", "topk_edge", "--config", "hdp_mid"],
     ["hdp_mid", "leopard_hp", "topk_edge"]),
])
def test_which_machines(capfd, args, names):
    found = machines(capfd, str(EXAMPLES / "minilm_sentence.npz"), *args)
    assert [machine["machine"] for machine in found[::2]] == names


def test_top_k_keeps_the_share(capfd):
    """Of 24 keys a quarter, by 12 heads of 24 queries; without the filter all of them."""
    found = machines(capfd, str(EXAMPLES / "minilm_sentence.npz"), "--share", "0.75")
    pruned, plain = ({event["name"]: event["count"] for event in machine["events"]}
                     for machine in found[4:])
    assert pruned["exponential: sum of the row"] == 12 * 24 * 6
    assert plain["exponential: sum of the row"] == 12 * 24 * 24
    assert "score against a place" in pruned and "score against a place" not in plain


def test_heads_of_padding_take_little(capfd, tmp_path):
    """Descriptors are read and outputs written."""
    codes = np.ones((2, 4, 8), np.int8)
    totals = []
    for valid in (4, 0):
        np.savez(tmp_path / "in.npz", q=codes, k=codes, v=codes, scale=0.1, valid_q=valid,
                 valid_kv=valid)
        totals.append([machine["on_chip_pj"]
                       for machine in machines(capfd, str(tmp_path / "in.npz"))])
    assert all(0 < little < some for some, little in zip(*totals, strict=True))
    code, out, _ = prunus(capfd, str(tmp_path / "in.npz"))
    assert code == 0 and len(out.splitlines()) == 8
