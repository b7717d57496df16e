# SPDX-License-Identifier: Apache-2.0
"""The LeOPArd coprocessor against golden: random jobs, corners, bad jobs and recorded heads."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunus.engines.leopard import load_jobs
from prunus.golden.engines import load_config
from prunus.golden.image import build_image
from prunus.golden.leopard.banks import copies, copy_counts, most_keys
from prunus.golden.leopard.compute import bound_cycles, head, threshold_limits
from prunus.golden.leopard.planes import LeopardLayout
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.sim.campaigns.soak import Chunk, run_chunk
from prunus.sim.compare import MismatchError, check
from prunus.sim.engines.leopard import Recipe, build, job_strategy
from prunus.sim.simulate import Batch, simulate_batches
from prunus.sim.simulators.cache import ROOT

TINY, AE, EDGE = (load_config(f"leopard_{name}") for name in ("tiny", "ae", "edge"))
LOW, HIGH = threshold_limits(TINY)
PLANES = {"q": 6, "k": 8, "v": 10}                              # words of their addresses
FLAGS, LENGTHS, VALIDS, FORMAT, LOWER, UPPER, OUT, STATUS = 0, 1, 2, 3, 4, 5, 11, 12


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.85])
def test_random_jobs(stall):
    run_chunk(Chunk(24 if stall > 0.5 else 96, int(10 * stall), stall), TINY)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_random_jobs_of_a_board(stall):
    """Rows take one to four chunks of the preset's taps."""
    assert EDGE.chunks == 4
    run_chunk(Chunk(24, int(10 * stall), stall), EDGE)


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                                                 HealthCheck.large_base_example])
@given(recipes=st.lists(job_strategy(TINY, l_max=12), min_size=20, max_size=40),
       per_doorbell=st.integers(1, 40), stall=st.sampled_from([0.0, 0.2, 0.6]))
def test_drawn_jobs(recipes, per_doorbell, stall):
    jobs = [build(recipe, TINY) for recipe in recipes]
    batches = [jobs[n : n + per_doorbell] for n in range(0, len(jobs), per_doorbell)]
    for batch, simulation in zip(batches, simulate_batches(batches, TINY, stall=stall, seed=1),
                                 strict=True):
        check(simulation, batch, TINY)


def _job(seed, l_q=5, l_kv=9, **choices):
    return build(Recipe(l_q=l_q, l_kv=l_kv, **{
        "valid_q": l_q - 1, "valid_kv": l_kv, "d": 16, "patterns": ("uniform",) * 3,
        "seed": seed, **choices}), TINY)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_corners(stall):
    """Everything pruned and nothing, at the score of a key and around it, rows that see nothing."""
    base = _job(1, l_q=13, l_kv=17, valid_q=13)
    score = int(base.q[4] @ base.k[11])
    jobs = [replace(base, threshold=t) for t in (LOW, HIGH, score - 1, score, score + 1)]
    jobs += [_job(2, l_q=20, l_kv=9, causal=True, valid_q=20),     # the first eleven see nothing
             _job(3, l_q=3, l_kv=30, causal=True, valid_kv=25),
             _job(4, valid_q=0), _job(5, valid_kv=0), _job(6, l_q=32, l_kv=32, d=32, valid_q=32),
             _job(7, l_q=32, l_kv=1, d=8)]
    simulation, = simulate_batches([jobs], TINY, stall=stall)
    results = check(simulation, jobs, TINY)
    survivors = [result.survivors for result in results]
    assert survivors[0] == 13 * 17 > survivors[2] >= survivors[3] > survivors[4]
    assert survivors[1] == 0
    assert results[3].mask[4, 11] and not results[4].mask[4, 11]
    assert not results[5].mask[:11].any()


def test_shared_keys_are_read_once():
    """The heads of a group of queries, also behind one that needs none of its keys."""
    first = _job(1, l_q=8, l_kv=20)
    jobs = [first, replace(first, q=-first.q, same_kv=True), replace(first, same_kv=True),
            _job(2, l_q=8, l_kv=20, valid_q=0)]
    jobs.append(replace(jobs[3], valid_q=8, same_kv=True))
    simulation, = simulate_batches([jobs], TINY)
    check(simulation, jobs, TINY)
    layout = LeopardLayout(TINY)
    shared = 20 * (layout.row_bytes("k", 16) + layout.row_bytes("v", 16))
    read = [status.read_bytes for _, status in simulation.results]
    assert read[0] - shared == read[1] == read[2] == 64 + 7 * layout.row_bytes("v", 16)
    assert (read[3], read[4]) == (64, 64 + 8 * layout.row_bytes("v", 16) + shared)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", [TINY, AE], ids=lambda c: c.name)
