# SPDX-License-Identifier: Apache-2.0
"""Prices: designs whose joules are computed by hand, from figures of cells.json written out here.

pJ, pF and ns throughout; a change of a net of C pF at 1.2 V takes 0.5 * 1.44 * C pJ.
"""

from dataclasses import replace

import numpy as np
import pytest

from prunus.power.joules import NO_WIRES, Prices, _pairs, _Tables
from prunus.power.replay import replay
from prunus.synth.pdk.cells import Arc, library
from tests.prunus.power.small import cell, hand, recorded

HALF_V2 = 0.72
EXACT = 1e-12           # relative: rounding of sums
HERTZ = 100e6
CYCLES = 64             # that are counted
# Capacitance of pins.
D, CLK = 0.00141962, 0.00276968
# Slews and loads of the tables' first rows and columns.
SLEWS, LOADS, BUFFER_LOADS = (0.0186, 0.0966), (0.001, 0.0234), (0.001, 0.1872)


def line(x, xs, ys):
    return ys[0] + (x - xs[0]) / (xs[1] - xs[0]) * (ys[1] - ys[0])


def square(slew, load, rows, loads=LOADS):
    """Of a table's corner: rows by slew, columns by load."""
    return line(slew, SLEWS, [line(load, loads, row) for row in rows])


def mean(*values):
    return sum(values) / len(values)


# -- the clock, by hand ---------------------------------------------------------------------------
def clock_slew():
    """Of a buffer of strength 8 that drives 20 flip-flops, and is driven by such a one."""
    slew = 0.0966
    for _ in range(8):
        slew = mean(
            square(slew, 20 * CLK, ((0.0143063, 0.104541), (0.0182582, 0.105033)), BUFFER_LOADS),
            square(slew, 20 * CLK, ((0.0161554, 0.0842315), (0.0189883, 0.0849657)), BUFFER_LOADS))
    return slew


SLEW = clock_slew()
# Of a pin on the clock, in a cycle: its share of a buffer, which rises and falls, and of the pin of
# that buffer.
TREE = (square(SLEW, 20 * CLK, ((0.036906, 0.0411269), (0.036179, 0.0390997)), BUFFER_LOADS)
        + square(SLEW, 20 * CLK, ((0.035522, 0.039975), (0.0350015, 0.0383939)), BUFFER_LOADS)
        + 2 * HALF_V2 * 0.00856578) / 20
SEEN = TREE + 2 * HALF_V2 * CLK         # of a flip-flop that is clocked, whatever it does
# Inside a flip-flop. The clock rises and D is Q; the clock falls; by D and Q.
RISE_00 = line(SLEW, SLEWS, (0.0108252, 0.01045))
RISE_11 = line(SLEW, SLEWS, (0.0110468, 0.0106605))
FALL_00 = line(SLEW, SLEWS, (0.0106875, 0.0103607))
FALL_11 = line(SLEW, SLEWS, (0.021094, 0.020736))
FALL_D1_Q0 = line(SLEW, SLEWS, (0.0206634, 0.0203175))
FALL_D0_Q1 = line(SLEW, SLEWS, (0.0350379, 0.0353217))
# D moves, at the slew of ports: while the clock is high, and while it is low.
HIGH, LOW = mean(0.001424, 0.0010023), mean(0.011726, 0.0086746)


def q_rises(load):
    return square(SLEW, load, ((0.0251095, 0.0254623), (0.024638, 0.0251242)))


def q_falls(load):
    return square(SLEW, load, ((0.0259607, 0.0264055), (0.0256379, 0.0261104)))


def slew_of_q(load):
    return mean(square(SLEW, load, ((0.0171592, 0.103129), (0.0171635, 0.10313))),
                square(SLEW, load, ((0.0145149, 0.078703), (0.0145719, 0.078704))))


def inverter(slew, load):
    """Inside, of a change."""
    return mean(square(slew, load, ((0.0015184, 0.0019525), (0.0015179, 0.0017108))),
                square(slew, load, ((0.0015494, 0.002004), (0.0014285, 0.0017527))))


def leaks(*nanowatts):
    """pJ in all cycles."""
    return sum(nanowatts) * 1e-9 * CYCLES / HERTZ * 1e12


