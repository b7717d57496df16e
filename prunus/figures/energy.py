# SPDX-License-Identifier: Apache-2.0
"""Figures of the estimate of energy."""

from collections.abc import Sequence

from prunus.golden.energy import GROUPS, Costs
from prunus.golden.engines import load_config, load_config_of
from prunus.golden.leopard.config import LeopardConfig

from ..commands.energy import Settings, measure
from .figure import Figure, Heads, table

__all__ = ["FIGURES"]

FILES = ("minilm_sentence", "vit_patches", "minilm_l128_layer1", "vit_257_layer6")
MACHINES = ("hdp_edge", "leopard_ae", "topk_edge")
BASE = "leopard_base"
SHARE = 0.75
ON_CHIP = tuple(group for group in GROUPS if group != "dram")
TITLES = {"values": "P.V", "memory": "on-chip memory"}


def _measure(heads: Heads) -> list[dict]:
    """As ``prunus energy --fill``."""
    costs = Costs.load()
    configs = [load_config(name) for name in MACHINES]
    settings = Settings(base=load_config_of(LeopardConfig, BASE), share=SHARE, fill=True)
    return [{"file": name, "machine": m.machine, "picojoules": m.picojoules,
             "on_chip": m.on_chip, "against": m.against}
            for name, path in heads.of(FILES) for m in measure(path, configs, settings, costs)]


def _table(rows: Sequence[dict]) -> str:
    return table(
        ["heads", "machine", *(TITLES.get(group, group) for group in ON_CHIP), "on chip",
         "unpruned / it"],
        [[row["file"], row["machine"],
          *(f"{row['picojoules'][group] / 1000:,.0f}" for group in ON_CHIP),
          f"{row['on_chip'] / 1000:,.0f}", f"{row['against']:.2f}x"] for row in rows])


FIGURES = [Figure(name="energy", about="estimated energy of heads, by machine", measure=_measure,
                  table=_table, files=FILES, configs=(*MACHINES, BASE))]
