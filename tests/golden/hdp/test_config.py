# SPDX-License-Identifier: Apache-2.0
"""Presets, files and contradictions; every derived width holds its extreme value."""

import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from prunus.golden.engines import ENGINES, ConfigError, load_config, preset_names
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.softmax import EXP_FRAC

PRESETS = [load_config(name) for name in preset_names("hdp")]
LEOPARD = [load_config(name) for name in preset_names("leopard")]
by_name = pytest.mark.parametrize("config", PRESETS, ids=lambda c: c.name)


def fits_signed(value, bits):
    return -(1 << (bits - 1)) <= value < 1 << (bits - 1)


def test_presets():
    assert preset_names("hdp") == ["hdp_ecp5", "hdp_edge", "hdp_fine", "hdp_fine_tiny",
                                   "hdp_long", "hdp_mid", "hdp_own_tiny", "hdp_quad", "hdp_server",
                                   "hdp_small", "hdp_tiles", "hdp_tiny", "hdp_w12", "heat_tiny"]
    assert preset_names("leopard") == ["leopard_ae", "leopard_base", "leopard_ecp5", "leopard_edge",
                                       "leopard_hp", "leopard_small", "leopard_tiny"]
    assert preset_names("topk") == ["topk_edge", "topk_tiny"]
    assert preset_names() == [name for engine in ENGINES for name in preset_names(engine)]
    assert [config.name for config in PRESETS] == preset_names("hdp")
    assert [config.name for config in LEOPARD] == preset_names("leopard")
    ecp5, edge, fine, fine_tiny, long, mid, own_tiny, quad = PRESETS[:8]
    tiny = load_config("hdp_tiny")
    rounded = {"frac": 3, "digits": "rounded"}
    assert edge.linear
    edge = edge.model_copy(update={"linear": False})
    assert fine == edge.model_copy(update={"name": "hdp_fine", **rounded})
    assert fine_tiny == tiny.model_copy(update={"name": "hdp_fine_tiny", **rounded})
    assert own_tiny == tiny.model_copy(update={"name": "hdp_own_tiny", "value_array": "own"})
    assert (own_tiny.arrays, tiny.arrays) == (2, 1)
    assert own_tiny.multipliers == own_tiny.all_multipliers == tiny.all_multipliers
    assert (long.l_max, long.tile, long.held_rows, long.blocks) == (4096, 128, 128, 64)
    assert edge.held_rows == edge.l_max
    assert (edge.width, edge.frac, edge.taps, edge.d_max, edge.l_max) == (8, 4, 8, 64, 512)
    assert ecp5 == edge.model_copy(update={"name": "hdp_ecp5", "multipliers": 64, "linear": False,
                                           "integer_span": 32, "value_array": "own"})
    assert mid == edge.model_copy(update={"name": "hdp_mid", "l_max": 256})
    assert (quad.cores, quad.multipliers, quad.all_multipliers) == (4, 32, 128)


@pytest.mark.parametrize(("multipliers", "span", "group"), [
    (8, 64, 1), (8, 32, 1), (32, 32, 1), (64, 64, 1), (64, 32, 2), (128, 64, 2), (128, 32, 4),
    (256, 32, 8)])
def test_blocks_of_an_integer_operation(multipliers, span, group):
    assert HdpConfig(name="a", multipliers=multipliers, integer_span=span).group == group


def test_linear_jobs_have_no_groups():
    with pytest.raises(ValueError, match="integer_span must be 64 with linear, not 32"):
        HdpConfig(name="a", multipliers=64, linear=True, integer_span=32)
    assert HdpConfig(name="a", multipliers=64, linear=True, value_array="own").own_values


