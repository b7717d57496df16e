# SPDX-License-Identifier: Apache-2.0
"""Figures of LeOPArd."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from prunus.golden import softmax
from prunus.golden.engines import load_config_of
from prunus.golden.jobs import exponentials, matmul, row_tops
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.banks import copies, most_keys, unit_of
from prunus.golden.leopard.compute import LeopardJob, LeopardResult
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.memories import memory_bits
from prunus.golden.leopard.order import balanced
from prunus.golden.reference import relative_rms, survivor_attention

from ..commands.digits import measure as measure_digits
from ..commands.digits import spare_bits, threshold_for
from ..engines.leopard import load_jobs
from ..errors import RunError
from ..heads import read_arrays, real_scale
from ..run import run_verilator
from .figure import ROOT, RTL, Compared, Figure, Heads, table
from .sizes import SYNTHESIS, area, sizes_table

__all__ = ["FIGURES"]

EXAMPLES = ("minilm_sentence", "vit_patches")
TITLES = {"minilm_sentence": "minilm_sentence, l = 24", "vit_patches": "vit_patches, l = 50",
          "minilm_l128_layer1": "minilm, l = 128", "minilm_l256_layer4": "minilm, l = 256",
          "vit_257_layer6": "vit, l = 257"}
BENCHED = ("minilm_sentence", "vit_patches", "minilm_l128_layer1", "vit_257_layer6")
SHARES = (0.5, 0.75, 0.9)
UNITS = ("leopard_ae", "leopard_hp")


def _preset(name: str) -> LeopardConfig:
    return load_config_of(LeopardConfig, name)


def _heads(path: Path, config: LeopardConfig) -> tuple[list[LeopardJob], float]:
    """The heads of a file in codes that fill the width, and the scale of a logit."""
    jobs, scale = load_jobs(path, config, None), real_scale(read_arrays(path))
    shift = spare_bits(jobs, config)
    return [replace(job, q=job.q << shift, k=job.k << shift,
                    scale=(job.scale[0], job.scale[1] + 2 * shift)) for job in jobs], \
        scale / 4**shift


def _grouped(rows: Sequence[dict], title: Callable[[dict], Sequence[str]],
             cells: Callable[[dict], Sequence[str]]) -> Iterator[list[str]]:
    """Rows of a table in which the title of a file stands once."""
    last = None
    for row in rows:
        head = [*title(row)]
        yield [*(head if row["file"] != last else [""] * len(head)), *cells(row)]
        last = row["file"]


# -- errors ---------------------------------------------------------------------------------------
ERROR_SHARES = (0.0, 0.5, 0.9)


def _paired(job: LeopardJob, result: LeopardResult, config: LeopardConfig) -> np.ndarray:
    """The output if the weights of two keys shared a shift, as HDP's do."""
    e = exponentials(result.scores, result.mask, row_tops(result.scores, result.mask), job.scale)
    pairs = np.pad(e, ((0, 0), (0, job.l_kv % 2))).reshape(job.l_q, -1, 2)
    mant, shift = softmax.quantise_pair(pairs)
    weights = (mant << shift[..., None]).reshape(job.l_q, -1)[:, : job.l_kv]
    return softmax.normalise(matmul(weights, job.v), e.sum(axis=1), width=config.width,
                             out_frac=config.out_frac)


def _measure_error(heads: Heads) -> list[dict]:
    """Each head at the quantile of its own scores."""
    config, rows = _preset("leopard_ae"), []
    for name, path in heads.of(EXAMPLES):
        jobs, scale = _heads(path, config)
        row: dict = {"file": name, "heads": len(jobs), "own": [], "shared": []}
        for share in ERROR_SHARES:
            own, shared = [], []
            for job in jobs:
                threshold = float(np.quantile(job.q @ job.k.T, share)) * scale
                job = replace(job, threshold=leopard.encode_threshold(threshold, scale, config))
                result = leopard.head(job, config)
                want = survivor_attention(job, result, scale)
                own.append(relative_rms(result.out / 2.0**config.out_frac, want))
                shared.append(relative_rms(_paired(job, result, config) / 2.0**config.out_frac,
                                           want))
            row["own"].append([float(np.mean(own)), max(own)])
            row["shared"].append([float(np.mean(shared)), max(shared)])
        rows.append(row)
    return rows


