# SPDX-License-Identifier: Apache-2.0
"""Linear jobs through the whole coprocessor, alone, in chains and between heads."""

import shutil
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from prunus.golden.descriptors import descriptor_error
from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.linear import LinearJob, LinearKind, Sizes, linear
from prunus.golden.hdp.linear.kind import strip_of, tile_of
from prunus.golden.image import build_image, described, failed
from prunus.golden.records import Error
from prunus.golden.registers import register_map
from prunus.sim.campaigns.soak import Chunk, run_chunk
from prunus.sim.compare import check
from prunus.sim.engines.hdp import Recipe, build, mixed_jobs
from prunus.sim.engines.hdp_linear import linear_table, random_linear, wrong_fields
from prunus.sim.exchange import Access, Faults
from prunus.sim.hostile import laid_out
from prunus.sim.scatter import scatter
from prunus.sim.simulate import Batch, simulate_batches
from tests.sim.wide import widened

CONFIG = load_config("heat_tiny")
KIND = LinearKind()
BEAT = CONFIG.axi_data_width // 8


def layer(seed, x, n, bits=8, **more):
    """A layer of random weights whose results fill the range of codes about."""
    rng = np.random.default_rng(seed)
    low = 1 << bits - 1
    if isinstance(x, tuple):
        x = rng.integers(-128, 128, x)
    groups = more.get("groups", 1)
    w = rng.integers(-low, low, (n, x.shape[1] // groups))
    shift = int(np.log2(30 * low * np.sqrt(w.shape[1]) * 50000 / 60))
    return LinearJob(x=x, w=w, bits=bits, bias=rng.integers(-1000, 1001, n),
                     multiplier=rng.integers(30000, 65536, n), shift=np.full(n, shift), **more)


def chain(seed, x, sizes, **last):
    """Layers of so many channels, each of what the one before holds."""
    jobs = []
    for n, channels in enumerate(sizes):
        more = dict(last) if n == len(sizes) - 1 else {"target": "held"}
        jobs.append(layer(seed + n, x, channels, held=n > 0, **more))
        x = linear(jobs[-1]).y
    return jobs


def head(seed):
    """A head that is not pruned."""
    return build(Recipe(l_q=5, l_kv=9, valid_q=4, valid_kv=9, d=16, patterns=("uniform",) * 3,
                        rho=25, seed=seed), CONFIG)


def run(jobs, config=CONFIG, errors=None, **more):
    """A table, which must give what golden does."""
    options = {name: more.pop(name) for name in ("stall", "simulator") if name in more}
    simulation, = simulate_batches([Batch(jobs, **more)], config, seed=3, **options)
    check(simulation, jobs, config, errors)
    return simulation


# -- random jobs ----------------------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize(("name", "count"), [("heat_tiny", 240), ("hdp_edge", 48)])
def test_mixed_tables(name, count, stall):
    run_chunk(Chunk(count, 1 if stall else 2, stall), load_config(name))


def test_heavy_stalls():
    run_chunk(Chunk(40, 5, 0.85), CONFIG)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_tables_of_linear_jobs(stall):
    tables = [random_linear(CONFIG, 12, seed) for seed in range(10)]
    for jobs, simulation in zip(tables, simulate_batches(tables, CONFIG, stall=stall, seed=1),
                                strict=True):
        check(simulation, jobs, CONFIG)


def test_random_jobs_meet_everything():
    """What the tests above are worth: each choice that a job has is made, and chains are long."""
    jobs = [job for seed in range(6) for job in mixed_jobs(CONFIG, 200, seed)]
    linears = [job for job in jobs if isinstance(job, LinearJob)]
    assert 0.1 < 1 - len(linears) / len(jobs) < 0.6
    for name, values in (("bits", {4, 8}), ("activation", {"none", "relu", "table"}),
                         ("target", {"codes", "wide", "digits", "held"}),
                         ("arrangement", {"merge", "split", "heads"}), ("held", {False, True}),
                         ("fence", {False, True}), ("transposed", {False, True})):
        assert {getattr(job, name) for job in linears} == values
    sizes = Sizes(CONFIG)
    assert any(job.residual is not None for job in linears)
    assert any(job.heads is not None for job in linears)
    assert any(job.groups > 1 for job in linears)
    assert any(job.middle > 1 and job.inner > 1 for job in linears)
    assert any(strip_of(job, sizes) < job.rows for job in linears)
    assert any(strip_of(job, sizes) < job.rows and job.transposed for job in linears)
    assert any(tile_of(job, sizes) < job.channels for job in linears)
    assert any(job.rows % 2 and job.channels % 16 for job in linears)
    # In halves of the buffer of weights, and in both.
    halves = {tile_of(job, sizes) // 2 * sizes.granules(job.k) <= sizes.ring // 2
              for job in linears}
    assert halves == {False, True}
    lengths, length = set(), 0
    for job in linears:
        length = length + 1 if job.held else 1
        lengths.add(length)
    assert lengths >= {1, 2, 3, 4, 5}


def test_addresses_of_more_than_a_word():
    config = widened(CONFIG, 40)
    tables = [scatter(mixed_jobs(config, 8, seed), config, seed) for seed in range(8)]
    for batch, simulation in zip(tables, simulate_batches(tables, config, stall=0.2, seed=2),
                                 strict=True):
        check(simulation, batch.jobs, config)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 8, 8), (2, 256, 8), (7, 64, 40), (300, 32, 16),
                                           (5, 24, 200), (64, 128, 64), (33, 256, 24)])
