# SPDX-License-Identifier: Apache-2.0
"""Jobs that must fail, each followed by one that must not."""

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import DELTA_MAX
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.image import build_image
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.sim.compare import check
from prunus.sim.engines.hdp import Recipe, build
from prunus.sim.simulate import Batch, simulate_batches

PRESETS = ("hdp_tiny", "hdp_w12")
PLANES = ("q_i", "q_f", "k_i", "k_f", "v")
# Words of a descriptor.
FLAGS, LENGTHS, VALIDS, FORMAT, SCALE, ADDRESSES, DELTA = 0, 1, 2, 3, 5, 6, 13


def _job(config, seed, l_q=5, l_kv=9, **choices):
    """A head that is not pruned."""
    return build(Recipe(l_q=l_q, l_kv=l_kv, valid_q=l_q - 1, valid_kv=l_kv, d=16,
                        patterns=("uniform",) * 3, rho=25, seed=seed, **choices), config)


def _word(image, job, word):
    """A view of a word of a job's descriptor."""
    at = image.table + job * DESCRIPTOR_BYTES + 4 * word
    return np.frombuffer(image.data, "<u4", 1, at)


def _bad_words(config):
    """``(error, word, bits to clear, bits to set)``, the first error wins."""
    beat = config.axi_data_width // 8
    l_max, d_max = config.l_max, config.d_max
    yield from ((Error.OPCODE, FLAGS, 0xFF, opcode) for opcode in (2, 0x81, 0xFF))
    yield from ((Error.OPCODE, FLAGS, 0, 1 << bit) for bit in (14, 20, 31))
    yield from ((Error.OPCODE, SCALE, 0, 1 << bit) for bit in (16, 31))
    yield from ((Error.OPCODE, word, 0, 1 << bit) for word in (14, 15) for bit in (0, 17, 31))
    yield from ((Error.DIMENSION, FORMAT, 0xFF, d) for d in (0, 4, 17, d_max + 8, 0xF8))
    yield from ((Error.LENGTH, LENGTHS, 0xFFFF, l_q) for l_q in (0, l_max + 1, 0xFFFF))
    yield from ((Error.LENGTH, LENGTHS, 0xFFFF0000, l_kv << 16)
                for l_kv in (0, l_max + 1, 0x8001))
    yield Error.VALID, VALIDS, 0xFFFF, 6
    yield Error.VALID, VALIDS, 0xFFFF0000, 10 << 16
    yield Error.VALID, VALIDS, 0xFFFF, 0x8001
    yield Error.PRUNING, FORMAT, 0xFF00, 0x8000
    yield Error.PRUNING, DELTA, 0, DELTA_MAX + 1
    yield from ((Error.PRUNING, FORMAT, 0xFFFF0000, shift << 16) for shift in (0, 11, 64, 0x10C))
    for plane in range(len(PLANES) + 1):
        yield Error.ALIGNMENT, ADDRESSES + plane, 0, beat // 2
        yield Error.ALIGNMENT, ADDRESSES + plane, 0, 1


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", PRESETS)
def test_bad_descriptors(name, stall):
    config = load_config(name)
    cases = list(_bad_words(config))
    jobs = [_job(config, seed) for seed in range(2 * len(cases))]
    image = build_image(jobs, config)
    errors = {}
    for n, (error, word, clear, bits) in enumerate(cases):
        field = _word(image, 2 * n, word)
        field[:] = (field & np.uint32(~clear & 0xFFFFFFFF)) | np.uint32(bits)
        errors[2 * n] = error
    simulation, = simulate_batches([Batch(jobs, image=image)], config, stall=stall)
    check(simulation, jobs, config, errors)


def test_the_first_error_in_their_order_is_reported():
    config = load_config("hdp_tiny")
    order = list(_bad_words(config))
    first = {error: next(case for case in order if case[0] == error)
             for error in (Error.OPCODE, Error.DIMENSION, Error.LENGTH, Error.VALID,
                           Error.PRUNING, Error.ALIGNMENT)}
    kinds = list(first)
    jobs = [_job(config, seed) for seed in range(len(kinds) - 1)]
    image = build_image(jobs, config)
    for n in range(len(jobs)):
        for _, word, clear, bits in (first[kinds[n]], first[kinds[n + 1]]):
            field = _word(image, n, word)
            field[:] = (field & np.uint32(~clear & 0xFFFFFFFF)) | np.uint32(bits)
    simulation, = simulate_batches([Batch(jobs, image=image)], config)
    check(simulation, jobs, config, dict(enumerate(kinds[:-1])))


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", PRESETS)
def test_bus_errors(name, stall):
    """The first, a middle and the last beat of every plane."""
    config = load_config(name)
    layout = HdpLayout(config)
    beat = layout.beat_bytes
    jobs, ranges, errors = [], [], {}
    cases = [(plane, where) for plane in range(len(PLANES)) for where in (0, 0.5, 1)]
    for n in range(len(cases)):
        jobs += [_job(config, 2 * n, exact=bool(n % 2)), _job(config, 2 * n + 1)]
    image = build_image(jobs, config)
    for n, (plane, where) in enumerate(cases):
        job = jobs[2 * n]
        rows = job.valid_q if PLANES[plane].startswith("q") else job.valid_kv
        size = rows * layout.row_bytes(PLANES[plane][-1], job.d)
        at = int(_word(image, 2 * n, ADDRESSES + plane)[0]) + int(where * (size // beat - 1)) * beat
        ranges.append((at, at + beat))
        errors[2 * n] = Error.BUS
    simulation, = simulate_batches([Batch(jobs, image=image, read_errors=ranges)], config,
                                   stall=stall)
    check(simulation, jobs, config, errors)


def test_an_unreadable_descriptor_is_counted_and_the_next_one_runs():
    """Nobody knows where its status record would be, so none is written."""
    config = load_config("hdp_tiny")
    jobs = [_job(config, seed) for seed in range(3)]
    image = build_image(jobs, config)
    at = image.table + DESCRIPTOR_BYTES
    bad = Batch(jobs, image=image, read_errors=[(at + 8, at + 16)])
    first, second = simulate_batches([bad, jobs], config)
    assert first.results[1][1] is None
    assert (first.registers["jobs_done"], first.registers["jobs_failed"]) == (3, 1)
    assert (first.results[1][0] == np.frombuffer(b"\xa5\xa5", "<i2")).all()
    for n in (0, 2):
        assert (first.results[n][0] == second.results[n][0]).all()
        assert first.results[n][1] == second.results[n][1]
    check(second, jobs, config)
