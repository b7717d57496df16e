# SPDX-License-Identifier: Apache-2.0
"""Replays of small designs: what is counted is what a model in Python counts."""

import copy
import random
import shutil
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from prunus.errors import InputError, RunError
from prunus.power import replay as module
from prunus.power.joules import Prices
from prunus.power.netlist import flatten
from prunus.power.replay import Delays, Weights, replay
from prunus.synth.pdk.cells import library
from tests.prunus.power.small import (
    GATES,
    OUTPUT,
    Model,
    blocks,
    cell,
    gated,
    hand,
    looks,
    memories,
    recorded,
)

CYCLES = 700            # more than one call of the program
WINDOWS = [(1, CYCLES), (1, 2), (300, 530), (CYCLES - 1, CYCLES)]


# -- what the Verilog says, in Python -------------------------------------------------------------
def leaf(a, b):
    return (a ^ b & 1) & ~(b >> 1) & 1


def blocks_says(rows):
    """Of each row; registers are what the row before left."""
    q = [0, 0, 0]
    for row in rows:
        a, b = row["in"] & 1, row["in"] >> 1 & 3
        first = leaf(a, b)
        second = leaf(first, b & 1)
        last = leaf(a, 1 | (row["in"] >> 3) << 1)
        yield {"q": q[0] | q[1] << 1, "also": first, "one": 1, "passed": a,
               "crossed": first ^ second, "last": q[2], "low": last & (1 - a)}
        q = [first, second, last]


def gated_says(rows):
    a, b, c = 0b000101, 0b110000, 0b1001
    for row in rows:
        bits = a.bit_count() + b.bit_count() + c.bit_count()
        yield {"a": a, "b": b, "c": c, "any": bits & 1}
        a = 0b010000 if row["rst"] else row["d"] if row["e"] else a
        b = b + row["d"] & 63 if row["f"] and row["d"] & 1 else b
        c = c << 1 & 15 | row["d"].bit_count() & 1


def memories_says(rows):
    one, two, big, q, z = [0] * 8, [0] * 8, [0] * 64, 0b01100000, 0
    for row in rows:
        yield {"q": q, "z": z, "x": two[row["ra"]], "y": two[row["rb"]]}
        wa, d = row["wa"], row["d"]
        q = 0b10000001 if row["rs"] else one[row["ra"]] if row["re"] else q
        z = big[row["rb"] * 8 + row["ra"]] if row["re"] else z
        if wa < 6:          # of six words
            mask = 15 * (row["we"] & 1) + 240 * (row["we"] >> 1)
            one[wa] = one[wa] & ~mask | d & mask
        if row["we"] & 1:
            two[wa] = d >> 2 & 15
        if row["we"] >> 1:
            big[wa * 8 + row["ra"]] = d


def looks_says(rows):
    m = [0, 0, 0, 5, 0, 0, 12, 0]
    for row in rows:
        x = m[row["ra"]] ^ m[row["rb"]]
        yield {"x": x, "y": (m[row["ra"]] & row["d"]).bit_count() & 1 | (x == 15)}
        if row["we"]:
            m[row["wa"]] = row["d"]


DESIGNS = {
    "blocks": (blocks, blocks_says, {"in": 4}),
    "free": (lambda: gated(False), gated_says, {"rst": 1, "e": 1, "f": 1, "d": 6}),
    "gated": (lambda: gated(True), gated_says, {"rst": 1, "e": 1, "f": 1, "d": 6}),
    "memories": (memories, memories_says,
                 {"wa": 3, "ra": 3, "rb": 3, "d": 8, "we": 2, "re": 1, "rs": 1}),
    "looks": (looks, looks_says, {"wa": 3, "ra": 3, "rb": 3, "d": 4, "we": 1}),
}


def inputs_of(widths, cycles, seed):
    """Random values, each input quiet for a while now and then."""
    rng, rows, now = random.Random(seed), [], dict.fromkeys(widths, 0)
    for _ in range(cycles):
        now = {name: value if rng.random() < 0.3 else rng.getrandbits(widths[name])
               for name, value in now.items()}
        rows.append(now)
    return rows


