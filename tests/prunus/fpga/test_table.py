# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from prunus.bench import leopard, topk
from prunus.bench.cases import suite
from prunus.fpga import table
from prunus.golden.engines import load_config
from prunus.sim.engines import random_jobs

FIGURES = {
    "board": "ulx3s_12f", "device": "LFE5U-12F", "config": "hdp_tiny", "multipliers": 8,
    "l_max": 32, "d_max": 32, "memory_bytes": 16384, "baud": 1_000_000, "clock_mhz": 50.0,
    "used": {"lut": 17000, "ff": 9000, "dsp": 19, "bram": 42},
    "available": {"lut": 24288, "ff": 24288, "dsp": 28, "bram": 56},
    "seeds": [{"seed": 1, "mhz": 51.24, "path": "a -> b"}, {"seed": 2, "mhz": 55.0, "path": "c"}],
    "mhz": 55.0, "seed": 2, "path": "c",
}


def test_tables():
    speed = {"case": "kept/d32/0.25", "l": 32, "d": 32, "kept": 0.25, "cycles": 2500.0,
             "dense_cycles": 10000.0, "bytes": 5000,
             "pytorch": {"best": 1234.5, "median": 1000.0, "torch": "2.1", "processor": "a CPU"}}
    text = table.markdown([FIGURES], {"hdp_tiny": speed})
    assert ("| ulx3s_12f | LFE5U-12F | hdp_tiny | 8 multipliers | 32 | 32 | 16 KB | "
            "17,000 of 24,288 | 9,000 of 24,288 | 19 of 28 | 42 of 56 | 50 | 51.2, 55.0 | `c` |"
            ) in text
    assert ("| ulx3s_12f | hdp_tiny | kept/d32/0.25 | 32 | 32 | 25.0% | 2,500 | 10,000 | 20,000 | "
            "5,000 | 1,234 (1,000) | 20.0 |") in text
    assert text.endswith("PyTorch 2.1 on a CPU, float32, dense, `scaled_dot_product_attention` of "
                         "all heads of a case at a time.\n")
    without = table.markdown([FIGURES], {"hdp_tiny": {**speed, "pytorch": None}})
    assert "| 5,000 | - | 20.0 |" in without
    assert "PyTorch 2.1" not in without


def test_from_a_file_to_a_file(tmp_path, monkeypatch):
    """The heads are those of the bench, as long as the configuration can have them."""
    seen = []

    def measure(cases, config):
        seen.extend(cases)
        return [{"case": cases[0].name, "l_q": 32, "d": 32, "kappa": 0.25, "heads": 8,
                 "cycles": 20000, "dense_cycles": 80000, "counters": {"write_bytes": 8 * 2112}}], {}

    monkeypatch.setattr("prunus.bench.hdp.measure", measure)
    monkeypatch.setattr(table, "pytorch", lambda jobs: None)
    (tmp_path / "in.json").write_text(json.dumps(FIGURES))
    target = tmp_path / "out.md"
    assert table.main([str(tmp_path / "in.json"), "-o", str(target)]) == 0
    config = load_config("hdp_tiny")
    expected, = suite(config, wanted="kept/d32/0.25").cases
    assert [case.name for case in seen] == [expected.name]
    assert seen[0].jobs[0].q.shape == (32, 32)
    assert "| 2,500 | 10,000 | 20,000 | 5,000 |" in target.read_text()


