# SPDX-License-Identifier: Apache-2.0
"""`prunus image`: what it writes, and results that it reads back."""

import json
import shutil
import subprocess
from contextlib import closing
from dataclasses import asdict

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.engines import front_of
from prunus.engines.hdp import Options
from prunus.export.image import read_hex
from prunus.golden.engines import engine_of, load_config
from prunus.golden.errors import InputError
from prunus.golden.image import Image, build_image, relocated
from prunus.golden.records import DESCRIPTOR_BYTES
from prunus.run import run_golden
from prunus.sim.engines import random_jobs
from prunus.sim.served import ServedSimulation
from tests.prunus.test_cli import EXAMPLE, prunus
from tests.sim.served import ServedRegisters

BASE = 0x1234_5000
OPTIONS = {"hdp": ["--rho", "0.3"], "leopard": ["--threshold", "0.5"], "topk": ["--top-k", "4"]}
CHOSEN = {"hdp": Options(rho=0.3), "leopard": 0.5, "topk": 4}
BY_CONFIG = pytest.mark.parametrize("name", ["hdp_tiny", "hdp_quad", "leopard_tiny", "topk_edge"])


def jobs_of(config):
    return front_of(config).load_jobs(EXAMPLE, config, CHOSEN[config.engine])


def written(data, about, config):
    """Memory as the RTL leaves it, of golden's outputs and records."""
    memory, jobs = bytearray(data), jobs_of(config)
    done = run_golden(jobs, config)
    for head, job, (out, status) in zip(about["heads"], jobs, done.outputs, strict=True):
        kind = engine_of(config).kind(job)
        layout = kind.layout(config)
        for at, raw in ((head["out"], layout.pack_bits(out, config.out_width).tobytes()),
                        (head["status"], kind.status.pack(asdict(status)).tobytes())):
            at -= about["base"]
            memory[at : at + len(raw)] = raw
    return bytes(memory), done


def made(capfd, path, config, *more):
    code, out, err = prunus(capfd, "image", EXAMPLE, "-o", path, "--config", config.name, "--base",
                            hex(BASE), *OPTIONS[config.engine], *more)
    assert (code, err) == (0, "")
    return out


def hex_of(data, beat):
    return "\n".join(data[at : at + beat][::-1].hex() for at in range(0, len(data), beat))


def test_wide_addresses(capfd, tmp_path):
    """Descriptors of 128 bytes, a register more, and numbers of 64 bits in C."""
    (tmp_path / "far.toml").write_text(
        'engine = "topk"\nwidth = 8\nd_max = 64\nl_max = 64\nk_max = 8\naxi_address_width = 48\n',
        encoding="utf-8")
    config, base = load_config(tmp_path / "far.toml"), 0x1234_5678_9A80
    jobs = jobs_of(config)
    for kind in ("bin", "c"):
        code, _, err = prunus(capfd, "image", EXAMPLE, "-o", tmp_path / f"all.{kind}", "--config",
                              tmp_path / "far.toml", "--base", hex(base), "--top-k", "4")
        assert (code, err) == (0, "")
    data = (tmp_path / "all.bin").read_bytes()
    about = json.loads((tmp_path / "all.bin.json").read_text("utf-8"))
    assert data == relocated(build_image(jobs, config), config, base)
    assert about["registers"][:2] == [{"name": "table", "address": 0x1C, "value": 0x5678_9A80},
                                      {"name": "table_high", "address": 0xA0, "value": 0x1234}]
    assert [head["descriptor"] - base for head in about["heads"]] == [
        128 * n for n in range(len(jobs))]
    for head in about["heads"]:
        words = np.frombuffer(data[head["descriptor"] - base :][:128], "<u4").astype(np.uint64)
        assert (words[11] | words[27] << np.uint64(32)) == head["out"] > base
    text = (tmp_path / "all.c").read_text("utf-8")
    assert "const uint64_t far_image_table = 0x123456789A80;" in text
    code, _, err = prunus(capfd, "image", EXAMPLE, "-o", tmp_path / "x.bin", "--config",
                          tmp_path / "far.toml", "--base", "0x40", "--top-k", "4")
    assert (code, err) == (2, "error: --base must be a multiple of 128 below 0x1000000000000, such "
                              "as 0x40000000, not '0x40'\n")