class Played:
    """A design, its model after a run, and the record of what the Verilog says."""

    def __init__(self, name, cycles=CYCLES, seed=1):
        make, says, widths = DESIGNS[name]
        self.design = make()
        self.netlist, self.model = self.design.netlist(), self.design.model()
        self.rows = inputs_of(widths, cycles, seed)
        self.outputs = self.model.run(self.rows)
        self.said = list(says(self.rows))
        ports = {name: len(bits) for some in (self.model.inputs, self.model.outputs)
                 for name, bits in some.items()}
        self.record = recorded(ports, [row | out for row, out in
                                       zip(self.rows, self.said, strict=True)])


@cache
def played(name):
    return Played(name)


def nets(netlist, toggles):
    """As :meth:`Model.nets`."""
    found = Counter()
    for net in range(2, netlist.nets):
        path = "/".join(netlist.blocks[netlist.block[net]])
        kind = netlist.names[netlist.driver[net]] if netlist.driver[net] >= 0 else ""
        found[path, kind, int(toggles[net])] += 1
    return found


def edges(netlist, counts):
    """As :meth:`Model.edges`."""
    found = Counter()
    for number, bank in enumerate(netlist.banks):
        for n in range(len(bank.data)):
            path = "/".join(netlist.blocks[netlist.block[bank.first + n]])
            found[path, *(int(some[n]) for some in (
                *counts.rise[number], *counts.fall[number], counts.moved_low[number],
                counts.moved_high[number]))] += 1
    return found


@pytest.mark.parametrize("name", DESIGNS)
def test_the_model_is_the_verilog(name):
    one = played(name)
    assert one.outputs == one.said


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", DESIGNS)
def test_nets_and_edges(name, window):
    """Every net moves as often as in the model, and every flip-flop sees what it sees there."""
    one = played(name)
    counts = replay(one.netlist, library(), one.record, window)
    assert counts.cycles == window[1] - window[0]
    assert counts.compared_bits == CYCLES * sum(map(len, one.model.outputs.values()))
    assert counts.differing_bits == 0
    assert nets(one.netlist, counts.toggles) == one.model.nets(*window)
    assert edges(one.netlist, counts) == one.model.edges(*window)


@pytest.mark.parametrize("window", WINDOWS)
def test_ports_by_name(window):
    """Which net is which, where the names say it."""
    one = played("gated")
    counts = replay(one.netlist, library(), one.record, window)
    for model, netlist in ((one.model.inputs, one.netlist.inputs),
                           (one.model.outputs, one.netlist.outputs)):
        for name, bits in model.items():
            assert [int(counts.toggles[net]) for net in netlist[name]] == [
                one.model.toggles(bit, *window) for bit in bits]


@pytest.mark.parametrize("window", WINDOWS)
def test_clock_gates_open(window):
    one = played("gated")
    counts = replay(one.netlist, library(), one.record, window)
    wanted = sorted(sum(one.model.on({"CLK": out}, one.model.history[n])
                        for n in range(window[0] - 1, window[1] - 1))
                    for out in one.model.clock_gates)
    assert sorted(counts.gate_open.tolist()) == wanted
    first, end = window
    rows = one.rows[first - 1 : end - 1]
    assert wanted == sorted([sum(row["rst"] | row["e"] for row in rows),
                             sum(row["f"] & row["d"] for row in rows)])


@pytest.mark.parametrize("window", WINDOWS)
def test_memories(window):
    one = played("memories")
    counts = replay(one.netlist, library(), one.record, window)
    names = {memory.said["parameters"]["MEMID"].lstrip("\\"): n
             for n, (_, memory, _) in enumerate(one.model.memories)}
    first, end = window
    for memory, said in zip(one.netlist.memories, counts.memories, strict=True):
        number = names[memory.name]
        wanted = [cycle[number] for cycle in one.model.accesses[first - 1 : end - 1]]
        ports = max(len(cycle["reads"]) for cycle in wanted)
        assert said.reads == [sum(cycle["reads"][p] for cycle in wanted) for p in range(ports)]
        assert said.writes == sum(cycle["writes"] for cycle in wanted)
        assert said.changed == sum(cycle["changed"] for cycle in wanted)
        assert said.both == sum(cycle["writes"] and any(cycle["reads"]) for cycle in wanted)
        assert said.none == sum(not cycle["writes"] and not any(cycle["reads"])
                                for cycle in wanted)


