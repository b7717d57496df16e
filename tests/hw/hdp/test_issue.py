# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.hw.hdp.issue import Issue
from prunus.hw.hdp.layouts import Mode
from tests.hw.helpers import simulate

CONFIG = load_config("hdp_tiny")
OWN = CONFIG.model_copy(update={"value_array": "own"})
PRIORITY = ("score", "integer", "value")
PLACE = ("bank", "column", "chunk", "first", "last")


def block(rng, kind, size):
    """The operations of a block, or of a value chunk with now and then a word for background."""
    column = rng.randrange(CONFIG.blocks)
    chunks = range(-(-CONFIG.d_max // CONFIG.taps))
    ops = []
    for n in range(size):
        op = {"bank": rng.randrange(2), "column": column, "chunk": rng.choice(chunks),
              "first": n == 0, "last": n == size - 1}
        if kind == "value":
            op |= {"column": rng.randrange(CONFIG.blocks), "background": rng.random() < 0.3}
            mant = [[{"mag": rng.getrandbits(8), "sign": rng.randrange(2)} for _ in range(2)]
                    for _ in range(2)]
            op["w"] = [{"shift": rng.randrange(8), "mant": m} for m in mant]
        else:
            mode = Mode.INTEGER if kind == "integer" else rng.choice([Mode.FRACTION, Mode.FULL])
            op |= {"mode": mode, "exact": rng.randrange(2), "row": rng.randrange(CONFIG.blocks),
                   "tag": {"column": column, "visible": rng.randrange(16), "last": rng.randrange(2),
                           "integer": rng.randrange(2), "entry": rng.randrange(2)}}
        ops.append(op)
    return ops


class Bench:
    """Offers operations at random and expects them in the order of ``PRIORITY``.

    Parameters
    ----------
    chances : dict of float
        How likely each stream is to offer its next operation in a cycle.
    """

    def __init__(self, streams, chances, seed=0, config=CONFIG):
        self.dut, self.own = Issue(config=config), config.own_values
        self.left = {kind: list(ops) for kind, ops in streams.items()}
        self.chances, self.rng = chances, Random(seed)
        self.offered = dict.fromkeys(PRIORITY, False)
        self.inside = None          # score or integer, inside a block
        self.issued = []            # kinds in their order, None for a cycle without any

    def _offer(self, ctx):
        """An operation once offered stays until it is taken."""
        for kind in PRIORITY:
            port, left = getattr(self.dut, kind), self.left[kind]
            if left and not self.offered[kind] and self.rng.random() < self.chances[kind]:
                self.offered[kind] = True
                ctx.set(port.payload, left[0])
            ctx.set(port.valid, self.offered[kind])

    def _take(self, ctx):
        """The operations that this cycle takes by their kinds: one, or of values beside another if
        they have an array of their own."""
        allowed = [kind for kind in PRIORITY if self.offered[kind]
                   and not (kind != "value" and self.inside not in (None, kind))]
        kinds = allowed[:1] + [kind for kind in allowed[1:] if self.own and kind == "value"]
        taken = [k for k in PRIORITY if self.offered[k] and ctx.get(getattr(self.dut, k).ready)]
        assert taken == kinds
        ops = {}
        for kind in kinds:
            self.offered[kind] = False
            ops[kind] = op = self.left[kind].pop(0)
            if kind != "value":
                self.inside = None if op["last"] else kind
        return ops

    def _check(self, ctx, ops):
        dut, value = self.dut, ops.get("value")
        background = value is not None and value["background"]
        assert ctx.get(dut.background) == background
        if value is not None:
            shape = dut.value.payload.shape()
            assert ctx.get(dut.value_op.as_value()) == shape.const(value).as_value().value
        values = value is not None and not background
        others = [op for kind, op in ops.items() if kind != "value"]
        if self.own:
            assert ctx.get(dut.value_en) == values
            values = False
        assert ctx.get(dut.en) == (values or bool(others))
        if others:
            shape = dut.op.shape()
            assert ctx.get(dut.op.as_value()) == shape.const(others[0]).as_value().value
        elif values:
            o = ctx.get(dut.op)
            assert (o.mode, *(o[name] for name in PLACE)) == (
                Mode.VALUE, *(value[name] for name in PLACE))

    def run(self):
        async def testbench(ctx):
            while any(self.left.values()):
                self._offer(ctx)
                ops = self._take(ctx)
                self.issued += ops or [None]
                await ctx.tick()
                self._check(ctx, ops)
            for kind in PRIORITY:
                ctx.set(getattr(self.dut, kind).valid, 0)
            await ctx.tick()
            self._check(ctx, {})

        simulate(self.dut, testbench)
        return self.issued


@pytest.mark.parametrize("chances", [(1, 1, 1), (0.3, 1, 1), (0.3, 0.3, 1), (0.2, 0.5, 0.3),
                                     (1, 0.1, 0.1), (0.1, 0.1, 0.1)])
@pytest.mark.parametrize("config", [CONFIG, OWN], ids=lambda config: config.value_array)
def test_random_operations(config, chances):
    rng = Random(1)
    streams = {kind: [op for _ in range(30) for op in block(rng, kind, rng.choice([1, 2, 3, 8]))]
               for kind in PRIORITY}
    issued = Bench(streams, dict(zip(PRIORITY, chances, strict=True)), config=config).run()
    counts = {kind: issued.count(kind) for kind in PRIORITY}
    assert counts == {kind: len(ops) for kind, ops in streams.items()}
    if chances == (1, 1, 1):
        assert None not in issued


def test_a_block_once_begun_waits_for_its_operations():
    """An integer block that pauses holds back the scores but not the values."""
    rng = Random(2)
    streams = {"value": block(rng, "value", 4), "score": block(rng, "score", 3),
               "integer": block(rng, "integer", 5)}
    dut = Issue(config=CONFIG)

    async def testbench(ctx):
        async def cycle(**offers):
            """Which of the offered operations is taken."""
            for kind in PRIORITY:
                port = getattr(dut, kind)
                ctx.set(port.valid, kind in offers)
                if kind in offers:
                    ctx.set(port.payload, streams[kind][offers[kind]])
            taken = [kind for kind in offers if ctx.get(getattr(dut, kind).ready)]
            await ctx.tick()
            return taken

        assert await cycle(integer=0) == ["integer"]
        assert await cycle(score=0) == []
        assert await cycle(score=0, value=0) == ["value"]
        for n in range(1, 5):
            assert await cycle(score=0, integer=n) == ["integer"]
        assert await cycle(score=0, integer=0) == ["score"]
        assert await cycle(integer=0) == []
        assert await cycle(value=1, integer=0) == ["value"]
        for n in (1, 2):
            assert await cycle(score=n, integer=0) == ["score"]
        assert await cycle(integer=0) == ["integer"]

    simulate(dut, testbench)
