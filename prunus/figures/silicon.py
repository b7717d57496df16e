# SPDX-License-Identifier: Apache-2.0
"""Figures of area in SG13G2, as ``prunus area`` tells it, and of the model of its memories."""

from collections.abc import Sequence
from itertools import count

from prunus.golden.engines import load_config

from ..synth import macros
from ..synth.netlist import Memory
from .figure import Compared, Figure, table
from .sizes import SYNTHESIS

__all__ = ["FIGURES"]

TINY = ("hdp_tiny", "leopard_tiny", "topk_tiny")
LARGE = ("hdp_edge", "leopard_ae")
LINEAR = ("hdp_edge",)      # with and without linear layers
LARGEST = 6                 # blocks that are named
MEMORIES_OF = "hdp_edge"
MEMORIES = 10               # of it that the table shows
QUANTITIES = {"area_um2": "area", "read_pj": "energy of a read", "write_pj": "energy of a write",
              "leakage_nw": "leakage"}
WIDTHS = (8, 16, 32, 64, 80)
WORDS = (64, 1024)          # of memories of these widths
PORTS = {1: "one", 2: "two"}


def _measure(names: Sequence[str]) -> dict[str, dict]:
    """By preset, as ``prunus area --config PRESET --json``."""
    from ..synth import area as sizes

    return {name: sizes.area(load_config(name), sizes.Sg13g2()) for name in names}


def _mm2(um2: float) -> str:
    return f"{um2 / 1e6:,.3f}"


def _interpolated(result: dict) -> float:
    """The share of interpolated macros in the area of memories."""
    um2 = sum(row["um2"] for row in result["memories"] if row["interpolated"])
    return um2 / result["area_um2"]["memory"]


def _area_table(data: dict) -> str:
    rows = []
    for name, result in data.items():
        area, logic = result["area_um2"], result["area_um2"]["logic"]
        rows.append([
            f"`{name}`", _mm2(logic), f"{result['flip_flops']:,.0f}",
            f"{result['flip_flop_um2'] / logic:.1%}", f"{result['multiplying']['share']:.1%}",
            _mm2(area["macros"]), f"{_interpolated(result):.0%}", _mm2(area["register_files"]),
            f"{result['mm2']:,.3f}"])
    return table(["preset", "logic, mm2", "flip-flops", "of the logic", "multiplying, of the logic",
                  "SRAM macros, mm2", "interpolated, of memories", "register files, mm2",
                  "all, mm2"], rows)


def _blocks_table(data: dict) -> str:
    """The largest blocks of logic."""
    rows = []
    for name, result in data.items():
        blocks, logic = result["blocks"][:LARGEST], result["area_um2"]["logic"]
        rows.append([f"`{name}`", ", ".join(
            f"{block['block'].replace('_', ' ')} {block['um2'] / logic:.1%}" for block in blocks)])
    return table(["preset", "largest blocks, of the logic"], rows)


def _memories_table(data: dict) -> str:
    return table(["memory", "words", "bits", "count", "mm2", "made of"], [
        [f"`{row['block']}.{row['name']}`", f"{row['words']:,}", f"{row['bits']}",
         f"{row['instances']}", _mm2(row["um2"]), row["made_of"]]
        for row in data[MEMORIES_OF]["memories"][:MEMORIES]])


def _errors() -> list[dict]:
    """Mean and largest relative error of macros that are left out, and of which it is largest."""
    rows = []
    for ports in PORTS:
        found = macros.errors(ports)
        for quantity in QUANTITIES:
            sizes = {name: abs(error) for name, error in found[quantity].items()}
            worst = max(sizes, key=lambda name: sizes[name])
            rows.append({"ports": ports, "quantity": quantity, "macros": len(sizes),
                         "mean": sum(sizes.values()) / len(sizes), "largest": sizes[worst],
                         "of": worst})
    return rows


def _errors_table(rows: Sequence[dict]) -> str:
    return table(["ports", "of", "macros", "mean error", "largest error", "at"], [
        [PORTS[row["ports"]], QUANTITIES[row["quantity"]], f"{row['macros']}",
         f"{row['mean']:.1%}", f"{row['largest']:.1%}",
         row["of"].split("_")[3] if row["largest"] > 0.001 else ""] for row in rows])