def _error_table(rows: Sequence[dict]) -> str:
    return table(
        ["heads", "nothing pruned", "50%", "90%", "with a shift for two keys: nothing pruned",
         "50%", "90%"],
        [[f"`{row['file']}` ({row['heads']})",
          *(f"{100 * mean:.2f} / {worst:.2%}" for mean, worst in row["own"] + row["shared"])]
         for row in rows])


# -- presets and memories -------------------------------------------------------------------------
MEMORIES = {"leopard_ae": "", "leopard_hp": "", "leopard_ecp5": " (l up to 256)"}


def _memories_table(data: dict) -> str:
    names = list(data["leopard_ae"])
    return table(["", *names], [
        [f"`{preset}`{note}", *(f"{data[preset][name]:,}" for name in names)]
        for preset, note in MEMORIES.items()])


COPIES = ("leopard_ae", "leopard_hp", "leopard_ecp5")
COPIES_D = 64


def _measure_copies(heads: Heads) -> list[dict]:
    return [{"preset": name, **{str(count): most_keys(_preset(name), count, COPIES_D)
                                for count in (4, 2)}} for name in COPIES]


def _copies_table(rows: Sequence[dict]) -> str:
    return table([f"keys of up to {COPIES_D} dimensions", "four copies", "two"], [
        [f"`{row['preset']}`", f"up to {row['4']}", f"up to {row['2']}"] for row in rows])


