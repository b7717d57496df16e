# SPDX-License-Identifier: Apache-2.0
"""How long rows take in the front end by itself, as JSON: ``python -m tests.hw.leopard.front_end``.

Amaranth's simulator, random codes, each row's threshold at a quantile of its scores. Counted are
rows in the middle of a head, of which the ends are apart what they take.
"""

import json
import sys

import numpy as np

from prunus.golden.leopard.banks import copies
from prunus.golden.leopard.config import LeopardConfig
from tests.hw.leopard.heads import busiest, row_bound
from tests.hw.leopard.test_qk import Run, make_head

__all__ = ["main", "measure"]

ROWS = {64: 17, 128: 9, 512: 3}     # that are counted, by keys
AROUND = 4                          # rows before and behind them, which fill and empty the pipeline
D = 24                              # units as long as with 64 dimensions


def measure(keys: int, dpus: int, pruned: float) -> dict:
    config = LeopardConfig(name="front_end", dpus=dpus, d_max=D, l_max=max(ROWS))
    count = ROWS[keys]
    head = make_head(config, np.random.default_rng(dpus + keys), d=D, l_kv=keys,
                     thresholds=[pruned] * (count + 2 * AROUND))
    run = Run(config, [head]).check()
    cycles, rows = run.steady(AROUND - 1, AROUND - 1 + count)
    return {"keys": keys, "units": dpus, "pruned": pruned, "copies": copies(config, keys, D),
            "bound": row_bound(rows, config) / count,
            "busiest": busiest(rows, config, AROUND) / count, "cycles": cycles / count}


def main() -> int:
    print(json.dumps([measure(keys, dpus, pruned) for keys in ROWS for dpus in (6, 8)
                      for pruned in (0.0, 0.5, 0.75, 0.9)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
