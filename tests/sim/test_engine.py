# SPDX-License-Identifier: Apache-2.0
"""What every engine is held to, on its smallest preset, through the AXI ports of the RTL.

Nothing here knows an engine: jobs come from its bench, bad ones from its tables of fields.
"""

from dataclasses import fields, replace

import numpy as np
import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.golden.image import build_image
from prunus.golden.jobs import AttentionJob
from prunus.golden.records import DESCRIPTOR_BYTES, WORD_BITS, WORDS, Error
from prunus.golden.softmax import SCALE_SHIFT_MAX, SCALE_SHIFT_MIN
from prunus.sim.compare import check
from prunus.sim.engines import BENCHES, random_jobs
from prunus.sim.simulate import Batch, simulate, simulate_batches

STALLS = pytest.mark.parametrize("stall", [0.0, 0.3])


@pytest.fixture(params=sorted(BENCHES))
def config(request):
    return load_config(BENCHES[request.param].preset)


def _good(config, count):
    """Random jobs of some rows that see some keys."""
    jobs = [job for job in random_jobs(config, 8 * count, seed=7) if job.valid_q and job.valid_kv]
    return [replace(job, same_kv=False) for job in jobs[:count]]


def _values(image, n, kind):
    at = image.table + n * DESCRIPTOR_BYTES
    return kind.descriptor.unpack(bytes(image.data[at : at + DESCRIPTOR_BYTES]))


