# SPDX-License-Identifier: Apache-2.0
"""Names that configurations may have."""

import re

import pytest

from prunus.golden.engines import ConfigError, load_config, preset_names
from prunus.golden.names import LONGEST, check_name


@pytest.mark.parametrize("name", ["x", "x1_2b", "objects", "core", "clk_2", "a" * LONGEST,
                                  *preset_names()])
def test_good(name):
    check_name(name)


@pytest.mark.parametrize(("name", "message"), [
    ("Big", "name must be a lower-case identifier, not 'Big'"),
    ("1x", "name must be a lower-case identifier, not '1x'"),
    ("x\n", "name must be a lower-case identifier, not 'x\\n'"),
    ("a" * (LONGEST + 1), f"name must have at most 41 characters, not '{'a' * 42}'"),
    ("x__csr", "name must have single underscores between its parts, as modules are called "
     "NAME__block, not 'x__csr'"),
    ("x_", "name must have single underscores between its parts, as modules are called "
     "NAME__block, not 'x_'"),
    ("module", "name must be none of SystemVerilog's words, not 'module'"),
    ("bit", "name must be none of SystemVerilog's words, not 'bit'"),
    ("clk", "name must be none of a port or of the top of a board, not 'clk'"),
    ("irq", "name must be none of a port or of the top of a board, not 'irq'"),
    ("m_axi_awid", "name must be none of a port or of the top of a board, not 'm_axi_awid'"),
    ("top", "name must be none of a port or of the top of a board, not 'top'"),
])
def test_bad(name, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_name(name)


def test_names_of_files(tmp_path):
    path = tmp_path / "clk.toml"
    path.write_text("")
    with pytest.raises(ConfigError, match="clk.toml': name must be none of a port "):
        load_config(path)
