# SPDX-License-Identifier: Apache-2.0
"""Waveforms that Verilator writes, and simulations that are done again."""

import re
import shlex
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.errors import InputError
from prunus.golden.image import build_image
from prunus.golden.records import Error
from prunus.golden.registers import register_map
from prunus.sim import waveforms
from prunus.sim.cases import Case
from prunus.sim.compare import MismatchError, check
from prunus.sim.engines import random_jobs
from prunus.sim.repeat import main
from prunus.sim.simulate import Access, Batch, SimulationError, simulate_batches
from prunus.sim.simulators.verilator import _can_write_fst
from prunus.sim.waveforms import check_waveform, waveform

from .loopback import loopback

CONFIG = load_config("hdp_tiny")
JOBS = random_jobs(CONFIG, 5, 1)
AT = {register.name: register.address for register in register_map(CONFIG)}
run = partial(simulate_batches, config=CONFIG, verilog=loopback(CONFIG))
ALL_UNKNOWN = dict.fromkeys(range(len(JOBS)), Error.OPCODE)
NO_INTERRUPT, BAD_LAST = 1, 6       # of the loopback


def _faulty(fault, **options):
    return Batch(JOBS, before=[Access(0xFC, fault, write=True)], **options)


def _signals(path: Path) -> dict[str, int]:
    """Names of a VCD, and how often each changes. pyvcd refuses Verilator's name of the root."""
    text = path.read_text()
    names = dict(re.findall(r"\$var \w+ +\d+ (\S+) (\S+)", text))
    changes = Counter(re.findall(r"^(?:[01]|b[01]+ )(\S+)$", text, re.M))
    return {name: changes[code] for code, name in names.items()}


def test_a_waveform_where_names_have_spaces(monkeypatch, tmp_path):
    """The build folder, the temporary folder and the file's."""
    folder = tmp_path / "a b" / "it's $c"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PRUNUS_BUILD", str(folder / "build"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    stages, path = [], folder / "w.vcd"
    for built in (["compiling the simulator (about a minute, once)"], []):
        stages.clear()
        simulation, = run([JOBS], trace=path, stage=stages.append)
        assert stages == built
        check(simulation, JOBS, CONFIG, ALL_UNKNOWN)
        changes = _signals(path)
        assert changes["clk"] > 2 * simulation.cycles
        assert changes["s_axil_wvalid"] >= 2 and changes["irq"] >= 2
        path.unlink()
    assert [entry.name for entry in folder.iterdir()] == ["build"]


@pytest.mark.skipif(not _can_write_fst(), reason="no lz4.h or zlib.h")
def test_an_fst(tmp_path):
    path = tmp_path / "w.fst"
    simulation, = run([JOBS], trace=path)
    header = path.read_bytes()[:330]
    assert (header[0], int.from_bytes(header[1:9], "big")) == (0, 329)
    assert int.from_bytes(header[17:25], "big") > 2 * simulation.cycles     # the end of time


@pytest.mark.parametrize("reply", [True, False], ids=["a driver's complaint", "a broken rule"])
def test_a_failure_is_kept_with_its_waveform(monkeypatch, capsys, tmp_path, reply):
    monkeypatch.chdir(tmp_path)
    faulty = _faulty(NO_INTERRUPT, cycles=3000) if reply else _faulty(BAD_LAST)
    path = tmp_path / "w.vcd"
    with pytest.raises(SimulationError) as failure:
        run([JOBS, faulty], stall=0.3, seed=5, trace=path)
    *first, command = str(failure.value).splitlines()
    assert first[-1] == f"the waveform until then is in '{path}'"
    assert _signals(path)["clk"] > 100
    assert command.startswith("repeat it with: python -m prunus.sim.repeat ")
    file = shlex.split(command)[6]
    assert main([file, "--trace-file", "again.vcd"]) == 1
    again = capsys.readouterr().err.splitlines()
    assert again[-1] == "the waveform until then is in 'again.vcd'"
    assert [line for line in again if "error: " in line][0] == f"error: {first[0]}"
    assert _signals(tmp_path / "again.vcd") == _signals(path)       # every pause is the same
    assert {entry.name for entry in tmp_path.iterdir()} == {"w.vcd", "again.vcd"}
    Path(file).unlink()


