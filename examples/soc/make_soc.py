# SPDX-License-Identifier: Apache-2.0
"""A folder with all that the system in soc.v takes to run a real head on each of its coprocessors.

    python examples/soc/make_soc.py [FOLDER]

writes into FOLDER, by default build/soc: the Verilog of this folder, that of hdp_tiny and
leopard_tiny with their waivers for lint, and

- memory.hex, the RAM at first: descriptor, operands, and room for the results of both;
- script.hex, what the processor does;
- expected.hex, the RAM at the end, as the specification says.
"""

import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from prunus.engines import hdp, leopard
from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.golden.image import build_image, described
from prunus.golden.jobs import AttentionJob
from prunus.heads import EXAMPLES
from prunus.hw.verilog.emit import emit

HERE = Path(__file__).resolve().parent
HEADS = EXAMPLES / "minilm_sentence.npz"
THRESHOLD = 0.5                 # of the logits, for LeOPArd
MEMORY_BYTES = 4096 * 8         # WORDS of soc_tb.v, of 64 bits
LINES = 256                     # of axil_script.v
WRITE, READ, WAIT, END = 1, 2, 3, 0


def placed(job: AttentionJob, config: EngineConfig, base: int) -> tuple[bytes, bytes]:
    """What lies in memory from ``base`` on, a descriptor first, before and after the job."""
    engine = engine_of(config)
    kind = engine.kind(job)
    image = build_image([job], config)
    there = described(image, 0, kind, config)
    image.describe(0, kind.encode(job, {name: there[name] + base for name in kind.addresses},
                                  config))
    before = bytes(image.data)

    result = engine.compute(job, config)
    layout, (rows, dims) = kind.layout(config), job.output()
    words = np.zeros((rows, layout.row_bytes("out", job.d) * 8 // config.out_width),
                     f"<i{config.out_width // 8}")
    words[:, :dims] = result.out
    record = kind.status.pack(asdict(kind.record(job, result, config)))
    for address, raw in ((image.out[0], words.tobytes()), (image.status[0], record.tobytes())):
        image.data[address : address + len(raw)] = raw
    return before, bytes(image.data)


def played(config: EngineConfig, number: int, table: int) -> tuple[list, list]:
    """To start one descriptor and to wait for it, each as ``(op, address, value)``."""
    at = {register.name: 0x100 * number + register.address
          for register in registers.register_map(config)}
    pending = 1 << registers.Status.IRQ
    return [
        *((READ, at[name], value) for name, value in registers.constants(config).items()),
        (WRITE, at["table"], table), (WRITE, at["irq_enable"], 1), (WRITE, at["status"], pending),
        (WRITE, at["doorbell"], 1),
    ], [
        (WAIT, 0, number), (READ, at["status"], pending), (WRITE, at["status"], pending),
        (READ, at["status"], 0), (READ, at["jobs_done"], 1), (READ, at["jobs_failed"], 0),
    ]


def beats(memory: bytes) -> str:
    """For $readmemh, a beat of 64 bits a line."""
    return "".join(f"{beat:016x}\n" for beat in np.frombuffer(memory, "<u8"))


def main(folder: Path) -> None:
    configs = load_config("hdp_tiny"), load_config("leopard_tiny")
    jobs = (hdp.load_jobs(HEADS, configs[0], hdp.Options())[0],
            leopard.load_jobs(HEADS, configs[1], THRESHOLD)[1])
    before, after = bytearray(MEMORY_BYTES), bytearray(MEMORY_BYTES)
    begun: list[tuple[int, int, int]] = []
    ended: list[tuple[int, int, int]] = []
    for number, (config, job) in enumerate(zip(configs, jobs, strict=True)):
        base = number * MEMORY_BYTES // 2
        for memory, part in zip((before, after), placed(job, config, base), strict=True):
            memory[base : base + len(part)] = part
        start, end = played(config, number, base)
        begun, ended = begun + start, ended + end
    assert len(before) == len(after) == MEMORY_BYTES

    folder.mkdir(parents=True, exist_ok=True)
    for source in HERE.glob("*.v"):
        shutil.copyfile(source, folder / source.name)
    script = [*begun, *ended]
    script += [(END, 0, 0)] * (LINES - len(script))
    texts = {"memory.hex": beats(before), "expected.hex": beats(after),
             "script.hex": "".join(f"{op:02x}_{address:08x}_{value:08x}\n"
                                   for op, address, value in script)}
    for config in configs:
        emission = emit(config)
        texts |= {f"{config.name}.v": emission.verilog, f"{config.name}.vlt": emission.waivers}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/soc"))
