# SPDX-License-Identifier: Apache-2.0
"""The result writer: requests, output rows and status records of jobs of every kind."""

from random import Random

import pytest

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.kind import LeopardKind, LeopardStatus
from prunus.golden.leopard.planes import LeopardLayout
from prunus.golden.records import STATUS_BYTES, Error
from prunus.hw.leopard.layouts import front_end
from prunus.hw.survivors.result_writer import ResultWriter
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [LeopardConfig(name="tiny", width=8, dpus=2, d_max=32, l_max=32),
           LeopardConfig(name="w12", d_max=24, l_max=8, axi_data_width=128),
           LeopardConfig(name="widest", width=8, d_max=72, l_max=6, axi_data_width=512)]


def _status(raw):
    values = LeopardKind.status.unpack(raw)
    return LeopardStatus(**{**values, "done": values["done"] == 1, "error": Error(values["error"])})


def _jobs(config, rng):
    """Computed heads, heads of zeros and heads in error."""
    for n in range(12):
        l_q = rng.randint(1, config.l_max)
        yield {"out": rng.getrandbits(20) << 6, "status": rng.getrandbits(20) << 6, "l_q": l_q,
               "valid_q": rng.choice([l_q, rng.randint(1, l_q)]),
               "d8": rng.randint(1, config.d_max // 8), "computed": n % 3 == 0,
               "error": int(Error.BUS) if n % 3 == 1 else 0}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_jobs(config, stall_in, stall_out):
    rng, layout = Random(config.name), LeopardLayout(config)
    jobs = list(_jobs(config, rng))
    statuses = [{"survivors": rng.getrandbits(32), "digits": rng.getrandbits(32),
                 "key_words": rng.getrandbits(32), "read_beats": rng.getrandbits(16)}
                for _ in jobs]
    record_beats = STATUS_BYTES * 8 // config.axi_data_width
    requests, rows, beats, records = [], [], [], []
    for job, status in zip(jobs, statuses, strict=True):
        row_beats = layout.row_beats("out", 8 * job["d8"])
        record = (job["status"], record_beats)
        if job["error"]:
            requests.append(record)
            records.append(LeopardStatus(done=True, error=Error(job["error"])))
            beats += [None] * record_beats
            continue
        total = job["l_q"] * row_beats
        mine = [rng.getrandbits(config.axi_data_width)
                for _ in range(job["valid_q"] * row_beats * job["computed"])]
        rows += mine
        requests += [(job["out"], total), record]
        beats += mine + [0] * (total - len(mine)) + [None] * record_beats
        records.append(LeopardStatus(
            done=True, error=Error.NONE, survivors=status["survivors"],
            digits_total=status["digits"], key_words=status["key_words"],
            read_bytes=status["read_beats"] * layout.beat_bytes,
            write_bytes=total * layout.beat_bytes + STATUS_BYTES))
    dut, got, asked = ResultWriter(config=config, front=front_end(config)), [], []

    async def send_jobs(ctx):
        for job, status in zip(jobs, statuses, strict=True):
            ctx.set(dut.status, status)
            await send(ctx, dut.job, [job], rng, stall_in)

    async def send_rows(ctx):
        await send(ctx, dut.rows, rows, rng, stall_in)

    async def take(ctx):
        got.extend(await receive(ctx, dut.o, len(beats), rng, stall_out))

    async def requested(ctx):
        asked.extend(await receive(ctx, dut.req, len(requests), rng, stall_out))

    simulate(dut, send_jobs, send_rows, take, requested, limit=60_000)
    assert [(request.address, request.beats) for request in asked] == requests
    data = [beat.data for beat in got]
    assert all(want in (None, beat) for want, beat in zip(beats, data, strict=True))
    size = layout.beat_bytes
    raw = b"".join(beat.to_bytes(size, "little")
                   for want, beat in zip(beats, data, strict=True) if want is None)
    assert [_status(raw[n : n + STATUS_BYTES])
            for n in range(0, len(raw), STATUS_BYTES)] == records