def test_extremes(m, k, n, bits):
    """All codes at the end of their range, of one sign and of both: the largest sums."""
    low, tables = -(1 << bits - 1), []
    for x, w, bias in ((-128, low, (1 << 31) - 1), (-128, low, -(1 << 31)), (127, low, -(1 << 31)),
                       (-128, -low - 1, -(1 << 31))):
        job = LinearJob(x=np.full((m, k), x), w=np.full((n, k), w), bits=bits,
                        bias=np.full(n, bias), multiplier=np.full(n, 65535),
                        shift=np.full(n, 40), residual=np.full((m, n), -128),
                        residual_scale=(65535, 0))
        wide = replace(job, residual=None, residual_scale=(1, 0), target="wide")
        tables.append([job, replace(job, shift=np.full(n, 0)), replace(job, shift=np.full(n, 63)),
                       wide])
    for jobs, simulation in zip(tables, simulate_batches(tables, CONFIG), strict=True):
        check(simulation, jobs, CONFIG)


def test_every_code_of_a_table():
    """From each code to each entry, on both lanes and in both slots."""
    codes = np.arange(-128, 128)
    rng = np.random.default_rng(3)
    w = np.zeros((8, 8), int)
    np.fill_diagonal(w, 1)
    jobs = [LinearJob(x=np.resize(np.roll(codes, n), (64, 8)), w=w, bias=np.zeros(8, int),
                      multiplier=np.ones(8, int), shift=np.zeros(8, int), activation="table",
                      table=rng.permutation(256) - 128) for n in range(5)]
    assert {int(y) for job in jobs for y in linear(job).y.ravel()} == set(codes.tolist())
    run(jobs)


# -- chains ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_chains(length, stall):
    rng = np.random.default_rng(length)
    jobs = []
    while len(jobs) < 60:
        table = list(linear_table(CONFIG, rng))
        if len(table) == length:
            jobs += table
    run(jobs, stall=stall)


@pytest.mark.parametrize(("k", "m"), [(64, 4), (64, 32), (256, 4), (256, 32)])
def test_what_is_held_stays_until_it_is_not_wanted(k, m):
    """A job with an X of its own comes behind one that holds its Y: that goes behind the X of the
    first, which the second one has no use for."""
    jobs = [job for n in range(4) for job in (
        layer(n, (16, 64), 48, target="held"), layer(n + 9, (m, k), 32))]
    run(jobs)
    run([*chain(1, (16, 64), [48, 32], target="held"), layer(3, (m, k), 32)])