@BY_CONFIG
@pytest.mark.parametrize("kind", ["hex", "bin"])
def test_round_trip(capfd, tmp_path, name, kind):
    config = load_config(name)
    about = json.loads(made(capfd, tmp_path / "all", config, "--format", kind, "--json"))
    assert json.loads((tmp_path / "all.json").read_text("utf-8")) == about
    raw, beat = (tmp_path / "all").read_bytes(), config.axi_data_width // 8
    order, table = engine_of(config).arrange(jobs_of(config), config)
    want = relocated(build_image(table, config), config, BASE)
    data = raw if kind == "bin" else read_hex(raw, len(want), beat)
    assert data == want and len(data) == about["bytes"]
    memory, done = written(data, about, config)
    dump = tmp_path / "dump"
    dump.write_bytes(memory + bytes(99) if kind == "bin" else hex_of(memory, beat).encode())
    made(capfd, tmp_path / "out.npz", config, "--format", kind, "--read", dump)
    code, _, _ = prunus(capfd, "run", EXAMPLE, tmp_path / "want.npz", "--config", name,
                        *OPTIONS[config.engine])
    assert code == 0
    with np.load(tmp_path / "out.npz") as got, np.load(tmp_path / "want.npz") as wanted:
        assert set(got) == set(wanted)
        for array in wanted:
            assert_array_equal(got[array], wanted[array])
        assert got["out"].any()


def test_addresses(capfd, tmp_path):
    """Those of the description are those of the descriptors, and registers are golden's."""
    config = load_config("leopard_tiny")
    about = json.loads(made(capfd, tmp_path / "all.bin", config, "--json"))
    data = (tmp_path / "all.bin").read_bytes()
    assert about["registers"] == [
        {"name": "table", "address": 0x1C, "value": BASE},
        {"name": "irq_enable", "address": 0x14, "value": 1},
        {"name": "doorbell", "address": 0x20, "value": 12}]
    for head in about["heads"]:
        at = head["descriptor"] - BASE
        words = np.frombuffer(data[at : at + DESCRIPTOR_BYTES], "<u4")
        assert list(words[[6, 8, 10, 11, 12]]) == [
            *head["planes"].values(), head["out"], head["status"]]
        assert min(words[[6, 8, 10, 11, 12]]) >= BASE


def test_a_folder_and_names(capfd, tmp_path):
    config = load_config("hdp_tiny")
    assert f"image: {tmp_path}/hdp_tiny.hex, " in made(capfd, tmp_path, config)
    for name in ("x.bin", "y.c"):
        made(capfd, tmp_path / name, config)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}{more}" for name in ("hdp_tiny.hex", "x.bin", "y.c") for more in ("", ".json")}
    assert (tmp_path / "x.bin").read_bytes()[0] == 1
    assert (tmp_path / "y.c").read_text("utf-8").startswith("/*")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")
def test_c(capfd, tmp_path):
    """The array has the bytes of the binary, and the C file no warnings."""
    config = load_config("topk_edge")
    about = json.loads(made(capfd, tmp_path / "image.c", config, "--json"))
    made(capfd, tmp_path / "image.bin", config)
    main = tmp_path / "main.c"
    main.write_text('#include <stdio.h>\n#include "image.c"\nint main(void)\n{\n'
                    "    fwrite(topk_edge_image, 1, topk_edge_image_bytes, stdout);\n"
                    '    fprintf(stderr, "%u %u %u %u %u", topk_edge_image_base, '
                    "topk_edge_image_table, topk_edge_image_jobs,\n"
                    "            topk_edge_image_out[11], topk_edge_image_status[11]);\n"
                    "    return 0;\n}\n", encoding="utf-8")
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", str(main), "-o",
                    str(tmp_path / "main")], check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True)
    assert done.stdout == (tmp_path / "image.bin").read_bytes()
    last = about["heads"][11]
    assert [*map(int, done.stderr.split())] == [BASE, BASE, 12, last["out"], last["status"]]


def test_the_simulated_memory(capfd, tmp_path):
    """A testbench that does what the description says, and whose memory is read back."""
    config, size = load_config("hdp_tiny"), 1 << 16
    about = json.loads(made(capfd, tmp_path / "all.bin", config, "--json"))
    memory = tmp_path / "memory.bin"
    memory.write_bytes((tmp_path / "all.bin").read_bytes().ljust(size, b"\0"))
    with (ServedSimulation(config, memory, BASE) as served,
          closing(ServedRegisters(served.port)) as registers):
        for entry in about["registers"]:
            registers.write(entry["address"], entry["value"])
        registers.wait()
    assert "heads: 12" in made(capfd, tmp_path / "out.npz", config, "--read", memory)
    with np.load(tmp_path / "out.npz") as data:
        assert_array_equal(data["out"], [out for out, _ in run_golden(
            jobs_of(config), config).outputs])
        assert data["out"].any()


# -- dumps --------------------------------------------------------------------------------------
def test_a_dump_of_writememh():
    """Comments, addresses in words, short words, and unknown ones behind the image."""
    text = "// 0x00000000\n@1\n0011 /* two */\n@0\nFFEEDDCC_BBAA9988\n@2 xxxxxxxxxxxxxxxx zz\n"
    assert read_hex(text.encode(), 16, 8) == bytes.fromhex("8899AABBCCDDEEFF1100000000000000")


