# SPDX-License-Identifier: Apache-2.0
"""A short soak with faults on each engine, and coprocessors that it must find out."""

from functools import partial

import pytest

from prunus.golden.engines import load_config
from prunus.golden.image import failed
from prunus.golden.records import Error
from prunus.sim import faults
from prunus.sim.cases import Batch, Case
from prunus.sim.compare import MismatchError
from prunus.sim.engines import BENCHES, random_jobs
from prunus.sim.exchange import Faults, Side
from prunus.sim.faults import COUNTS, KINDS, play
from prunus.sim.session import emitted, open_session
from prunus.sim.simulate import SimulationError, simulate_batches

JOBS = 400
SMALL = load_config("topk_tiny")
OLD, NEW = "module topk_tiny(clk, rst,", "module topk_tiny(wrong, clk, rst,"
# What is wrong with a coprocessor, and the kind of fault that shows it.
WRONG = (
    ("places", ".axi__rdata(m_axi_rdata)", ".axi__rdata(m_axi_rdata ^ {63'h0, $})"),
    ("places", ".axi__awaddr(m_axi_awaddr)", ".axi__awaddr(address)"),
    ("places", ".irq(irq)", ".irq(interrupt)"),
    ("errors", ".axi__rresp(m_axi_rresp)", ".axi__rresp($ ? 2'h0 : m_axi_rresp)"),
    ("errors", ".axi__bresp(m_axi_bresp)", ".axi__bresp($ ? 2'h0 : m_axi_bresp)"),
    ("errors", ".error(error_1)", ".error(error_1 & !$)"),
    ("silence", ".timeout(timeout)", ".timeout($ ? 32'h0 : timeout)"),
    ("abort", ".outstanding(outstanding)", ".outstanding(outstanding & !$)"),
    ("reset", ".rst(or_89)", ".rst(or_89 & !$)"),
    ("registers", ".bus__wstrb(s_axil_wstrb)", ".bus__wstrb(s_axil_wstrb | {3'h0, $})"),
    ("descriptors", ".windows(windows)", ".windows(windows | {{90{$}}, 66'h0})"),
)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("preset", [*(bench.preset for bench in BENCHES.values()), "heat_tiny"])
def test_jobs_with_faults(preset, stall):
    with open_session(load_config(preset), stall=stall, seed=5) as session:
        found = play(session, JOBS, 5)
        for kind in KINDS:
            found[kind] += play(session, 1, 6, [kind])[kind]
    assert sum(counts["jobs"] for counts in found.values()) >= JOBS
    assert all(counts["tables"] for counts in found.values())
    whole = sum(found.values(), start=type(found["reset"])())
    assert all(whole[name] for name in COUNTS)
    assert not set(whole) - set(COUNTS)


def test_the_same_seed_gives_the_same():
    with open_session(SMALL) as session:
        first = play(session, 200, 3)
    with open_session(SMALL) as session:
        assert play(session, 200, 3) == first


def _wrong():
    """A coprocessor with an input that chooses what is wrong with it."""
    text = emitted(SMALL)
    body = (f"{NEW[:-4]} rst,").join(text.split(OLD))
    assert body != text
    more = ("  input [3:0] wrong;\n  wire [31:0] address;\n  wire interrupt;\n"
            "  assign m_axi_awaddr = address ^ {26'h0, wrong == 2, 5'h0};\n"
            "  assign irq = interrupt & wrong != 3;\n")
    head, rest = body.split(");\n", 1)
    body = f"{head});\n{more}{rest}"
    for n, (_, old, new) in enumerate(WRONG, 1):
        at = body.index(old)
        body = body[:at] + new.replace("$", f"(wrong == {n})") + body[at + len(old) :]
    return body


@pytest.fixture(scope="module")
def wrong():
    return _wrong()


@pytest.mark.parametrize("number", range(len(WRONG) + 1))
def test_a_wrong_coprocessor_is_found_out(wrong, number):
    kinds = [WRONG[number - 1][0]] if number else list(KINDS)
    with open_session(SMALL, verilog=wrong) as session:
        session.restart(wrong=number)
        if not number:
            play(session, 300, 1, kinds)
            return
        with pytest.raises((MismatchError, SimulationError), match=rf"table \d+, {kinds[0]}: "):
            play(session, 1500, 1, kinds)


@pytest.mark.parametrize(("old", "new"), [(Error.BUS, Error.WRITE), (Error.WRITE, Error.NONE)])
def test_a_wrong_oracle_is_found_out(monkeypatch, old, new):
    monkeypatch.setattr(faults, "failed", lambda job, error, config: failed(
        job, new if error == old else error, config))
    with open_session(SMALL) as session, pytest.raises(MismatchError, match="status must be"):
        play(session, 1500, 1, ["errors"])


def test_an_error_that_nobody_drew_is_found_out(monkeypatch):
    """A memory that answers with an error and does not say so."""
    ring = faults.Session.ring

    def forgetful(session, batch):
        run = ring(session, batch)
        run.drawn = run.drawn[1:]
        return run

    monkeypatch.setattr(faults.Session, "ring", forgetful)
    with open_session(SMALL) as session, pytest.raises(MismatchError):
        play(session, 1500, 1, ["errors"])


def test_a_fence_is_a_rule():
    jobs = random_jobs(SMALL, 2, 1)
    run = partial(simulate_batches, config=SMALL)
    wide, narrow = (Faults(fences=((0, end, 0),)) for end in (1 << 20, 64))
    assert run([Batch(jobs, faults=wide)])[0].registers["jobs_done"] == 2
    with pytest.raises(SimulationError, match="m_axi_ar 0x[0-9a-f]+ of .* lies outside all win"):
        run([Batch(jobs, faults=narrow)])


def test_the_memory_of_cocotbext_axi_has_no_faults():
    with pytest.raises(SimulationError, match="only the memory in C\\+\\+ has faults"):
        simulate_batches([Batch(random_jobs(SMALL, 1, 1), faults=Faults(read_errors=0.1))], SMALL,
                         memory="python")


def test_faults_are_kept_with_a_case(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    some = Faults(write_errors=0.5, seed=3, silence=(Side.W, 7), early=True,
                  fences=((0, 4096, 1), (64, 128, 0)))
    batch = Batch(random_jobs(SMALL, 1, 1), faults=some)
    again = Case.load(Case(batches=[batch], config=SMALL, memory="cpp").save())
    assert again.batches[0].faults == some
    assert again.memory == "cpp"
