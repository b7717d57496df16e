# SPDX-License-Identifier: Apache-2.0
"""A board in Python: the link by prunus.golden.link, the coprocessor by the specification."""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from random import Random

import numpy as np

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.golden.jobs import AttentionJob
from prunus.golden.link import (
    PAYLOAD_BYTES,
    VERSION,
    FrameDecoder,
    Info,
    Opcode,
    Reply,
    Request,
    Status,
    frame,
)

__all__ = ["FakeBoard", "head_of", "spoiler"]

ADDRESS = {register.name: register.address
           for register in registers.register_map(load_config("hdp_tiny"))}


def head_of(job: AttentionJob, config: EngineConfig):
    """What the specification gives."""
    return engine_of(config).compute(job, config)


def _record(job, result, config: EngineConfig, held) -> list[int]:
    """The words of a status record."""
    kind = engine_of(config).kind(job)
    status = kind.record(job, result, config, held)
    return [int(word) for word in kind.status.pack(asdict(status))]


class FakeBoard:
    """A line to a board that computes ``jobs``, in order, and a clock that only waiting moves.

    ``spoil`` is called with every frame, either way, and gives what arrives of it.
    """

    def __init__(self, config: EngineConfig, jobs: Sequence[AttentionJob] = (), *,
                 memory_bytes: int = 1 << 16, spoil=lambda raw: raw):
        self.config, self.jobs = config, deque(jobs)
        self.address = {register.name: register.address
                        for register in registers.register_map(config)}
        self.memory = bytearray(memory_bytes)
        self.spoil = spoil
        self.now = 0.0
        self.registers: dict[int, int] = {}
        self.rings = 0
        self.requests: list[Request] = []       # whole ones, as they came
        self.session: int | None = None
        self.last: tuple[int, int] | None = None
        self.hang = False
        self._decoder = FrameDecoder()
        self._answers = deque()

    # -- the line ----------------------------------------------------------------------------
    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def write(self, data: bytes) -> None:
        for body in self._decoder.feed(self.spoil(data)):
            if body is None:
                reply = Reply(opcode=0, session=0, sequence=0, status=Status.CHECKSUM)
            else:
                request = Request.unpack(body)
                self.requests.append(request)
                status, data = self._answer(request)
                reply = Reply(opcode=request.opcode, session=request.session,
                              sequence=request.sequence, status=status, data=data)
            self._answers.append(self.spoil(frame(reply.pack())))

    def read(self, timeout_s: float) -> bytes:
        if self._answers:
            return self._answers.popleft()
        self.now += timeout_s
        return b""

    # -- the board ---------------------------------------------------------------------------
    def _answer(self, request: Request) -> tuple[Status, bytes]:
        if request.opcode == Opcode.SYNC:
            self.session, self.last = request.session, None
            self.registers = {self.address[name]: value for name, value in
                              registers.constants(self.config).items()}
            info = Info(VERSION, self.config.axi_data_width // 8, PAYLOAD_BYTES, len(self.memory))
            return Status.OK, info.pack()
        if request.session != self.session:
            return Status.SESSION, b""
        at, size = request.address, request.length
        match request.opcode:
            case Opcode.READ_REGISTER:
                return Status.OK, self.registers.get(at, 0).to_bytes(4, "little")
            case Opcode.WRITE_REGISTER:
                if self.last is None or self.last[0] != request.sequence:
                    self.last = request.sequence, self._set(
                        at, int.from_bytes(request.data, "little"))
                return self.last[1], b""
            case Opcode.READ_MEMORY:
                return Status.OK, bytes(self.memory[at : at + size])
        if at + size > len(self.memory):
            return Status.ADDRESS, b""
        self.memory[at : at + size] = request.data
        return Status.OK, b""

    def _set(self, address: int, value: int) -> Status:
        if address == self.address["status"]:
            self.registers[address] = 0
        else:
            self.registers[address] = value
        if address == self.address["doorbell"]:
            self.rings += 1
            if self.hang:
                self.registers[self.address["status"]] = 1
            else:
                self._compute(value)
        return Status.OK

    def _compute(self, count: int) -> None:
        """As the coprocessor does, but for what it reads."""
        table = self.registers[self.address["table"]]
        jobs = [self.jobs.popleft() for _ in range(count)]
        jobs[0] = jobs[0].alone()
        results = [head_of(job, self.config) for job in jobs]
        held = engine_of(self.config).held(jobs, results, self.config)
        for n, (job, result) in enumerate(zip(jobs, results, strict=True)):
            layout = engine_of(self.config).kind(job).layout(self.config)
            words = np.frombuffer(bytes(self.memory[table + 64 * n : table + 64 * n + 64]), "<u4")
            out, status = int(words[11]), int(words[12])
            rows = np.zeros((job.l_q, layout.row_bytes("out", job.d) // 2), "<i2")
            rows[:, : job.d] = result.out
            self.memory[out : out + rows.nbytes] = rows.tobytes()
            fields = _record(job, result, self.config, held[n])
            self.memory[status : status + 64] = np.array(fields + [0] * 8, "<u4").tobytes()
        self.registers[self.address["jobs_done"]] = count
        self.registers[self.address["cycles"]] = 1000 * count
        self.registers[self.address["status"]] = 2


def spoiler(seed: int, chance: float):
    """Loses, changes and doubles bytes of frames, and now and then all of one."""
    rng = Random(seed)

    def spoil(raw: bytes) -> bytes:
        if rng.random() > chance:
            return raw
        at = rng.randrange(len(raw))
        match rng.randrange(5):
            case 0:
                return raw[:at] + raw[at + 1 :]
            case 1:
                return raw[:at] + bytes([raw[at] ^ rng.randrange(1, 256)]) + raw[at + 1 :]
            case 2:
                return raw[:at] + raw[at : at + 1] + raw[at:]
            case 3:
                return b""
            case _:
                return rng.randbytes(rng.randrange(30)) + raw
    return spoil