def test_a_difference_is_kept(monkeypatch, capsys, tmp_path):
    """Which goes away here, as it was not the RTL's."""
    _, simulation = run([JOBS, JOBS], stall=0.2, seed=3)
    out, _ = simulation.results[1]
    out += 1
    with pytest.raises(MismatchError, match=r"job 1 .*\nrepeat it with: python -m") as failure:
        check(simulation, JOBS, CONFIG, ALL_UNKNOWN)
    file = Path(shlex.split(str(failure.value).splitlines()[-1])[6])
    case = Case.load(file)
    assert (case.stall, case.seed, case.batch, case.errors) == (0.2, 3, 1, ALL_UNKNOWN)
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == "it passes on the RTL as it is now\n"
    path = replace(case, errors={}).save()
    assert main([str(path)]) == 1
    assert "status error must be" in capsys.readouterr().err
    for kept in (file, path):
        kept.unlink()


@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny", "topk_tiny"])
def test_a_case_is_read_as_it_was_written(monkeypatch, tmp_path, name):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    config = load_config(name)
    jobs = random_jobs(config, 6, 2)
    image = build_image(jobs, config)
    accesses = [Access(4), Access(8, 3, write=True)]
    case = Case(config=config, stall=0.25, seed=7, verilog="module", batch=1, errors={2: Error.BUS},
                batches=[Batch(jobs), Batch(jobs, image, read_errors=[(64, 128)], before=accesses,
                                            during=accesses[:1], cycles=77, reset=(5, 2))])
    path = case.save()
    assert path.parent == tmp_path / "failed" and case.save() == path
    read = Case.load(path)
    assert [vars(read)[x] for x in ("config", "stall", "seed", "verilog", "batch", "errors",
                                    "simulator")] == [
        config, 0.25, 7, "module", 1, {2: Error.BUS}, "verilator"]
    assert [bytes(build_image(batch.jobs, config).data) for batch in read.batches] == [
        bytes(image.data)] * 2
    for before, after in zip(jobs, read.batches[0].jobs, strict=True):
        assert type(before) is type(after)
        for field, value in vars(before).items():
            np.testing.assert_array_equal(getattr(after, field), value)
            assert type(getattr(after, field)) is type(value) or np.isscalar(value)
    last = read.batches[1]
    assert (last.image, last.before, last.during, last.after) == (
        image, accesses, accesses[:1], [])
    assert (last.read_errors, last.cycles, last.reset) == (((64, 128),), 77, (5, 2))


def test_files_that_are_no_cases(capsys, tmp_path):
    texts = {"gone.npz": None, "empty.npz": b"", "text.npz": b"hello"}
    np.savez(tmp_path / "other.npz", q=np.zeros(3))
    np.savez(tmp_path / "old.npz", plan=np.array('{"config": {}}'))
    for name in (*texts, "other.npz", "old.npz"):
        path = tmp_path / name
        if texts.get(name) is not None:
            path.write_bytes(texts[name])
        assert main([str(path)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: case '{path}' ") and err.count("\n") == 1


def test_an_interrupt_ends_the_simulator(tmp_path):
    def interrupt(done, total):
        for _ in range(100):            # until it runs
            if list(tmp_path.rglob("w.vcd")):
                raise KeyboardInterrupt
            time.sleep(0.1)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run([_faulty(NO_INTERRUPT, cycles=10**9)], progress=interrupt, limit_s=120,
            trace=tmp_path / "w.vcd")
    assert time.monotonic() - begin < 100
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, text", [
    ("w.ghw", "must end in .fst or .vcd"), ("w", "must end in .fst or .vcd"),
    ("none/w.fst", "must lie in a directory that can be written"),
    ("folder.vcd", "is a directory")])
def test_names_that_are_refused(tmp_path, name, text):
    (tmp_path / "folder.vcd").mkdir()
    with pytest.raises(InputError, match=text):
        check_waveform(tmp_path / name)


def test_a_full_disk_leaves_what_was_there(monkeypatch, tmp_path):
    def refuse(folder):
        with open("/dev/full", "w") as file:
            file.write("x")

    monkeypatch.setattr(waveforms, "check_room", refuse)
    path = tmp_path / "w.vcd"
    path.write_text("old")
    with pytest.raises(InputError, match="trace file '.*w.vcd' cannot be written: No space left"):
        with waveform(path) as part:
            part.write_text("half")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