@pytest.mark.parametrize(("text", "said"), [
    ("00", "the dump must have the 16 bytes of the image, not 8"),
    ("00 xx", "a word of the dump must be 16 hexadecimal digits, a beat, not 'xx' for the one "
     "at 0x8 of the image"),
    ("00112233445566778 0", "not '00112233445566778' for the one at 0x0"),
    ("@zz 0 0", "an address of the dump must be hexadecimal, not '@zz'"),
    ("ü", "the dump must be text of .writememh, and is none"),
])
def test_bad_dumps(text, said):
    with pytest.raises(InputError, match=said):
        read_hex(text.encode(), 16, 8)


def test_what_was_not_run_or_is_wrong(capfd, tmp_path):
    config = load_config("hdp_tiny")
    about = json.loads(made(capfd, tmp_path / "all.bin", config, "--json"))
    data = (tmp_path / "all.bin").read_bytes()
    memory, _ = written(data, about, config)
    place = about["heads"][2]["out"] - BASE
    spoilt = bytearray(memory)
    spoilt[place] ^= 1
    cases = {"fresh.bin": (data, 1, "head 0: the coprocessor reports no status record"),
             "spoilt.bin": (spoilt, 1, "head 2: the output in the dump is not that of the spec"),
             "short.bin": (memory[:-1], 2, f"the dump must have the {len(data)} bytes of the "
                           f"image, not {len(data) - 1}"),
             "other.bin": (memory[64:] + bytes(64), 2, "must have the descriptors of this image"),
             "some.c": (memory, 2, "--read takes a dump of --format hex or bin, not c")}
    for name, (contents, wanted, said) in cases.items():
        (tmp_path / name).write_bytes(contents)
        code, out, err = prunus(capfd, "image", EXAMPLE, "-o", tmp_path / "out.npz", "--config",
                                "hdp_tiny", "--base", hex(BASE), "--rho", "0.3", "--read",
                                tmp_path / name)
        assert (code, out, err.count("\n")) == (wanted, "", 1)
        assert said in err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(("more", "said"), [
    (["--base", "100"], "--base must be a multiple of 64 below 0x100000000, such as 0x40000000, "
     "not '100'"),
    (["--base", "-64"], "not '-64'"),
    (["--base", "x"], "not 'x'"),
    (["--base", "0xffffff00"], "--base must be a multiple of 64 in 0..0xffff"),
    (["--top-k", "3"], "--top-k is an option of engine topk"),
    (["--read", "/dev/none"], "dump '/dev/none' cannot be read: No such file"),
    (["--format", "mif"], "'mif' is not one of 'hex', 'bin', 'c'"),
])
def test_bad_options(capfd, tmp_path, more, said):
    code, out, err = prunus(capfd, "image", EXAMPLE, "-o", tmp_path / "out", "--config", "hdp_tiny",
                            *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not list(tmp_path.iterdir())


def test_files_in_the_way(capfd, tmp_path):
    (tmp_path / "x.hex.json").mkdir()
    code, _, err = prunus(capfd, "image", EXAMPLE, "-o", tmp_path / "x.hex", "--config", "hdp_tiny")
    assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "x.hex").exists()
    code, _, err = prunus(capfd, "image", EXAMPLE, "--config", "hdp_tiny")
    assert code == 2 and "-o" in err


# -- golden's part ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny", "topk_tiny"])
def test_only_addresses_move(name):
    config = load_config(name)
    jobs = random_jobs(config, 4, seed=9)
    image = build_image(jobs, config)
    moved, kind = relocated(image, config, BASE), engine_of(config).kinds[0]
    assert relocated(image, config, 0) == bytes(image.data)
    places = set(kind.addresses)
    for n in range(len(jobs)):
        at = image.table + n * DESCRIPTOR_BYTES
        before, after = (kind.descriptor.unpack(bytes(data[at : at + DESCRIPTOR_BYTES]))
                         for data in (image.data, moved))
        assert {name for name in before if after[name] != before[name]} == places
        assert {after[name] - before[name] for name in places} == {BASE}
    end = image.table + len(jobs) * DESCRIPTOR_BYTES
    assert moved[end:] == bytes(image.data[end:])


@pytest.mark.parametrize("base", [32, -64, 1 << 32, (1 << 32) - 64])
def test_an_image_out_of_reach(base):
    image = Image(data=bytearray(128))
    with pytest.raises(ValueError, match="^base must be a multiple of 64 in 0..0xffffff80, as the "
                                         "image takes 128 bytes, not "):
        relocated(image, load_config("hdp_tiny"), base)