def test_nothing_is_held():
    """Whoever claims an X that nobody holds fails, and the next one does not."""
    good = layer(1, (6, 32), 16)
    claims = replace(good, held=True)
    jobs = [good] * 12
    image = build_image(jobs, CONFIG)
    # The first of a table; behind a job that holds nothing; behind a head; behind a refused job.
    for n in (0, 3, 6, 9):
        values = described(image, n, KIND, CONFIG)
        image.describe(n, KIND.descriptor_of(CONFIG).pack(
            values | {"held_x": 1, "x": 0, "strip": 6}))
    values = described(image, 8, KIND, CONFIG)
    image.describe(8, KIND.descriptor_of(CONFIG).pack(values | {"held_y": 1, "k": 12}))
    errors = dict.fromkeys((0, 3, 6, 9), Error.BUS) | {8: Error.DIMENSION}
    assert KIND.refuse(claims, CONFIG, good)
    before = [*chain(5, (6, 32), [32], target="held")]
    runs = simulate_batches([before, Batch(jobs, image=image)], CONFIG)
    check(runs[0], before, CONFIG)
    check(runs[1], jobs, CONFIG, errors)


@pytest.mark.parametrize("between", ["head", "unreadable"])
def test_what_is_held_is_lost_behind(between):
    """A head takes its place; of a job that could not be read nobody knows what it would hold."""
    first, second = chain(1, (6, 32), [32, 16])
    jobs = [first, head(1) if between == "head" else first, second, layer(4, (6, 32), 16)]
    alone = [jobs[0], jobs[1], jobs[2].alone(), jobs[3]]
    image = build_image(alone, CONFIG)
    values = described(image, 2, KIND, CONFIG)
    image.describe(2, KIND.descriptor_of(CONFIG).pack(values | {"held_x": 1, "strip": 6}))
    at = image.table + CONFIG.descriptor_bytes
    bad = [(at + 8, at + 16)] if between == "unreadable" else []
    simulation, = simulate_batches([Batch(jobs, image=image, read_errors=bad)], CONFIG)
    if bad:
        assert simulation.results[1][1] is None
    assert simulation.results[2][1] == failed(second, Error.BUS, CONFIG)
    assert np.array_equal(simulation.results[3][0], linear(jobs[3]).out)


def test_a_head_may_not_take_weights_for_keys():
    """The fields of a linear job that lie where a head has the addresses of K and V say the same,
    and the head claims to share them."""
    one = head(3)
    rows = layer(1, (8, 64), 64)
    image = build_image([rows, one], CONFIG)
    mine, its = (described(image, n, engine_of(CONFIG).kind(job), CONFIG)
                 for n, job in enumerate((rows, one)))
    moved = {"k_i": 1 << 12, "k_f": mine["x"], "v": mine["w"]}
    layout = engine_of(CONFIG).kind(one).layout(CONFIG)
    image.reserve(1 << 14)
    for name, address in moved.items():
        plane = layout.pack({"k_i": "i", "k_f": "f", "v": "v"}[name], one.operands()[name[0]])
        image.data[address : address + plane.size] = plane.tobytes()
    kind = engine_of(CONFIG).kind(one)
    image.describe(1, kind.descriptor_of(CONFIG).pack(its | moved | {"same_kv": 1}))
    words = image.descriptor(0, CONFIG)
    words[8] = moved["k_i"]
    image.describe(0, words)
    assert not descriptor_error(words, CONFIG)
    simulation, = simulate_batches([Batch([rows, one], image=image)], CONFIG)
    assert np.array_equal(simulation.results[1][0], engine_of(CONFIG).compute(one, CONFIG).out)


# -- errors ---------------------------------------------------------------------------------------
def _planes(job):
    return [plane.name for plane in KIND.planes_of(job)]


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_reads_that_fail(stall):
    """The first, a middle and the last beat of each plane; the next job is as if nothing were."""
    rich = layer(1, (6, 32), 32, residual=np.random.default_rng(1).integers(-128, 128, (6, 32)),
                 residual_scale=(40000, 16), activation="table", table=np.arange(-128, 128))
    cases = [(name, where) for name in _planes(rich) for where in (0, 0.5, 1)]
    jobs = [job for n in range(len(cases)) for job in (rich, layer(n, (5, 24), 24, bits=4))]
    image = build_image(jobs, CONFIG)
    layout, bad = KIND.layout(CONFIG), []
    for n, (name, where) in enumerate(cases):
        plane = next(plane for plane in KIND.planes_of(rich) if plane.name == name)
        codes = rich.operands()[plane.of]
        beats = len(codes) * layout.row_bytes(plane.kind, codes.shape[1]) // BEAT
        at = described(image, 2 * n, KIND, CONFIG)[name] + int(where * (beats - 1)) * BEAT
        bad.append((at, at + BEAT))
    run(jobs, image=image, read_errors=bad, stall=stall,
        errors={2 * n: Error.BUS for n in range(len(cases))})


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", ["w", "c"])
def test_a_chain_that_fails(name, which):
    """A link fails, and with it all behind it."""
    jobs = [layer(7, (4, 16), 16), *chain(1, (6, 32), [32, 48, 16]), *chain(8, (4, 16), [16, 8])]
    image = build_image(jobs, CONFIG)
    at = described(image, 1 + which, KIND, CONFIG)[name] + 2 * BEAT
    run(jobs, image=image, read_errors=[(at, at + BEAT)],
        errors={1 + n: Error.BUS for n in range(which, 3)})


