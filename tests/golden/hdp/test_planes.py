# SPDX-License-Identifier: Apache-2.0
"""The memory image: rows, planes, descriptors and status records."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.golden.engines import load_config, preset_names
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import DELTA_MAX, Importance
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind, HdpStatus
from prunus.golden.hdp.planes import HdpLayout, held_planes
from prunus.golden.image import build_image, read_results, read_status
from prunus.golden.records import DESCRIPTOR_BYTES, STATUS_BYTES, VERSION, Error
from tests.golden.hdp.test_compute import random_job

DOCS = Path(__file__).resolve().parents[3] / "docs"
ADDRESSES = ("q_i", "q_f", "k_i", "k_f", "v", "out", "status")
HDP, CAUSAL, EXACT, DENSE, DROP, SAME_KV = 1, 0x100, 0x200, 0x400, 0x800, 0x1000
CONFIGS = [load_config(name) for name in preset_names("hdp")] + [
    HdpConfig(name="narrow_int", frac=5), HdpConfig(name="wide_int", frac=3, axi_data_width=128),
    HdpConfig(name="wide_bus", axi_data_width=256),
    HdpConfig(name="rounded", digits="rounded"),
    HdpConfig(name="rounded_w12", digits="rounded", width=12, frac=7),
    HdpConfig(name="rounded_narrow_int", digits="rounded", frac=6),
    HdpConfig(name="rounded_wide_int", digits="rounded", frac=2),
    HdpConfig(name="rounded_short", digits="rounded", frac=3, d_max=16),
    HdpConfig(name="rounded_wide_bus", digits="rounded", frac=3, axi_data_width=512),
    HdpConfig(name="widest_bus", axi_data_width=512)]
by_name = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)


def fields(row, bits):
    """Unsigned little-endian fields of a row of bytes, one Python integer cut up."""
    value = int.from_bytes(bytes(row), "little")
    return [value >> (bits * n) & ((1 << bits) - 1) for n in range(8 * len(row) // bits)]


def signed(values, bits):
    return [v - (1 << bits) if v >> (bits - 1) else v for v in values]


def every_code(config, d):
    """(rows, d) with every code of the format in it."""
    codes = np.arange(config.format.min_code, config.format.max_code + 1)
    return np.resize(codes, (-(-len(codes) // d) + 1, d))


@by_name
@pytest.mark.parametrize("d", [8, 24, 32])
def test_planes_unpack_to_the_codes(config, d):
    layout, codes = HdpLayout(config), every_code(config, d)
    beat = config.axi_data_width // 8
    sign_bytes = layout.row_dims // 8 if layout.signs_beside else -(-d // (8 * beat)) * beat

    def digits(row, kind):
        """The digits of a row of a plane, and what stands after them."""
        bits = {"i": layout.i_bits, "f": layout.f_bits}[kind]
        if kind != layout.signed_kind:
            parts = signed(fields(row, bits), bits)
            return parts[:d], parts[d:]
        signs, parts = fields(row[:sign_bytes], 1), fields(row[sign_bytes:], bits)
        return ([-mag if sign else mag for sign, mag in zip(signs[:d], parts[:d], strict=True)],
                signs[d:] + parts[d:])

    planes = zip(codes, *(layout.pack(kind, codes) for kind in "ifv"), strict=True)
    for row, i_row, f_row, v_row in planes:
        (whole, i_rest), (parts, f_rest) = digits(i_row, "i"), digits(f_row, "f")
        assert [(i << config.frac) + f for i, f in zip(whole, parts, strict=True)] == row.tolist()
        value = signed(fields(v_row, layout.v_bits), layout.v_bits)
        assert value[:d] == row.tolist()
        assert not any(i_rest + f_rest + value[d:])


@by_name
def test_signs_stand_beside_truncated_fractions(config):
    """The sign is that of the code, also where F is zero."""
    layout = HdpLayout(config)
    assert (layout.signed_kind == "f") == (config.digits == "truncated")
    if layout.signed_kind == "f":
        row = layout.pack("f", [[-1 << config.frac] + [0] * 7])[0]
        assert fields(row, 1)[0] == 1 and sum(row) == 1


def test_rounded_integer_parts_have_signs_where_that_is_shorter():
    """Of five bits, but not where as many beats hold the longest row in containers of eight."""
    kinds = {config.name: HdpLayout(config).signed_kind for config in CONFIGS
             if config.digits == "rounded"}
    assert kinds == {"hdp_fine": "i", "hdp_fine_tiny": "i", "rounded": "",
                     "rounded_w12": "i", "rounded_narrow_int": "", "rounded_wide_int": "",
                     "rounded_short": "", "rounded_wide_bus": ""}


@by_name
@pytest.mark.parametrize("kind", "ifv")
def test_codes_that_do_not_fit_are_not_packed(config, kind):
    layout, codes = HdpLayout(config), config if kind == "v" else config.format
    layout.pack(kind, [[codes.min_code, codes.max_code] * 4])
    for code in (codes.min_code - 1, codes.max_code + 1):
        with pytest.raises(ValueError, match=f"codes must lie in {codes.min_code}.."
                                             f"{codes.max_code}, not {code}"):
            layout.pack(kind, [[0] * 8, [0, code] * 4])


@by_name
@pytest.mark.parametrize("d", [8, 24, 32])
def test_rows_are_whole_beats(config, d):
    layout, codes = HdpLayout(config), every_code(config, d)
    for kind in "ifv":
        assert layout.pack(kind, codes).shape == (len(codes), layout.row_bytes(kind, d))
        assert layout.row_bytes(kind, d) % layout.beat_bytes == 0
    with pytest.raises(ValueError, match="kind of a plane must be one of this layout, not 'k'"):
        layout.pack("k", codes)


def test_rows_are_shorter_than_a_wide_beat():
    layout = HdpLayout(CONFIGS[-1])
    assert [layout.row_bytes(plane, 8) for plane in ("i", "f", "v", "out")] == [64, 64, 64, 64]
    assert [layout.row_bytes(plane, 64) for plane in ("i", "f", "v", "out")] == [64, 64, 64, 128]


@pytest.mark.parametrize(("name", "d", "sizes"), [
    ("hdp_edge", 64, (32, 40, 64, 128)), ("hdp_edge", 8, (8, 16, 8, 16)),
    ("hdp_edge", 24, (16, 24, 24, 48)), ("hdp_w12", 128, (64, 144, 256, 512)),
    ("hdp_w12", 24, (16, 48, 48, 96)),
    ("hdp_fine", 64, (40, 32, 64, 128)), ("hdp_fine", 8, (16, 8, 8, 16)),
    ("hdp_fine", 24, (24, 16, 24, 48)),
])
def test_row_sizes(name, d, sizes):
    layout = HdpLayout(load_config(name))
    assert tuple(layout.row_bytes(plane, d) for plane in ("i", "f", "v", "out")) == sizes


@by_name
def test_out_plane_round_trip(config):
    layout, rng = HdpLayout(config), np.random.default_rng(1)
    low = -(1 << (config.out_width - 1))
    out = rng.integers(low, -low, (5, 24))
    raw = layout.pack_bits(out, config.out_width).tobytes()
    assert len(raw) == 5 * layout.row_bytes("out", 24)
    assert_array_equal(layout.unpack_out(raw, 5, 24), out)


def _descriptor(job, addresses):
    return HdpKind().encode(job, dict(zip(ADDRESSES, addresses, strict=True)),
                            load_config("hdp_tiny"))


def test_descriptor_words():
    job = random_job(CONFIGS[0], 1, l_q=7, l_kv=9, d=16, valid_q=5, valid_kv=6, causal=True,
                     rho=-3, tau_head=123_456, drop=True, exact=True, scale=(40_000, 21))
    words = _descriptor(job, range(0x1000, 0x1000 + 7 * 64, 64))
    assert words.tolist() == [
        HDP | CAUSAL | EXACT | DROP, 7 | 9 << 16, 5 | 6 << 16,
        16 | 0xFD << 8 | 21 << 16, 123_456, 40_000,
        0x1000, 0x1040, 0x1080, 0x10C0, 0x1100, 0x1140, 0x1180, 0, 0, 0]
    dense = random_job(CONFIGS[0], 1, dense=True)
    assert _descriptor(dense, range(7))[0] == HDP | DENSE


@pytest.mark.parametrize(("fields", "bit", "text"), [
    ({"importance": Importance.DISTANCE, "drop": True, "tau_head": 5}, 1 << 13,
     "distance, delta 4660, tau_head 5, drop"),
    ({"exact": True}, 0, "rho -3, tau_head 0, exact")], ids=["distance", "magnitude"])
def test_descriptor_words_of_importance(fields, bit, text):
    """Both parameters are there, whichever counts."""
    job = random_job(CONFIGS[0], 1, rho=-3, delta=0x1234, **fields)
    words = _descriptor(job, range(7))
    assert words[0] & 1 << 13 == bit
    assert (words[3] >> 8 & 0xFF, words[13]) == (0xFD, 0x1234)
    assert HdpKind().describe(job) == text


@by_name
def test_image_holds_every_plane_at_its_address(config):
    jobs = [random_job(config, n, l_q=5 + n, l_kv=9 - n, d=16) for n in range(3)]
    image, layout = build_image(jobs, config), HdpLayout(config)
    spans = [(image.table, DESCRIPTOR_BYTES * len(jobs))]
    for n, job in enumerate(jobs):
        at = image.table + n * DESCRIPTOR_BYTES
        words = np.frombuffer(bytes(image.data[at : at + DESCRIPTOR_BYTES]), "<u4").tolist()
        planes = [layout.pack("i", job.q), layout.pack("f", job.q), layout.pack("i", job.k),
                  layout.pack("f", job.k), layout.pack("v", job.v)]
        for address, plane in zip(words[6:11], planes, strict=True):
            assert image.data[address : address + plane.size] == plane.tobytes()
            spans.append((address, plane.size))
        assert words[11:13] == [image.out[n], image.status[n]]
        spans += [(image.out[n], job.l_q * layout.row_bytes("out", job.d)),
                  (image.status[n], STATUS_BYTES)]
    spans.sort()
    assert all(address % 64 == 0 for address, _ in spans)
    assert all(a + size <= b for (a, size), (b, _) in zip(spans, spans[1:], strict=False))
    assert spans[-1][0] + spans[-1][1] <= len(image.data)


def test_an_image_of_wrong_codes_is_not_made():
    config = load_config("hdp_fine_tiny")
    job = random_job(config, 1, l_q=4, l_kv=9, d=16)
    build_image([replace(job, v=np.full_like(job.v, -128))], config)
    for name in ("q", "k"):
        with pytest.raises(ValueError, match=r"codes must lie in -123\.\.123, not -128"):
            build_image([replace(job, **{name: np.full_like(job.q, -128)})], config)


def test_grouped_heads_share_their_keys():
    config = CONFIGS[0]
    first = random_job(config, 1, l_q=4, l_kv=9, d=16)
    second = replace(random_job(config, 2, l_q=6, l_kv=9, d=16), k=first.k, v=first.v.copy(),
                     same_kv=True)
    image = build_image([first, second], config)
    words = np.frombuffer(bytes(image.data[:128]), "<u4").reshape(2, 16)
    assert words[0, 8:11].tolist() == words[1, 8:11].tolist()
    assert not set(words[0, 6:8]) & set(words[1, 6:8])
    assert [int(w) & SAME_KV for w in words[:, 0]] == [0, SAME_KV]
    assert len(image.data) < len(build_image([first, replace(second, same_kv=False)],
                                             config).data)
    with pytest.raises(ValueError, match="job 1 must share the operands of the job before it, and "
                                         "its v is another one"):
        build_image([first, replace(second, v=second.v + 1)], config)


def test_what_is_on_the_chip():
    config = CONFIGS[0]
    job = random_job(config, 1, l_q=4, l_kv=9, d=16, causal=True)
    same = replace(job, same_kv=True)

    def held(*jobs, kept):
        """None for a job with an error."""
        results = [None if one is None else replace(hdp.head(job, config), head_kept=one)
                   for job, one in zip(jobs, kept, strict=True)]
        return held_planes(jobs, results, config)

    assert held(job, same, same, kept=(True, True, True)) == [
        set(), {"k_i", "k_f", "v"}, {"k_i", "k_f", "v"}]
    assert held(job, same, same, same, kept=(False, False, True, True)) == [
        set(), {"k_i"}, {"k_i"}, {"k_i", "k_f", "v"}]
    assert held(same, job, kept=(True, True)) == [set(), set()]
    assert held(job, same, same, kept=(True, None, True)) == [
        set(), {"k_i", "k_f", "v"}, set()]
    for other in (replace(same, valid_kv=8), replace(same, causal=False),
                  replace(same, valid_q=3)):
        assert held(job, other, kept=(True, True)) == [set(), set()]
    free = replace(job, causal=False)
    assert held(free, replace(free, same_kv=True, valid_q=3), kept=(True, True))[1]
    idle = replace(job, valid_q=0, same_kv=True, causal=False)
    assert held(free, idle, replace(free, same_kv=True), kept=(True, True, True)) == [
        set(), {"k_i", "k_f", "v"}, {"k_i", "k_f", "v"}]


def test_untouched_outputs_show():
    job = random_job(CONFIGS[0], 1)
    image = build_image([job], CONFIGS[0])
    out, status = read_results(bytes(image.data), image, [job], CONFIGS[0])[0]
    assert_array_equal(out, np.int16(np.uint16(0xA5A5).view(np.int16)))
    assert not status.done


@by_name
def test_results_come_back_from_memory(config):
    jobs = [random_job(config, n, l_q=5, l_kv=6, d=8, rho=25) for n in range(2)]
    image, layout = build_image(jobs, config), HdpLayout(config)
    data = bytearray(image.data)
    results = [hdp.head(job, config) for job in jobs]
    for n, (job, result) in enumerate(zip(jobs, results, strict=True)):
        raw = layout.pack_bits(result.out, config.out_width).tobytes()
        data[image.out[n] : image.out[n] + len(raw)] = raw
        want = HdpKind().record(job, result, config)
        record = np.zeros(16, "<u4")
        record[:8] = [1, want.head_kept, want.theta_head & 0xFFFFFFFF, want.theta_head >> 32,
                      want.blocks_kept, want.blocks_total, want.read_bytes, want.write_bytes]
        data[image.status[n] : image.status[n] + STATUS_BYTES] = record.tobytes()
    for job, result, (out, status) in zip(jobs, results, read_results(bytes(data), image, jobs,
                                                                      config), strict=True):
        assert_array_equal(out, result.out)
        assert status == HdpKind().record(job, result, config)


def _status(word):
    raw = np.array([word] + [0] * 15, "<u4").tobytes()
    return read_status(raw, random_job(CONFIGS[0], 1), CONFIGS[0])


def test_status_of_a_bad_job():
    status = _status(1 | Error.LENGTH << 8)
    assert status == HdpStatus(done=True, error=Error.LENGTH)


@pytest.mark.parametrize("word", [0, 2, 0xA5A5A5A5, 1 | 9 << 8, 1 | 1 << 16])
def test_what_is_no_record_is_not_done(word):
    """Done is exactly 1, with an error that there is."""
    status = _status(word)
    assert (status.done, status.error) == (False, Error.NONE)


def test_a_pruned_head_reads_no_fractions_and_no_values():
    config = load_config("hdp_edge")
    layout = HdpLayout(config)
    job = random_job(config, 1, l_q=16, l_kv=20, d=64, valid_q=10, valid_kv=15)
    pruned = DESCRIPTOR_BYTES + 25 * 32
    assert layout.read_bytes(job, False) == pruned
    assert layout.read_bytes(job, True) == pruned + 25 * 40 + 15 * 64
    assert layout.read_bytes(job, True, {"k_i", "v"}) == DESCRIPTOR_BYTES + 10 * 32 + 25 * 40
    assert layout.out_bytes(job.output()) == 16 * 128
    status = HdpKind().record(job, hdp.head(job, config), config)
    assert status.write_bytes == 16 * 128 + STATUS_BYTES
    empty = random_job(config, 1, valid_kv=0)
    assert layout.read_bytes(empty, True) == DESCRIPTOR_BYTES


def test_the_page_agrees():
    text = (DOCS / "memory_image.md").read_text("utf-8")
    layout = HdpLayout(load_config("hdp_edge"))
    for d in (32, 64):
        sizes = " | ".join(str(layout.row_bytes(plane, d)) for plane in ("i", "f", "v", "out"))
        assert f"| {d} | {sizes} |" in text
        fine = HdpLayout(load_config("hdp_fine"))
        sizes = " | ".join(str(fine.row_bytes(plane, d)) for plane in ("i", "f", "v", "out"))
        assert f"| {d}, `hdp_fine` | {sizes} |" in text
    assert all(f"| {error.value} | {error.name} |" in text for error in Error)
    assert f"This is version {VERSION}," in text
    assert f"delta lies in 0..2^{DELTA_MAX.bit_length()}-1." in text and DELTA_MAX + 1 == 1 << 24
    most = {frac: HdpConfig(name="x", digits="rounded", frac=frac).format.max_code
            for frac in (3, 4)}
    assert (f"-{most[4]}..{most[4]} for W=8 and FW=4, -{most[3]}..{most[3]} for FW=3" in text)