def _bad_values(config, kind, values):
    """``(error, values)``: one field at a time out of what is allowed."""
    known = {kind.opcode for kind in engine_of(config).kinds}
    beat = config.axi_data_width // 8
    for opcode in {0x81, 0xFF} | {op + 1 for op in known} - known:
        yield Error.OPCODE, {"opcode": opcode}
    yield from ((Error.DIMENSION, {"d": d}) for d in (0, 4, 17, config.d_max + 8))
    for name in ("l_q", "l_kv"):
        yield from ((Error.LENGTH, {name: n}) for n in (0, config.l_max + 1, 0xFFFF))
    yield from ((Error.VALID, {f"valid_{of}": values[f"l_{of}"] + 1}) for of in ("q", "kv"))
    for shift in (0, SCALE_SHIFT_MIN - 1, SCALE_SHIFT_MAX + 1, 0x10C):
        yield Error.PRUNING, {"shift": shift}
    for name, limits in kind.limits(config).items():
        width = sum(field.width for field in kind.descriptor.pieces(name))
        signed = kind.descriptor.pieces(name)[-1].signed
        low = -(1 << width - 1) if signed else 0
        for value in (limits[0] - 1, limits[1] + 1, low, low + (1 << width) - 1):
            if low <= value < low + (1 << width) and not limits[0] <= value <= limits[1]:
                yield Error.PRUNING, {name: value}
    for name in [*(plane.name for plane in kind.planes), "out"]:
        yield Error.ALIGNMENT, {name: values[name] + beat // 2}


def _reserved_bits(kind):
    """Bits that no field has: all of word 0, and some of the others."""
    used = {bit for field in kind.descriptor for bit in range(field.first, field.first
                                                               + field.width)}
    return [bit for bit in range(WORD_BITS * WORDS)
            if bit not in used and (bit < WORD_BITS or bit % 11 == 0)]


@STALLS
def test_random_jobs(config, stall):
    jobs = random_jobs(config, 48, seed=11)
    check(simulate(jobs, config, stall=stall, seed=3), jobs, config)


def test_operands_that_are_shared_are_read_once(config):
    first, = _good(config, 1)
    jobs = [first, replace(first, same_kv=True), replace(first, same_kv=True)]
    results = check(simulate(jobs, config), jobs, config)
    held = engine_of(config).held(jobs, results, config)
    names = {plane.name for plane in engine_of(config).kind(first).planes if plane.of != "q"}
    assert held[0] == set() and held[1] and held[1] == held[2] and held[1] <= names


@STALLS
def test_a_field_out_of_range_fails_its_job_alone(config, stall):
    """Each bad job stands before a good one, which must not notice."""
    kind = engine_of(config).kinds[0]
    job, = _good(config, 1)
    cases = list(_bad_values(config, kind, _values(build_image([job], config), 0, kind)))
    bits = _reserved_bits(kind)
    jobs = [job] * 2 * (len(cases) + len(bits))
    image, errors = build_image(jobs, config), {}
    for n, (error, wrong) in enumerate(cases):
        own = _values(image, 2 * n, kind)
        if error is Error.ALIGNMENT:
            wrong = {name: own[name] + config.axi_data_width // 16 for name in wrong}
        image.describe(2 * n, kind.descriptor.pack(own | wrong))
        errors[2 * n] = error
    for n, bit in enumerate(bits, len(cases)):
        at = image.table + 2 * n * DESCRIPTOR_BYTES
        words = np.frombuffer(image.data, "<u4", WORDS, at).copy()
        words[bit // WORD_BITS] |= np.uint32(1 << bit % WORD_BITS)
        image.describe(2 * n, words)
        errors[2 * n] = Error.OPCODE
    simulation, = simulate_batches([Batch(jobs, image=image)], config, stall=stall)
    check(simulation, jobs, config, errors)


@STALLS
def test_a_bus_error_in_an_operand_fails_its_job_alone(config, stall):
    """In the first and the last beat of each operand that is read whatever the job is like."""
    kind = engine_of(config).kinds[0]
    layout, beat = kind.layout(config), config.axi_data_width // 8
    job, = _good(config, 1)
    assert isinstance(job, AttentionJob)
    planes = [(plane, last) for plane in kind.planes for last in (False, True)]
    jobs = [job] * (2 * len(planes))
    image, ranges, errors = build_image(jobs, config), [], {}
    needed = kind.record(job, kind.compute(job, config), config).read_bytes
    for n, (plane, last) in enumerate(planes):
        held = {other.name for other in kind.planes} - {plane.name}
        # A plane that this job does not need, such as the fractions of a pruned head, is left out.
        if kind.record(job, kind.compute(job, config), config, held).read_bytes \
                == DESCRIPTOR_BYTES:
            continue
        rows = job.valid_q if plane.of == "q" else job.valid_kv
        size = rows * layout.row_bytes(plane.kind, job.d)
        at = _values(image, 2 * n, kind)[plane.name] + (size - beat if last else 0)
        ranges.append((at, at + beat))
        errors[2 * n] = Error.BUS
    assert errors and needed > DESCRIPTOR_BYTES
    simulation, = simulate_batches([Batch(jobs, image=image, read_errors=ranges)], config,
                                   stall=stall)
    check(simulation, jobs, config, errors)


@STALLS
def test_an_error_in_planes_that_a_job_does_not_wait_for(config, stall):
    """A job without queries writes its zeros while the keys that it shares with the next one are
    read with an error: only that one fails, in its record and in the counter of jobs."""
    kind, beat = engine_of(config).kinds[0], config.axi_data_width // 8
    job, = _good(config, 1)
    assert isinstance(job, AttentionJob)
    q = np.resize(job.q, (config.l_max, job.d))
    jobs = [replace(job, q=q, valid_q=0, causal=False, same_kv=False),
            replace(job, causal=False, same_kv=True)] * 4
    image = build_image(jobs, config)
    keys = next(plane for plane in kind.planes if plane.of == "k")
    at = _values(image, 1, kind)[keys.name]
    assert all(_values(image, n, kind)[keys.name] == at for n in range(2))
    simulation, = simulate_batches([Batch(jobs, image=image, read_errors=[(at, at + beat)])],
                                   config, stall=stall)
    check(simulation, jobs, config, {1: Error.BUS})


def test_a_value_at_its_limit_is_taken(config):
    """The ends of what says how to prune are good jobs."""
    kind = engine_of(config).kinds[0]
    job, = _good(config, 1)
    # What is not a number of the job is a choice between two, which random jobs make.
    numbers = kind.limits(config).keys() & {field.name for field in fields(job)}
    jobs = [replace(job, **{name: type(getattr(job, name))(value)})
            for name, limits in kind.limits(config).items() if name in numbers
            for value in limits]
    check(simulate(jobs, config), jobs, config)
