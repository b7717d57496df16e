# SPDX-License-Identifier: Apache-2.0
"""Linear layers on the array: what sparse weights would bring, what the host costs."""

from typing import Any

from prunus.golden.engines import load_config

from .figure import Compared, Figure, Heads, table

__all__ = ["FIGURES", "round_trip", "sparse"]

PRESET = "hdp_edge"
ROWS = (25, 128)                        # of X: the mean sentence of SST-2, a long one
DIMS, HIDDEN = 384, 1536                # of MiniLM
PATTERNS = ((1, 1), (2, 4), (4, 8), (1, 4))
INDEX_BITS = {1: 0, 4: 2, 8: 3}         # of a kept weight, by M
RANKS = (64, 128)                       # of its two kinds of weights at about 3x fewer products


def _config() -> Any:
    return load_config(PRESET)


def sparse(heads: Heads) -> list[dict]:
    """Weights that the array could multiply in a cycle if it skipped those that are zero.

    A read of the buffers of Q gives 2T dimensions of codes; of N:M sparse weights a cycle's worth
    of kept ones, T of 8 bits or 2T of 4, belongs to M/N as many dimensions.
    """
    taps = _config().taps
    found = []
    for bits in (8, 4):
        kept = taps * (2 if bits == 4 else 1)
        for n, m in PATTERNS:
            dims = min(kept * m // n, 2 * taps)
            found.append({"n": n, "m": m, "bits": bits, "dims": dims,
                          "memory": (bits + INDEX_BITS[m]) * n / m,
                          "reached": dims / (kept * m / n)})
    return found


def _sparse_table(data: list[dict]) -> str:
    return table(
        ["weights", "bits of a weight in memory, with its index", "weights in a cycle, of a row",
         "of what M/N allows"],
        [[f"int{row['bits']}" + (f", {row['n']}:{row['m']}" if row["m"] > 1 else ""),
          f"{row['memory']:g}", str(row["dims"]), f"{row['reached']:.0%}"] for row in data])


def round_trip(heads: Heads) -> list[dict]:
    """Bytes and cycles of a layer of MiniLM, and the part of codes that go to the host for
    LayerNorm and come back: X of the projections, Y of the output projection, X and Y of the
    layers behind it."""
    from prunus.golden.hdp.linear.cost import Product, chain_cost

    config, found = _config(), []
    for rows in ROWS:
        for name, bits, ranks in (("dense, int8", 8, None), ("two factors, int4", 4, RANKS)):
            def chain(k: int, n: int, rank: int | None, *, first: bool = False,
                      last: bool = False, rows: int = rows, bits: int = bits) -> list[Product]:
                """A layer or two factors; held at the front unless it is the first of a chain."""
                if rank is None:
                    return [Product(rows, k, n, bits=bits, held_x=not first, held_y=not last)]
                return [Product(rows, k, rank, bits=bits, held_x=not first, held_y=True),
                        Product(rows, rank, n, bits=bits, held_x=True, held_y=not last)]

            square, tall = ranks or (None, None)
            jobs = [job for _ in range(4) for job in chain(DIMS, DIMS, square, first=True,
                                                           last=True)]
            jobs += chain(DIMS, HIDDEN, tall, first=True)
            jobs += chain(HIDDEN, DIMS, tall, last=True)
            cost = chain_cost(jobs, config)
            trip = 4 * rows * DIMS          # codes of X and Y, twice
            found.append({"rows": rows, "weights": name, "cycles": cost.cycles,
                          "bytes": cost.read_bytes + cost.write_bytes, "trip_bytes": trip,
                          "trip_cycles": trip // (config.axi_data_width // 8)})
    return found


def _trip_table(data: list[dict]) -> str:
    return table(
        ["rows", "weights", "cycles of a layer", "bytes", "of them to the host and back",
         "cycles of the bus for them, of all"],
        [[str(row["rows"]), row["weights"], f"{row['cycles']:,}", f"{row['bytes']:,}",
          f"{row['trip_bytes']:,}", f"{row['trip_cycles'] / row['cycles']:.1%}"] for row in data])


FIGURES = [
    Figure(name="heat_sparse", about="rates of N:M sparse weights, if the array skipped zeros",
           measure=sparse, table=_sparse_table, configs=(PRESET,), tools=("numpy",),
           compared=Compared.COMMAND),
    Figure(name="heat_round_trip", about="what LayerNorm on the host costs a layer of MiniLM",
           measure=round_trip, table=_trip_table, configs=(PRESET,), tools=("numpy",),
           compared=Compared.COMMAND)]
