# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from prunus.hw.verilog.wasm import cache_environment


def test_a_home_that_can_be_written_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made" / "on demand"))
    with cache_environment() as env:
        assert env == dict(os.environ)


@pytest.mark.parametrize("home", ["read-only", "none"])
def test_another_folder_stands_in_for_a_home(monkeypatch, tmp_path, home):
    if home == "none":
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with cache_environment() as env:
        folder = Path(env["XDG_CACHE_HOME"])
        assert env["YOWASP_CACHE_DIR"] == str(folder)
        assert folder.is_dir() and tmp_path not in folder.parents
    assert not folder.exists()
