# SPDX-License-Identifier: Apache-2.0
"""The head of head_in_numpy.py through the RTL, which Verilator simulates.

The output equals that of the specification, bit for bit. The first run compiles the simulator,
which takes about a minute. It needs `pip install 'prunus[sim]'`, g++ and make:

    python examples/head_on_rtl.py
"""

import numpy as np
from head_in_numpy import made_head, made_job

from prunus.golden import hdp
from prunus.golden.engines import load_config
from prunus.sim.simulate import simulate


def main() -> None:
    config = load_config("hdp_tiny")
    job = made_job(*made_head(seed=1, rows=config.l_max))
    expected = hdp.ENGINE.compute(job, config)
    simulation = simulate([job], config)
    (out, status), = simulation.results
    assert np.array_equal(out, expected.out)
    bound = hdp.ENGINE.bound_cycles([job], [expected], config)
    print(f"all {out.size} words of the output equal the specification's")
    print(f"{status.blocks_kept} of {status.blocks_total} blocks kept")
    print(f"{simulation.registers['cycles']} cycles; busy in each, the multipliers need {bound}")


if __name__ == "__main__":
    main()