def energy(design, inputs=(), outputs=None, cycles=CYCLES, wires=NO_WIRES):
    """pJ by kind of cycles behind a few that are not counted."""
    netlist = design.netlist()
    model = design.model()
    rows = list(inputs) or [{}] * (cycles + 8)
    assert len(rows) == cycles + 8
    said = model.run(rows)
    ports = {name: len(bits) for some in (model.inputs, model.outputs)
             for name, bits in some.items()}
    record = recorded(ports, [row | out for row, out in zip(rows, said, strict=True)])
    prices = Prices(netlist, library(), wires)
    counts = replay(netlist, library(), record, (8, 8 + cycles))
    if outputs is not None:
        assert said[8:] == outputs
    found = prices.energy(counts, HERTZ)
    return {kind: 1e12 * float(by_block.sum()) for kind, by_block in found.by_block.items()}


def check(found, **wanted):
    assert found == {kind: pytest.approx(wanted.get(kind, 0.0), rel=EXACT, abs=1e-15)
                     for kind in ("datapath", "clock", "memory", "leakage")}


# -- known answers --------------------------------------------------------------------------------
def test_a_register_that_toggles():
    """32 flip-flops, each with an inverter from Q to D: every bit changes in every cycle."""
    cells, outputs = [], []
    for n in range(32):
        q, d = 10 + 2 * n, 11 + 2 * n
        cells += [cell("dfrbpq_1", CLK=2, D=d, Q=q, RESET_B="1"), cell("inv_1", A=q, Y=d)]
        outputs.append(q)
    found = energy(hand(cells, {}, {"q": outputs}),
                   outputs=[{"q": 0xFFFFFFFF * (n % 2)} for n in range(8, 72)])
    pin = 0.00286745
    datapath = HALF_V2 * pin + inverter(slew_of_q(pin), D) + HALF_V2 * D
    # Half of the cycles rise. Behind a rise Q is 1 and D settles to 0, before the clock falls.
    clock = (q_rises(pin) + q_falls(pin) + FALL_D0_Q1 + FALL_D1_Q0) / 2 + HIGH + SEEN
    check(found, datapath=32 * CYCLES * datapath, clock=32 * CYCLES * clock,
          leakage=32 * leaks(0.510516, 0.0630032))


def test_a_counter():
    """Two bits: an inverter in front of the first, an exclusive or in front of the second."""
    cells = [cell("dfrbpq_1", CLK=2, D=11, Q=10, RESET_B="1"), cell("inv_1", A=10, Y=11),
             cell("dfrbpq_1", CLK=2, D=13, Q=12, RESET_B="1"), cell("xor2_1", A=10, B=12, X=13)]
    found = energy(hand(cells, {}, {"q": [10, 12]}), outputs=[{"q": n % 4} for n in range(8, 72)])
    first, second = 0.00286745 + 0.00574527, 0.00513561     # loads of both Q
    a, b = slew_of_q(first), slew_of_q(second)
    exclusive = mean(
        mean(square(a, D, ((0.0069237, 0.0073228), (0.0066417, 0.0069734))),
             square(a, D, ((0.0084493, 0.008708), (0.0082341, 0.0086152)))),
        mean(square(b, D, ((0.0074216, 0.0069842), (0.0066937, 0.0066358))),
             square(b, D, ((0.00777, 0.0077155), (0.0075182, 0.0076553)))))
    # In four cycles the first bit and its inverter change four times; the second, and what is in
    # front of it, twice.
    datapath = (4 * (HALF_V2 * (first + D) + inverter(a, D))
                + 2 * (HALF_V2 * (second + D) + exclusive))
    one = 2 * (q_rises(first) + q_falls(first) + FALL_D0_Q1 + FALL_D1_Q0) + 4 * HIGH
    # The second: 0 held, 1 taken, 1 held, 0 taken. Behind each its D is what comes next.
    two = (RISE_00 + q_rises(second) + RISE_11 + q_falls(second)
           + FALL_D1_Q0 + FALL_11 + FALL_D0_Q1 + FALL_00) + 2 * HIGH
    quarter = CYCLES / 4
    check(found, datapath=quarter * datapath, clock=quarter * (one + two + 8 * SEEN),
          leakage=leaks(2 * 0.510516, 0.0630032, 0.184817))


# Of a clock gate, in a cycle that stays closed, and in one that opens.
GATE_PIN = TREE + 2 * HALF_V2 * 0.00493856
CLOSED = (line(SLEW, SLEWS, (0.0072984, 0.0070247)) + line(SLEW, SLEWS, (0.008779, 0.0084373))
          + GATE_PIN)
