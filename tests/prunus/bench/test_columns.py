# SPDX-License-Identifier: Apache-2.0
"""Figures of heads in which nothing is to be done, as tables show them."""

from types import SimpleNamespace

import numpy as np
import pytest

from prunus.bench import leopard, topk
from prunus.bench.columns import ratio
from prunus.bench.suites import suite_of
from prunus.golden.engines import engine_of, load_config
from prunus.golden.leopard.compute import LeopardJob
from prunus.golden.leopard.kind import LeopardStatus
from prunus.golden.records import Error
from prunus.golden.topk.compute import TopkJob

CODES = np.ones((4, 8), np.int64)
FIELDS = {"q": CODES, "k": CODES, "v": CODES, "scale": (1 << 15, 30), "valid_q": 0, "valid_kv": 0}


def simulation(cycles):
    return SimpleNamespace(
        registers={"cycles": cycles, "read_bytes": 64, "write_bytes": 64, "key_words": 0},
        results=[(np.zeros((4, 8)), LeopardStatus(done=True, error=Error.NONE))])


def test_ratio():
    assert (ratio(1, 2), ratio(1, 0), ratio(1, None)) == (0.5, None, None)


@pytest.mark.parametrize("name", ["leopard_tiny", "topk_tiny"])
def test_heads_of_padding(name):
    config = load_config(name)
    if config.engine == "topk":
        job = TopkJob(**FIELDS, top_k=1)
        case = topk.TopkCase(name="in/1", jobs=[job])
        row = topk._figures(case, config, simulation(80), simulation(120),
                            [engine_of(config).compute(job, config)])
    else:
        job = LeopardJob(**FIELDS, threshold=0)
        case = leopard.LeopardCase(name="in/0.5", jobs=[job], share=0.5, threshold=0.0)
        row = leopard.figures(case, config, simulation(80), simulation(120),
                              [engine_of(config).compute(job, config).summary()], None)
    texts = {column.title: column.text(row) for column in suite_of(config).columns(config)}
    assert (texts["survive"], texts["steady / bound"], texts["steady"]) == ("-", "-", "40")