def test_cycles_of_a_bench(tmp_path, monkeypatch):
    """Only of the same hardware; of another they are simulated."""
    config = load_config("hdp_tiny")
    row = {"case": "kept/d32/0.25", "l_q": 32, "d": 32, "kappa": 0.25, "cycles": 40000, "heads": 8,
           "dense_cycles": 80000, "counters": {"write_bytes": 8 * 2112}}
    bench = {"parameters": config.model_dump(exclude={"name"}),
             "cases": [{**row, "case": "other", "cycles": 1}, row]}
    monkeypatch.setattr("prunus.bench.hdp.measure",
                        lambda cases, config: ([{**row, "cycles": 24000}], {}))
    monkeypatch.setattr(table, "pytorch", lambda jobs: None)
    assert table.heads_per_second(config, [bench])["cycles"] == 5000
    del bench["parameters"]["axi_qos"]      # as of before there was such a parameter
    assert table.heads_per_second(config, [bench])["cycles"] == 5000
    assert table.heads_per_second(load_config("hdp_small").model_copy(update={"d_max": 32}),
                                  [bench])["cycles"] == 3000
    (tmp_path / "in.json").write_text(json.dumps(FIGURES))
    (tmp_path / "bench.json").write_text(json.dumps(bench))
    assert table.main([str(tmp_path / "in.json"), "--bench", str(tmp_path / "bench.json"), "-o",
                       str(tmp_path / "out.md")]) == 0
    assert "| 5,000 | 10,000 | 10,000 | 5,000 |" in (tmp_path / "out.md").read_text()


@pytest.mark.parametrize(("name", "case"), [
    ("leopard_ecp5", "vit_patches/0.75"), ("leopard_tiny", "minilm_sentence/0.75")])
def test_leopard(tmp_path, monkeypatch, name, case):
    """The heads of an example that fits, pruned and whole, simulated or from a bench."""
    config = load_config(name)
    calls = []

    def measure(found, config, quick):
        calls.append([case.name for case in found])
        return [{"case": case.name, "l_q": case.jobs[0].l_q, "d": case.jobs[0].d, "heads": 12,
                 "survive": 1 - case.share, "cycles": 12000 * (4 - 3 * (case.share > 0)),
                 "counters": {"write_bytes": 12 * 1000}} for case in found], {}

    monkeypatch.setattr(leopard, "measure", measure)
    monkeypatch.setattr(table, "pytorch", lambda jobs: None)
    speed = table.heads_per_second(config)
    assert (speed["case"], speed["kept"]) == (case, 0.25)
    assert (speed["cycles"], speed["dense_cycles"]) == (1000, 4000)
    job = leopard.cases(config, wanted=case)[0].jobs[0]
    assert speed["bytes"] == table.image_bytes(job, config) + 1000
    assert calls == [[case, case.replace("0.75", "0")]]
    rows, _ = measure(leopard.cases(config), config, True)
    bench = {"parameters": config.model_dump(exclude={"name"}), "cases": rows}
    del calls[:]
    assert table.heads_per_second(config, [bench]) == speed
    assert calls == []
    figures = {**FIGURES, "config": name, "units": config.dpus, "taps": config.taps}
    text = table.markdown([figures], {name: speed})
    assert f"| {name} | {config.dpus} units of {config.taps} dimensions |" in text
    assert f"| {name} | {case} | {job.l_q} | {job.d} | 25.0% | 1,000 | 4,000 | 50,000 |" in text


def test_topk(monkeypatch):
    """Cycles do not depend on K, so those without pruning are the same."""
    config = load_config("topk_tiny")
    monkeypatch.setattr(table, "pytorch", lambda jobs: None)
    monkeypatch.setattr(topk.SUITE, "measure", lambda work, config, quick, progress: ([
        {"case": work[0].name, "l_q": 24, "d": 16, "heads": 2, "survive": 0.25, "cycles": 3000,
         "counters": {"write_bytes": 2000}}], {}))
    monkeypatch.setattr(topk.SUITE, "choose", lambda config, **asked: [
        topk.TopkCase(name=asked["wanted"].split(",")[1], jobs=random_jobs(config, 2, seed=1))])
    speed = table.heads_per_second(config)
    assert (speed["case"], speed["kept"]) == ("minilm_sentence/8", 0.25)
    assert (speed["cycles"], speed["dense_cycles"]) == (1500, 1500)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"seeds": []}', "nonsense"])
def test_bad_figures(tmp_path, capsys, text):
    (tmp_path / "in.json").write_text(text)
    assert table.main([str(tmp_path / "in.json"), "-o", str(tmp_path / "out.md")]) == 2
    assert "cannot be read: not one that prunus wrote" in capsys.readouterr().err
    assert not (tmp_path / "out.md").exists()
