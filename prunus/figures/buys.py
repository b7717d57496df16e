# SPDX-License-Identifier: Apache-2.0
"""What pruning buys: per multiplier, LUT, square millimetre and joule, on the same heads."""

from collections.abc import Sequence

from .figure import Compared, Figure, Heads, table
from .power import TOOLS, Stage, run
from .sizes import area

__all__ = ["FIGURES", "per"]

FILE = "vit_patches"
STAGES = tuple(Stage(config, mode) for config, modes in (
    ("hdp_edge", ("pruned", "dense")), ("hdp_ecp5", ("pruned", "dense")),
    ("leopard_ae", ("pruned", "baseline")), ("topk_edge", ("pruned", "baseline")))
    for mode in modes)
PRESETS = tuple(dict.fromkeys(stage.config for stage in STAGES))
# Multipliers of 8 or 12 bits, those of digits as the whole ones that they are the parts of.
MULTIPLIERS = {"hdp_edge": 32, "hdp_ecp5": 128, "leopard_ae": 128, "topk_edge": 128}
GATE_UM2 = 7.2576       # NAND2 of SG13G2
# ITA (arXiv 2307.03493): dense, 8 bits. 22 nm: 5.93 TOPS/mm2 of 1,024 multiply-accumulates, NAND2
# of 0.199 um2; on an FPGA 73,000 LUT6 and 1,145 DSP blocks.
ITA = {"macs": 1024, "mm2": 0.173, "gate_um2": 0.199, "lut6": 73_000, "dsp": 1_145}
LUT4_PER_LUT6 = 1.5     # an assumption, as is:
LUT6_PER_DSP = 70


def _measure(heads: Heads) -> list[dict]:
    luts = {config: area(config)["total"] for config in PRESETS}
    return [run(stage, path, None) | {"ecp5": luts[stage.config]}
            for _, path in heads.of((FILE,)) for stage in STAGES]


def per(row: dict) -> dict[str, float]:
    """Multiply-accumulates of dense attention that a run replaces: in a cycle, and that over what
    the machine is made of; picojoules for each."""
    done = row["nj_per_head"] * 1e3 / row["pj_per_dense_product"] * row["heads"] / row["cycles"]
    logic = row["area_um2"]["logic"]
    lut = row["ecp5"]["lut"] + LUT4_PER_LUT6 * LUT6_PER_DSP * row["ecp5"]["dsp"]
    return {"macs": done, "multiplier": done / MULTIPLIERS[row["config"].removesuffix("_baseline")],
            "lut": done / lut * 1e3, "gates": done / (logic / GATE_UM2) * 1e6,
            "mm2": done / sum(row["area_um2"].values()) * 1e6, "pj": row["pj_per_dense_product"]}


def _ita() -> dict[str, float]:
    lut = LUT4_PER_LUT6 * (ITA["lut6"] + LUT6_PER_DSP * ITA["dsp"])
    return {"macs": ITA["macs"], "multiplier": 1.0, "lut": ITA["macs"] / lut * 1e3,
            "gates": ITA["macs"] / (ITA["mm2"] * 1e6 / ITA["gate_um2"]) * 1e6}


def _table(rows: Sequence[dict]) -> str:
    lines = []
    for row in rows:
        got = per(row)
        lines.append([row["stage"], f"{row['kept']:.0%}", f"{row['cycles']:,}",
                      f"{got['macs']:.1f}", f"{got['multiplier']:.2f}", f"{got['lut']:.2f}",
                      f"{got['gates']:.0f}", f"{got['mm2']:.2f}", f"{got['pj']:.1f}"])
    ita = _ita()
    lines.append(["ITA, dense, published", "100%", "", f"{ita['macs']:,}", "1.00",
                  f"{ita['lut']:.2f}", f"{ita['gates']:,.0f}", "", ""])
    return table(["run", "kept", "cycles", "dense MAC a cycle", "per multiplier",
                  "per 1,000 LUT4", "per million gates", "per mm2", "pJ per dense MAC"], lines)


FIGURES = [
    Figure(name="buys", about="what pruning buys, per multiplier, LUT, mm2 and joule",
           measure=_measure, table=_table, files=(FILE,), configs=PRESETS, tools=TOOLS,
           compared=Compared.COMMAND)]
