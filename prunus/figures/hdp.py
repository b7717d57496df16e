# SPDX-License-Identifier: Apache-2.0
"""Figures of HDP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prunus.golden.engines import load_config_of
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.bounds import bound_cycles, bus_cycles
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.memories import memory_bits
from prunus.golden.hdp.order import longest_first
from prunus.golden.hdp.reference import relative_rms_error
from prunus.golden.hdp.timing.cycles import predict_cycles

from ..bench.cases import dense, made_head, suite
from ..bench.measure import measure
from ..engines.hdp import FRONT, Options, load_jobs
from ..heads import read_arrays, real_scale
from ..run import run_verilator
from .figure import RTL, Compared, Figure, Heads, table
from .sizes import SYNTHESIS, area, sizes_table

__all__ = ["FIGURES"]

TITLES = {
    "minilm_l128_layer1": "MiniLM-L6 layer 1, l = 128, d = 32",
    "minilm_l256_layer4": "MiniLM-L6 layer 4, l = 256, d = 32",
    "minilm_sentence": "MiniLM-L6 layer 3, a sentence of 24",
    "vit_257_layer6": "ViT-S/14 layer 6, l = 257, d = 64",
    "vit_50_layer3": "ViT-S/14 layer 3, l = 50, d = 64",
}
EXAMPLES = ("minilm_sentence", "vit_patches")


def _edge() -> HdpConfig:
    return load_config_of(HdpConfig, "hdp_edge")


# -- errors ---------------------------------------------------------------------------------------
MODES = {"zero": Options(), "drop": Options(drop=True), "dense": Options(dense=True)}


def _errors(path: Path, config: HdpConfig, options: Options = MODES["zero"]) -> dict:
    """Of the fixed-point head against float64, over the heads of a file."""
    scale = real_scale(read_arrays(path))
    errors = [relative_rms_error(job, hdp.head(job, config), scale, config)
              for job in load_jobs(path, config, options)]
    return {"mean": float(np.mean(errors)), "worst": max(errors)}


def _measure_error(heads: Heads) -> list[dict]:
    return [{"file": name, **{mode: _errors(path, _edge(), options)
                              for mode, options in MODES.items()}}
            for name, path in heads.of(tuple(TITLES))]


def _error_table(rows: Sequence[dict]) -> str:
    return table(["heads", *(name for mode in MODES for name in (f"{mode}, mean", "worst head"))], [
        [TITLES[row["file"]], *(f"{row[mode][name]:.2%}" for mode in MODES
                                for name in ("mean", "worst"))] for row in rows])


# -- the examples on the RTL ----------------------------------------------------------------------
def _measure_examples(heads: Heads) -> list[dict]:
    config, rows = _edge(), []
    for name, path in heads.of(EXAMPLES):
        pruned, dense = (run_verilator(load_jobs(path, config, Options(dense=dense)), config)
                         for dense in (False, True))
        told, plain = (run.summary(FRONT.figures(run)) for run in (pruned, dense))
        rows.append({
            "file": name, "heads": len(pruned.jobs), "l": pruned.jobs[0].l_q,
            "d": pruned.jobs[0].d, "kept": told["blocks_kept"] / told["blocks_total"],
            "cycles": told["cycles"], "bound": told["bound_cycles"],
            "dense_cycles": plain["cycles"], "dense_bound": plain["bound_cycles"],
            **_errors(path, config)})
    return rows


def _examples_table(rows: Sequence[dict]) -> str:
    return table(
        ["heads", "l", "d", "blocks kept", "cycles", "bound", "dense cycles", "dense bound",
         "speed-up", "error, mean", "worst head"],
        [[f"`{row['file']}` ({row['heads']})", row["l"], row["d"], f"{row['kept']:.1%}",
          f"{row['cycles']:,}", f"{row['bound']:,}", f"{row['dense_cycles']:,}",
          f"{row['dense_bound']:,}", f"{row['dense_cycles'] / row['cycles']:.2f}x",
          f"{row['mean']:.2%}", f"{row['worst']:.2%}"] for row in rows])


# -- memories -------------------------------------------------------------------------------------
ROWS = ("integer scores", "scores", "weights", "importance")
SUMS = ("row sums", "denominators", "row tops")


def _memories(config: HdpConfig) -> dict:
    layout = {"i": config.int_width + 1, "f": config.frac + 1, "v": config.width + 1}
    return {"element": layout, "memories": memory_bits(config)}


def _several(bits: dict, names: Sequence[str]) -> str:
    return " + ".join(f"{bits[name]:,}" for name in names)


def _memories_table(data: dict) -> str:
    bits, element = data["memories"], data["element"]
    planes = [[f"q_{kind}, k_{kind}: {element[kind]} bits an element",
               f"2 x {bits[f'q_{kind}']:,}" if bits[f"q_{kind}"] == bits[f"k_{kind}"] else
               _several(bits, (f"q_{kind}", f"k_{kind}")), "l"] for kind in "if"]
    return table(["memory", "HDP-Edge", "grows with"], [
        *planes, [f"v: {element['v']} bits an element", f"{bits['v']:,}", "l"],
        ["mask", f"{bits['mask']:,}", "l * l"],
        [f"{', '.join(ROWS)}: two of the longest rows each", _several(bits, ROWS), "l"]])


def _long_memories_table(data: dict) -> str:
    bits = data["memories"]
    planes = [bits[name] for name in ("q_i", "k_i", "q_f", "k_f")]
    alike = f"4 x {planes[0]:,}" if len(set(planes)) == 1 else " + ".join(
        f"{plane:,}" for plane in planes)
    return table(["memory", "hdp_long", "grows with"], [
        ["q_i, k_i, q_f, k_f, v", f"{alike} + {bits['v']:,}", "tile"],
        ["mask", f"{bits['mask']:,}", "tile * tile"],
        [", ".join(ROWS), _several(bits, ROWS), "tile"],
        [", ".join(SUMS), _several(bits, SUMS), "tile"],
        ["row statistics", f"{bits['row statistics']:,}", "l"]])


# -- speed ----------------------------------------------------------------------------------------
SPEED = {"minilm_l128_layer1": "MiniLM-L6 layer 1", "minilm_l256_layer4": "MiniLM-L6 layer 4",
         "minilm_sentence_layer3": "MiniLM-L6 layer 3", "vit_257_layer6": "ViT-S/14 layer 6",
         "vit_50_layer3": "ViT-S/14 layer 3"}


def _speed_table(bench: dict) -> str:
    rows = {row["case"].removeprefix("data/"): row for row in bench["cases"]}
    return table(
        ["heads", "HDP cycles", "/ bound", "dense cycles", "/ bound", "speed-up",
         "of the work ratio"],
        [[f"{title}, l = {row['l_q']}, d = {row['d']}, {row['heads']} heads", f"{row['cycles']:,}",
          f"{row['cycles'] / row['bound']:.2f}", f"{row['dense_cycles']:,}",
          f"{row['dense_cycles'] / row['dense_bound']:.2f}", f"{row['speedup']:.2f}x",
          f"{row['share_of_work_ratio']:.2f}"]
         for title, row in ((title, rows[name]) for name, title in SPEED.items())])


# -- heads in tiles -------------------------------------------------------------------------------
LONG = {"long/512": "512 x 512, d = 64", "long/cross": "128 x 4,096, d = 64",
        "long/decode": "1 x 4,096, d = 64", "longest/causal": "4,096 x 4,096 causal, d = 8",
        "model": "4,096 x 4,096, d = 64 (model)"}
MODEL = "model"


def _measure_long(heads: Heads) -> list[dict]:
    """All cases on the RTL, but the longest self-attention by the model of cycles."""
    config = load_config_of(HdpConfig, "hdp_long")
    wanted = [name for name in LONG if name != MODEL]
    found = {case.name: case for case in suite(config, wanted=",".join(wanted)).cases}
    rows, _ = measure([found[name] for name in wanted], config)
    job = made_head("longest/self", config, config.l_max, config.l_max, config.d_max)
    results, plain = [hdp.head(job, config)], dense(job)
    plain_results = [hdp.head(plain, config)]
    model = {"case": MODEL, "kappa": results[0].blocks_kept / results[0].blocks_total,
             "cycles": predict_cycles([job], results, config),
             "bound": bound_cycles([job], results, config),
             "bus_bound": bus_cycles([job], results, config),
             "dense_cycles": predict_cycles([plain], plain_results, config),
             "dense_bound": bound_cycles([plain], plain_results, config), "read_bytes": None}
    return [*({key: row[key] for key in model} for row in rows), model]


def _over(cycles: int, bound: int | None, bus: int) -> str:
    if bound is None:
        return ""
    if bus > bound:
        return f"the bus's, {cycles / bus:.2f}"
    over = cycles / bound
    return f"{over:.1f}" if over >= 2 else f"{over:.2f}"


def _long_table(rows: Sequence[dict]) -> str:
    return table(
        ["head", "kappa", "HDP cycles", "/ bound", "dense cycles", "/ bound", "speed-up",
         "bytes read"],
        [[LONG[row["case"]], f"{row['kappa']:.2f}", f"{row['cycles']:,}",
          _over(row["cycles"], row["bound"], row["bus_bound"]), f"{row['dense_cycles']:,}",
          "" if row["bus_bound"] > row["bound"] else
          f"{row['dense_cycles'] / row['dense_bound']:.2f}",
          f"{row['dense_cycles'] / row['cycles']:.2f}x",
          f"{row['read_bytes']:,}" if row["read_bytes"] else ""] for row in rows])


# -- several cores --------------------------------------------------------------------------------
SERVER_HEADS = 24
SERVER_LENGTHS = (128, 128), (256, 256), (512, 512), (32, 512)      # the shortest and the longest


def _measure_cores(heads: Heads) -> list[dict]:
    """As ``python -m prunus.sim.campaigns.scaling`` does, all lengths on the same hardware."""
    from prunus.sim.campaigns.scaling import measure as measure_cores
    from prunus.sim.campaigns.scaling import uneven_jobs

    config = load_config_of(HdpConfig, "hdp_server")
    tables = []
    for shortest, longest in SERVER_LENGTHS:
        jobs = uneven_jobs(config.model_copy(update={"l_max": longest}), SERVER_HEADS, 1,
                                   shortest)
        tables.append([jobs[n] for n in longest_first(jobs)])
    rows = measure_cores(tables, config, (1, config.cores))
    pairs = zip(rows[:len(tables)], rows[len(tables):], strict=True)
    return [{"shortest": shortest, "longest": longest, "one": one.cycles, "eight": eight.cycles,
             "roof": eight.roof}
            for (shortest, longest), (one, eight) in zip(SERVER_LENGTHS, pairs, strict=True)]


def _cores_table(rows: Sequence[dict]) -> str:
    return table(
        ["l", "one core", "eight cores", "speed-up", "of 8", "speed-up that the bus allows"],
        [[row["longest"] if row["shortest"] == row["longest"] else
          f"{row['shortest']} to {row['longest']}, uneven", f"{row['one']:,}",
          f"{row['eight']:,}", f"{row['one'] / row['eight']:.2f}x",
          f"{row['one'] / row['eight'] / 8:.0%}",
          f"{row['roof']:.1f}x".replace(".0x", "x")] for row in rows])


# -- size -----------------------------------------------------------------------------------------
LARGER = 1000               # LUT, of a block that the table shows
BLOCKS = {"composable_multiplier": "composable multipliers", "array": "array without them",
          "plane_buffer": "operand buffers", "column_sum": "column sums"}


def _size_table(data: dict) -> str:
    titles = [BLOCKS.get(block["block"], block["block"].replace("_", " "))
              for block in data["blocks"]]
    blocks = [(f"{block['instances']} {title}" if title.endswith("multipliers") else title, block)
              for title, block in zip(titles, data["blocks"], strict=True)]
    return sizes_table([*(row for row in blocks if row[1]["lut"] >= LARGER),
                        ("all", data["total"])])


FIGURES = [
    Figure(name="run_examples", about="the heads of examples/ on the RTL of hdp_edge",
           measure=_measure_examples, table=_examples_table, files=EXAMPLES,
           configs=("hdp_edge",), tools=RTL, compared=Compared.LARGE),
    Figure(name="hdp_error", about="error of the fixed-point head against float64",
           measure=_measure_error, table=_error_table, files=tuple(TITLES), configs=("hdp_edge",)),
    Figure(name="hdp_memories", about="bits of the memories of hdp_edge",
           measure=lambda heads: _memories(_edge()), table=_memories_table, configs=("hdp_edge",)),
    Figure(name="hdp_long_memories", about="bits of the memories of hdp_long",
           measure=lambda heads: _memories(load_config_of(HdpConfig, "hdp_long")),
           table=_long_memories_table, configs=("hdp_long",)),
    Figure(name="hdp_speed", about="cycles of captured layers on hdp_edge, pruned and dense",
           of="bench_hdp_edge", table=_speed_table, compared=Compared.DERIVED),
    Figure(name="hdp_long", about="cycles of heads in tiles on hdp_long",
           measure=_measure_long, table=_long_table, configs=("hdp_long",), tools=RTL,
           compared=Compared.COMMAND),
    Figure(name="hdp_cores", about="cycles of eight cores of hdp_server against one",
           measure=_measure_cores, table=_cores_table, configs=("hdp_server",), tools=RTL,
           compared=Compared.COMMAND),
    Figure(name="hdp_size", about="cells of hdp_edge on an ECP5, by block",
           measure=lambda heads: area("hdp_edge"), table=_size_table, configs=("hdp_edge",),
           tools=SYNTHESIS, compared=Compared.LARGE),
]