# -- order of keys --------------------------------------------------------------------------------
def _busiest(jobs: Sequence[LeopardJob], results: Sequence[LeopardResult], config: LeopardConfig,
             count: int | None) -> float:
    """Words of the busiest unit, and survivors where they are more, over the bound, all heads.

    ``count`` is how many copies of its keys a head has; None is as many as it may have.
    """
    most = 0
    for job, result in zip(jobs, results, strict=True):
        chunks = -(-job.d // config.taps)
        many = count or copies(config, job.valid_kv, job.d)
        words = np.zeros(config.dpus, int)
        for row in range(many):         # rows that read the same copy
            units = [unit_of(config, key, many, row) for key in range(job.l_kv)]
            words += np.bincount(units, result.digits[row::many].sum(axis=0),
                                 config.dpus).astype(int)
        most += chunks * max(int(words.max()), result.survivors)
    return most / leopard.bound_cycles(results, config)


def _balance(jobs: Sequence[LeopardJob], config: LeopardConfig) -> dict:
    """One copy of the keys and several, each as they come and in order."""
    orders = [(found, [leopard.head(job, config) for job in found])
              for found in (jobs, balanced(jobs, config))]
    return {"copies": copies(config, jobs[0].valid_kv, jobs[0].d),
            "one": [_busiest(*order, config, 1) for order in orders],
            "several": [_busiest(*order, config, None) for order in orders]}


def _measure_order(heads: Heads) -> list[dict]:
    rows = []
    for name, path in heads.of(BENCHED):
        loaded = {preset: _heads(path, _preset(preset))[0] for preset in UNITS}
        for share in SHARES:
            t_int = {preset: threshold_for(jobs, share) for preset, jobs in loaded.items()}
            rows.append({"file": name, "pruned": share, **{
                preset: _balance([replace(job, threshold=t_int[preset]) for job in jobs],
                                 _preset(preset)) for preset, jobs in loaded.items()}})
    return rows


def _order_table(rows: Sequence[dict]) -> str:
    titles = ["one, as they come", "one, in order", "copies, as they come", "copies, in order"]

    def cells(row: dict) -> list[str]:
        return [f"{row['pruned']:.0%}", *(
            cell for preset in UNITS for cell in (
                str(row[preset]["copies"]),
                *(f"{x:.2f}" for x in row[preset]["one"] + row[preset]["several"])))]

    return table(["heads", "pruned", "6 units: copies", *titles, "8 units: copies", *titles],
                 [*_grouped(rows, lambda row: [TITLES[row["file"]]], cells)])


# -- digits ---------------------------------------------------------------------------------------
def _measure_digits(heads: Heads) -> list[dict]:
    """As ``prunus digits --fill``, on both presets."""
    rows = []
    for name, path in heads.of(tuple(TITLES)):
        loaded = {preset: _heads(path, _preset(preset)) for preset in UNITS}
        for share in SHARES:
            ae, hp = (measure_digits(jobs, _preset(preset), share, scale)
                      for preset, (jobs, scale) in loaded.items())
            rows.append({"file": name, "pruned": share, **{key: ae[key] for key in (
                "threshold", "dropped", "survive", "digits_per_key")},
                "ae": ae["speed_up"], "hp": hp["speed_up"]})
    return rows


def _digits_table(rows: Sequence[dict]) -> str:
    steps = [f"at {n + 1}" for n in range(len(rows[0]["dropped"]))]

    def cells(row: dict) -> list[str]:
        return [f"{row['pruned']:.0%}", f"{row['threshold']:.2f}",
                *(f"{x:.1%}" for x in row["dropped"]), f"{row['survive']:.1%}",
                f"{row['digits_per_key']:.2f}", f"{row['ae']:.2f}x", f"{row['hp']:.2f}x"]

    return table(["heads", "pruned", "threshold", *steps, "survive", "digits per key", "AE", "HP"],
                 [*_grouped(rows, lambda row: [TITLES[row["file"]]], cells)])


# -- speed ----------------------------------------------------------------------------------------
def _speed_table(bench: dict) -> str:
    rows = [{**row, "file": row["case"].rpartition("/")[0]} for row in bench["cases"]]

    def title(row: dict) -> list[str]:
        name = row["file"] if row["file"] in EXAMPLES else row["file"].partition("_")[0]
        return [f"{name} ({row['heads']})", str(row["l_q"])]

    def cells(row: dict) -> list[str]:
        return [f"{row['pruned']:.0%}", f"{row['steady_cycles']:,}", f"{row['bound']:,}",
                f"{row['over_bound']:.3f}", f"{row['bus_bound']:,}", f"{row['cycles']:,}",
                f"{row['baseline_steady_cycles']:,}", f"{row['speedup']:.2f}x",
                f"{row['baseline_bound'] / row['bound']:.2f}x",
                f"{row['key_words'] / row['key_words_full']:.1%}"]

    return table(
        ["heads", "l", "pruned", "steady", "bound", "steady / bound", "bus", "once", "baseline",
         "speed-up", "of the bounds", "words of K read"],
        [*_grouped([row for row in rows if row["file"] in BENCHED], title, cells)])


# -- the front end by itself ----------------------------------------------------------------------
def _measure_front_end(heads: Heads) -> list[dict]:
    """By a bench of the tests, which knows how the block is driven."""
    done = subprocess.run([sys.executable, "-m", "tests.hw.leopard.front_end"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"tests.hw.leopard.front_end failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def _front_end_table(rows: Sequence[dict]) -> str:
    return table(["keys", "units", "pruned", "copies", "bound", "busiest", "cycles"], [
        [row["keys"], row["units"], f"{row['pruned']:.0%}", row["copies"], f"{row['bound']:.1f}",
         f"{row['busiest']:.1f}", f"{row['cycles']:.1f}"] for row in rows])


# -- size -----------------------------------------------------------------------------------------
RESOURCES = ("lut", "ff", "dsp", "bram", "memory_bits")
SIZES = {       # rows of the table: the blocks that are counted together
    "products and adder trees of {dot_product} units": ("dot_product",),
    "`ValueUnit`": ("value_unit",),
    "{query_store} `QueryStore`": ("query_store",),
    "`RowOutput`": ("row_output",),
    "{dot_product_unit} `DotProductUnit` without what stands here by itself": ("dot_product_unit",),
    "{reorder} `Reorder`": ("reorder",),
    "`Scheduler`": ("scheduler",),
    "`Merger`": ("merger",),
    "`RowLoader`": ("row_loader",),
    "`RowWeights`": ("row_weights",),
    "`RowIssue`, `RowCollector`, `Loader`, `ResultWriter`": (
        "row_issue", "row_collector", "loader", "result_writer"),
    "the shell: top, registers, dispatcher, DMA": (
        "top", "csr", "dispatcher", "reader", "writer"),
    "{key_bank} `KeyBank`, buffers of q and v": ("key_bank", "code_buffer"),
}
PRUNING = {
    "query stores": "query stores but one: each unit is at a row of its own",
    "reorder": "`Reorder`: decisions back into the order of keys",
    "dot-product units": "control of the units: keys under way, when to go on",
    "bounds and thresholds": "bounds and thresholds of rows in `RowLoader`",
}
PRUNING_RESOURCES = ("lut", "ff", "memory_bits")


def _size_table(data: dict) -> str:
    blocks = {block["block"]: block for block in data["blocks"]}
    counts = {name: block["instances"] for name, block in blocks.items()}
    return sizes_table([*(
        (title.format_map(counts), {key: sum(blocks[name][key] for name in names)
                                    for key in RESOURCES})
        for title, names in SIZES.items()), ("all", data["total"])], RESOURCES)


def _pruning_table(data: dict) -> str:
    pruning = data["pruning"]
    rows = sizes_table([*((title, pruning["items"][name]) for name, title in PRUNING.items()),
                        ("all", pruning["total"])], PRUNING_RESOURCES)
    share = ["share of the coprocessor", *(f"{pruning['share'][key]:.1%}"
                                           for key in PRUNING_RESOURCES)]
    return rows.replace("| block |", "| |", 1) + "\n| " + " | ".join(share) + " |"


# -- one sentence through a model with learned thresholds -----------------------------------------
LAYERS = tuple(f"layer{n}" for n in range(6))


def _measure_layers(heads: Heads) -> list[dict]:
    config, rows = _preset("leopard_ae"), []
    for name, path in heads.of(LAYERS):
        run = run_verilator(load_jobs(path, config, None), config)
        rows.append({"file": name, "keys": sum(result.keys for result in run.golden),
                     "survivors": sum(result.survivors for result in run.golden),
                     "cycles": run.cycles, "bound": leopard.bound_cycles(run.golden, config)})
    return rows


def _layers_table(rows: Sequence[dict]) -> str:
    lines = {f"survivors of {rows[0]['keys']:,}": "survivors", "cycles of the RTL": "cycles",
             "bound": "bound"}
    return table(["layer", *(row["file"].removeprefix("layer") for row in rows)], [
        [title, *(f"{row[key]:,}" for row in rows)] for title, key in lines.items()])


FIGURES = [
    Figure(name="leopard_error", about="error of the softmax against float64, by share pruned",
           measure=_measure_error, table=_error_table, files=EXAMPLES, configs=("leopard_ae",)),
    Figure(name="leopard_memories", about="bits of the memories of LeOPArd's presets",
           measure=lambda heads: {name: memory_bits(_preset(name)) for name in MEMORIES},
           table=_memories_table, configs=tuple(MEMORIES)),
    Figure(name="leopard_copies", about="keys of which several copies fit",
           measure=_measure_copies, table=_copies_table, configs=COPIES),
    Figure(name="leopard_order", about="work of the busiest unit, by copies and order of keys",
           measure=_measure_order, table=_order_table, files=BENCHED, configs=UNITS),
    Figure(name="leopard_digits", about="digits of keys until they are dropped",
           measure=_measure_digits, table=_digits_table, files=tuple(TITLES), configs=UNITS),
    Figure(name="leopard_speed", about="cycles of six units", of="bench_leopard_ae",
           table=_speed_table, compared=Compared.DERIVED),
    Figure(name="leopard_speed_hp", about="cycles of eight units", of="bench_leopard_hp",
           table=_speed_table, compared=Compared.DERIVED),
    Figure(name="leopard_front_end", about="cycles of rows through the front end by itself",
           measure=_measure_front_end, table=_front_end_table, compared=Compared.LARGE,
           tools=("numpy", "amaranth")),
    Figure(name="leopard_size", about="cells of leopard_ecp5 on an ECP5, by block",
           measure=lambda heads: area("leopard_ecp5"), table=_size_table,
           configs=("leopard_ecp5",), tools=SYNTHESIS, compared=Compared.LARGE),
    Figure(name="leopard_pruning_size", about="cells that early termination takes",
           of="leopard_size", table=_pruning_table, compared=Compared.DERIVED),
    Figure(name="train_layers", about="the heads of examples/trained on the RTL of leopard_ae",
           measure=_measure_layers, table=_layers_table, files=LAYERS, configs=("leopard_ae",),
           tools=RTL, compared=Compared.LARGE),
]
