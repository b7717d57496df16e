# SPDX-License-Identifier: Apache-2.0
"""The loader on planes as golden packs them."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.planes import HdpLayout
from prunus.hw.hdp.loader import Loader, Plane, tag_layout
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [load_config("hdp_tiny"),
           HdpConfig(name="w12", width=12, frac=8, d_max=128, l_max=6, axi_data_width=128),
           HdpConfig(name="signs", width=8, frac=1, d_max=72, l_max=4, axi_data_width=64),
           HdpConfig(name="narrow", width=12, frac=5, d_max=128, l_max=4, axi_data_width=64),
           HdpConfig(name="beat", width=8, frac=5, d_max=8, l_max=8, axi_data_width=128),
           HdpConfig(name="widest", width=8, frac=4, d_max=40, l_max=8, axi_data_width=512),
           HdpConfig(name="wide", width=12, frac=8, d_max=128, l_max=6, axi_data_width=256),
           load_config("hdp_fine_tiny"),
           HdpConfig(name="rounded", digits="rounded", d_max=72, l_max=4),
           HdpConfig(name="rounded_signs", digits="rounded", frac=3, d_max=128, l_max=4),
           HdpConfig(name="rounded_w12", digits="rounded", width=12, frac=8, d_max=40, l_max=4,
                     axi_data_width=128),
           HdpConfig(name="rounded_wide", digits="rounded", frac=3, d_max=64, l_max=4,
                     axi_data_width=512),
           HdpConfig(name="rounded_w12_signs", digits="rounded", width=12, frac=7, d_max=128,
                     l_max=4, axi_data_width=128)]
ELEMENTS = {Plane.Q_I: "i", Plane.K_I: "i", Plane.Q_F: "f", Plane.K_F: "f", Plane.V: "v"}


@dataclass(eq=False)
class _Load:
    """A plane to be fetched and what must come of it."""

    config: HdpConfig
    plane: Plane
    bank: int
    kv: int
    address: int
    codes: np.ndarray

    def __post_init__(self):
        layout = HdpLayout(self.config)
        self.kind = ELEMENTS[self.plane]
        packed = layout.pack(self.kind, self.codes)
        size = layout.beat_bytes
        self.words = [int.from_bytes(packed.tobytes()[n : n + size], "little")
                      for n in range(0, packed.size, size)]
        self.row_beats = packed.shape[1] // size

    @property
    def command(self):
        rows, d = self.codes.shape
        return {"plane": self.plane, "bank": self.bank, "kv": self.kv, "address": self.address,
                "rows": rows, "d8": d // 8}

    @property
    def tag(self):
        return tag_layout().const({"plane": self.plane, "bank": self.bank,
                                   "kv": self.kv}).as_bits()

    def _row(self, codes, dims, bits):
        """Beats of a row as lists of (magnitude, sign), and of codes for V."""
        integer, fraction = self.config.format.split(codes)
        rounded = self.config.rounded
        # Rounded, the lowest fraction is minus zero.
        mag = {"i": abs(integer), "f": abs(fraction) & (1 << self.config.format.frac_mag) - 1,
               "v": abs(codes)}[self.kind]
        sign = {"i": integer, "f": fraction if rounded else codes, "v": codes}[self.kind] < 0
        pad = (0, -len(codes) % dims)
        elements = np.stack([np.pad(mag, pad), np.pad(sign, pad)], axis=1).reshape(-1, dims, 2)
        return list(zip(elements.tolist(), np.pad(codes, pad).reshape(-1, dims).tolist(),
                        strict=True))

    def writes(self):
        """``(plane, bank, row, beat, elements, codes)`` in order."""
        layout = HdpLayout(self.config)
        bits = getattr(layout, f"{self.kind}_bits")
        dims = min(self.config.axi_data_width // bits,
                   1 << (self.config.d_max - 1).bit_length())
        return [(self.plane.name.lower(), (self.bank, self.kv), row, beat, elements,
                 codes if self.kind == "v" else None)
                for row, whole in enumerate(self.codes)
                for beat, (elements, codes) in enumerate(self._row(whole, dims, bits))]


def _loads(config, rng, heads):
    """Five planes of each head, banks in turn."""
    loads = []
    for n in range(heads):
        d = [config.d_max, 8, 8 * int(rng.integers(1, config.d_max // 8 + 1))][n % 3]
        for plane in (Plane.K_I, Plane.Q_I, Plane.K_F, Plane.Q_F, Plane.V):
            shape = (int(rng.integers(1, min(config.l_max, 8) + 1)), d)
            allowed = config.codes_of(plane.name[0].lower())
            low, high = allowed.min_code, allowed.max_code
            codes = np.where(rng.random(shape) < 0.2, rng.choice([low, high, -1, 0], shape),
                             rng.integers(low, high + 1, shape))
            loads.append(_Load(config, plane, n & 1, int(rng.integers(2)),
                               int(rng.integers(1 << 32)), codes))
    return loads


def _elements(ctx, view):
    return [[ctx.get(e.mag), ctx.get(e.sign)] for e in view]


async def _watch(ctx, dut, got, counted):
    """Every write, and every strobe of a beat with what belongs to it."""
    while True:
        await ctx.tick()
        planes = [name for name in ("q_i", "k_i", "q_f", "k_f", "v")
                  if ctx.get(dut.write[name])]
        assert len(planes) <= 1
        for name in planes:
            kind = name[-1]
            got.append((name, (ctx.get(dut.write.bank), ctx.get(dut.write.kv)),
                        ctx.get(dut.write.row), ctx.get(dut.write.beat),
                        _elements(ctx, getattr(dut, kind)),
                        [ctx.get(c) for c in dut.v_codes] if kind == "v" else None))
        if ctx.get(dut.beat):
            counted.append((ctx.get(dut.beat_tag).as_bits(), ctx.get(dut.error), ctx.get(dut.done),
                            ctx.get(dut.done_tag).as_bits() if ctx.get(dut.done) else None,
                            bool(planes)))
        else:
            assert not planes and not ctx.get(dut.done)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_planes(config, stall_in, stall_out):
    rng = Random(f"{stall_in}{stall_out}")
    loads = _loads(config, np.random.default_rng(4), 3)
    errors = [[rng.random() < 0.1 for _ in load.words] for load in loads]
    dut = Loader(config=config)
    asked, got, counted, sent = [], [], [], [0]

    async def commands(ctx):
        for n, load in enumerate(loads):
            while sent[0] < 5 * (n // 5 - 1):       # a bank is free once its head is through
                await ctx.tick()
            await send(ctx, dut.command, [load.command], rng, stall_in)

    async def requests(ctx):
        for load in loads:
            asked.extend(await receive(ctx, dut.req, 1, rng, stall_out))
            assert (asked[-1].address, asked[-1].beats, asked[-1].tag) == \
                (load.address, len(load.words), load.tag)

    async def beats(ctx):
        for n, load in enumerate(loads):
            while len(asked) <= n:
                await ctx.tick()
            for place, word in enumerate(load.words):
                beat = {"data": word, "tag": load.tag, "error": errors[n][place],
                        "last": place == len(load.words) - 1}
                assert await send(ctx, dut.beats, [beat], rng, stall_in) == 1 or stall_in
                # What is not valid means nothing.
                ctx.set(dut.beats.payload, {"data": ~word, "tag": load.tag ^ 1, "last": 1,
                                            "error": 1})
            sent[0] += 1
        await ctx.tick()

    async def watch(ctx):
        await _watch(ctx, dut, got, counted)

    simulate(dut, commands, requests, beats, background=[watch])
    assert got == [write for load in loads for write in load.writes()]
    expected = []
    for load, bad in zip(loads, errors, strict=True):
        layout = HdpLayout(config)
        apart = load.kind == layout.signed_kind and not layout.signs_beside
        signs = -(-load.codes.shape[1] // config.axi_data_width) if apart else 0
        for place, error in enumerate(bad):
            last = place == len(bad) - 1
            expected.append((load.tag, int(error), int(last), load.tag if last else None,
                             place % load.row_beats >= signs))
    assert counted == expected


def test_latency():
    """A request two cycles after its command and a command in three; a write after a beat."""
    config = load_config("hdp_tiny")
    dut = Loader(config=config)
    command = {"plane": Plane.V, "bank": 1, "address": 64, "rows": 3, "d8": 2}

    async def body(ctx):
        ctx.set(dut.command.payload, command)
        ctx.set(dut.command.valid, 1)
        ctx.set(dut.req.ready, 1)
        for cycle in range(9):
            assert ctx.get(dut.req.valid) == ctx.get(dut.command.ready) == (cycle % 3 == 2)
            await ctx.tick()
        ctx.set(dut.command.valid, 0)
        tag = tag_layout().const({"plane": Plane.V, "bank": 1}).as_bits()
        ctx.set(dut.beats.valid, 1)
        for cycle in range(6):
            ctx.set(dut.beats.payload, {"data": cycle, "tag": tag, "last": cycle == 5})
            assert ctx.get(dut.beats.ready)
            await ctx.tick()
            assert ctx.get(dut.write.v) and ctx.get(dut.v[0].mag) == cycle
            assert (ctx.get(dut.write.row), ctx.get(dut.write.beat)) == divmod(cycle, 2)
            assert ctx.get(dut.done) == (cycle == 5)

    simulate(dut, body)