def test_a_refused_link_fails_the_chain():
    jobs = [*chain(1, (6, 32), [32, 48, 16]), *chain(8, (4, 16), [16, 8])]
    image = build_image(jobs, CONFIG)
    values = described(image, 1, KIND, CONFIG)
    image.describe(1, KIND.descriptor_of(CONFIG).pack(values | {"span": 44}))
    run(jobs, image=image, errors={1: Error.DIMENSION, 2: Error.BUS})


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_writes_that_fail(stall):
    """Of codes, sums and digits, in either plane; not of the record of a link, which counts."""
    digits = {"target": "digits", "arrangement": "heads", "run": 16}
    bad_jobs = [layer(1, (6, 32), 32), layer(2, (6, 32), 32, target="wide"),
                layer(3, (6, 32), 32, **digits), layer(4, (6, 32), 32, **digits)]
    jobs = [job for n, bad in enumerate(bad_jobs) for job in (bad, layer(n, (5, 24), 24))]
    image = build_image(jobs, CONFIG)
    bad = []
    for n, (name, more) in enumerate((("out", 64), ("out", 256), ("out", 8), ("out_f", 24))):
        at = described(image, 2 * n, KIND, CONFIG)[name] + more
        bad.append((at, at + BEAT))
    simulation, = simulate_batches([Batch(jobs, image=image, faults=Faults(
        bad_writes=tuple(bad)))], CONFIG, stall=stall)
    for n, (job, (out, status)) in enumerate(zip(jobs, simulation.results, strict=True)):
        if n % 2:
            assert np.array_equal(out, linear(job).out)
        assert status.error == (Error.NONE if n % 2 else Error.WRITE)


@pytest.mark.parametrize("name", ["x", "w", "c", "r", "out", "out_f"])
def test_windows(name):
    """A plane ends a beat beyond its window, or begins a beat before it; the next job is good."""
    more = {"residual": np.random.default_rng(1).integers(-128, 128, (6, 32)),
            "residual_scale": (40000, 16)}
    if name == "out_f":
        more |= {"target": "digits", "arrangement": "heads", "run": 16}
    jobs = [layer(n, (6, 32), 32, **more) for n in range(6)]
    image, windows, places = laid_out(jobs, CONFIG, 0, Random(1))
    at = {register.name: register.address for register in register_map(CONFIG)}
    window = windows["results" if name.startswith("out") else "operands"]
    sizes = {**KIND.extents(described(image, 0, KIND, CONFIG), CONFIG)[0],
             **KIND.extents(described(image, 0, KIND, CONFIG), CONFIG)[1]}
    error = Error.WRITE if name.startswith("out") else Error.BUS
    errors = {}
    for n, address in ((0, window.limit + 1 - sizes[name] + BEAT), (2, window.base - BEAT),
                       (4, (1 << 32) - BEAT)):
        values = described(image, n, KIND, CONFIG)
        image.describe(n, KIND.descriptor_of(CONFIG).pack(values | {name: address}))
        words = image.descriptor(n, CONFIG)
        assert descriptor_error(words, CONFIG, windows) == error
        errors[n] = error
    before = [Access(at[f"{which}_{end}"], getattr(bounds, end), write=True)
              for which, bounds in windows.items() for end in ("base", "limit")]
    simulation, = simulate_batches([Batch(jobs, image=image, before=before, places=places)],
                                   CONFIG)
    for n, (job, (out, status)) in enumerate(zip(jobs, simulation.results, strict=True)):
        if n in errors:
            assert status == failed(job, error, CONFIG)
        elif not (name.startswith("out") and n == len(jobs) - 1):
            # What lies inside the window of one that leaves it is written.
            assert status.error == Error.NONE
            assert np.array_equal(out, linear(job).out)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_bad_descriptors(stall):
    """One field at a time, as golden says, each followed by a good job."""
    job = layer(1, (16, 32), 32, residual=np.full((16, 32), 5), residual_scale=(1, 0))
    probe = build_image([job], CONFIG)
    own = described(probe, 0, KIND, CONFIG)
    cases = list(wrong_fields(own, CONFIG))
    jobs = [job, layer(2, (3, 8), 8)] * len(cases)
    image = build_image(jobs, CONFIG)
    errors = {}
    for n, wrong in enumerate(cases):
        values = described(image, 2 * n, KIND, CONFIG)
        moved = {name: values[name] + value - own[name] if name in KIND.addresses else value
                 for name, value in wrong.items()}
        image.describe(2 * n, KIND.descriptor_of(CONFIG).pack(values | moved))
        errors[2 * n] = descriptor_error(image.descriptor(2 * n, CONFIG), CONFIG)
        assert errors[2 * n], wrong
    assert set(errors.values()) == {Error.OPCODE, Error.DIMENSION, Error.LENGTH, Error.VALID,
                                    Error.ALIGNMENT}
    run(jobs, image=image, errors=errors, stall=stall)


