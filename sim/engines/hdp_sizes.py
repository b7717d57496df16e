# SPDX-License-Identifier: Apache-2.0
"""Sizes of HDP for ``make sim-matrix``: combinations of width, d_max, multipliers and cores."""

from itertools import product

from prunus.golden.hdp.config import HdpConfig

from .recipes import L_MAX

__all__ = ["CORES", "DIMENSIONS", "FORMATS", "MULTIPLIERS", "OTHERS", "sizes"]

FORMATS = ((8, 4), (12, 8))        # width, frac
DIMENSIONS = (32, 64, 128)
MULTIPLIERS = (8, 32, 64)
CORES = (1, 2, 4)


def _others(n: int, width: int, multipliers: int) -> dict[str, int]:
    """The other choices, so that for either width each of them meets each number of multipliers
    and, lanes of softmax, each d_max and width of the bus."""
    bus, lanes = (64, 128)[n // 3 % 2], n + n // 3
    outputs = [count for count in (4, 2, 1)
               if count <= min(multipliers // 4, bus // (16 if width == 8 else 32))]
    return {"axi_data_width": bus, "softmax_lanes": (1, 2, 4)[lanes % 3],
            "output_lanes": outputs[lanes % len(outputs)]}


# Scores as full products only; heads in tiles; linear jobs, with granules of a unit or of several;
# rounded digits with fractions of all lengths; wide addresses; an array of its own for P.V;
# memories for SRAM macros; integer operations on groups of four blocks, which take minutes to
# build.
OTHERS = (
    HdpConfig(name="w8_d32_m8_c1_recompute", d_max=32, l_max=L_MAX, multipliers=8,
           keep_integer_scores=False),
    HdpConfig(name="w12_d32_m8_c2_tiles", width=12, frac=8, d_max=32, l_max=L_MAX, tile=8,
           multipliers=8, softmax_lanes=4, output_lanes=2, axi_data_width=128, cores=2),
    HdpConfig(name="w8_d128_m64_c1_tiles", d_max=128, l_max=L_MAX, tile=16, multipliers=64,
           softmax_lanes=4, output_lanes=4),
    HdpConfig(name="w8_d64_m128_c1_tiles", d_max=64, l_max=L_MAX, tile=8, multipliers=128,
           softmax_lanes=2, output_lanes=2, keep_integer_scores=False),
    HdpConfig(name="w8_d64_m32_c1_rounded", digits="rounded", d_max=64, l_max=L_MAX,
           multipliers=32, softmax_lanes=2, output_lanes=4),
    HdpConfig(name="w12_d32_m8_c2_rounded_tiles", digits="rounded", width=12, frac=7, d_max=32,
           l_max=L_MAX, tile=8, multipliers=8, softmax_lanes=1, output_lanes=1, cores=2),
    HdpConfig(name="w8_f3_d128_m128_c1_rounded_tiles", digits="rounded", frac=3, d_max=128,
           l_max=L_MAX, tile=16, multipliers=128, softmax_lanes=4, output_lanes=2,
           axi_data_width=128),
    HdpConfig(name="w8_f2_d32_m8_c1_rounded_recompute", digits="rounded", frac=2, d_max=32,
           l_max=L_MAX, multipliers=8, keep_integer_scores=False),
    HdpConfig(name="w8_d16_m8_c1_linear", d_max=16, l_max=L_MAX, multipliers=8, softmax_lanes=1,
           output_lanes=1, keep_integer_scores=False, linear=True),
    HdpConfig(name="w8_d64_m16_c1_linear_a48", d_max=64, l_max=L_MAX, multipliers=16,
           softmax_lanes=1, output_lanes=2, axi_address_width=48, linear=True),
    HdpConfig(name="w8_d128_m64_c1_linear", d_max=128, l_max=L_MAX, multipliers=64,
           softmax_lanes=2, output_lanes=4, linear=True),
    HdpConfig(name="w8_d16_m8_c2_tiles_a64", d_max=16, l_max=L_MAX, tile=8, multipliers=8,
           softmax_lanes=1, output_lanes=1, cores=2, axi_address_width=64),
    HdpConfig(name="w12_d32_m8_c2_own_tiles", width=12, frac=8, d_max=32, l_max=L_MAX, tile=8,
           multipliers=8, value_array="own", softmax_lanes=2, output_lanes=2, axi_data_width=128,
           cores=2),
    HdpConfig(name="w8_d16_m8_c1_own_linear", d_max=16, l_max=L_MAX, multipliers=8,
           value_array="own", softmax_lanes=1, output_lanes=1, linear=True),
    HdpConfig(name="w8_f3_d128_m64_c1_own_rounded", digits="rounded", frac=3, d_max=128,
           l_max=L_MAX, multipliers=64, value_array="own", softmax_lanes=4, output_lanes=4),
    HdpConfig(name="w8_d64_m128_c1_own_recompute", d_max=64, l_max=L_MAX, multipliers=128,
           value_array="own", softmax_lanes=2, output_lanes=4, keep_integer_scores=False),
    HdpConfig(name="w8_d64_m64_c1_own_span32", d_max=64, l_max=L_MAX, multipliers=64,
           value_array="own", integer_span=32, softmax_lanes=2, output_lanes=4),
    HdpConfig(name="w12_d128_m64_c2_span32_tiles", width=12, frac=8, d_max=128, l_max=L_MAX, tile=8,
           multipliers=64, integer_span=32, softmax_lanes=4, output_lanes=2, axi_data_width=128,
           cores=2),
    HdpConfig(name="w8_d64_m64_c1_own_macros", d_max=64, l_max=L_MAX, multipliers=64,
           value_array="own", softmax_lanes=2, output_lanes=2, memories="macro"),
    HdpConfig(name="w12_d128_m32_c2_tiles_macros", width=12, frac=8, d_max=128, l_max=L_MAX,
           tile=8, multipliers=32, softmax_lanes=4, output_lanes=1, axi_data_width=128, cores=2,
           memories="macro"),
    HdpConfig(name="w8_d64_m128_c1_macros", d_max=64, l_max=L_MAX, multipliers=128,
           softmax_lanes=4, output_lanes=4, memories="macro"),
    *(HdpConfig.model_validate({
        "name": f"w{width}_d{d_max}_m256_c1", "width": width, "frac": frac, "d_max": d_max,
        "l_max": L_MAX, "multipliers": 256, "softmax_lanes": 4, "output_lanes": 4,
        "axi_data_width": 128})
      for (width, frac), d_max in (((8, 4), 64), ((12, 8), 128))))


def sizes() -> list[HdpConfig]:
    """All of them."""
    configs = []
    for n, ((width, frac), d_max, multipliers) in enumerate(
            product(FORMATS, DIMENSIONS, MULTIPLIERS)):
        for step, cores in enumerate(CORES):
            configs.append(HdpConfig.model_validate({
                "name": f"w{width}_d{d_max}_m{multipliers}_c{cores}", "width": width, "frac": frac,
                "d_max": d_max, "l_max": L_MAX, "multipliers": multipliers, "cores": cores,
                **_others(n + step, width, multipliers)}))
    return configs + list(OTHERS)