def test_a_write_is_seen_after_the_edge_alone():
    """A clocked read of the word that is written gives what was there."""
    rows = [{"wa": 1, "ra": 1, "rb": 0, "d": d, "we": we, "re": 1, "rs": 0}
            for d, we in ((0x5A, 3), (0xC3, 3), (0xFF, 0), (0, 0))]
    model = memories().model()
    assert [out["q"] for out in model.run(rows)] == [0b01100000, 0, 0x5A, 0xC3]
    assert [out["x"] for out in model.run(rows)] == [0, 0x5A >> 2 & 15, 0xC3 >> 2 & 15] + [
        0xC3 >> 2 & 15]
    ports = {"wa": 3, "ra": 3, "rb": 3, "d": 8, "we": 2, "re": 1, "rs": 1, "q": 8, "x": 4, "y": 4,
             "z": 8}
    record = recorded(ports, [row | out for row, out in
                              zip(rows, memories_says(rows), strict=True)])
    counts = replay(memories().netlist(), library(), record, (1, 4))
    one = next(said for memory, said in zip(memories().netlist().memories, counts.memories,
                                            strict=True) if memory.name == "one")
    assert (one.reads, one.writes, one.changed, one.both) == ([3], 2, 4 + 4, 2)


def test_every_gate_of_the_library():
    """Six inputs count through all their values, all gates look at them."""
    cells, outputs, bit = [], {}, 20
    for name in GATES:
        said = library().cells[f"sg13g2_{name}"]
        pins = dict(zip(sorted(said.inputs), range(3, 9), strict=False))
        cells.append(cell(name, **pins, **{OUTPUT.get(said.name, "X"): bit}))
        outputs[name] = [bit]
        bit += 1
    design = hand(cells, {"in": [3, 4, 5, 6, 7, 8]}, outputs)
    rows = []
    for value in range(64):
        bits = [value >> n & 1 for n in range(6)]
        rows.append({"in": value} | {name: GATES[name](*bits[: len(library().cells[
            f"sg13g2_{name}"].inputs)]) for name in GATES})
    record = recorded({"in": 6} | dict.fromkeys(GATES, 1), rows)
    netlist = design.netlist()
    counts = replay(netlist, library(), record, (1, 64))
    for name in GATES:
        assert counts.toggles[netlist.outputs[name][0]] == sum(
            a[name] != b[name] for a, b in zip(rows, rows[1:], strict=False))


@pytest.mark.parametrize("name", DESIGNS)
def test_twice_is_the_same(name):
    one = played(name)
    first, second = (replay(one.netlist, library(), one.record, (5, CYCLES)) for _ in range(2))
    np.testing.assert_array_equal(first.toggles, second.toggles)
    assert first.memories == second.memories
    assert edges(one.netlist, first) == edges(one.netlist, second)


def test_windows_add_up():
    one = played("gated")
    whole, *parts = (replay(one.netlist, library(), one.record, window)
                     for window in ((1, CYCLES), (1, 200), (200, 512), (512, CYCLES)))
    np.testing.assert_array_equal(whole.toggles, sum(part.toggles for part in parts))
    for name in ("rise", "fall", "moved_high", "moved_low"):
        np.testing.assert_array_equal(getattr(whole, name)[0],
                                      sum(getattr(part, name)[0] for part in parts))


