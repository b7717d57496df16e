# SPDX-License-Identifier: Apache-2.0
"""``prunus energy`` as a user runs it."""

import json

import pytest

from prunus import cli
from prunus.commands.energy import EXAMPLES


def prunus(capfd, *args):
    with pytest.raises(SystemExit) as stop:
        cli.main(["energy", *args])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def test_examples_on_all_machines(capfd):
    code, out, err = prunus(capfd, "--fill", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["note"].startswith("an estimate") and len(result["sources"]) == 4
    names = ["hdp_edge", "hdp_edge, dense", "leopard_ae", "leopard_base"]
    assert [(m["heads"], m["machine"]) for m in result["machines"]] == [
        (heads, name) for heads in ("minilm_sentence", "vit_patches") for name in names]
    for machine in result["machines"]:
        assert machine["total_pj"] == pytest.approx(sum(machine["picojoules"].values()))
        assert machine["on_chip_pj"] == machine["total_pj"] - machine["picojoules"]["dram"]
        events = [(event["group"], event["name"]) for event in machine["events"]]
        assert len(set(events)) == len(events)          # heads are merged
    pruned = result["machines"][::2]
    assert all(machine["against_unpruned"] > 1.3 for machine in pruned)
    assert all(machine["against_unpruned"] == 1 for machine in result["machines"][1::2])


def test_a_table_and_a_note(capfd):
    code, out, _ = prunus(capfd, str(EXAMPLES / "vit_patches.npz"), "--share", "0.9")
    lines = out.splitlines()
    assert code == 0 and lines[0].split("\t")[:3] == ["heads", "machine", "scores, nJ"]
    assert [line.split("\t")[0] for line in lines[1:5]] == ["vit_patches"] * 4
    assert lines[-1].startswith("an estimate: published energies")


@pytest.mark.parametrize(("args", "message"), [
    (["--share", "1"], "share must lie in [0, 1), not 1.0"),
    (["/nope.npz"], "input '/nope.npz' cannot be read: No such file or directory"),
    (["--leopard", "hdp_edge"], "config must be one of engine leopard here, and 'hdp_edge' is of "),
    (["--config", "leopard_ae"], "config must be one of engine hdp here, and 'leopard_ae' is of "),
])
def test_bad_input(capfd, args, message):
    code, out, err = prunus(capfd, *args)
    assert (code, out) == (2, "") and err.startswith(f"error: {message}")
