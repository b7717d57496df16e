# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp import OCCUPANCY
from prunus.golden.hdp.compute import head
from prunus.golden.hdp.kind import HdpKind, HdpStatus
from prunus.golden.hdp.planes import HdpLayout, held_planes
from prunus.golden.records import Error
from prunus.sim.compare import MismatchError, check
from prunus.sim.engines.hdp import random_jobs
from prunus.sim.simulate import Simulation

CONFIG = load_config("hdp_tiny")
JOBS = random_jobs(CONFIG, 4, 11)
assert any(job.same_kv for job in JOBS)


def _perfect():
    """What a right coprocessor gives."""
    results = [head(job, CONFIG) for job in JOBS]
    held = held_planes(JOBS, results, CONFIG)
    records = [HdpKind().record(*of, CONFIG, planes)
               for *of, planes in zip(JOBS, results, held, strict=True)]
    reads, writes = (sum(getattr(s, way) for s in records) for way in ("read_bytes", "write_bytes"))
    registers = {"jobs_done": 4, "jobs_failed": 0, "read_bytes": reads, "write_bytes": writes,
                 "cycles": 8 * 10**6, **dict.fromkeys(OCCUPANCY, 10**6)}
    return Simulation(results=[(r.out.copy(), s) for r, s in zip(results, records, strict=True)],
                      registers=registers, bus_read_bytes=reads, bus_write_bytes=writes)


def test_right_results_pass():
    assert [r.blocks_kept for r in check(_perfect(), JOBS, CONFIG)] == \
        [head(job, CONFIG).blocks_kept for job in JOBS]


def test_a_wrong_output_is_named():
    simulation = _perfect()
    out = simulation.results[2][0]
    want = int(out[0, 3])
    out[0, 3] = want + 1
    with pytest.raises(MismatchError, match=rf"job 2 \(causal .*l_q .*out\[0, 3\] must be {want}, "
                                            rf"not {want + 1}; 1 of {out.size} elements differ"):
        check(simulation, JOBS, CONFIG)


@pytest.mark.parametrize("field", ["done", "error", "head_kept", "theta_head", "blocks_kept",
                                   "blocks_total", "read_bytes", "write_bytes"])
def test_a_wrong_status_field_is_named(field):
    simulation = _perfect()
    out, status = simulation.results[1]
    value = getattr(status, field)
    wrong = (Error.BUS if field == "error" else not value if isinstance(value, bool) else value + 1)
    simulation.results[1] = (out, replace(status, **{field: wrong}))
    with pytest.raises(MismatchError, match=rf"job 1 .*status {field} must be"):
        check(simulation, JOBS, CONFIG)


def test_a_missing_status_record_is_named():
    simulation = _perfect()
    simulation.results[3] = (simulation.results[3][0], None)
    with pytest.raises(MismatchError, match=r"job 3 .*no status record was written"):
        check(simulation, JOBS, CONFIG)


@pytest.mark.parametrize("name", ["jobs_done", "jobs_failed", "read_bytes", "write_bytes"])
def test_a_wrong_counter_is_named(name):
    simulation = _perfect()
    simulation.registers[name] += 8
    with pytest.raises(MismatchError, match=f"register {name} must be"):
        check(simulation, JOBS, CONFIG)


@pytest.mark.parametrize("name", ["integer_slots", "score_slots", "value_slots"])
def test_a_slot_counter_below_the_work_is_named(name):
    simulation = _perfect()
    simulation.registers["cycles"] -= simulation.registers[name]
    simulation.registers[name] = 0
    with pytest.raises(MismatchError, match=f"register {name} is 0, but the work needs at least"):
        check(simulation, JOBS, CONFIG)


def test_cycles_without_a_counter_are_named():
    simulation = _perfect()
    simulation.registers["idle_dma"] -= 1
    with pytest.raises(MismatchError, match="must add up to cycles of all cores, 8000000, not"):
        check(simulation, JOBS, CONFIG)


def test_cycles_of_an_array_of_its_own_count_for_themselves():
    config = CONFIG.model_copy(update={"value_array": "own"})
    simulation = _perfect()
    simulation.registers["cycles"] -= simulation.registers["value_slots"]
    check(simulation, JOBS, config)
    simulation.registers["cycles"] += 1
    with pytest.raises(MismatchError, match="integer_slots, score_slots, idle_softmax, .* must add "
                                            "up to cycles of all cores, 7000001, not 7000000"):
        check(simulation, JOBS, config)


def test_bytes_that_the_bus_did_not_see_are_named():
    simulation = _perfect()
    simulation.bus_read_bytes += 8
    with pytest.raises(MismatchError, match=r"register read_bytes is .*, but the memory saw"):
        check(simulation, JOBS, CONFIG)


def test_a_result_too_few_is_named():
    simulation = _perfect()
    simulation.results.pop()
    with pytest.raises(MismatchError, match="4 jobs must give as many results, not 3"):
        check(simulation, JOBS, CONFIG)


def test_a_job_that_must_fail():
    simulation = _perfect()
    job, layout = JOBS[0], HdpLayout(CONFIG)
    size = job.l_q * layout.row_bytes("out", job.d)
    untouched = layout.unpack_out(bytes([0xA5]) * size, job.l_q, job.d)
    good = simulation.results[0][1]
    bad = HdpStatus(True, Error.LENGTH, False, 0, 0, 0, 0, 0)
    simulation.results[0] = (untouched, bad)
    simulation.registers["jobs_failed"] = 1
    simulation.registers["read_bytes"] += 64 - good.read_bytes
    simulation.registers["write_bytes"] += 64 - good.write_bytes
    simulation.bus_read_bytes = simulation.registers["read_bytes"]
    simulation.bus_write_bytes = simulation.registers["write_bytes"]
    assert check(simulation, JOBS, CONFIG, {0: Error.LENGTH})[0] is None
    simulation.results[0] = (np.zeros_like(untouched), bad)
    with pytest.raises(MismatchError, match=r"job 0 .*must be -23131, not 0"):
        check(simulation, JOBS, CONFIG, {0: Error.LENGTH})
    with pytest.raises(MismatchError, match=r"job 0 .*status error must be"):
        check(simulation, JOBS, CONFIG, {0: Error.VALID})
