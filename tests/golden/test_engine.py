# SPDX-License-Identifier: Apache-2.0
"""What every engine in the registry is held to, whatever it computes."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engine import Engine, EngineConfig, JobKind
from prunus.golden.engines import ENGINES, engine_of, load_config, preset_names
from prunus.golden.hdp.linear import LinearJob
from prunus.golden.image import build_image, failed, read_status, relocated
from prunus.golden.jobs import Job
from prunus.golden.records import DESCRIPTOR_BYTES, WORDS, Error
from prunus.golden.registers import SHARED, constants, counter_names, register_map
from prunus.sim.engines import random_jobs
from prunus.sim.engines.hdp_linear import random_linear

ROOT = Path(__file__).resolve().parents[2]
RESULTS = {"out", "status"}
BY_ENGINE = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
BY_KIND = pytest.mark.parametrize(("engine", "kind"), [
    pytest.param(engine, kind, id=f"{engine.name}-{kind.opcode}")
    for engine in ENGINES.values() for kind in engine.kinds])
BY_PRESET = pytest.mark.parametrize("config", [load_config(name) for name in preset_names()],
                                    ids=preset_names())


def _config(engine) -> EngineConfig:
    return load_config(preset_names(engine.name)[0])


def _jobs(kind: JobKind, config: EngineConfig, count: int, seed: int) -> list[Job]:
    """Random jobs of a kind."""
    if kind.Job is LinearJob:
        return [job for job in random_linear(config, 9 * count, seed)
                if not job.held and not job.output_is_held][:count]
    return random_jobs(config, count, seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Other(Job):
    """Of no engine."""

    def operands(self):
        return {}

    def output(self):
        return 1, 8

    def describe(self):
        return "nothing"


# -- the registry ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_goes_by_its_name(name):
    engine = ENGINES[name]
    assert isinstance(engine, Engine) and engine.name == name
    assert preset_names(name)
    for preset in preset_names(name):
        config = load_config(preset)
        assert type(config) is engine.Config and engine_of(config) is engine
        assert config.engine == name
        assert all(isinstance(getattr(config, value), int) for value in engine.derived)


def test_opcodes_are_different():
    kinds = [kind for engine in ENGINES.values() for kind in engine.kinds]
    assert all(isinstance(kind, JobKind) and 0 < kind.opcode < 256 for kind in kinds)
    assert len({kind.opcode for kind in kinds}) == len(kinds)
    assert len({kind.Job for kind in kinds}) == len(kinds)


@BY_ENGINE
def test_a_job_of_another_engine_is_refused(engine):
    message = f"job must be one of engine {engine.name}, not "
    with pytest.raises(TypeError, match=f"{message}_Other"):
        engine.kind(_Other())
    for other in ENGINES.values():
        job = random_jobs(_config(other), 1, 1)[0]
        if other is engine:
            assert engine.kind(job) in engine.kinds and engine.kind(job).Job is type(job)
            continue
        for refused in (engine.kind, lambda job: engine.compute(job, _config(engine)),
                        lambda job: build_image([job], _config(engine))):
            with pytest.raises(TypeError, match=message + type(job).__name__):
                refused(job)


# -- records --------------------------------------------------------------------------------------
@BY_KIND
def test_a_descriptor_has_an_address_of_everything(engine, kind):
    addresses = {plane.name for plane in kind.planes} | RESULTS
    assert len(addresses) == len(kind.planes) + 2
    for name in addresses:
        field, = kind.descriptor.pieces(name)
        assert (field.low, field.width, field.signed) == (0, 32, False)
    opcode, = kind.descriptor.pieces("opcode")
    assert (opcode.word, opcode.low, opcode.width) == (0, 0, 8)
    assert all(field.text for field in (*kind.descriptor, *kind.status))


@BY_KIND
@pytest.mark.parametrize("width", [32, 40, 64])
def test_a_wide_descriptor_is_made_of_the_narrow_one(engine, kind, width):
    """The upper bits of the address in word n lie in word 16 + n; the first 16 words stay."""
    preset = load_config("heat_tiny") if kind.Job is LinearJob else _config(engine)
    config = preset.model_copy(update={"axi_address_width": width})
    record = kind.descriptor_of(config)
    more = [field for field in record if field not in kind.descriptor]
    assert [field for field in record if field not in more] == list(kind.descriptor)
    assert record.words * 4 == config.descriptor_bytes == (128 if width > 32 else 64)
    where = {name: kind.descriptor.pieces(name)[0].word for name in kind.addresses}
    assert {(field.word - 16, field.low, field.width, field.name) for field in more} == {
        (word, 0, width - 32, name) for name, word in where.items() if width > 32}
    jobs = _jobs(kind, config, 3, 2)
    image = build_image(jobs, config)
    moved = relocated(image, config, (1 << width) - (1 << 24))
    for n in range(3):
        words = np.frombuffer(moved, "<u4")[image.table // 4 :][n * record.words :][: record.words]
        values = record.unpack(words.tobytes())
        for name, word in where.items():
            high = words[word + 16] if width > 32 else 0
            assert values[name] == int(words[word]) | int(high) << 32
            if name in {"out", "status", *(plane.name for plane in kind.planes_of(jobs[n]))}:
                assert values[name].bit_length() == width


@BY_KIND
def test_limits_are_of_fields(engine, kind):
    for preset in preset_names(engine.name):
        for name, (low, high) in kind.limits(load_config(preset)).items():
            pieces = kind.descriptor.pieces(name)
            width = sum(piece.width for piece in pieces)
            least = -(1 << width - 1) if pieces[-1].signed else 0
            assert least <= low <= high < least + (1 << width)


@BY_KIND
def test_a_status_record_tells_what_every_host_asks(engine, kind):
    names = kind.status.names
    assert {"done", "error", "read_bytes", "write_bytes"} <= set(names)
    assert {field.name for field in fields(kind.Status)} == set(names)
    assert [(piece.word, piece.low, piece.width) for name in ("done", "error")
            for piece in kind.status.pieces(name)] == [(0, 0, 8), (0, 8, 24)]


@BY_PRESET
def test_descriptors_and_records_of_jobs(config):
    """Words hold what the job says; a record that is written reads as what golden says."""
    engine, jobs = engine_of(config), random_jobs(config, 12, 3)
    image = build_image(jobs, config)
    results = [engine.compute(job, config) for job in jobs]
    held = engine.held(jobs, results, config)
    for n, (job, result) in enumerate(zip(jobs, results, strict=True)):
        kind = engine.kind(job)
        at = image.table + n * DESCRIPTOR_BYTES
        words = kind.descriptor.unpack(bytes(image.data[at : at + DESCRIPTOR_BYTES]))
        assert words["opcode"] == kind.opcode
        out = image.out[n] if kind.out_bytes(job, config) else 0        # 0: held on the chip
        assert (words["out"], words["status"]) == (out, image.status[n])
        assert words.items() >= kind.fields(job, config).items()
        assert result.out.shape == job.output()
        for name, (low, high) in kind.limits(config).items():
            assert low <= words[name] <= high
        planes = {plane.name for plane in kind.planes}
        assert held[n] <= {plane.name for plane in kind.planes if plane.of in job.shared}
        assert set(kind.read_first(job, config)) <= planes
        record = kind.record(job, result, config, held[n])
        assert type(record) is kind.Status and record.done and record.error == Error.NONE
        raw = kind.status.pack({name: getattr(record, name) for name in kind.status.names})
        assert len(raw) == WORDS and read_status(raw.tobytes(), job, config) == record
        alone = kind.record(job.alone(), result, config)
        assert record.read_bytes <= alone.read_bytes


@BY_ENGINE
def test_a_failed_job_has_a_record_of_zeros(engine):
    config = _config(engine)
    job = random_jobs(config, 1, 1)[0]
    for error in Error:
        status = failed(job, error, config)
        raw = np.array([1 | error << 8] + [0] * (WORDS - 1), "<u4").tobytes()
        assert read_status(raw, job, config) == status
        assert (status.done, status.error) == (True, error)
    fill = read_status(b"\xA5" * 4 * WORDS, job, config)
    assert (fill.done, fill.error) == (False, Error.NONE)


# -- registers ------------------------------------------------------------------------------------
@BY_ENGINE
def test_counters_have_names_of_their_own(engine):
    names = [name for name, _ in engine.counters]
    shared = {register.name for register in SHARED}
    assert len(set(names)) == len(names)
    assert not shared & {*names, engine.size[0], "format"}
    config = _config(engine)
    assert counter_names(config)[-len(names) :] == names
    assert len({register.name for register in register_map(config)}) == len(register_map(config))
    assert all(text for _, text in (*engine.counters, engine.size))


@BY_PRESET
def test_identity_fits_its_bits(config):
    engine = engine_of(config)
    part, size = engine.identity(config)
    assert 0 <= part < 1 << 8 and 0 < size < 1 << 32
    values = constants(config)
    assert values["format"] == config.width + (part << 8) + (config.axi_data_width << 16)
    assert values[engine.size[0]] == size
    assert values["engine"] & 0xFF == engine.kinds[0].opcode
    assert all(value < 1 << 32 for value in values.values())


# -- the order of a table, and what is said of jobs -----------------------------------------------
@BY_PRESET
def test_jobs_are_arranged_not_changed(config):
    engine = engine_of(config)
    jobs = random_jobs(config, 10, 5)
    order, arranged = engine.arrange(jobs, config)
    assert sorted(order) == list(range(len(jobs)))
    for n, job in zip(order, arranged, strict=True):
        assert type(job) is type(jobs[n])
        assert (engine.compute(job, config).out == engine.compute(jobs[n], config).out).all()
    build_image(arranged, config)


@BY_ENGINE
def test_what_an_engine_says_of_jobs(engine):
    config = _config(engine)
    jobs = random_jobs(config, 6, 7)
    results = [engine.compute(job, config) for job in jobs]
    assert all(engine.kind(job).describe(job) for job in jobs)
    assert engine.bound_cycles(jobs, results, config) > 0
    assert all(bits > 0 for bits in engine.memory_bits(config).values())
    assert all(event.count >= 0 for event in engine.events(jobs, results, config))


# -- the page of the memory image -----------------------------------------------------------------
@BY_KIND
@pytest.mark.parametrize("record", ["descriptor", "status"])
def test_the_page_has_the_tables(engine, kind, record):
    """As they are printed from the code, word for word."""
    page = (ROOT / "docs" / "memory_image.md").read_text(encoding="utf-8")
    assert f"\n\n{getattr(kind, record).page()}\n\n" in page