def test_a_trace_is_what_its_weights_say():
    """A unit for each net, flip-flop that is clocked, access and cycle, each of another size."""
    one = played("memories")
    count = len(one.netlist.memories)
    weights = Weights(np.full(one.netlist.nets, 1.0), 1000.0, 0.25,
                      [(10.0 * 16**n, 4096.0 * 16**n) for n in range(count)])
    counts = replay(one.netlist, library(), one.record, (7, 407), weights=weights)
    assert counts.trace.shape == (400,)
    wanted = counts.toggles.sum() + 400 * 0.25 + sum(
        sum(said.reads) * 10 * 16**n + said.writes * 4096 * 16**n
        for n, said in enumerate(counts.memories))
    assert counts.trace.sum() == pytest.approx(wanted, rel=1e-12)
    each = [replay(one.netlist, library(), one.record, (n, n + 1), weights=weights).trace[0]
            for n in (7, 8, 406)]
    assert counts.trace[[0, 1, -1]].tolist() == each
    one = played("gated")
    weights = Weights(np.zeros(one.netlist.nets), 1.0, 0.0, [])
    counts = replay(one.netlist, library(), one.record, (7, 407), weights=weights)
    assert counts.trace.sum() == sum(rise.sum() for rise in counts.rise)


# -- what is wrong --------------------------------------------------------------------------------
def exchanged(said, old, new):
    """Yosys' JSON in which the first gate of a kind is another one."""
    said = copy.deepcopy(said)
    for body in said["modules"].values():
        for one in body["cells"].values():
            if one["type"] == f"sg13g2_{old}":
                one["type"] = f"sg13g2_{new}"
                one["connections"][OUTPUT.get(one["type"], "X")] = one["connections"].pop(
                    OUTPUT.get(f"sg13g2_{old}", "X"))
                return said
    raise AssertionError(f"no {old}")


@pytest.mark.parametrize(("name", "old", "new"), [
    ("free", "nand2_1", "nor2_1"), ("free", "a21oi_1", "o21ai_1"), ("gated", "xor2_1", "xnor2_1"),
    ("gated", "or2_1", "xor2_1"), ("gated", "nor2_1", "nand2_1"),
])
def test_a_wrong_gate_is_noticed(name, old, new):
    """The output and the cycle are those at which a model of the wrong gates goes wrong first."""
    one = played(name)
    said = exchanged(one.design.said, old, new)
    with pytest.raises(RunError) as caught:
        replay(flatten(said, one.design.top, library()), library(), one.record, (1, CYCLES))
    wrong = Model(said["modules"][one.design.top]).run(one.rows)
    bits = [(a[port] ^ b[port]).bit_count() for a, b in zip(wrong, one.said, strict=True)
            for port in b]
    assert str(caught.value).startswith(f"{sum(bits)} of ")
    cycle = next(n for n, (a, b) in enumerate(zip(wrong, one.said, strict=True)) if a != b)
    assert str(caught.value).endswith(f"] in cycle {cycle}")


@pytest.mark.parametrize(("old", "new"), [("xor2_1", "or2_1"), ("and2_1", "nand2_1"),
                                          ("nor2_1", "nand2_1")])
def test_a_wrong_gate_of_a_block_is_noticed(old, new):
    one = played("blocks")
    netlist = flatten(exchanged(one.design.said, old, new), "blocks", library())
    with pytest.raises(RunError, match=r"bits of outputs are not the RTL's, the first is \w+\[\d\] "
                       r"in cycle \d+$"):
        replay(netlist, library(), one.record, (1, CYCLES))


@pytest.mark.parametrize("cycle", [0, 1, 512, 513, CYCLES - 1])
def test_the_difference_is_named(cycle):
    """One bit, in the first row, at the end of a call, or at the very end; outside the window."""
    one = played("gated")
    rows = one.record.rows.copy()
    rows[cycle, one.record.ports["b"][0]] ^= 1 << 4
    with pytest.raises(RunError, match=rf"^1 of \d+ bits of outputs are not the RTL's, the first "
                       rf"is b\[4\] in cycle {cycle}$"):
        replay(one.netlist, library(), replace(one.record, rows=rows), (300, 310))