def test_copies_of_keys(config, stall):
    """Heads as long as there is room for with each number of copies, one key more, and others
    between them that share keys, see fewer of them, or fill a bank."""
    shapes = [(most_keys(config, count, config.d_max) + more, config.d_max)
              for count in copy_counts(config)[1:] for more in (0, 1)]
    jobs = []
    for n, (l_kv, d) in enumerate([*shapes, (5, 8), *shapes[::-1], (config.l_max, 16), (1, 24)]):
        recipe = Recipe(l_q=7, l_kv=l_kv, valid_q=7 - n % 3, valid_kv=l_kv, d=d, causal=n % 4 == 3,
                        share=(0.5, 0.8)[n % 2], seed=n)
        jobs.append(build(recipe, config))
        if n % 3 == 1:
            jobs.append(replace(jobs[-1], q=jobs[-1].q[::-1], same_kv=True))
    # As many keys as above, of which one is only padding.
    l_kv, d = shapes[1]
    jobs.append(build(Recipe(l_q=9, l_kv=l_kv, valid_q=9, valid_kv=l_kv - 1, d=d, seed=99), config))
    assert {copies(config, job.valid_kv, job.d) for job in jobs} == set(copy_counts(config))
    simulation, = simulate_batches([jobs], config, stall=stall)
    check(simulation, jobs, config)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_one_query_against_many_keys(stall):
    """Heads are over, and further ones taken, while keys of those after them still come."""
    jobs = [build(Recipe(l_q=1, l_kv=512, valid_q=1, valid_kv=512, d=64, seed=n), AE)
            for n in range(6)]
    jobs[4] = replace(jobs[4], k=jobs[3].k, v=jobs[3].v, same_kv=True)
    simulation, = simulate_batches([jobs], AE, stall=stall)
    check(simulation, jobs, AE)


# -- jobs that must fail, each followed by one that must not --------------------------------------
def _word(image, job, word):
    """A view of a word of a job's descriptor."""
    at = image.table + job * DESCRIPTOR_BYTES + 4 * word
    return np.frombuffer(image.data, "<u4", 1, at)


def _bad_words():
    """``(error, word, bits to clear, bits to set)``, the first error wins."""
    width = TINY.threshold_width
    yield from ((Error.OPCODE, FLAGS, 0xFF, opcode) for opcode in (1, 0x82, 0xFF))
    yield from ((Error.OPCODE, FLAGS, 0, 1 << bit) for bit in (9, 10, 11, 13, 31))
    yield from ((Error.OPCODE, word, 0, 1 << bit) for word in (7, 9, 13, 14, 15)
                for bit in (0, 31))
    yield from ((Error.DIMENSION, FORMAT, 0xFF, d) for d in (0, 4, 17, TINY.d_max + 8, 0xF8))
    yield from ((Error.LENGTH, LENGTHS, 0xFFFF, l_q) for l_q in (0, TINY.l_max + 1, 0xFFFF))
    yield from ((Error.LENGTH, LENGTHS, 0xFFFF0000, l_kv << 16) for l_kv in (0, TINY.l_max + 1))
    yield from ((Error.VALID, VALIDS, 0xFFFF, 6), (Error.VALID, VALIDS, 0xFFFF0000, 10 << 16))
    yield from ((Error.PRUNING, FORMAT, 0xFFFF0000, shift << 16) for shift in (0, 11, 64, 0x10C))
    # T_int one above its register and one below it, and far away.
    yield Error.PRUNING, LOWER, 0xFFFFFFFF, HIGH + 1
    yield Error.PRUNING, LOWER, 0xFFFFFFFF, LOW - 1 & 0xFFFFFFFF
    yield Error.PRUNING, UPPER, 0xFFFF0000, 0x4000 << 16
    assert HIGH + 1 == 1 << width - 1
    for word in (*PLANES.values(), OUT, STATUS):
        yield Error.ALIGNMENT, word, 0, 4
    yield Error.ALIGNMENT, PLANES["k"], 0, 1


def _unreachable(case):
    return case[0] is Error.ALIGNMENT and case[1] == STATUS


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_bad_descriptors(stall):
    cases = [case for case in _bad_words() if not _unreachable(case)]
    jobs = [_job(seed, threshold="zero") for seed in range(2 * len(cases))]
    image = build_image(jobs, TINY)
    errors = {}
    for n, (error, word, clear, bits) in enumerate(cases):
        if word == LOWER:
            _word(image, 2 * n, UPPER)[:] |= np.uint32((0xFFFF if bits >> 31 else 0) << 16)
        field = _word(image, 2 * n, word)
        field[:] = (field & np.uint32(~clear & 0xFFFFFFFF)) | np.uint32(bits)
        errors[2 * n] = error
    simulation, = simulate_batches([Batch(jobs, image=image)], TINY, stall=stall)
    check(simulation, jobs, TINY, errors)


def test_the_ends_of_the_threshold_are_taken():
    jobs = [replace(_job(seed), threshold=t) for seed, t in enumerate((LOW, HIGH, -1, 0))]
    check(simulate_batches([jobs], TINY)[0], jobs, TINY)


