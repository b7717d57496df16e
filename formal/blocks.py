# SPDX-License-Identifier: Apache-2.0
"""Every stream block, arbiter, FIFO and address generator: what is shown of it, and wrong ones.

``says`` is the one sentence of the table in ``docs/verification.md``; a test holds both together,
and finds blocks without a row.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from amaranth.lib import fifo, wiring

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.layout import Layout
from prunus.golden.leopard.planes import LeopardLayout
from prunus.hw.hdp import loader as hdp_loader
from prunus.hw.hdp import result_writer as hdp_results
from prunus.hw.hdp import tiler
from prunus.hw.hdp.linear import loader as linear_loader
from prunus.hw.hdp.linear import output as linear_output
from prunus.hw.leopard import loader as leopard_loader
from prunus.hw.shell import (
    arbiter,
    bursts,
    collector,
    control,
    csr,
    descriptor,
    dispatch,
    faults,
    reader,
    router,
    writer,
)
from prunus.hw.survivors import loader as survivor_loader
from prunus.hw.survivors import result_writer as survivor_results
from prunus.hw.topk.core import front_end

from . import addresses, control_blocks, linear_blocks, shell
from .proofs import Proof
from .query import Query
from .rtl import Step, system
from .streams import Claims, induction, reached, shown
from .variants import Change, changed

__all__ = ["WATCHED", "Watched", "block_proofs"]

COVERED = 20        # cycles after reset within which something comes out
SHOWN = 12          # within which most faults show
RESOURCES = 10_000_000      # of the solver, to find one in such a run


@dataclass(frozen=True)
class Watched:
    """A block and what watches it.

    Members
    -------
    name : str
        Of this case of the block.
    block : type
    says : str
        What is shown, in a sentence.
    top : callable
        Gives what watches it.
    invariant : callable
        Of a step: what always holds.
    wrong : tuple of Change
        Blocks of which it must not be provable.
    small : bool
        Short requests and few bursts on their way, see :func:`prunus.formal.shell.small`.
    """

    name: str
    block: type
    says: str
    top: Callable[[], wiring.Component]
    invariant: Callable[[Step], Claims]
    wrong: tuple[Change, ...] = ()
    small: bool = False

    def queries(self) -> Iterator[Query]:
        """That it holds."""
        yield from self._made(None, lambda watched: induction(watched, self.invariant))

    def cover(self) -> Iterator[Query]:
        """That nothing comes out, to be refuted."""
        yield from self._made(None, lambda watched: reached(watched, COVERED))

    def refuted(self, change: Change) -> Iterator[Query]:
        """That a wrong block does what it should, to be refuted: in a run from reset on, or, where
        the fault does not show outside in so few cycles, in a cycle from any state."""
        def asked(watched):
            yield from shown(watched, SHOWN, RESOURCES)
            yield from induction(watched, self.invariant)

        yield from self._made(change, asked)

    def _made(self, change: Change | None, asked) -> Iterator[Query]:
        with shell.small() if self.small else nullcontext():
            with changed(change):
                watched = system(self.top())
            made = asked(watched)
            while (query := next(made, None)) is not None:
                yield query


def _fifos() -> Iterator[Watched]:
    says = "Words come out once, in order and unchanged, and soon; none gets lost when it is full."
    wrong = {
        fifo.SyncFIFO: (
            Change("written though it is full", fifo.SyncFIFO,
                   "self.w_rdy.eq(self.level != self.depth)", "self.w_rdy.eq(1)"),
            Change("not written while one is read", fifo.SyncFIFO,
                   "w_port.en.eq(self.w_en & self.w_rdy)",
                   "w_port.en.eq(self.w_en & self.w_rdy & ~self.r_en)")),
        fifo.SyncFIFOBuffered: (
            Change("the register is overwritten", fifo.SyncFIFOBuffered,
                   "inner_r_rdy & (~self.r_rdy | self.r_en)", "inner_r_rdy"),),
    }
    for kind, depths in ((fifo.SyncFIFO, (4, 5, 8, 16)), (fifo.SyncFIFOBuffered, (5, 32, 65))):
        for depth in depths:
            yield Watched(
                f"{kind.__name__} of {depth}", kind, says,
                lambda kind=kind, depth=depth: shell.FifoWatch(kind=kind.__name__, depth=depth),
                lambda step, kind=kind, depth=depth: shell.fifo_invariant(step, kind, depth),
                wrong[kind] if depth == depths[0] else ())


def _turns() -> Iterator[Watched]:
    for clients in (2, 3, 5):
        yield Watched(
            f"turns of {clients} clients", arbiter.RoundRobin,
            "A client who goes on wanting is served after at most one turn of each other one.",
            lambda clients=clients: shell.TurnWatch(clients=clients),
            lambda step, clients=clients: shell.turn_invariant(step, clients),
            (Change("the two lowest take turns", arbiter.RoundRobin,
                    "~(self.turn | (self.turn - 1))", "~self.turn"),) if clients == 3 else ())


def _splitters() -> Iterator[Watched]:
    for burst, bits in ((16, 64), (16, 128), (8, 256), (2, 512)):
        unit = (bits // 8).bit_length() - 1
        yield Watched(
            f"bursts of {burst} beats of {bits} bits", bursts.BurstSplitter,
            "The bursts of a request follow each other without a gap and cover it exactly, in "
            "order, none across 4 KB; all are refused if any of it lies outside its window.",
            lambda burst=burst, bits=bits: shell.SplitterWatch(burst=burst, bits=bits),
            lambda step, unit=unit, burst=burst: shell.splitter_invariant(step, unit, burst),
            (Change("bursts that do not end at multiples", bursts.BurstSplitter,
                    "room.eq(self.burst - index[:low])", "room.eq(self.burst)"),
             Change("a request is overwritten", bursts.BurstSplitter,
                    "self.i.ready.eq(~active | (step & last))",
                    "self.i.ready.eq(~active | last)"),
             Change("a burst changes while it waits", bursts.BurstSplitter,
                    "step.eq(active & (~self.o.valid | self.o.ready))",
                    "step.eq(active & (~self.o.valid | self.o.ready | last))"),
             Change("only the first burst is refused", bursts.BurstSplitter,
                    "beyond.eq(refused)", "beyond.eq(0)"))
            if bits == 64 else ())


def _dispatchers() -> Iterator[Watched]:
    wrong = {
        1: (Change("every other descriptor", dispatch.Dispatcher,
                   "address.eq(address + size)",
                   "address.eq(address + 2 * size)"),
            Change("on at address 0", dispatch.Dispatcher,
                   "self.req.payload.refused.eq(address[-1])",
                   "self.req.payload.refused.eq(0)")),
        2: (Change("more than there is room for", dispatch.Dispatcher,
                   "room.eq(room - asked + taken)", "room.eq(room - (asked & ~taken) + taken)"),),
    }
    for ahead in (1, 2):
        yield Watched(
            f"{ahead} ahead", dispatch.Dispatcher,
            "Each descriptor of a table is asked for once, in order, at its address and not beyond "
            "the last one, and handed on once with its index; there is room for each.",
            lambda ahead=ahead: control_blocks.DispatcherWatch(ahead=ahead),
            lambda step, ahead=ahead: control_blocks.dispatcher_invariant(step, ahead),
            wrong[ahead])


def _loaders() -> Iterator[Watched]:
    hdp = dict(zip(("Q_I", "K_I", "Q_F", "K_F", "V"), "iiffv", strict=True))
    cases: list[tuple[type, str, type[Layout], dict[str, str]]] = [
        (hdp_loader.Loader, "hdp_tiny", HdpLayout, hdp),
        (survivor_loader.PlaneLoader, "topk_tiny", Layout, dict.fromkeys("KVQ", "v")),
        (leopard_loader.Loader, "leopard_tiny", LeopardLayout, dict(zip("KVQ", "kvv",
                                                                        strict=True)))]
    wrong: dict[type, tuple[Change, ...]] = {
        hdp_loader.Loader: (
            Change("a command is taken before its request is", hdp_loader.Loader,
                   "with m.If(self.req.ready):", "with m.If(1):"),
            Change("sign bits are not counted", hdp_loader.Loader,
                   "row_beats.eq(signs + elements)", "row_beats.eq(elements)")),
        survivor_loader.PlaneLoader: (
            Change("a row too few", survivor_loader.PlaneLoader, "rows * row_beats",
                   "(rows - 1) * row_beats"),),
        leopard_loader.Loader: (
            Change("keys are taken for codes", leopard_loader.Loader,
                   "Mux(command.plane == Plane.K, beats, code_beats)", "code_beats"),),
    }
    for block, name, layout, kinds in cases:
        def top(block=block, name=name, layout=layout, kinds=kinds):
            config: EngineConfig = load_config(name)
            # Taken by name: what is wrong stands in the place of the block.
            made = getattr(sys.modules[block.__module__], block.__name__)
            return addresses.LoaderWatch(block=made, config=config, layout=layout(config),
                                         kinds=kinds)

        yield Watched(
            name, block,
            "Each command gets one request, soon, for exactly its rows, at the address and of the "
            "length that golden says; it stays until it is taken.",
            top, addresses.loader_invariant, wrong[block])


def _results() -> Iterator[Watched]:
    def of_hdp():
        config = load_config("hdp_tiny").model_copy(update={"l_max": 8, "d_max": 16})
        return addresses.ResultWatch(block=hdp_results.ResultWriter(config=config), config=config,
                                     layout=HdpLayout(config))

    def of_topk():
        config = load_config("topk_tiny")
        return addresses.ResultWatch(
            block=survivor_results.ResultWriter(config=config, front=front_end(config)),
            config=config, layout=Layout(config))

    cases = ((hdp_results.ResultWriter, "hdp_tiny of 8 rows", of_hdp,
              addresses.head_result_invariant, "Mux(wanted, self.o.valid & self.o.ready,",
              "Mux(wanted, self.o.ready,"),
             (survivor_results.ResultWriter, "topk_tiny", of_topk,
              addresses.survivor_result_invariant, "with m.If(left == 1):",
              "with m.If(left == 2):"))
    for block, name, top, invariant, old, new in cases:
        yield Watched(
            name, block,
            "Each head asks once for the beats of its rows, at ``out``, unless it has an error, "
            "and then once for its record, at ``status``; behind each request come exactly its "
            "beats, and only then the next request.",
            top, invariant,
            (Change("a beat too few", block, old, new),
             Change("the record in the place of the rows", block,
                    "self.req.payload.address.eq(job.status)",
                    "self.req.payload.address.eq(job.out)")))


def _linear() -> Iterator[Watched]:
    # Taken by name: what is wrong stands in the place of the block.
    yield Watched(
        "heat_tiny", linear_loader.LinearLoader,
        "Each command gets one request, in order and in the next cycle, for its beats at its "
        "address; it stays until it is taken.",
        lambda: linear_blocks.LinearLoaderWatch(block=linear_loader.LinearLoader),
        linear_blocks.linear_loader_invariant,
        (Change("a request changes while it waits", linear_loader.LinearLoader,
                "queue.w_rdy & (~req.valid | req.ready)", "queue.w_rdy"),
         Change("made though it is refused", linear_loader.LinearLoader,
                "req.payload.refused.eq(command.refused)", "req.payload.refused.eq(0)")))
    yield Watched(
        "heat_tiny", linear_output.LinearOutput,
        "Each job without an error asks for one beat or two at a time, and then, as one with an "
        "error at once, for its record, at ``status``; behind each request come exactly its "
        "beats, and only then the next request.",
        lambda: linear_blocks.LinearOutputWatch(block=linear_output.LinearOutput),
        linear_blocks.linear_output_invariant,
        (Change("a beat more of a short word", linear_output.LinearOutput,
                "with m.If(more | word.short):", "with m.If(more):"),
         Change("a beat more of the record", linear_output.LinearOutput,
                "with m.If(index == STATUS_BYTES * 8 // config.axi_data_width - 1):",
                "with m.If(index == 0):"),
         Change("words of a job with an error", linear_output.LinearOutput,
                "with m.If(self.valid & (job.error == 0)):", "with m.If(self.valid):")))


WATCHED: tuple[Watched, ...] = (
    *_fifos(),
    *_turns(),
    Watched("3 clients", arbiter.ReadArbiter,
            "Requests go on once, in the order in which they were taken, with their client's "
            "number, and stay until they are taken; a beat goes to the client of its request.",
            lambda: shell.ReadArbiterWatch(clients=shell.CLIENTS), shell.read_arbiter_invariant,
            (Change("a request changes while it waits", arbiter.ReadArbiter,
                    "room.eq(~self.req.valid | self.req.ready)", "room.eq(1)"),
             Change("the number of another client", arbiter.ReadArbiter,
                    "Cat(req.payload, C(n, bits))", "Cat(req.payload, C(0, bits))"),
             Change("beats for the one before", arbiter.ReadArbiter, "mine.eq(owner == n)",
                    "mine.eq(owner == n + 1)"))),
    Watched("3 clients", arbiter.WriteArbiter,
            "Requests go on once and in order; behind each go exactly its beats, from its client, "
            "and never before the request.",
            lambda: shell.WriteArbiterWatch(clients=shell.CLIENTS),
            shell.write_arbiter_invariant,
            (Change("a beat too few", arbiter.WriteArbiter, "(current.beats == 1)",
                    "(current.beats == 2)"),
             Change("beats before their request", arbiter.WriteArbiter,
                    "order.w_en.eq(self.req.valid & self.req.ready)", "order.w_en.eq(holds)"),
             Change("beats of whoever has one", arbiter.WriteArbiter,
                    "self.o.valid.eq(moving & selected(current.owner, [i.valid for i in self.i]))",
                    "self.o.valid.eq(moving & Cat(i.valid for i in self.i).any())")),
            small=True),
    *_splitters(),
    Watched("bursts of 2", collector.WriteCollector,
            "Beats pass once, in order and unchanged; a burst is asked for once all its beats are "
            "there, and stays until it is taken.",
            shell.CollectorWatch, shell.collector_invariant,
            (Change("a beat too early", collector.WriteCollector,
                    "(unclaimed >= bursts.o.payload.beats)",
                    "(unclaimed + 1 >= bursts.o.payload.beats)"),
             Change("a beat changes while it waits", collector.WriteCollector,
                    "beats.r_en.eq(~self.o.valid | self.o.ready)", "beats.r_en.eq(1)")),
            small=True),
    Watched("bursts of 2", reader.Reader,
            "Each request gets exactly its beats, in order, with its tag and the last one marked, "
            "and errors if it is refused; what the bus gave comes out once and unchanged, there is "
            "room for each beat asked for, and addresses stay until they are taken.",
            shell.ReaderWatch, shell.reader_invariant,
            (Change("a credit too many", reader.Reader, "(credit >= bursts.burst)",
                    "(credit >= bursts.burst - 1)"),
             Change("the last beat of each burst is marked", reader.Reader,
                    "incoming.last.eq(mark.last & last)", "incoming.last.eq(last)"),
             Change("beats are taken in the place of refused ones", reader.Reader,
                    "axi.rready.eq(beats.w_rdy & ~refused)", "axi.rready.eq(beats.w_rdy)"),
             Change("an address changes while it waits", reader.Reader,
                    "& (~axi.arvalid | axi.arready))", ")"),
             Change("a beat passes those that wait", reader.Reader,
                    "past.eq(comes & (beats.level == 0) & beats.r_en)",
                    "past.eq(comes & beats.r_en)"),
             Change("a refused beat counts as one of the bus", reader.Reader,
                    "self.beat.eq(taken)", "self.beat.eq(comes)"),
             Change("refused without an error", reader.Reader,
                    "incoming.error.eq(refused | axi.rresp[1])",
                    "incoming.error.eq(axi.rresp[1])")),
            small=True),
    Watched("bursts of 2", writer.Writer,
            "Each burst that may be made gets one address and exactly its beats, in order and the "
            "last one marked, once all are there; a refused one takes its beats and no others; "
            "address and beat stay until they are taken, and no more bursts wait for their "
            "response than there may.",
            shell.WriterWatch, shell.writer_invariant,
            (Change("the last beat but one is marked", writer.Writer,
                    "axi.wlast.eq(left == 1)", "axi.wlast.eq(left == 2)"),
             Change("a beat changes while it waits", writer.Writer,
                    "(refused | ~axi.wvalid | axi.wready)", "1"),
             Change("addresses before their beats", writer.Writer,
                    "(unclaimed >= burst.beats) &", ""),
             Change("a beat more than there is room for", writer.Writer,
                    "beats.level < self.depth", "beats.level <= self.depth"),
             Change("refused beats are not taken", writer.Writer,
                    "beats.r_en.eq(move)", "beats.r_en.eq(move & ~refused)"),
             Change("more bursts than may wait", writer.Writer, "& answers.w_rdy", "")),
            small=True),
    *_dispatchers(),
    Watched("8 beats", descriptor.DescriptorDecoder,
            "Each descriptor comes out once, from the words that came in, each in its place, and "
            "with the error of the bus if a beat had one; it stays until it is taken.",
            control_blocks.DecoderWatch, control_blocks.decoder_invariant,
            (Change("taken before it is", descriptor.DescriptorDecoder,
                    "with m.If(self.o.ready):", "with m.If(1):"),
             Change("from the second word on", descriptor.DescriptorDecoder,
                    "m.d.sync += beat.eq(0)", "m.d.sync += beat.eq(1)"))),
    Watched("3 cores", router.JobRouter,
            "Each job goes to one core, none gets a third one, and one waits only where no core is "
            "without; a job with ``same_kv`` goes where the one before it went.",
            control_blocks.RouterWatch, control_blocks.router_invariant,
            (Change("a job for two cores", router.JobRouter, "lowest(one & self.hungry)",
                    "one & self.hungry"),
             Change("a third job", router.JobRouter, "one[n].eq(count == 1)",
                    "one[n].eq(count != 0)"),
             Change("keys of another core", router.JobRouter, "last & (free | one)",
                    "(last | lowest(free)) & (free | one)"))),
    Watched("hdp_tiny", csr.Csr,
            "Each write and each read of the host gets one response, soon, and it stays until it "
            "is taken.",
            control_blocks.CsrWatch, control_blocks.csr_invariant,
            (Change("a response is lost", csr.Csr,
                    "have_address & have_data & (~bus.bvalid | bus.bready)",
                    "have_address & have_data"),
             Change("a second address", csr.Csr, "bus.arready.eq(~held)", "bus.arready.eq(1)"))),
    Watched("any bus", control.Control,
            "An abort resets only what the bus owes nothing, within three cycles from then on; a "
            "table ends for want of answers only after as many silent cycles as are allowed.",
            control_blocks.ControlWatch, control_blocks.control_invariant,
            (Change("resets with answers under way", control.Control,
                    "self.aborting & ~self.outstanding & ~self.restart",
                    "self.aborting & ~self.restart"),
             Change("a cycle of silence", control.Control, "(silent == self.timeout)",
                    "(silent <= self.timeout)"))),
    Watched("3 sources", faults.FirstFault,
            "It holds the first fault since it was cleared.",
            control_blocks.FaultWatch, control_blocks.fault_invariant,
            (Change("the last fault", faults.FirstFault, "with m.Elif(any_ & ~self.o.valid):",
                    "with m.Elif(any_):"),)),
    Watched("4 by 4 tiles", tiler.Tiler,
            "Every tile of a head lies at the address of its rows, reckoned without an end of the "
            "addresses, unless ``beyond`` is set, and that is never set if all tiles lie below "
            "the end.",
            addresses.TilerWatch, addresses.tiler_invariant,
            (Change("the carry is lost", tiler.Tiler,
                    "beyond = beyond | there[config.axi_address_width]", "beyond = beyond"),
             Change("beyond for one tile only", tiler.Tiler, "beyond, moved = at.beyond, []",
                    "beyond, moved = 0, []"),
             Change("keys of the tile before", tiler.Tiler,
                    """at.first.eq(0), at.keys.eq(at.keys - rows), at.offset.eq(at.offset - rows),
                        *move(addresses[3:]),""",
                    """at.first.eq(0), at.keys.eq(at.keys - rows), at.offset.eq(at.offset - rows),
                        *move(addresses[4:]),"""),
             Change("outputs of the strip before", tiler.Tiler, "*move(addresses[:3]),",
                    "*move(addresses[:2]),"))),
    *_loaders(),
    *_results(),
    *_linear(),
)
"""All of them."""


def block_proofs(watched: tuple[Watched, ...] = WATCHED) -> Iterator[Proof]:
    """Of each that it holds, that something comes out, and that wrong ones are told."""
    for case in watched:
        name = f"{case.block.__name__}, {case.name}"
        yield Proof("RTL: blocks, induction", name, case.queries)
        yield Proof("must fail: RTL: nothing comes out of a block", name,
                    case.cover, holds=False)
        for change in case.wrong:
            yield Proof("must fail: RTL: blocks", f"{name}: {change.name}",
                        lambda case=case, change=change: case.refuted(change), holds=False)