def test_bits_behind_a_head():
    """Words that linear jobs have and heads have not, of either."""
    jobs = [head(1), layer(1, (3, 8), 8)] * 6
    image = build_image(jobs, CONFIG)
    errors = {}
    for n, (word, bit) in enumerate(((14, 0), (14, 23), (14, 31), (15, 0), (15, 31))):
        words = image.descriptor(2 * n, CONFIG)
        words[word] |= np.uint32(1 << bit)
        image.describe(2 * n, words)
        errors[2 * n] = Error.OPCODE
    run(jobs, image=image, errors=errors)


@pytest.mark.parametrize("opcode", [2, 0x11, 0x90, 0xFF])
def test_an_unknown_opcode_has_a_record(opcode):
    jobs = [layer(1, (3, 8), 8), head(1), layer(1, (3, 8), 8)]
    image = build_image(jobs, CONFIG)
    for n in range(2):
        words = image.descriptor(n, CONFIG)
        words[0] = words[0] & np.uint32(0xFFFF_FF00) | np.uint32(opcode)
        image.describe(n, words)
    run(jobs, image=image, errors=dict.fromkeys(range(2), Error.OPCODE))


# -- resets ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("lengths", [(1, 2, 3), (0,)], ids=["reset", "abort"])
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_the_table_after_a_reset(stall, lengths):
    rng, tables = Random(5), [mixed_jobs(CONFIG, 5, seed) for seed in range(6)]
    cycles = [each.registers["cycles"] for each in simulate_batches(tables, CONFIG, stall=stall)]
    batches = []
    for n in range(60):
        at = n % len(tables)
        after = rng.randrange(int((0.7 if stall else 0.98) * cycles[at]))
        batches += [Batch(tables[at], reset=(after, rng.choice(lengths))),
                    Batch(tables[(at + 1 + n // len(tables)) % len(tables)])]
    for batch, simulation in zip(batches, simulate_batches(batches, CONFIG, stall=stall, seed=1),
                                 strict=True):
        assert simulation.aborted == bool(batch.reset)
        if not batch.reset:
            check(simulation, batch.jobs, CONFIG)


def test_a_linear_job_needs_a_coprocessor_that_has_them():
    with pytest.raises(ValueError, match="must be of a kind that hdp_tiny has, not a LinearJob"):
        build_image([layer(1, (3, 8), 8)], load_config("hdp_tiny"))


@pytest.mark.skipif(not shutil.which("iverilog"), reason="no iverilog in PATH")
def test_icarus_agrees():
    """A chain with groups of narrow weights, digits and a head."""
    jobs = [*chain(1, (4, 32), [32, 16], activation="relu"), head(2),
            layer(4, (5, 32), 32, bits=4, groups=2),
            layer(5, (3, 16), 32, target="digits", arrangement="heads", run=16),
            layer(6, (16, 8), 8, run=1, inner=16)]
    run(jobs, simulator="icarus", stall=0.2)