def _kinds() -> list[dict]:
    """Area of a bit both ways, and the fewest words of which a macro is the smaller."""
    rows = []
    for bits in WIDTHS:
        fewest = next(words for words in count(2) if macros.is_macro(Memory("", "", words, bits)))
        files = [macros.register_file_um2(words, bits, 1, True) for words in WORDS]
        made = [macros.macro(words, bits, True) for words in WORDS]
        row: dict[str, float] = {"bits": bits, "from": fewest}
        for words, file_um2, one in zip(WORDS, files, made, strict=True):
            row |= {f"register file of {words}, um2 a bit": file_um2 / (words * bits),
                    f"macro of {words}, um2 a bit": one.area_um2 / (words * bits),
                    f"macro of {words}, pJ a read": one.read_j * 1e12}
        rows.append(row)
    return rows


def _kinds_table(rows: Sequence[dict]) -> str:
    titles = [title for title in rows[0] if title not in ("bits", "from")]
    return table(["bits", "macro from", *titles], [
        [f"{row['bits']}", f"{row['from']} words", *(f"{row[title]:.1f}" for title in titles)]
        for row in rows])


# -- linear layers --------------------------------------------------------------------------------
def _measure_linear() -> list[dict]:
    """Presets with linear layers and without: mm2 in SG13G2, and cells of an ECP5."""
    from ..synth import area as sizes

    rows = []
    for name in LINEAR:
        for linear in (False, True):
            config = load_config(name).model_copy(update={"linear": linear})
            silicon = sizes.area(config, sizes.Sg13g2())
            cells = sizes.area(config, sizes.Ecp5())
            rows.append({
                "config": name, "linear": linear, "um2": silicon["area_um2"],
                "flip_flops": silicon["flip_flops"], "mm2": silicon["mm2"],
                "ecp5": {key: cells["total"][key] for key in cells["resources"]},
                "unit": {target: {key: block[key] for key in of["resources"]}
                         for target, of in (("sg13g2", silicon), ("ecp5", cells))
                         for block in of["blocks"] if block["block"] == "linear_unit"}})
    return rows


CELLS = {"lut": "LUT4", "ff": "FF", "dsp": "DSP", "bram": "block RAM"}      # of an ECP5
MM2 = (0, 2, 3, 4)          # columns of the table of linear layers


def _linear_table(rows: Sequence[dict]) -> str:
    def sizes_of(row: dict) -> list[float]:
        um2 = row["um2"]
        return [um2["logic"] / 1e6, row["flip_flops"], um2["macros"] / 1e6,
                um2["register_files"] / 1e6, row["mm2"], *(row["ecp5"][key] for key in CELLS)]

    lines = []
    for before, after in zip(rows[::2], rows[1::2], strict=True):
        for row in (before, after):
            lines.append([f"`{row['config']}`", "with" if row["linear"] else "without", *(
                f"{size:,.{3 if n in MM2 else 0}f}" for n, size in enumerate(sizes_of(row)))])
        lines.append(["", "more", *(f"{b / a - 1:+.0%}" if a else "-" for a, b in zip(
            sizes_of(before), sizes_of(after), strict=True))])
    return table(["preset", "linear layers", "logic, mm2", "flip-flops", "SRAM macros, mm2",
                  "register files, mm2", "all, mm2", *CELLS.values()], lines)


FIGURES = [
    Figure(name="area", about="area of tiny presets in SG13G2", table=_area_table,
           measure=lambda heads: _measure(TINY), configs=TINY, tools=SYNTHESIS,
           compared=Compared.LARGE),
    Figure(name="area_blocks", about="largest blocks of tiny presets in SG13G2", of="area",
           table=_blocks_table, compared=Compared.DERIVED),
    Figure(name="area_large", about="area of hdp_edge and leopard_ae in SG13G2", table=_area_table,
           measure=lambda heads: _measure(LARGE), configs=LARGE, tools=SYNTHESIS,
           compared=Compared.COMMAND),
    Figure(name="area_large_blocks", about="largest blocks of hdp_edge and leopard_ae",
           of="area_large", table=_blocks_table, compared=Compared.DERIVED),
    Figure(name="area_memories", about="memories of hdp_edge in SG13G2", of="area_large",
           table=_memories_table, compared=Compared.DERIVED),
    Figure(name="area_linear", about="what linear layers take", table=_linear_table,
           measure=lambda heads: _measure_linear(), configs=LINEAR, tools=SYNTHESIS,
           compared=Compared.COMMAND),
    Figure(name="macro_errors", about="error of interpolated SRAM macros",
           measure=lambda heads: _errors(), table=_errors_table),
    Figure(name="memory_kinds", about="area of a bit in register files and SRAM macros",
           measure=lambda heads: _kinds(), table=_kinds_table),
]
