# SPDX-License-Identifier: Apache-2.0
"""A wheel, installed into an environment of its own and used far from the repository."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engines import preset_names
from prunus.sim.simulators.cache import ROOT, build_root

pytestmark = pytest.mark.slow

HEADS = ROOT / "examples" / "minilm_sentence.npz"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
                   cwd=ROOT, check=True, capture_output=True)
    path, = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel. The packages that it needs are those of this environment."""
    folder = tmp_path_factory.mktemp("an environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet",
                    "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)],
                   check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # Lines of paths are added as they are: the link to this repository, a .pth file, is not read.
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin" / "prunus"


def prunus(installed: Path, cwd: Path, *arguments) -> str:
    """What the command prints, without an environment that could help it."""
    done = subprocess.run([installed, *map(str, arguments)], cwd=cwd, capture_output=True,
                          text=True, env={"PATH": os.environ["PATH"], "HOME": str(cwd),
                                          "PRUNUS_BUILD": str(build_root())})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_one_namespace(wheel):
    """Nothing but prunus is installed, and nothing of the tests."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"prunus"}
    assert not [name for name in names if "test" in name.lower() or name.endswith(".pyc")]


def test_all_modules_and_data_are_there(wheel):
    """Those that git knows of, in their places."""
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.splitlines()
    rooms = ("configs/", "examples/", "formal/", "golden/", "host/", "hw/", "prunus/", "sim/",
             "sw/")
    links = "120000"
    files = {name for mode, name in ((line.split()[0], line.split("\t")[1]) for line in listed)
             if name.startswith(rooms) and mode != links}
    packed = {name if not name.startswith("prunus/") else name.removeprefix("prunus/")
              for name in zipfile.ZipFile(wheel).namelist()}
    assert {name.removeprefix("prunus/") for name in files} <= packed


def test_presets(installed, tmp_path):
    assert [one["name"] for one in json.loads(prunus(installed, tmp_path, "presets", "--json"))] \
        == preset_names()


def test_it_is_the_wheel_that_runs(installed, tmp_path):
    script = "import prunus.golden; print(*prunus.golden.__path__)"
    done = subprocess.run([installed.with_name("python"), "-c", script], cwd=tmp_path, env={},
                          capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


def test_verilog(installed, tmp_path):
    prunus(installed, tmp_path, "verilog", "hdp_tiny", "-o", "out")
    assert (tmp_path / "out" / "hdp_tiny.v").stat().st_size > 100_000
    assert json.loads((tmp_path / "out" / "hdp_tiny.json").read_text("utf-8"))["name"] == "hdp_tiny"


@pytest.mark.parametrize("config", ["hdp_tiny", "leopard_tiny"])
def test_run(installed, tmp_path, config):
    """Both backends, with the same output."""
    for backend in ("golden", "verilator"):
        prunus(installed, tmp_path, "run", HEADS, f"{backend}.npz", "--config", config,
               "--backend", backend)
    outputs = [np.load(tmp_path / f"{backend}.npz")["out"] for backend in ("golden", "verilator")]
    np.testing.assert_array_equal(*outputs)
    assert outputs[0].any()


def test_energy_and_digits(installed, tmp_path):
    """On the examples of the wheel."""
    machines = json.loads(prunus(installed, tmp_path, "energy", "--json"))["machines"]
    assert {one["heads"] for one in machines} == {"minilm_sentence", "vit_patches"}
    assert {one["heads"] for one in json.loads(prunus(installed, tmp_path, "digits", "--json"))} \
        == {"minilm_sentence", "vit_patches"}


def test_boards_are_listed(installed, tmp_path):
    assert "ulx3s_85f" in prunus(installed, tmp_path, "fpga")