OPEN = (CLOSED + square(SLEW, 4 * CLK, ((0.0086654, 0.0090936), (0.0084044, 0.0088043)))
        + square(SLEW, 4 * CLK, ((0.0051701, 0.005668), (0.0050416, 0.005463))))
GATE_MOVES = mean(0.0199628, 0.0260829)


def gated(width):
    cells = [cell("lgcp_1", CLK=2, GATE=3, GCLK=4)]
    cells += [cell("dfrbpq_1", CLK=4, D=10 + n, Q=50 + n, RESET_B="1") for n in range(width)]
    return hand(cells, {"e": [3], "d": [10 + n for n in range(width)]},
                {"q": [50 + n for n in range(width)]})


def test_a_clock_gate_that_is_never_open():
    """D moves in every cycle in front of flip-flops whose clock is low all the time."""
    rows = [{"e": 0, "d": 0xFF * (n % 2)} for n in range(72)]
    found = energy(gated(8), rows, [{"q": 0}] * CYCLES)
    check(found, datapath=8 * CYCLES * HALF_V2 * D, clock=CYCLES * (CLOSED + 8 * LOW),
          leakage=leaks(0.389668, 8 * 0.510516))


def test_a_clock_gate_that_opens_in_every_other_cycle():
    """Of four cycles the first and third are clocked; Q takes 0 and 1 by turns."""
    rows = [{"e": 1 - n % 2, "d": n // 2 % 2} for n in range(72)]
    found = energy(gated(1), rows)
    #  row      0 1 2 3
    #  d        0 0 1 1     moves behind each edge that was not clocked: rows 1 to 2, 3 to 0
    #  q        1 0 0 1     rises behind row 2, falls behind row 0
    datapath = 2 * HALF_V2 * D + 4 * HALF_V2 * 0.002298
    # At the falling edge behind row 0 D is still 0, as Q is.
    clock = (2 * OPEN + 2 * CLOSED + 4 * GATE_MOVES + 2 * SEEN + q_rises(0.001) + q_falls(0.001)
             + FALL_00 + FALL_11 + 2 * LOW)
    check(found, datapath=CYCLES / 4 * datapath, clock=CYCLES / 4 * clock,
          leakage=leaks(0.389668, 0.510516))


def test_a_register_that_holds():
    """Zeros and ones cost differently though nothing moves; a Q without a load is read at the
    least of the table."""
    for value, joules in ((0, RISE_00 + FALL_00), (1, RISE_11 + FALL_11)):
        design = hand([cell("dfrbpq_1", CLK=2, D=3, Q=4, RESET_B="1")], {"d": [3]}, {"q": [4]})
        check(energy(design, [{"d": value}] * 72, [{"q": value}] * CYCLES),
              clock=CYCLES * (joules + SEEN), leakage=leaks(0.510516))


def memory(words, width, clocked, enable="1", write="0"):
    """One read, one write; addresses 10.., data 30.., read 70.. ."""
    bits = (words - 1).bit_length()
    number = "{:032b}".format
    return {"type": "$mem_v2", "parameters": {
        "MEMID": "\\m", "SIZE": number(words), "WIDTH": number(width), "ABITS": number(bits),
        "OFFSET": number(0), "INIT": "x", "RD_PORTS": number(1), "WR_PORTS": number(1),
        "RD_CLK_ENABLE": str(int(clocked)), "RD_CLK_POLARITY": "1", "WR_CLK_ENABLE": "1",
        "WR_CLK_POLARITY": "1", "RD_TRANSPARENCY_MASK": "0", "RD_CE_OVER_SRST": "0",
        "RD_SRST_VALUE": "x" * width, "RD_INIT_VALUE": "x" * width}, "connections": {
        "RD_ADDR": [10 + n for n in range(bits)], "RD_DATA": [70 + n for n in range(width)],
        "RD_EN": [enable], "RD_SRST": ["0"], "RD_ARST": ["0"], "RD_CLK": [2 if clocked else "x"],
        "WR_ADDR": [20 + n for n in range(bits)], "WR_DATA": [30 + n for n in range(width)],
        "WR_EN": [write] * width, "WR_CLK": [2]}}


def ports(words, width):
    bits = (words - 1).bit_length()
    return ({"ra": [10 + n for n in range(bits)], "wa": [20 + n for n in range(bits)],
             "d": [30 + n for n in range(width)]}, {"q": [70 + n for n in range(width)]})


# Of RM_IHPSG13_2P_64x32_c2: pins, and a change of one while it is enabled.
ADDRESS_PF, DATA_PF, CLOCK_PF = 0.008173, 0.005007, 0.00380014
ADDRESS, DATA = mean(0.0394, 0.0421), mean(0.1195, 0.0483)
ENABLE = mean(0.0869, 0.0336) + mean(mean(0.2409, 0.0203), mean(0.0323, 0.0552))
ENABLE_PF = 0.00309605 + mean(0.00381634, 0.00324098)
MACRO_CLOCK = 2 * (2 * HALF_V2 * CLOCK_PF + TREE)       # of both ports


def test_a_macro_that_is_read_in_every_cycle():
    """One bit of the address moves each time."""
    inputs, outputs = ports(64, 32)
    rows = [{"ra": n % 2, "wa": 5, "d": 0} for n in range(72)]
    found = energy(hand([memory(64, 32, True)], inputs, outputs), rows)
    check(found, datapath=CYCLES * HALF_V2 * ADDRESS_PF,
          memory=CYCLES * (20.3627 + MACRO_CLOCK + ADDRESS), leakage=leaks(39.8626))


def test_a_macro_that_does_nothing():
    inputs, outputs = ports(64, 32)
    rows = [{"ra": 0, "wa": 0, "d": 0}] * 72
    found = energy(hand([memory(64, 32, True, enable="0")], inputs, outputs), rows)
    check(found, memory=CYCLES * MACRO_CLOCK, leakage=leaks(39.8626))


def test_a_macro_whose_idle_cycles_cost():
    """Those of SG13G2 take nothing then: another one does."""
    inputs, outputs = ports(64, 32)
    inputs |= {"re": [5], "we": [6]}
    netlist = hand([memory(64, 32, True, 5, 6)], inputs, outputs).netlist()
    rows = [{"ra": 0, "wa": 0, "d": 0, "re": int(n % 4 == 1), "we": n % 2, "q": 0}
            for n in range(72)]
    record = recorded({name: len(bits) for name, bits in (inputs | outputs).items()}, rows)
    prices = Prices(netlist, library())
    counts = replay(netlist, library(), record, (8, 72))
    found = []
    for idle in (0.0, 1e-12):
        prices.macros[0] = replace(prices.macros[0], idle_j=idle)
        found.append(1e12 * float(prices.energy(counts, HERTZ).by_block["memory"].sum()))
    # Of four cycles one port is idle in three, the other in two.
    assert found[1] - found[0] == pytest.approx(CYCLES / 4 * 5)


def test_a_macro_that_is_written_and_read_by_turns():
    """Enables move in every cycle, all bits of the data in every other, what is read in each."""
    inputs, outputs = ports(64, 32)
    inputs |= {"re": [5], "we": [6]}
    rows = [{"ra": 3, "wa": 3, "d": 0xFFFFFFFF * (n // 2 % 2), "re": n % 2, "we": 1 - n % 2}
            for n in range(72)]
    found = energy(hand([memory(64, 32, True, 5, 6)], inputs, outputs), rows)
    datapath = HALF_V2 * (2 * ENABLE_PF + 32 / 2 * DATA_PF)
    joules = (20.3627 + 26.4624) / 2 + MACRO_CLOCK + 2 * ENABLE + 32 / 2 * DATA
    check(found, datapath=CYCLES * datapath, memory=CYCLES * joules, leakage=leaks(39.8626))


def multiplexer(slew, load):
    """Inside, of a change: the mean of six inputs, by rows of slew."""
    corners = (
        ((0.0177322, 0.017977), (0.0175631, 0.017841)),
        ((0.0128971, 0.0131211), (0.012788, 0.0131148)),
        ((0.0184867, 0.0187504), (0.0182856, 0.0185641)),
        ((0.0131618, 0.0134286), (0.0130598, 0.0133748)),
        ((0.0190336, 0.0192632), (0.0188692, 0.0191126)),
        ((0.0181435, 0.0184118), (0.0180804, 0.0183665)),
        ((0.0179211, 0.0181441), (0.0177103, 0.0179869)),
        ((0.0138869, 0.0141384), (0.0137907, 0.0140411)),
        ((0.0013028, 0.0016124), (-0.0010992, -0.0008441)),
        ((0.0079742, 0.0082696), (0.0078038, 0.0081041)),
        ((0.0074365, 0.0077357), (0.0077299, 0.0080923)),
        ((0.004624, 0.0051243), (0.0044468, 0.0048435)))
    return mean(*(square(slew, load, rows) for rows in corners))


def test_a_register_file():
    """Four words of three bits without a clock at the read: one word, all bits, by turns.

    A clock gate a word, of which the one that is written opens; three multiplexers of four.
    """
    inputs, outputs = ports(4, 3)
    inputs |= {"we": [6]}
    rows = [{"ra": 1, "wa": 1, "d": 7 * (n // 2 % 2), "we": 1 - n % 2} for n in range(72)]
    found = energy(hand([memory(4, 3, False, write=6)], inputs, outputs), rows)
    mux_pin = 0.0027824
    mux = multiplexer(0.0966, mux_pin) + HALF_V2 * mux_pin
    changed = mean(q_rises(mux_pin), q_falls(mux_pin)) + HALF_V2 * mux_pin - RISE_00
    # In four cycles two writes, each of which changes all three bits; data moves twice as well.
    memory_pj = (4 * 4 * CLOSED + 2 * (3 * (RISE_00 + FALL_00 + SEEN) + OPEN - CLOSED)
                 + 2 * 3 * changed + 2 * 3 * 4 * LOW + 2 * 3 * mux)
    datapath = HALF_V2 * (2 * 3 * 4 * D + 4 * 4 * 0.00253612)      # data, and enables of words
    check(found, datapath=CYCLES / 4 * datapath, memory=CYCLES / 4 * memory_pj,
          leakage=leaks(4 * (3 * 0.510516 + 0.389668 + 3 * 0.464975 / 3)))


def test_the_address_of_a_register_file():
    """The lower bit selects in one multiplexer of each bit, half of which have two words that
    differ; the upper bit in the same."""
    inputs, outputs = ports(4, 3)
    mux = multiplexer(0.0966, 0.0027824) + HALF_V2 * 0.0027824
    for bit, select in ((1, 0.00824878), (2, 0.00501805)):
        rows = [{"ra": bit * (n % 2), "wa": 0, "d": 0} for n in range(72)]
        found = energy(hand([memory(4, 3, False)], inputs, outputs), rows)
        assert found["datapath"] == pytest.approx(CYCLES * HALF_V2 * 3 * select, rel=EXACT)
        assert found["memory"] == pytest.approx(CYCLES * (4 * CLOSED + 3 / 2 * mux), rel=EXACT)
    rows = [{"ra": 0, "wa": n % 2, "d": 0} for n in range(72)]
    found = energy(hand([memory(4, 3, False)], inputs, outputs), rows)
    assert found["datapath"] == pytest.approx(CYCLES * HALF_V2 * 2 * 0.00254256, rel=EXACT)


def test_a_register_file_that_is_read_at_the_clock():
    """A flip-flop a bit behind the multiplexers, clocked while it is enabled."""
    inputs, outputs = ports(4, 3)
    for enable, clocked in (("1", 1), ("0", 0)):
        rows = [{"ra": 0, "wa": 0, "d": 0}] * 72
        found = energy(hand([memory(4, 3, True, enable)], inputs, outputs), rows)
        assert found["memory"] == pytest.approx(
            CYCLES * (4 * CLOSED + clocked * 3 * (RISE_00 + FALL_00 + SEEN)), rel=EXACT)


def test_a_pin_that_costs_something_itself():
    """The select of a multiplexer between two zeros, at the slew of ports."""
    design = hand([cell("mux2_1", A0=3, A1=4, S=5, X=9)], {"a": [3], "b": [4], "s": [5]},
                  {"x": [9]})
    found = energy(design, [{"a": 0, "b": 0, "s": n % 2} for n in range(72)])
    passive = mean(0.0037498, 0.0039512)        # the file's line for whatever A0 and A1 are
    select = library().cells["sg13g2_mux2_1"].inputs["S"]
    assert found["datapath"] == pytest.approx(CYCLES * (HALF_V2 * select + passive), rel=EXACT)
    # Between a 0 and a 1 the output moves, too: that is paid for in addition.
    both = energy(design, [{"a": 0, "b": 1, "s": n % 2} for n in range(72)])["datapath"]
    arcs = library().cells["sg13g2_mux2_1"].arcs.values()
    inside = mean(*(square(0.0966, 0.001, table[:2, :2]) for arc in arcs
                    for table in (arc.rise_pj, arc.fall_pj)))
    assert both - found["datapath"] == pytest.approx(CYCLES * inside, rel=EXACT)


# -- wires ----------------------------------------------------------------------------------------
def test_wires():
    """Of model 50k one pin, five and twenty: 14.2, 85 and 303.8 fF; from 0 on, and beyond."""
    pairs = library().wire_pf["50k"]
    found = _pairs(pairs, np.array([0, 1, 3, 5, 20, 30.0]))
    assert found == pytest.approx([0, 0.014165, (0.014165 + 0.085) / 2, 0.085, 0.3038,
                                   0.3038 + 10 * (0.3038 - 0.085) / 15])


def test_nets_with_wires():
    """A net of two inverters, by the model and without it; constants have none."""
    cells = [cell("inv_1", A=3, Y=4), cell("inv_1", A=3, Y=5), cell("inv_1", A="1", Y=6)]
    netlist = hand(cells, {"a": [3]}, {"x": [4, 5, 6]}).netlist()
    plain, wired = (Prices(netlist, library(), wires).loads for wires in (NO_WIRES, "50k"))
    net = netlist.inputs["a"][0]
    assert plain[net] == pytest.approx(2 * 0.00286745)
    assert wired[net] == pytest.approx(2 * 0.00286745 + line(2, (1, 5), (0.014165, 0.085)))
    assert plain[:2].tolist() == wired[:2].tolist() == [0, 0]
    assert wired[netlist.outputs["x"]].tolist() == [0, 0, 0]    # of a port that drives nothing


def test_every_pin_of_a_fanout_counts():
    """Of what stands behind a net: a flip-flop, a clock gate, ports of memories."""
    inputs, outputs = ports(64, 32)
    cells = [memory(64, 32, True, 6, 6), cell("dfrbpq_1", CLK=7, D=6, Q=8, RESET_B="1"),
             cell("lgcp_1", CLK=2, GATE=6, GCLK=7)]
    netlist = hand(cells, inputs | {"e": [6]}, outputs | {"p": [8]}).netlist()
    loads = Prices(netlist, library()).loads
    assert loads[netlist.inputs["e"][0]] == pytest.approx(D + 0.002298 + 2 * ENABLE_PF)
    wired = Prices(netlist, library(), "10k").loads
    assert wired[netlist.inputs["e"][0]] == pytest.approx(
        D + 0.002298 + 2 * ENABLE_PF + line(4, (1, 5), (0.00447, 0.026817)))


# -- tables ---------------------------------------------------------------------------------------
@pytest.fixture
def tables():
    """A table that is not the product of its axes."""
    slews = library().slews
    loads = np.array([1.0, 2.0, 4.0])
    table = np.add.outer(slews, 10 * loads) + np.outer(slews, loads)**2
    arc = Arc(loads, table, 2 * table, table, table, 3 * table, 4 * table)
    return _Tables(library()), arc, table


def test_corners_and_points_are_exact(tables):
    reader, arc, table = tables
    for i, slew in enumerate(library().slews):
        for j, load in enumerate(arc.loads):
            found = reader.of(arc, table, np.array([slew]), np.array([load]))
            assert found[0] == pytest.approx(table[i, j], rel=1e-14)


def test_between_points(tables):
    """Halfway between two slews, two loads, and four of both."""
    reader, arc, table = tables
    slew, load = (library().slews[2] + library().slews[3]) / 2, 3.0
    found = reader.of(arc, table, np.array([library().slews[2], slew, slew]),
                      np.array([load, 2.0, load]))
    assert found == pytest.approx([mean(*table[2, 1:3]), mean(*table[2:4, 1]),
                                   mean(*table[2:4, 1:3].flat)])


def test_beyond_the_edge_is_the_edge(tables):
    reader, arc, table = tables
    found = reader.of(arc, table, np.array([0, 0, 9, 9.0]), np.array([0, 99, 0, 99.0]))
    assert found.tolist() == [table[0, 0], table[0, -1], table[-1, 0], table[-1, -1]]
    row = table[:, 0]
    assert reader.by_slew(row, np.array([0.0, 9.0])).tolist() == [row[0], row[-1]]


def test_rising_and_falling_are_averaged(tables):
    reader, arc, table = tables
    at = np.array([library().slews[1]]), np.array([arc.loads[1]])
    assert reader.energy(arc, *at)[0] == pytest.approx(1.5 * table[1, 1])
    assert reader.slew(arc, *at)[0] == pytest.approx(3.5 * table[1, 1])
