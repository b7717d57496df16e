# SPDX-License-Identifier: Apache-2.0
"""The C driver as a program that runs real heads on the simulated RTL: the same bits as golden."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.engines import leopard
from prunus.engines.hdp import Options, load_jobs
from prunus.engines.topk import load_jobs as load_topk
from prunus.golden.engines import engine_of, load_config
from prunus.golden.image import build_image, described
from prunus.golden.registers import Cause
from prunus.run import run_golden
from prunus.sim.served import ServedSimulation
from tests.sim.wide import widened
from tests.sw.driver import Driver, jobs_text, registers_text, run_host

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "minilm_sentence.npz"
BASE = 0xC000_0000 - (1 << 16)      # a table that begins below an address whose upper bits differ
FAR = 0xA5_C000_0000 - (1 << 16)    # likewise, of a coprocessor with wide addresses
SIZE = 1 << 18
CONFIGS = [load_config(name) for name in ("hdp_tiny", "leopard_tiny", "topk_tiny")]
WIDE = [widened(config, width) for config, width in zip(CONFIGS, (64, 40, 48), strict=True)]


def _heads(config, folder, d):
    """Real heads, cut to ``d`` dimensions if they have more."""
    with np.load(EXAMPLE) as data:
        arrays = dict(data)
    path = folder / "in.npz"
    np.savez(path, **{name: a[..., :d] if a.ndim == 3 else a for name, a in arrays.items()})
    if config.engine == "hdp":
        return load_jobs(path, config, Options(rho=0.25))
    if config.engine == "leopard":
        return leopard.load_jobs(path, config, 0.5)
    return load_topk(path, config, 5)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return Driver(tmp_path_factory.mktemp("driver"))


def _base(config):
    return FAR if config.wide else BASE


@pytest.mark.parametrize(("config", "count", "interrupts"), [
    (CONFIGS[0], (4, 2), True), (CONFIGS[1], (4, 2), False), (CONFIGS[2], (3, 1), True),
    *((config, (2, 1), True) for config in WIDE)],
    ids=lambda value: getattr(value, "name", None))
def test_real_heads(driver, tmp_path, config, count, interrupts):
    """Two tables, one doorbell after the other, by interrupt and by looking."""
    jobs = _heads(config, tmp_path, config.d_max)[: sum(count)]
    tables = [jobs[: count[0]], jobs[count[0] :]]
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(SIZE))
    with ServedSimulation(config, memory, _base(config)) as served:
        port = f"irq:{served.port}" if interrupts else served.port
        lines = run_host(driver, "run", memory, SIZE, _base(config), port,
                         text=jobs_text(tables, config, results=True))
    assert len(lines) == 2 * len(jobs) + 1, lines
    kind, at, sizes = engine_of(config).kind(jobs[0]), 0, []
    for table in tables:
        expected = run_golden(table, config)
        for (out, status), result in zip(expected.outputs, expected.golden, strict=True):
            record = np.array(lines[at].split(), np.uint32)
            assert_array_equal(record, kind.status.pack(asdict(status)))
            got = np.array(lines[at + 1].split(), np.int64).reshape(out.shape)
            assert_array_equal(got, out)
            assert_array_equal(got, result.out)
            at += 2
        assert np.any([out for out, _ in expected.outputs])
        sizes.append(len(build_image(table, config).data))
    said = dict(zip(lines[-1].split()[::2], lines[-1].split()[1::2], strict=True))
    assert said["done"] == str(count[1])
    assert (int(said["waits"]) >= 2) == interrupts
    assert said["flushed"] == said["invalidated"] == str(sum(sizes))


def test_the_example(driver, tmp_path):
    """sw/example.c, as the documents have it, with a real head."""
    config = load_config("hdp_tiny")
    with np.load(EXAMPLE) as data:
        scale = float(np.broadcast_to(data["scale"], len(data["q"]))[1])
    job = load_jobs(EXAMPLE, config, Options(rho=0.2))[1]
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(SIZE))
    text = [registers_text(config), f"{job.l_q} {job.d} {scale.hex()}",
            *(" ".join(map(str, codes.ravel().tolist())) for codes in (job.q, job.k, job.v))]
    with ServedSimulation(config, memory, BASE) as served:
        lines = run_host(driver, "example", memory, SIZE, BASE, served.port, text="\n".join(text))
    (want, _), = run_golden([job], config).outputs
    assert_array_equal(np.array(lines[0].split(), np.int64).reshape(want.shape), want)
    assert want.any() and job.l_q == job.valid_q == job.l_kv == job.valid_kv


@pytest.mark.parametrize("config", [*CONFIGS[:2], WIDE[0]], ids=lambda config: config.name)
def test_windows_aborts_and_a_silent_memory(driver, tmp_path, config):
    """What the driver says of each, and that the coprocessor is as good as new afterwards."""
    base = _base(config)
    jobs = _heads(config, tmp_path, config.d_max)[:2]
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(SIZE))
    with ServedSimulation(config, memory, base) as served:
        text = jobs_text([jobs] * 4, config) + " ".join(f"{job.l_q} {job.d}" for job in jobs)
        lines = run_host(driver, "control", memory, SIZE, base, f"irq:{served.port}", text=text)
    table = build_image(jobs, config)
    kind, said = engine_of(config).kinds[0], lines[: len(lines) - 4]
    values = described(table, 0, kind, config)
    cause, response, job, address = map(int, said.pop(said.index("wait 0") + 1).split()[1:])
    assert (cause, response, job) == (Cause.WINDOW, 0, 0)
    assert address in {base + values[plane.name] for plane in kind.planes}
    silent = said.pop(said.index("wait -11") + 1).split()
    assert silent[:2] == ["error", str(Cause.TIMEOUT.value)]
    assert said == [
        "window 0", "start 0", "wait 0",
        "bad window -4", "bad window -4", "bad window -4", "window 0", "window 0", "window 0",
        "start 0", "busy window -7", "abort 0", "start 0", "open 0", "status 0",
        "start 0", "wait -11", "start -11", "abort -8", "open -8", "abort 0",
        "locked -12", "start 0", "wait 0", "error 0 0 0 0"]
    for (out, _), line in zip(run_golden(jobs, config).outputs, lines[-3::2], strict=True):
        assert_array_equal(np.array(line.split(), np.int64).reshape(out.shape), out)