def test_bits_that_mean_nothing_are_zero():
    """Words without a field, and the byte where HDP has rho: each word of a job of its own."""
    words = {7: 0xDEADBEEF, 9: 0xDEADBEEF, 13: 1, 14: 1 << 31, 15: 0xDEADBEEF, FORMAT: 0xFF00}
    jobs = [_job(seed, threshold="zero") for seed in range(2 * len(words))]
    image = build_image(jobs, TINY)
    for n, (word, bits) in enumerate(words.items()):
        _word(image, 2 * n, word)[:] |= np.uint32(bits)
    simulation, = simulate_batches([Batch(jobs, image=image)], TINY)
    check(simulation, jobs, TINY, {2 * n: Error.OPCODE for n in range(len(words))})


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_bus_errors(stall):
    """The first, a middle and the last beat of every plane."""
    layout, jobs, ranges, errors = LeopardLayout(TINY), [], [], {}
    cases = [(plane, where) for plane in PLANES for where in (0, 0.5, 1)]
    for n in range(len(cases)):
        jobs += [_job(2 * n), _job(2 * n + 1)]
    image = build_image(jobs, TINY)
    for n, (plane, where) in enumerate(cases):
        job = jobs[2 * n]
        rows = job.valid_q if plane == "q" else job.valid_kv
        beats = rows * layout.row_beats("k" if plane == "k" else "v", job.d)
        at = int(_word(image, 2 * n, PLANES[plane])[0]) + int(where * (beats - 1)) * 8
        ranges.append((at, at + 8))
        errors[2 * n] = Error.BUS
    simulation, = simulate_batches([Batch(jobs, image=image, read_errors=ranges)], TINY,
                                   stall=stall)
    check(simulation, jobs, TINY, errors)


def test_a_wrong_counter_or_record_is_noticed():
    jobs = [_job(1), _job(2)]
    simulation, = simulate_batches([jobs], TINY)
    check(simulation, jobs, TINY)
    for name in ("digits", "survivors", "key_words", "value_words", "read_bytes"):
        registers = {**simulation.registers, name: simulation.registers[name] + 1}
        with pytest.raises(MismatchError, match=name):
            check(replace(simulation, registers=registers), jobs, TINY)
    out, status = simulation.results[1]
    for name in ("survivors", "digits_total", "key_words", "write_bytes"):
        wrong = replace(status, **{name: getattr(status, name) + 1})
        with pytest.raises(MismatchError, match=f"job 1 .*threshold.*: status {name} must be"):
            check(replace(simulation, results=[simulation.results[0], (out, wrong)]), jobs, TINY)
    with pytest.raises(MismatchError, match=r"job 1 .*: out\[0, 0\] must be"):
        check(replace(simulation, results=[simulation.results[0], (out + 1, status)]), jobs, TINY)


# -- real heads -----------------------------------------------------------------------------------
@pytest.mark.parametrize("config, name, threshold, stall", [
    (AE, "minilm_sentence", 0.31, 0.0), (AE, "minilm_sentence", 1.31, 0.3),
    (AE, "vit_patches", 5.49, 0.0), (AE, "vit_patches", -np.inf, 0.0),
    (EDGE, "minilm_sentence", 1.31, 0.0), (EDGE, "vit_patches", 5.49, 0.3)],
    ids=lambda value: getattr(value, "name", None))
def test_examples(config, name, threshold, stall):
    """The whole tile; between heads of l = 50 little time is lost."""
    jobs = load_jobs(ROOT / "examples" / f"{name}.npz", config, threshold)
    simulation, = simulate_batches([jobs], config, stall=stall)
    results = check(simulation, jobs, config)
    if not stall:
        assert simulation.registers["cycles"] < 2 * bound_cycles(results, config)
        assert 0 < sum(result.survivors for result in results) <= sum(r.keys for r in results)


def test_trained_thresholds():
    """All layers of a sentence under thresholds that were learned for them, in one table each."""
    tables = [load_jobs(ROOT / "examples" / "trained" / f"layer{n}.npz", AE, None)
              for n in range(6)]
    results, cycles, baseline = [], 0, 0
    for jobs, simulation in zip(tables, simulate_batches(tables, AE), strict=True):
        results += check(simulation, jobs, AE)
        cycles += simulation.registers["cycles"]
        baseline += sum(result.keys for result in results[-len(jobs) :])
    assert bound_cycles(results, AE) < cycles < baseline


def test_steady_state():
    """Cycles of many equal heads less those of half as many: nothing between them counts twice."""
    jobs = [build(Recipe(l_q=32, l_kv=32, valid_q=32, valid_kv=32, d=32, share=share, seed=seed),
                  TINY) for seed, share in enumerate([0.5, 0.75, 0.9, 0.75] * 3)]
    few, many = simulate_batches([jobs[:4], jobs], TINY)
    cycles = many.registers["cycles"] - few.registers["cycles"]
    check(few, jobs[:4], TINY)
    results = check(many, jobs, TINY)
    assert cycles <= 1.10 * bound_cycles(results[4:], TINY)
    assert [head(job, TINY).digits_total for job in jobs[:2]] == [
        result.digits_total for result in results[:2]]