def test_a_wrong_beginning_is_noticed():
    one = played("gated")
    (bank,) = one.netlist.banks
    initial = bank.initial.copy()
    initial[int(one.netlist.outputs["c"][2]) - bank.first] ^= 1
    netlist = replace_banks(one.netlist, [replace(bank, initial=initial)])
    with pytest.raises(RunError, match=r"the first is (c\[2\]|any\[0\]) in cycle 0"):
        replay(netlist, library(), one.record, (1, 2))


def replace_banks(netlist, banks):
    made = object.__new__(type(netlist))
    made.__dict__ |= netlist.__dict__ | {"banks": banks}
    return made


@pytest.mark.parametrize("port", ["d", "any"])
def test_a_port_that_was_not_recorded(port):
    one = played("gated")
    ports = {name: at for name, at in one.record.ports.items() if name != port}
    with pytest.raises(RunError, match=f"^port {port} was not recorded$"):
        replay(one.netlist, library(), replace(one.record, ports=ports), (1, CYCLES))


@pytest.mark.parametrize("window", [(0, 5), (5, 5), (7, 5), (1, CYCLES + 1)])
def test_windows_that_are_refused(window):
    one = played("gated")
    with pytest.raises(ValueError, match="window must lie in rows 1 to 700, not "):
        replay(one.netlist, library(), one.record, window)


def test_progress_reaches_the_end():
    one, seen = played("gated"), []
    replay(one.netlist, library(), one.record, (1, 2), progress=lambda *said: seen.append(said))
    assert seen == [(513, CYCLES), (CYCLES, CYCLES)]


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    module._program.cache_clear()
    one = played("gated")
    with pytest.raises(InputError, match=r"^power needs a C compiler, and gcc is missing \(Debian, "
                       r"Ubuntu: apt-get install gcc\)$"):
        replay(one.netlist, library(), one.record, (1, 2))


def test_a_compiler_that_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    monkeypatch.setattr(module, "FLAGS", (*module.FLAGS, "-DNAN=", "--no-such-option"))
    module._program.cache_clear()
    one = played("gated")
    with pytest.raises(RunError, match="does not compile the simulator of gates: .*no-such-option"):
        replay(one.netlist, library(), one.record, (1, 2))
    module._program.cache_clear()


def test_a_clock_gate_behind_a_flip_flop():
    """It opens for what the flip-flop held before the edge."""
    design = hand([cell("dfrbpq_1", CLK=2, D=3, Q=4, RESET_B="1"),
                   cell("lgcp_1", CLK=2, GATE=4, GCLK=5),
                   cell("dfrbpq_1", CLK=5, D=6, Q=7, RESET_B="1")],
                  {"e": [3], "d": [6]}, {"q": [7], "p": [4]})
    rows = inputs_of({"e": 1, "d": 1}, 200, 9)
    said, p, q = [], 0, 0
    for row in rows:
        said.append(row | {"q": q, "p": p})
        p, q = row["e"], row["d"] if p else q
    record = recorded(dict.fromkeys("edqp", 1), said)
    for first, end in ((20, 180), *((n, n + 1) for n in range(1, 12))):
        counts = replay(design.netlist(), library(), record, (first, end))
        assert counts.gate_open.tolist() == [sum(row["p"] for row in said[first - 1 : end - 1])]
        assert sum(int(rise.sum()) for rise in counts.rise) == end - first + counts.gate_open[0]


# -- with delays ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["blocks", "free", "gated", "looks"])
def test_with_delays_each_net_ends_where_it_did(name):
    """Outputs are the RTL's; in a single cycle a net moves as often as without, or twice, four
    times ... more; what has no gate in front of it moves once."""
    one = played(name)
    delays = Prices(one.netlist, library()).delays()
    more = 0
    for window in ((1, 2), (7, 8), (100, 101), (1, CYCLES)):
        plain = replay(one.netlist, library(), one.record, window)
        found = replay(one.netlist, library(), one.record, window, delays=delays)
        extra = found.toggles - plain.toggles
        assert (extra >= 0).all() and (extra % 2 == 0).all()
        more += int(extra.sum())
        for bank in one.netlist.banks:
            assert not extra[bank.first : bank.first + bank.count].any()
        assert not extra[np.concatenate(list(one.netlist.inputs.values()))].any()
        assert edges(one.netlist, found) == edges(one.netlist, plain)
        assert (found.memories, found.gate_open.tolist()) == (
            plain.memories, plain.gate_open.tolist())
    assert more > 0


