# SPDX-License-Identifier: Apache-2.0
"""The benches of docs/bench: pages that ``prunus bench`` writes, and their data."""

from collections.abc import Callable
from functools import partial

from prunus.golden.engines import load_config

from ..bench import plot
from ..bench.suites import suite_of
from .figure import RTL, Compared, Figure, Heads

__all__ = ["FIGURES"]

CAPTURED = {"hdp_edge": ("minilm_l128_layer1", "minilm_l256_layer4", "minilm_sentence_layer3",
                         "vit_257_layer6", "vit_50_layer3"),
            "leopard_ae": ("minilm_l128_layer1", "vit_257_layer6"),
            "leopard_hp": ("minilm_l128_layer1", "vit_257_layer6"), "topk_edge": ()}
PLOT = "speedup.svg"


def _measure(name: str, heads: Heads) -> dict:
    """As ``prunus bench`` with the captured layers that this bench has."""
    config = load_config(name)
    suite, paths = suite_of(config), [path for _, path in heads.of(CAPTURED[name])]
    work = suite.choose(config, data=paths, quick=False, wanted=None)
    rows, simulation = suite.measure(work, config, False, None)
    return suite.document(work, rows, simulation, config, command(name))


def command(name: str) -> str:
    """That writes the files of a bench."""
    data = [word for stem in CAPTURED[name] for word in ("--data", f"{stem}.npz")]
    return " ".join(["prunus", "bench", "--config", name, *data])


def _page(name: str, bench: dict) -> str:
    config = load_config(name)
    suite = suite_of(config)
    return suite.markdown(bench, config, [PLOT] if PLOT in suite.plot_names() else [])


def _plots(name: str, bench: dict) -> dict[str, Callable]:
    """What writes the pictures in the page, where matplotlib is there."""
    return suite_of(load_config(name)).plots(bench) if plot.available() else {}


FIGURES = [
    Figure(name=f"bench_{name}", about=f"the bench of {name}", measure=partial(_measure, name),
           table=partial(_page, name), files=CAPTURED[name], tools=RTL, configs=(name,),
           compared=Compared.COMMAND if CAPTURED[name] else Compared.LARGE,
           page=f"docs/bench/{page}.md", plots=partial(_plots, name),
           bench=f"docs/bench/{page}.json")
    for name, page in (("hdp_edge", "bench"), ("leopard_ae", "leopard_ae"),
                       ("leopard_hp", "leopard_hp"), ("topk_edge", "topk_edge"))]
