# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.tiles import is_tiled
from prunus.golden.image import build_image
from prunus.host import Coprocessor, Link, LinkTransport, coprocessor
from prunus.host.driver import DriverError
from prunus.host.tables import folded_image, image_bytes, plan
from prunus.sim.compare import check
from prunus.sim.engines import hdp as hdp_jobs
from prunus.sim.engines import leopard as leopard_jobs
from prunus.sim.simulate import Batch, simulate_batches
from tests.host.board import FakeBoard, head_of, spoiler

CONFIG = load_config("hdp_tiny")
ENGINES = pytest.mark.parametrize("config", [CONFIG, load_config("leopard_tiny")],
                                  ids=lambda config: config.engine)


def _job(config, l_q, l_kv, d=32, seed=0, **choices):
    made = {"hdp": hdp_jobs, "leopard": leopard_jobs}[config.engine]
    return made.build(made.Recipe(l_q=l_q, l_kv=l_kv, valid_q=l_q, valid_kv=l_kv, d=d, seed=seed,
                                  **choices), config)


def _jobs(count, length=16, d=32, config=CONFIG):
    return [_job(config, length, length, d, n) for n in range(count)]


def _image(jobs, config=CONFIG):
    return build_image(jobs, config)


def _open(board, config=CONFIG, **options):
    link = Link(board, clock=board.clock, **options)
    return Coprocessor(LinkTransport(link, sleep=board.sleep, clock=board.clock), config,
                       memory_bytes=link.info.memory_bytes)


def _check(results, jobs, config=CONFIG):
    assert len(results) == len(jobs)
    for (out, status), job in zip(results, jobs, strict=True):
        expected = head_of(job, config)
        assert_array_equal(out, expected.out)
        assert status == engine_of(config).kind(job).record(job, expected, config)


@ENGINES
@pytest.mark.parametrize("chance", [0.0, 0.2])
def test_jobs_in_several_tables(chance, config):
    jobs = _jobs(7, config=config)
    board = FakeBoard(config, jobs, memory_bytes=8192, spoil=spoiler(1, chance))
    told = []
    with _open(board, config, retries=30) as opened:
        results, counters = opened.run(jobs, lambda *at: told.append(at))
    _check(results, jobs, config)
    assert board.rings == len(plan(jobs, config, 8192)) > 1
    assert counters["jobs_done"] == 7
    assert counters["cycles"] == 7000
    assert told[-1] == (7, 7)
    assert told == sorted(told)


@ENGINES
def test_a_job_that_needs_its_output_over_its_inputs(config):
    job, = jobs = _jobs(1, length=32, config=config)
    size = len(_image(jobs, config).data)
    assert size == image_bytes(job, config)
    board = FakeBoard(config, jobs, memory_bytes=size - 64)
    results, _ = _open(board, config).run(jobs)
    _check(results, jobs, config)


@ENGINES
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.85])
def test_the_rtl_has_read_what_its_output_is_written_over(config, stall):
    """Whatever pauses there are; with the fewest keys the last rows lie over the last operands."""
    few = {"hdp": 17, "leopard": 15}[config.engine]
    jobs = [*_jobs(4, length=32, config=config), *_jobs(4, 8, 8, config),
            *(_job(config, 32, few, seed=n, causal=n > 1) for n in range(4))]
    batches = [Batch([job], image=folded_image(job, config)) for job in jobs]
    for batch in batches:
        assert batch.image.out == [64]
    for batch, run in zip(batches, simulate_batches(batches, config, stall=stall, seed=7),
                          strict=True):
        check(run, batch.jobs, config)


def test_a_head_in_tiles_is_not_folded():
    """Its planes are read again after its first rows are written."""
    config = CONFIG.model_copy(update={"tile": 8})
    job, = _jobs(1, length=32)
    assert is_tiled(job, config) and not is_tiled(job, CONFIG)
    assert folded_image(job, config).data == _image([job], config).data
    assert folded_image(job, CONFIG).data != _image([job]).data


@ENGINES
def test_folded_image(config):
    """The same operands and words, but for the addresses of output and record."""
    job, = _jobs(1, length=32, config=config)
    plain, folded = _image([job], config), folded_image(job, config)
    assert len(plain.data) - len(folded.data) == 32 * 64
    assert folded.out == [64]
    assert folded.status == plain.out
    assert folded.data[64 : plain.out[0]] == plain.data[64 : plain.out[0]]
    before, after = (np.frombuffer(bytes(image.data[:64]), "<u4") for image in (plain, folded))
    assert list(np.flatnonzero(before != after)) == [11, 12]
    assert list(after[11:13]) == [64, plain.out[0]]
    assert folded.data[plain.out[0] :] == b"\xA5" * 64


@pytest.mark.parametrize(("config", "keys"), [(CONFIG, 16), (load_config("leopard_tiny"), 14)],
                         ids=["hdp", "leopard"])
def test_an_output_longer_than_its_inputs_stays_behind_them(config, keys):
    """Of HDP than Q and K, of LeOPArd than Q, K and V; with one more key it does not."""
    job = _job(config, 32, keys)
    plain, folded = _image([job], config), folded_image(job, config)
    assert (folded.data, folded.out, folded.status) == (plain.data, plain.out, plain.status)
    assert folded_image(_job(config, 32, keys + 1), config).out == [64]


@ENGINES
def test_plan(config):
    """Sizes are exact, no table is larger than the memory, none could take another job."""
    jobs = _jobs(5, config=config) + _jobs(3, 7, 8, config)
    shared = replace(jobs[0], same_kv=True)
    jobs = [jobs[0], shared, shared, *jobs[1:]]
    for memory in (4096, 6000, 9000, 1 << 20):
        tables = plan(jobs, config, memory)
        assert [table.first for table in tables] == list(
            np.cumsum([0, *(len(table.jobs) for table in tables[:-1])]))
        assert sum(len(table.jobs) for table in tables) == len(jobs)
        for table, after in zip(tables, [*tables[1:], None], strict=True):
            size = len(_image(table.jobs, config).data)
            assert size == sum(image_bytes(job, config) for job in table.jobs) <= memory
            assert not table.jobs[0].same_kv
            if after:
                assert size + image_bytes(jobs[after.first], config) > memory
    table, = plan(jobs, config, 1 << 20)
    assert [job.same_kv for job in table.jobs[:3]] == [False, True, True]


def test_too_large():
    with pytest.raises(ValueError, match=r"job 1 \(l_q 32, l_kv 32, d 32\) must fit the "
                                         "memory of 3000 bytes, and takes 3"):
        plan(_jobs(1, 8) + _jobs(1, 32), CONFIG, 3000)


def test_another_coprocessor():
    board = FakeBoard(load_config("hdp_edge"))
    with pytest.raises(DriverError, match="register limits must read 0x00200020, not 0x00400200"):
        _open(board)
    board = FakeBoard(load_config("leopard_tiny"))
    with pytest.raises(DriverError, match="register format must read 0x00400408, not 0x00400208"):
        _open(board)


def test_a_coprocessor_that_hangs(monkeypatch):
    jobs = _jobs(1)
    board = FakeBoard(CONFIG, jobs)
    board.hang = True
    opened = _open(board)
    monkeypatch.setattr(coprocessor.time, "monotonic", board.clock)
    with pytest.raises(DriverError, match="job 0 takes more than 60 s"):
        opened.run(jobs)