@pytest.mark.parametrize(("inverters", "moves"), [(1, 0), (15, 2)])
def test_a_pulse_as_long_as_some_inverters(inverters, moves):
    """An input and its complement, late by a chain of inverters, meet at an and gate: a pulse that
    is shorter than the gate's own delay is swallowed."""
    chain = [cell("inv_1", A=3 if not n else 9 + n, Y=10 + n) for n in range(inverters)]
    design = hand([*chain, cell("and2_1", A=3, B=9 + inverters, X=50)], {"a": [3]}, {"x": [50]})
    netlist = design.netlist()
    record = recorded({"a": 1, "x": 1}, [{"a": n % 2, "x": 0} for n in range(102)])
    delays = Prices(netlist, library()).delays()
    counts = replay(netlist, library(), record, (2, 102), delays=delays)
    # It rises in every other cycle; where it falls the gate is closed at once.
    assert counts.toggles[netlist.outputs["x"][0]] == 50 * moves
    assert counts.toggles[netlist.inputs["a"][0]] == 100
    (inner,) = {int(net) for group in netlist.groups if group.cell == "sg13g2_inv_1"
                for net in counts.toggles[group.first : group.first + group.count]}
    assert inner == 100


@pytest.mark.parametrize(("rise", "fall", "moves"), [(5, 50, 2), (50, 5, 0), (50, 9, 0),
                                                     (50, 11, 2)])
def test_rising_and_falling_take_their_own_time(rise, fall, moves):
    """The complement falls after a while; the gate itself takes 10 ps, and swallows less."""
    design = hand([cell("inv_1", A=3, Y=4), cell("and2_1", A=3, B=4, X=50)], {"a": [3]},
                  {"x": [50]})
    netlist = design.netlist()
    inverter, gate = netlist.groups
    assert (inverter.cell, gate.cell) == ("sg13g2_inv_1", "sg13g2_and2_1")
    record = recorded({"a": 1, "x": 1}, [{"a": n % 2, "x": 0} for n in range(102)])
    ten = np.full((2, 1), 10, np.int32)
    delays = Delays(np.ones(netlist.nets, np.int32), [np.full((1, 1), rise, np.int32), ten],
                    [np.full((1, 1), fall, np.int32), ten], [])
    counts = replay(netlist, library(), record, (2, 102), delays=delays)
    assert counts.toggles[netlist.outputs["x"][0]] == 50 * moves


def test_delays_are_those_of_the_tables():
    """Of an inverter that drives one some tens of ps, of a flip-flop more."""
    netlist = hand([cell("dfrbpq_1", CLK=2, D=5, Q=3, RESET_B="1"), cell("inv_1", A=3, Y=4),
                    cell("inv_1", A=4, Y=5)], {}, {"x": [5]}).netlist()
    delays = Prices(netlist, library()).delays()
    for group, rise, fall in zip(netlist.groups, delays.rise, delays.fall, strict=True):
        assert rise.shape == fall.shape == (1, group.count)
        assert 5 <= fall.min() and rise.max() <= 60
    assert 100 < delays.start[netlist.banks[0].first] < 250


def test_a_random_beginning():
    """From the reset on a design is the same; one without a reset is not."""
    some = played("gated")
    begun = some.netlist.begun_at_random(1)
    assert any((a.initial != b.initial).any()
               for a, b in zip(begun.banks, some.netlist.banks, strict=True))
    with pytest.raises(RunError, match="are not the RTL's"):
        replay(begun, library(), some.record, (1, CYCLES), compare_from=2)