def test_the_page_has_every_parameter():
    page = (Path(__file__).parents[3] / "docs" / "interfaces.md").read_text(encoding="utf-8")
    rows = {name for line in page.splitlines() if line.startswith("| `")
            for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    for config in (PRESETS[0], LEOPARD[0], load_config("topk_tiny")):
        assert set(type(config).model_fields) - {"name", "description"} <= rows


def test_presets_of_leopard():
    ae, base, ecp5, edge, hp, small, tiny = LEOPARD
    assert [(c.width, c.digit, c.dpus, c.digits, c.d_max, c.l_max, c.pruning)
            for c in (ae, hp, base)] == [
        (12, 2, 6, 6, 64, 512, True), (12, 2, 8, 6, 64, 512, True), (12, 12, 1, 1, 64, 512, False)]
    assert ae.score_width == ae.threshold_width == 30
    assert [(c.taps, c.chunks) for c in LEOPARD] == [
        (64, 1), (64, 1), (64, 1), (16, 4), (64, 1), (8, 4), (32, 1)]
    assert (ecp5.dpus, ecp5.l_max, ecp5.axi_data_width) == (6, 256, 64)
    assert edge == ecp5.model_copy(update={"name": "leopard_edge", "dpus": 8, "taps": 16})
    assert (small.width, small.dpus, small.d_max, small.l_max) == (8, 1, 32, 32)
    assert (tiny.width, tiny.d_max, tiny.l_max) == (8, 32, 32)


@pytest.mark.parametrize(("fields", "taps", "chunks"), [
    ({}, 64, 1), ({"d_max": 128}, 64, 2), ({"d_max": 40}, 40, 1), ({"d_max": 8}, 8, 1),
    ({"d_max": 128, "taps": 128}, 128, 1), ({"d_max": 40, "taps": 16}, 16, 3)])
def test_taps_of_leopard(fields, taps, chunks):
    config = LeopardConfig(name="t", **fields)
    assert (config.taps, config.chunks) == (taps, chunks)
    assert LeopardConfig(**config.model_dump()) == config


@pytest.mark.parametrize(("fields", "message"), [
    ({"taps": 72}, "taps must be at most d_max, which is 64, not 72"),
    ({"taps": 64, "d_max": 40}, "taps must be at most d_max, which is 40, not 64"),
    ({"taps": 12}, "multiple of 8"), ({"taps": 0}, "greater than or equal to 8"),
    ({"taps": 136, "d_max": 128}, "less than or equal to 128"),
    ({"d_max": 12}, "d_max\n  Input should be a multiple of 8"),
])
def test_taps_of_leopard_that_do_not_fit(fields, message):
    with pytest.raises(ValidationError, match=message):
        LeopardConfig(name="t", **fields)


@pytest.mark.parametrize("config", [*LEOPARD, LeopardConfig(name="a", width=16, d_max=128),
                                    LeopardConfig(name="b", width=4, digit=3, d_max=8, l_max=2)],
                         ids=lambda c: c.name)
def test_widths_of_leopard_hold_the_extremes(config):
    code = 1 << (config.width - 1)
    score, limit = config.d_max * code**2, 1 << (config.threshold_width - 1)
    assert fits_signed(score, config.score_width)
    assert -limit <= -score and score < limit - 1
    assert config.l_max << EXP_FRAC < 1 << config.denominator_width
    assert fits_signed(-(config.l_max * code << EXP_FRAC), config.accumulator_width)
    assert config.width + config.out_frac + 1 <= config.out_width
    assert 0 <= config.padded_width - config.width < config.digit


@by_name
def test_widths_hold_the_extremes(config):
    whole, code = 1 << (config.int_width - 1), 1 << (config.width - 1)
    int_score, score = config.d_max * whole**2, config.d_max * code**2
    assert fits_signed(int_score, config.int_score_width)
    assert fits_signed(score, config.score_width)
    assert 4 * int_score < 1 << config.theta_width
    assert 4 * int_score * (config.l_max // 2) ** 2 < 1 << config.theta_head_width
    assert config.l_max < 1 << config.length_width
    assert config.blocks - 1 < 1 << config.block_width
    assert config.l_max << EXP_FRAC < 1 << config.denominator_width
    assert fits_signed(-config.held_rows * code, config.column_sum_width)
    # Weights lie in -2**EXP_FRAC..2**EXP_FRAC, and the background adds as much once more.
    assert fits_signed(-(config.l_max * code << EXP_FRAC), config.accumulator_width)
    assert config.width + config.out_frac + 1 <= config.out_width


def test_a_file_gives_its_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("d_max = 32\n")
    config = load_config(path)
    assert (config.name, config.d_max, config.width) == ("mine", 32, 8)


@pytest.mark.parametrize(("text", "message"), [
    ("width = 9", "width: Input should be 8 or 12, not 9"),
    ("multipliers = 7", "multipliers: Input should be 8, 16, 32, 64, 128 or 256, not 7"),
    ("d_max = 60", "d_max: Input should be a multiple of 8, not 60"),
    ("l_max = 2048", "l_max must be at most 1024 without tile, not 2048"),
    ("l_max = 8192\ntile = 128", "l_max: Input should be less than or equal to 4096, not 8192"),
    ("l_max = 64\ntile = 64", "tile must be below l_max 64, not 64"),
    ("tile = 48", "tile: Input should be 8, 16, 32, 64, 128, 256, 512 or 1024, not 48"),
    ('engine = "leopard"\ntile = 64', "tile: Input should be None, not 64"),
    ("widht = 8", "widht: Extra inputs are not permitted, not 8"),
    ('d_max = "64"', "d_max: Input should be a valid integer, not '64'"),
    ("width = 8\nfrac = 8", "frac must leave an integer part of 1 to 8 bits of width 8, not 8"),
    ('width = 8\nfrac = 7\ndigits = "rounded"', "frac must leave rounded digits an integer part of "
     "2 bits or more of width 8, not 7"),
    ('digits = "floored"', "digits: Input should be 'truncated' or 'rounded', not 'floored'"),
    ("width = 12\nfrac = 3", "frac must leave an integer part of 1 to 8 bits of width 12, not 3"),
    ('name = "Bad Name"', "name must be a lower-case identifier, not 'Bad Name'"),
    ("multipliers = 8\noutput_lanes = 4", "output_lanes must be at most 2, the dimensions that"),
    ("cores = 3", "cores: Input should be 1, 2, 4 or 8, not 3"),
    ("axi_data_width = 32", "axi_data_width: Input should be 64, 128, 256 or 512, not 32"),
    ("axi_address_width = 33", "axi_address_width: Input should be 32, 40, 48 or 64, not 33"),
    ("axi_prot = 8", "axi_prot: Input should be less than or equal to 7, not 8"),
    ("axi_cache = 4", "axi_cache: Input should be 0, 1, 2, 3, 6, 7, 10, 11, 14 or 15, not 4"),
    ("axi_qos = -1", "axi_qos: Input should be greater than or equal to 0, not -1"),
    ("width = ", "is not TOML"),
    ('engine = "paper"', "engine must be one of hdp, leopard, topk, not 'paper'"),
    ("engine = [1]", "engine must be one of hdp, leopard, topk, not [1]"),
    ('engine = "leopard"\nwidth = 17', "width: Input should be less than or equal to 16, not 17"),
    ('engine = "leopard"\ndigit = 5', "digit must be 1 to 4, or the width 12 for full-width units, "
     "not 5"),
    ('engine = "leopard"\nfrac = 4', "frac: Extra inputs are not permitted, not 4"),
    ('engine = "leopard"\nname = "7"', "name must be a lower-case identifier, not '7'"),
    ("dpus = 6", "dpus: Extra inputs are not permitted, not 6"),
])
def test_bad_files_say_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path)


def test_unknown_and_unreadable(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(
            f"config must be a TOML file or one of {', '.join(preset_names())}, not 'hdp_huge'")):
        load_config("hdp_huge")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "none.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(np.arange(128, 256, dtype=np.uint8).tobytes())
    with pytest.raises(ConfigError, match="cannot be read: not UTF-8 text"):
        load_config(path)


def test_the_engine_that_is_needed():
    assert load_config("hdp_tiny", engine="hdp").engine == "hdp"
    assert isinstance(load_config("leopard_ae", engine="leopard"), LeopardConfig)
    with pytest.raises(ConfigError, match=re.escape(
            "config must be one of engine hdp here, and 'leopard_ae' is of engine leopard")):
        load_config("leopard_ae", engine="hdp")


def test_a_configuration_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        PRESETS[0].width = 12
    assert HdpConfig(name="a") == HdpConfig(name="a")


def test_a_description_is_for_people(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('description = "for my board"\nmultipliers = 8\n')
    mine = load_config(path)
    path.write_text("multipliers = 8\n")
    plain = load_config(path)
    assert (mine.description, plain.description) == ("for my board", "")
    assert mine == plain and hash(mine) == hash(plain)
    assert mine.model_dump() == plain.model_dump() and "description" not in mine.model_dump_json()
    assert mine != plain.model_copy(update={"multipliers": 16})


def test_a_description_is_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('description = "two\\nlines"\n')
    with pytest.raises(ConfigError, match=r"description must be one line of printable text, not "):
        load_config(path)
