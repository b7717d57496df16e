# SPDX-License-Identifier: Apache-2.0
"""The C driver lays out memory as golden does, byte for byte, and encodes numbers as it does."""

import math
import re
import shutil
import subprocess
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from prunus.export.header import HEADER, header
from prunus.golden import softmax
from prunus.golden.engines import load_config, preset_names
from prunus.golden.hdp.compute import encode_delta, encode_rho
from prunus.golden.hdp.linear import LinearJob
from prunus.golden.image import build_image, relocated
from prunus.golden.leopard.compute import encode_threshold
from prunus.sim.engines import random_jobs
from tests.sim.wide import widened
from tests.sw.driver import FLAGS, SOURCES, Driver, jobs_text, registers_text, run_host

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")

BASE = 0xFFFF_0000 - (1 << 20)
SMALL = ["hdp_tiny", "hdp_fine_tiny", "hdp_w12", "leopard_tiny", "leopard_hp", "topk_tiny"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return Driver(tmp_path_factory.mktemp("driver"))


def test_the_tables_are_those_of_golden():
    assert HEADER.read_text("utf-8") == header()


@pytest.mark.parametrize("standard", ["c99", "c11", "c++11"])
def test_no_warnings(tmp_path, standard):
    """C99, and headers that C++ reads as well."""
    flags = [f"-std={standard}", *(flag for flag in FLAGS if not flag.startswith("-std"))]
    if standard.startswith("c++"):
        source = tmp_path / "one.cpp"
        source.write_text('#include "prunus.h"\n', encoding="utf-8")
    else:
        source = tmp_path / "one.c"
        source.write_text('#include "prunus.c"\n#include "example.c"\n', encoding="utf-8")
    done = subprocess.run(["gcc", *flags, "-O2", f"-I{SOURCES}", "-c", str(source), "-o",
                           str(tmp_path / "one.o")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_driver_needs_no_library(tmp_path):
    """Nothing but copying and filling memory: no allocation, no mathematics, no streams."""
    subprocess.run(["gcc", "-std=c99", "-ffreestanding", "-O2", f"-I{SOURCES}", "-c",
                    str(SOURCES / "prunus.c"), "-o", str(tmp_path / "one.o")], check=True)
    names = subprocess.run(["nm", "-u", str(tmp_path / "one.o")], capture_output=True, text=True,
                           check=True).stdout.split()
    assert {name for name in names if name != "U"} <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_",
                                                       "__stack_chk_fail"}


def test_mapped_registers(driver):
    assert run_host(driver, "mmio", text="") == ["6"]


def test_listings_are_parts_of_the_example():
    """Those of the document: C code that is compiled and run elsewhere."""
    text = (SOURCES.parent / "docs" / "software.md").read_text("utf-8")
    example = (SOURCES / "example.c").read_text("utf-8")
    listings = re.findall(r"^```c\n(.*?)^```$", text, re.M | re.S)
    assert len(listings) == 2
    assert all(listing in example for listing in listings)


def packed(driver, tmp_path, tables, config, base=BASE, size=1 << 20):
    memory = tmp_path / "memory"
    memory.write_bytes(b"\xEE" * size)
    said = run_host(driver, "pack", memory, size, base, text=jobs_text(tables, config))
    return said, memory.read_bytes()


PRESETS = [load_config(name) for name in preset_names() if "server" not in name]
WIDE = [widened(load_config(name), width) for name, width in (
    ("hdp_tiny", 40), ("leopard_tiny", 48), ("topk_tiny", 64))]


def heads(config, count, seed):
    """Random ones: the driver has no linear layers."""
    jobs = random_jobs(config, 8 * count, seed)
    return [job for job in jobs if not isinstance(job, LinearJob)][:count]


@pytest.mark.parametrize("config", [*PRESETS, *WIDE], ids=lambda config: config.name)
def test_an_image_is_that_of_golden(driver, tmp_path, config):
    """Random jobs of every shape and mode, two tables one behind the other, at the end of all
    addresses."""
    name, align = config.name, config.descriptor_bytes
    count = 12 if name in SMALL or config.wide else 2
    tables = [heads(config, count, 3), heads(config, 2, 4)]
    size = 1 << (20 if name in SMALL or config.wide else 25)
    base = (1 << config.axi_address_width) - align - size
    said, memory = packed(driver, tmp_path, tables, config, base, size)
    at = 0
    for table in tables:
        image = build_image(table, config)
        assert memory[at : at + len(image.data)] == relocated(image, config, base + at)
        at += -(-len(image.data) // align) * align
    assert said == [f"used {at} done 0 waits 0 flushed 0 invalidated 0"]
    assert set(memory[at:]) == {0xEE}


def shared(jobs):
    """The jobs, each with the keys of the first."""
    first = jobs[0]
    return [replace(job, k=first.k, v=first.v, q=first.q, valid_q=first.valid_q,
                    valid_kv=first.valid_kv, same_kv=n > 0) for n, job in enumerate(jobs)]


@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny", "topk_tiny"])
def test_shared_keys_lie_in_memory_once(driver, tmp_path, name):
    config = load_config(name)
    jobs = shared(random_jobs(config, 3, seed=5))
    _, memory = packed(driver, tmp_path, [jobs], config)
    image = build_image(jobs, config)
    assert memory[: len(image.data)] == relocated(image, config, BASE)


@pytest.mark.parametrize(("change", "result"), [
    ({"valid_q": 33}, -4), ({"scale": (5, 64)}, -4), ({"rho": -128}, -4), ({"same_kv": True}, -4),
    ({"delta": 1 << 24}, -4), ({"v": np.full((4, 8), 128)}, -5), ({"q": np.ones((33, 8))}, -4),
    (dict.fromkeys("qkv", np.ones((4, 12))), -4), (dict.fromkeys("qkv", np.ones((4, 40))), -4)])
def test_bad_jobs_are_refused(driver, tmp_path, change, result):
    config = load_config("hdp_tiny")
    job = random_jobs(config, 1, seed=6)[0]
    some = np.ones((4, 8), np.int64)
    job = replace(job, q=some, k=some, v=some, valid_q=4, valid_kv=4)
    said, memory = packed(driver, tmp_path, [[job]], config)
    assert said[0].startswith("used ")
    bad = replace(job, **{name: value.astype(int) if isinstance(value, np.ndarray) else value
                          for name, value in change.items()})
    said, _ = packed(driver, tmp_path, [[bad]], config)
    assert said == [f"error table {result}"]


def test_a_full_memory_and_a_bad_place_are_refused(driver, tmp_path):
    config = load_config("hdp_tiny")
    jobs = random_jobs(config, 4, seed=7)
    taken = len(build_image(jobs, config).data)
    assert packed(driver, tmp_path, [jobs], config, size=taken)[0][0].startswith("used ")
    for size in (taken - 1, 64, 63):
        assert packed(driver, tmp_path, [jobs], config, size=size)[0] == ["error table -6"]
    for base in (BASE + 32, 0xFFFF_FF00):
        assert packed(driver, tmp_path, [jobs], config, base)[0] == ["error table -4"]


@pytest.mark.parametrize("config", WIDE, ids=lambda config: config.name)
def test_a_bad_wide_place_is_refused(driver, tmp_path, config):
    """Not on a descriptor's size, or beyond the last address."""
    jobs, end = random_jobs(config, 2, seed=7), 1 << config.axi_address_width
    assert packed(driver, tmp_path, [jobs], config, end - (1 << 20))[0][0].startswith("used ")
    for base in (64, end - (1 << 20) + 128, end, end - 128):
        if base < 1 << 64:
            assert packed(driver, tmp_path, [jobs], config, base)[0] == ["error table -4"]


@pytest.mark.parametrize(("offset", "value", "result"), [(0, 1, -1), (4, 99, -2), (36, 9, -3)])
def test_another_device_is_refused(driver, tmp_path, offset, value, result):
    config = load_config("hdp_tiny")
    text = registers_text(config).split(maxsplit=1)
    registers = f"{int(text[0]) + 1} {text[1]} {offset} {value}"
    assert run_host(driver, "encode", text=registers) == [f"error open {result}"]


def encoded(driver, config, lines):
    text = registers_text(config) + "\n" + "\n".join(
        " ".join([name, *(float(x).hex() for x in values)]) for name, *values in lines)
    return [tuple(map(int, line.split())) for line in run_host(driver, "encode", text=text)]


def _expected(encode, *values):
    try:
        return (0, *encode(*values))
    except ValueError:
        return (-4,)


def _doubles(rng, count):
    """Of all sizes, and those in the middle between two codes."""
    yield from (rng.random() * 2.0 ** rng.randint(-70, 5) for _ in range(count))
    yield from ((rng.randint(1, 1 << 16) + 0.5) * 2.0 ** rng.randint(-60, 0) for _ in range(count))
    yield from (5e-324, 1e-310, 1e-30, 11.0, 12.0, 1e299, 1e300, 1.7e308, 2.0 ** -1022)
    for bound in (softmax.SCALE_MIN, softmax.SCALE_MAX):
        yield from (bound, math.nextafter(bound, 0), math.nextafter(bound, 100))


def test_scales(driver):
    values = list(_doubles(Random(1), 3000))
    given = encoded(driver, load_config("hdp_tiny"), [("scale", x, 0) for x in values])
    for x, got in zip(values, given, strict=True):
        want = _expected(softmax.encode_scale, x)
        assert got[: len(want)] == want, x
    bad = encoded(driver, load_config("hdp_tiny"),
                  [("scale", x, 0) for x in (0.0, -1.0, float("inf"), float("nan"))])
    assert {one[0] for one in bad} == {-4}


def test_rho(driver):
    rng = Random(2)
    values = [rng.uniform(-1, 1) for _ in range(2000)] + [n / 256 for n in range(-255, 256)]
    values += [-0.999999, 0.999999, 0.0]
    given = encoded(driver, load_config("hdp_tiny"), [("rho", x, 0) for x in values])
    assert [one[:2] for one in given] == [(0, encode_rho(x)) for x in values]
    bad = encoded(driver, load_config("hdp_tiny"),
                  [("rho", x, 0) for x in (1.0, -1.0, float("nan"))])
    assert {one[0] for one in bad} == {-4}


def test_deltas(driver):
    config, rng = load_config("hdp_tiny"), Random(3)
    pairs = [(rng.random() * 10 ** rng.randint(-3, 4), rng.random() * 0.01 + 1e-9)
             for _ in range(2000)]
    pairs += [(n + 0.5, 2.0 ** -8) for n in range(50)] + [(float("inf"), 1.0), (0.0, 1.0)]
    given = encoded(driver, config, [("delta", *pair) for pair in pairs])
    assert [one[:2] for one in given] == [(0, encode_delta(*pair, config)) for pair in pairs]
    bad = encoded(driver, config, [("delta", -1.0, 1.0), ("delta", float("nan"), 1.0),
                                   ("delta", 1.0, 0.0)])
    assert {one[0] for one in bad} == {-4}


@pytest.mark.parametrize("name", ["leopard_tiny", "leopard_hp"])
def test_thresholds(driver, name):
    """Exact rationals, also where the quotient of two doubles would be rounded to an integer."""
    config, rng = load_config(name), Random(4)
    pairs = [(rng.uniform(-20, 20), 10 ** rng.uniform(-8, 1)) for _ in range(2000)]
    for _ in range(2000):
        scale, n = rng.random(), rng.randint(-3000, 3000)
        pairs += [(scale * n, scale), (np.nextafter(scale * n, np.inf), scale)]
    pairs += [(float("inf"), 1.0), (-float("inf"), 1.0), (0.0, 1.0), (5e-324, 1.0), (-5e-324, 1.0),
              (1e308, 5e-324), (-1e308, 5e-324), (5e-324, 1e308), (-0.0, 0.1)]
    given = encoded(driver, config, [("threshold", *pair) for pair in pairs])
    assert [one[:2] for one in given] == [
        (0, encode_threshold(float(t), float(s), config)) for t, s in pairs]
    bad = encoded(driver, config, [("threshold", float("nan"), 1.0), ("threshold", 1.0, -1.0)])
    assert {one[0] for one in bad} == {-4}
