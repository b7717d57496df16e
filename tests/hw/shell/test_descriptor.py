# SPDX-License-Identifier: Apache-2.0
from random import Random

import numpy as np
import pytest

from prunus.golden.descriptors import descriptor_error, has_record, kind_of
from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import DELTA_MAX, HdpJob, Importance
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.hdp.linear import LinearJob, LinearKind
from prunus.golden.leopard.compute import LeopardJob
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.kind import LeopardKind
from prunus.golden.records import Error
from prunus.hw.shell.descriptor import DescriptorDecoder, descriptor_layout
from prunus.sim.engines.hdp_linear import random_linear, wrong_fields
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [load_config("hdp_tiny"), load_config("hdp_w12"),
           HdpConfig(name="widest", d_max=40, l_max=24, axi_data_width=512)]
ADDRESSES = ["q_i", "q_f", "k_i", "k_f", "v", "out", "status"]
BYTES_D, BYTES_RHO = 0xFF, 0xFF00


def _words(config, rng):
    """A random good descriptor, from the golden layout."""
    d = 8 * rng.randint(1, config.d_max // 8)
    l_q, l_kv = rng.randint(1, config.l_max), rng.randint(1, config.l_max)
    zeros = np.zeros((max(l_q, l_kv), d), np.int64)
    job = HdpJob(q=zeros[:l_q], k=zeros[:l_kv], v=zeros[:l_kv],
              scale=(rng.randrange(1 << 16), rng.choice([12, 63, rng.randint(12, 63)])),
              valid_q=rng.choice([0, l_q, rng.randint(0, l_q)]),
              valid_kv=rng.choice([0, l_kv, rng.randint(0, l_kv)]),
              rho=rng.choice([-127, 127, rng.randint(-127, 127)]),
              tau_head=rng.getrandbits(32), causal=rng.random() < 0.5,
              exact=rng.random() < 0.5, dense=rng.random() < 0.5, drop=rng.random() < 0.5,
              same_kv=rng.random() < 0.5, importance=rng.choice(list(Importance)),
              delta=rng.choice([0, DELTA_MAX, rng.randint(0, DELTA_MAX)]))
    align = config.axi_data_width // 8
    addresses = [rng.randrange(1 << 32) // align * align for _ in ADDRESSES[:-1]]
    addresses.append(rng.randrange(1 << 32) // 64 * 64)
    words = [int(w) for w in HdpKind().encode(
        job, dict(zip(ADDRESSES, addresses, strict=True)), config)]
    fields = {
        "causal": job.causal, "exact": job.exact, "dense": job.dense, "drop": job.drop,
        "same_kv": job.same_kv,
        "l_q": l_q, "l_kv": l_kv, "valid_q": job.valid_q, "valid_kv": job.valid_kv,
        "d8": d // 8, "rho": job.rho, "shift": job.scale[1], "tau_head": job.tau_head,
        "distance": job.importance is Importance.DISTANCE, "delta": job.delta,
        "mant": job.scale[0], **dict(zip(ADDRESSES, addresses, strict=True)), "error": 0,
        "index": 0,
    }
    return words, fields


def _error(words, config):
    """The first error that applies, from the words."""
    l_q, l_kv = words[1] & 0xFFFF, words[1] >> 16
    d, rho, shift = words[3] & 0xFF, words[3] >> 8 & 0xFF, words[3] >> 16
    if words[0] & 0xFF != 1 or words[0] >> 14 or words[5] >> 16 or words[14] or words[15]:
        return Error.OPCODE
    if d % 8 or not 8 <= d <= config.d_max:
        return Error.DIMENSION
    if not (1 <= l_q <= config.l_max and 1 <= l_kv <= config.l_max):
        return Error.LENGTH
    if words[2] & 0xFFFF > l_q or words[2] >> 16 > l_kv:
        return Error.VALID
    if rho == 0x80 or not 12 <= shift <= 63 or words[13] > DELTA_MAX:
        return Error.PRUNING
    align = config.axi_data_width // 8
    if any(a % align for a in words[6:13]) or words[12] % 64:
        return Error.ALIGNMENT
    return Error.NONE


def _beats(words, config, bad=()):
    raw = np.array(words, "<u4").tobytes()
    size = config.axi_data_width // 8
    return [{"data": int.from_bytes(raw[at : at + size], "little"),
             "error": at // size in bad, "last": at + size == len(raw)}
            for at in range(0, len(raw), size)]


def _run(config, descriptors, rng, stall_in=0.0, stall_out=0.0, lost=None):
    """The decoded ``descriptors``, lists of beats; whether each is lost, into ``lost``."""
    dut = DescriptorDecoder(config=config)
    got = []

    async def source(ctx):
        for beats in descriptors:
            await send(ctx, dut.i, beats, rng, stall_in)

    async def sink(ctx):
        for _ in descriptors:
            got.extend(await receive(ctx, dut.o, 1, rng, stall_out))

    async def watch(ctx):
        while True:
            _, _, taken, gone = await ctx.tick().sample(dut.o.valid & dut.o.ready, dut.lost)
            if taken and lost is not None:
                lost.append(bool(gone))

    simulate(dut, source, sink, background=[watch])
    return got


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_jobs_without_a_record(config):
    """Nothing is known of where it would be, or it has no place."""
    rng, lost = Random(9), []
    good, zeros = _words(config, rng)[0], [0] * 16
    junk, crooked = list(good), list(good)
    junk[0], crooked[12] = junk[0] & ~0xFF, crooked[12] | 32
    unknown = list(good)
    unknown[0] |= 0xFF
    descriptors = [zeros, good, junk, crooked, unknown]
    beats = [_beats(words, config) for words in descriptors]
    got = _run(config, [*beats, _beats(good, config, {0}), beats[1]], rng, lost=lost)
    assert lost == [True, False, True, True, False, True, False]
    assert [decoded.error for decoded in got] == [
        Error.OPCODE, Error.NONE, Error.OPCODE, Error.ALIGNMENT, Error.OPCODE, Error.BUS,
        Error.NONE]


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
@pytest.mark.parametrize("config", [load_config("hdp_edge"), *CONFIGS], ids=lambda c: c.name)
def test_good(config, stall_in, stall_out):
    rng = Random(f"{config.name}{stall_in}")
    jobs = [_words(config, rng) for _ in range(40)]
    assert all(_error(words, config) == Error.NONE for words, _ in jobs)
    got = _run(config, [_beats(words, config) for words, _ in jobs], rng, stall_in, stall_out)
    for decoded, (_, fields) in zip(got, jobs, strict=True):
        layout = descriptor_layout(config, heads=True)
        assert {name: decoded[name] for name, _ in layout} == fields
        assert "kind" not in dict(descriptor_layout(config)) or decoded.kind == 0


def _set(word, mask, value):
    def change(words):
        words[word] = words[word] & ~mask | value
    return change


def _changes(config):
    """(change of a good descriptor, error it makes), each edge of each rule from both sides."""
    align = config.axi_data_width // 8
    low, high = 0xFFFF, 0xFFFF0000
    changes = [
        (_set(0, 0xFF, 0), Error.OPCODE), (_set(0, 0xFF, 3), Error.OPCODE),
        (_set(0, 0xFF, 0x81), Error.OPCODE), (_set(0, 0x3F00, 0x3F00), Error.NONE),
        *((_set(0, 0, 1 << bit), Error.OPCODE) for bit in range(14, 32)),
        *((_set(5, 0, 1 << bit), Error.OPCODE) for bit in range(16, 32)),
        *((_set(word, 0, 1 << bit), Error.OPCODE) for word in (14, 15) for bit in (0, 9, 31)),
        *((_set(3, BYTES_D, d), Error.DIMENSION)
          for d in (0, 1, 4, 7, 9, 12, config.d_max - 4, config.d_max + 8, 0xF8, 0xFF)),
        (_set(3, BYTES_D, 8), Error.NONE), (_set(3, BYTES_D, config.d_max), Error.NONE),
        (_set(1, low, 0), Error.LENGTH), (_set(1, high, 0), Error.LENGTH),
        (_set(1, low, config.l_max + 1), Error.LENGTH),
        (_set(1, high, (config.l_max + 1) << 16), Error.LENGTH),
        (_set(1, low, 0x8001), Error.LENGTH), (_set(1, high, 0xFFFF << 16), Error.LENGTH),
        (_set(3, BYTES_RHO, 0x8000), Error.PRUNING), (_set(3, BYTES_RHO, 0x8100), Error.NONE),
        *((_set(3, high, shift << 16), Error.PRUNING)
          for shift in (0, 11, 64, 12 + 64, 255, 12 + 256, 0x8000 + 12)),
        (_set(3, high, 12 << 16), Error.NONE), (_set(3, high, 63 << 16), Error.NONE),
        *((_set(13, 0, 1 << bit), Error.PRUNING) for bit in range(24, 32)),
        (_set(13, 0, DELTA_MAX), Error.NONE),
    ]
    for word in range(6, 13):
        for bit in range(1, align.bit_length()):
            changes.append((_set(word, 0, 1 << (bit - 1)), Error.ALIGNMENT))
        changes.append((_set(word, 0, align),
                        Error.ALIGNMENT if word == 12 and align < 64 else Error.NONE))
    changes += [(_set(12, 0, 32), Error.ALIGNMENT), (_set(12, 0, 64), Error.NONE)]
    return changes


def _valid_changes(words):
    l_q, l_kv = words[1] & 0xFFFF, words[1] >> 16
    return [(_set(2, 0xFFFF, l_q + 1), Error.VALID), (_set(2, 0xFFFF, l_q), Error.NONE),
            (_set(2, 0xFFFF0000, (l_kv + 1) << 16), Error.VALID),
            (_set(2, 0xFFFF0000, l_kv << 16), Error.NONE),
            (_set(2, 0xFFFF, 0xFFFF), Error.VALID)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_each_error(config):
    rng = Random(4)
    descriptors, expected = [], []
    fixed = _changes(config)
    for n in range(len(fixed) + 5):
        words, _ = _words(config, rng)
        change, error = (fixed + _valid_changes(words))[n]
        change(words)
        assert _error(words, config) == error
        descriptors.append(_beats(words, config))
        expected.append(error)
    assert [decoded.error for decoded in _run(config, descriptors, rng)] == expected


def test_first_error_wins():
    config = load_config("hdp_tiny")
    rng = Random(6)
    wrong = [_set(0, 0, 1 << 20), _set(3, 0, 1), _set(1, 0xFFFF, 0),
             _set(2, 0xFFFF0000, 0xFFFF << 16), _set(3, BYTES_RHO, 0x8000), _set(8, 0, 1)]
    descriptors, expected = [], []
    for choice in range(1 << len(wrong)):
        words, _ = _words(config, rng)
        for n, change in enumerate(wrong):
            if choice >> n & 1:
                change(words)
        descriptors.append(_beats(words, config))
        expected.append(_error(words, config))
    assert len(set(expected)) == 7
    assert [decoded.error for decoded in _run(config, descriptors, rng)] == expected


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_bus_error_outranks_all_and_does_not_stick(config):
    rng = Random(8)
    count = 512 // config.axi_data_width
    descriptors, expected = [], []
    for beat in range(count):
        for wrong in (False, True):
            words, _ = _words(config, rng)
            if wrong:
                words[0] = 0xFFFF_FFFF
            descriptors += [_beats(words, config, {beat}), _beats(words, config)]
            expected += [Error.BUS, _error(words, config)]
    assert [decoded.error for decoded in _run(config, descriptors, rng)] == expected


def test_latency():
    config = load_config("hdp_edge")
    dut = DescriptorDecoder(config=config)
    words, _ = _words(config, Random(1))

    async def bench(ctx):
        assert await send(ctx, dut.i, _beats(words, config)) == 8
        cycles = 1
        while not ctx.get(dut.o.valid):
            await ctx.tick()
            cycles += 1
        assert cycles == 3

    simulate(dut, bench)


LEOPARD = [load_config("leopard_tiny"),
           LeopardConfig(name="widest", width=16, d_max=128, l_max=24, axi_data_width=512)]


def _leopard(config, rng):
    """The same of the other engine."""
    d, low = 8 * rng.randint(1, config.d_max // 8), 1 << config.threshold_width - 1
    l_q, l_kv = rng.randint(1, config.l_max), rng.randint(1, config.l_max)
    zeros = np.zeros((max(l_q, l_kv), d), np.int64)
    job = LeopardJob(q=zeros[:l_q], k=zeros[:l_kv], v=zeros[:l_kv],
                     scale=(rng.randrange(1 << 16), rng.randint(12, 63)),
                     valid_q=rng.randint(0, l_q), valid_kv=rng.randint(0, l_kv),
                     threshold=rng.choice([-low, low - 1, -1, 0, rng.randrange(-low, low)]),
                     causal=rng.random() < 0.5, same_kv=rng.random() < 0.5)
    addresses = [rng.randrange(1 << 26) * 64 for _ in range(5)]
    words = [int(w) for w in LeopardKind().encode(
        job, dict(zip(("q", "k", "v", "out", "status"), addresses, strict=True)), config)]
    return words, {
        "causal": job.causal, "same_kv": job.same_kv, "l_q": l_q, "l_kv": l_kv,
        "valid_q": job.valid_q, "valid_kv": job.valid_kv, "d8": d // 8, "shift": job.scale[1],
        "mant": job.scale[0], "threshold": job.threshold,
        **dict(zip(("q", "k", "v", "out", "status"), addresses, strict=True)), "error": 0}


@pytest.mark.parametrize("config", LEOPARD, ids=lambda c: c.name)
def test_descriptors_of_leopard(config):
    rng = Random(config.name)
    good = [_leopard(config, rng) for _ in range(30)]
    beyond = 1 << config.threshold_width - 1
    bad = []
    for word, bits, error in ((0, 0x0001, Error.OPCODE), (0, 0x0202, Error.OPCODE),
                              (0, 0x10002, Error.OPCODE),
                              *((word, 1, Error.OPCODE) for word in (7, 9, 13, 14, 15)),
                              (4, beyond, Error.PRUNING), (4, -beyond - 1, Error.PRUNING),
                              (4, 1 << 46, Error.PRUNING)):
        words = list(_leopard(config, rng)[0])
        if word > 5:
            words[word] = bits
        elif word:
            words[4], words[5] = bits & 0xFFFFFFFF, words[5] & 0xFFFF | (bits >> 32 & 0xFFFF) << 16
        else:
            words[0] = bits
        bad.append((words, error))
    got = _run(config, [_beats(words, config) for words, _ in good + bad], rng)
    assert [{name: getattr(fields, name) for name in good[0][1]}
            for fields in got[: len(good)]] == [fields for _, fields in good]
    assert [fields.error for fields in got[len(good) :]] == [error for _, error in bad]


# -- an engine with several kinds of job ----------------------------------------------------------
HEAT = load_config("heat_tiny")
SEVERAL = [HEAT, HEAT.model_copy(update={"axi_address_width": 40, "name": "heat_40"})]
LINEAR = LinearKind()


def _linear(config, rng):
    """Descriptors of random linear jobs."""
    jobs = random_linear(config, 40, rng.randrange(1 << 20))
    for job in jobs:
        addresses = {name: rng.randrange(1 << config.axi_address_width - 6) << 6
                     for name in LINEAR.addresses}
        yield LINEAR.encode(job, addresses, config)


def _head(config, rng):
    """A good descriptor of a head, as wide as the configuration has them."""
    words = np.zeros(config.descriptor_bytes // 4, np.uint32)
    words[:16] = _words(HEAT, rng)[0]
    for word in range(6, 13):
        words[word] &= np.uint32(~63 & 0xFFFF_FFFF)
        if config.wide:
            words[16 + word] = rng.getrandbits(config.axi_address_width - 32)
    return words


def _compare(config, table, rng):
    """The decoder and golden about descriptors, whatever they are; the errors that there were."""
    lost, errors = [], []
    got = _run(config, [_beats(words, config) for words in table], rng, 0.1, 0.1, lost=lost)
    names = {name for name, _ in descriptor_layout(config)}
    for words, decoded, gone in zip(table, got, lost, strict=True):
        error, kind = descriptor_error(words, config), kind_of(words, config)
        values = (kind or HdpKind()).descriptor_of(config).unpack(words.tobytes())
        if error in (Error.BUS, Error.WRITE):       # for the bus to tell
            error = Error.NONE
        errors.append(error)
        assert decoded.error == error, [hex(word) for word in words]
        assert gone == (not has_record(words, config))
        assert decoded.status == values["status"]
        assert decoded.kind == isinstance(kind, LinearKind)
        if not error:
            shared = names & values.keys()
            assert {name: decoded[name] for name in shared} == {
                name: values[name] for name in shared}
    return errors


@pytest.mark.parametrize("config", SEVERAL, ids=lambda c: c.name)
def test_kinds_of_job(config):
    """The opcode says where the fields lie and which they are."""
    rng = Random(config.name)
    table = [*_linear(config, rng), *(_head(config, rng) for _ in range(40))]
    rng.shuffle(table)
    assert set(_compare(config, table, rng)) == {Error.NONE}
    layout = dict(descriptor_layout(config))
    assert layout["kind"].width == 1 and layout["stride"].width == 16
    assert layout["x"].width == layout["q_i"].width == config.axi_address_width
    assert "opcode" not in layout


@pytest.mark.parametrize("config", SEVERAL, ids=lambda c: c.name)
def test_each_kind_has_its_own_errors(config):
    """One field of a linear job at a time, bits of either kind, any words, any opcode."""
    rng, table = Random(5), []
    plain = LinearJob(x=np.zeros((16, 32), int), w=np.zeros((32, 32), int),
                      bias=np.zeros(32, int), multiplier=np.zeros(32, int),
                      shift=np.zeros(32, int))
    good = LINEAR.encode(plain, dict.fromkeys(LINEAR.addresses, 64), config)
    own = LINEAR.descriptor_of(config).unpack(good.tobytes())
    wrong = [LINEAR.descriptor_of(config).pack(own | change)
             for change in wrong_fields(own, config)]
    errors = _compare(config, wrong, rng)
    assert Error.NONE not in errors
    assert set(errors) == {Error.OPCODE, Error.DIMENSION, Error.LENGTH, Error.VALID,
                           Error.ALIGNMENT}
    for words in [*_linear(config, rng), *(_head(config, rng) for _ in range(40))]:
        for _ in range(3):
            changed = words.copy()
            changed[rng.randrange(len(words))] ^= np.uint32(1 << rng.randrange(32))
            table.append(changed)
    for opcode in (*range(20), 0x90, 0xFF):
        for words in (good, _head(config, rng)):
            changed = words.copy()
            changed[0] = changed[0] & np.uint32(0xFFFF_FF00) | np.uint32(opcode)
            table.append(changed)
    for opcode in (1, 16) * 20:
        words = np.array([rng.getrandbits(32) for _ in good], np.uint32)
        words[0] = words[0] & np.uint32(0xFFFF_FF00) | np.uint32(opcode)
        table.append(words)
    assert set(_compare(config, table, rng)) >= {Error.NONE, *errors, Error.PRUNING}


def test_one_kind_has_no_field_for_it():
    for config in (*CONFIGS, *LEOPARD):
        assert "kind" not in dict(descriptor_layout(config))


# -- addresses of more than a word -----------------------------------------------------------------
FAR = [CONFIGS[0].model_copy(update={"axi_address_width": width, "axi_data_width": bits})
       for width, bits in ((64, 64), (48, 256), (40, 512))]


def _far(config, rng):
    """A descriptor, good or with one thing wrong: often a bit of the upper words."""
    words = np.array(_words(CONFIGS[0], rng)[0] + [0] * 16, np.uint32)
    for word in range(6, 13):
        words[word] &= np.uint32(~63 & 0xFFFF_FFFF)
        words[word + 16] = rng.getrandbits(config.axi_address_width - 32)
    what = rng.randrange(5)
    if what == 0:
        words[rng.randrange(16, 32)] ^= np.uint32(1 << rng.randrange(32))
    elif what == 1:
        words[rng.randrange(16)] ^= np.uint32(1 << rng.randrange(32))
    elif what == 2:
        words[:] = [rng.getrandbits(32) for _ in words]
    return words


@pytest.mark.parametrize("config", FAR, ids=lambda c: f"{c.axi_address_width}-{c.axi_data_width}")
def test_far_addresses(config):
    """All is as golden says, whatever the words; every address has its upper bits."""
    rng, lost = Random(config.axi_address_width), []
    record = HdpKind().descriptor_of(config)
    table = [_far(config, rng) for _ in range(200)]
    got = _run(config, [_beats(words, config) for words in table], rng, 0.1, 0.1, lost=lost)
    errors, addresses = set(), 0
    for words, decoded, gone in zip(table, got, lost, strict=True):
        values, error = record.unpack(words.tobytes()), descriptor_error(words, config)
        errors.add(error)
        assert decoded.error == error
        assert gone == (not has_record(words, config))
        assert decoded.status == values["status"]
        if not error:
            assert all(decoded[name] == values[name] for name in ADDRESSES)
            addresses |= values["v"]
    assert errors >= {Error.NONE, Error.OPCODE, Error.ALIGNMENT}
    assert addresses.bit_length() == config.axi_address_width
