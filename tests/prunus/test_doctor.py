# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about machines that lack something."""

import sys

import pytest

from prunus import doctor


def test_a_good_machine():
    pytest.importorskip("cocotb")
    assert doctor.missing("base") == []
    assert doctor.missing("sim") == []


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert any("apt-get install g++" in text for text in doctor.missing("sim"))
    assert doctor.missing("base") == []


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    for need in ("base", "sim"):
        assert any(text.startswith("this folder cannot be written, ")
                   and text.endswith(f"pip install {tmp_path}") for text in doctor.missing(need))


def test_no_venv(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert any("apt-get install python3-venv" in text for text in doctor.missing("base"))


def test_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert doctor.missing("base")[0].startswith("Python 3.11 or newer is needed")


def test_no_shared_library(monkeypatch):
    find_libpython = pytest.importorskip("find_libpython")
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert any(f"apt-get install libpython{version}" in text for text in doctor.missing("sim"))
