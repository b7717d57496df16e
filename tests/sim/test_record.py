# SPDX-License-Identifier: Apache-2.0
"""Records of ports: the file's form, and one of a real simulation."""

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.sim.compare import check
from prunus.sim.engines import random_jobs
from prunus.sim.record import Record
from prunus.sim.session import open_session


def test_ports_lie_behind_each_other(tmp_path):
    path = tmp_path / "x.ports"
    rows = np.arange(36, dtype=np.uint8).reshape(4, 9)
    path.write_bytes(b"a 1\nwide 6\nb 2\n\n" + rows.tobytes())
    found = Record.read(path)
    assert found.ports == {"a": (0, 1), "wide": (1, 6), "b": (7, 2)}
    np.testing.assert_array_equal(found.rows, rows)
    assert found["a"].tolist() == [0, 9, 18, 27]
    assert found["b"].tolist() == [7 + 8 * 256 + 9 * 257 * n for n in range(4)]
    assert int(found["wide"][1]) == int.from_bytes(bytes(range(10, 16)), "little")


def test_bytes_that_look_like_the_end_of_a_line(tmp_path):
    path = tmp_path / "x.ports"
    path.write_bytes(b"a 2\n\n" + b"\n\n\n\n")
    assert Record.read(path)["a"].tolist() == [0x0A0A, 0x0A0A]


def test_a_row_that_was_not_finished_is_left_out(tmp_path):
    path = tmp_path / "x.ports"
    path.write_bytes(b"a 4\n\n" + bytes(11))
    assert len(Record.read(path).rows) == 2


@pytest.mark.parametrize("preset", ["hdp_tiny", "leopard_tiny"])
def test_a_record_of_a_simulation(preset, tmp_path):
    """The interrupt ends it, and what the bus moved lies between the doorbell and that.

    The beats of the record are those that the memory of the simulation says it saw.
    """
    config = load_config(preset)
    jobs = random_jobs(config, 2, 4)
    path = tmp_path / "tiny.ports"
    with open_session(config, record=path) as session:
        simulation = session.simulate(jobs)
        check(simulation, jobs, config)
    found = Record.read(path)
    assert found["rst"][0] == 1 and not found["rst"][-1]
    assert not found["clk"].any()           # before the edge
    irq, end = found["irq"], int(found["irq"].argmax())
    assert irq[end] == 1 and not irq[:end].any()
    start = end - simulation.registers["cycles"]
    done = {name: (found[f"m_axi_{name}valid"] & found[f"m_axi_{name}ready"]).nonzero()[0]
            for name in ("ar", "r", "aw", "w", "b")}
    assert start <= done["ar"][0] < start + 20      # nothing before the doorbell
    assert end - 5 < done["b"][-1] < end             # and nothing behind the last response
    assert not (found["m_axi_arvalid"] | found["m_axi_awvalid"])[end:].any()
    assert len(done["aw"]) == len(done["b"])
    for name, beats in (("ar", "r"), ("aw", "w")):
        assert int((found[f"m_axi_{name}len"][done[name]] + 1).sum()) == len(done[beats])
