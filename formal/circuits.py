# SPDX-License-Identifier: Apache-2.0
"""What is proved of the hardware itself, and the wrong hardware that must not pass."""

from collections.abc import Iterator

from prunus.golden.engines import load_config
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard import dot_product, dpu, merge, query, reorder
from prunus.hw.shell import bursts, reader, writer

from .control import ROWS
from .induction import satisfiable, unit_control
from .proofs import Proof
from .query import Query
from .rtl import bounded, system
from .unit import UnitWatch
from .variants import Change, changed, places
from .whole import WholeWatch
from .windows import DMAS, WindowWatch, inside, reachable

__all__ = ["CONTROL", "UNITS", "WINDOWS", "WRONG_CONTROL", "WRONG_UNITS", "WRONG_WINDOWS",
           "circuits"]

PLACES = 4      # in place of 32

# W, B, dimensions, keys, dimensions whose q is not 0, cycles in which the row must end
UNITS = [(3, 2, 8, 1, 2, 24), (3, 1, 8, 1, 2, 30), (3, 2, 16, 1, 2, 34), (4, 2, 8, 1, 1, 24),
         (3, 2, 8, 2, 2, 26)]
CONTROL = [(4, 2, 8, 2), (4, 3, 16, 1)]     # W, B, dimensions, units

WRONG_UNITS = [
    Change("<= for <", dpu.DotProductUnit, "negative.eq(excess[-1])",
           "negative.eq(excess <= 0)"),
    Change("shift of the digit before", dpu.DotProductUnit,
           "unread(n + 1, config.width", "unread(n, config.width"),
    Change("sign bit not inverted", dot_product.DotProduct, "inverse[sign] ^ self.top",
           "inverse[sign]"),
    Change("digits of positive q not inverted", dot_product.DotProduct,
           "digit ^ positive.replicate(config.digit)", "digit"),
    Change("start of each digit anew", dpu.DotProductUnit, "Mux(early.first,",
           "Mux(early.last,"),
    Change("decided before the last digit", dpu.DotProductUnit,
           "back.digit == config.digits - 1", "back.digit == config.digits - 2"),
]
WRONG_CONTROL = [
    Change("<= for <", dpu.DotProductUnit, "negative.eq(excess[-1])",
           "negative.eq(excess <= 0)"),
    Change("kept below the threshold", dpu.DotProductUnit, "reorder.decision.kept.eq(~negative)",
           "reorder.decision.kept.eq(1)"),
    Change("shift of the digit before", dpu.DotProductUnit,
           "unread(n + 1, config.width", "unread(n, config.width"),
    Change("start of another row", dpu.DotProductUnit, 'slots["start"][early.query.slot]',
           'slots["start"][now.query.slot]'),
    Change("a slot is lost", dpu.DotProductUnit, "there & reorder.room & ~again",
           "there & reorder.room"),
    Change("a place too few", reorder.Reorder, "after != PENDING", "after <= PENDING"),
    Change("a key too many", dpu.DotProductUnit, "exhausted = step >=", "exhausted = step >"),
    Change("the first key of the row before", dpu.DotProductUnit,
           "first.eq(self.firsts[candidate[:-1]])", "first.eq(self.firsts[row[:-1]])"),
    Change("first key off by one", reorder.Reorder, "key.eq(self.first), self.row.eq(",
           "key.eq(self.first + 1), self.row.eq("),
    Change("the turn of the row that ends", dpu.DotProductUnit,
           "self.firsts[reorder.opens[:-1]]", "self.firsts[reorder.row[:-1]]"),
    Change("key counter off by one", reorder.Reorder, "key.eq(key + config.dpus)",
           "key.eq(key + config.dpus + 1)"),
    Change("an offer is overwritten", reorder.Reorder, "(~read.data.kept | free)", "1"),
    Change("a row ends before its last key", reorder.Reorder, "(key >= self.keys)",
           "(key + config.dpus >= self.keys)"),
    Change("a digit not counted", reorder.Reorder, "total + read.data.digit + 1",
           "total + read.data.digit"),
    Change("an end before the one before is merged", reorder.Reorder,
           "at_end & (~self.ended | self.advance)", "at_end"),
]
WHOLE = [(3, 2, 2, 1, 2, 36)]     # W, B, units, rows, keys, cycles
WRONG_WHOLE = [
    Change("<= for <", dpu.DotProductUnit, "negative.eq(excess[-1])",
           "negative.eq(excess <= 0)"),
    Change("start without -Q+", query.RowLoader, "(sums[0] << config.width - 1) - sums[1]",
           "sums[0] << config.width - 1"),
    Change("start with Q- for Q+", query.RowLoader, "Mux(tap.positive, tap.mag, 0)",
           "Mux(tap.positive, 0, tap.mag)"),
    Change("survivor taken twice", merge.Merger, "self.take.eq(Mux(load, turn, 0))",
           "self.take.eq(Mux(load & ~full, turn, 0))"),
    Change("threshold not added", merge.Merger, "excess + self.thresholds[slot]", "excess"),
    Change("keys of another unit", reorder.Reorder, "offer.key.eq(key)",
           "offer.key.eq(key ^ 1)"),
    Change("turns off by one", query.RowLoader, "unit_of(config, key, count, copy)",
           "unit_of(config, key, count, copy + 1)"),
    Change("words of another copy", query.RowLoader, "region.eq(copy * region_words(",
           "region.eq((count - 1 - copy) * region_words("),
]
# Bits of data and of addresses.
WINDOWS = [(way, *bits) for way in DMAS
           for bits in ((64, 32), (128, 32), (256, 32), (512, 32), (64, 64), (512, 40))]
WRONG_WINDOWS = [
    ("read", Change("the carry is lost", bursts.BurstSplitter, "behind = Signal(numbers + 1)",
                    "behind = Signal(numbers)")),
    ("read", Change("one refused burst of several", bursts.BurstSplitter,
                    "beyond.eq(refused)", "beyond.eq(request.refused)")),
    ("read", Change("no base", bursts.BurstSplitter, "(first < window.base)", "0")),
    ("read", Change("limit off by one", bursts.BurstSplitter, "window.limit + 1",
                    "window.limit + 2")),
    ("read", Change("the other window", bursts.BurstSplitter, "self.windows[request.record]",
                    "self.windows[~request.record]")),
    ("read", Change("bursts across a page", bursts.BurstSplitter,
                    "room.eq(self.burst - index[:low])", "room.eq(self.burst)")),
    ("read", Change("refused bursts are read", reader.Reader, "axi.arvalid.eq(~burst.refused)",
                    "axi.arvalid.eq(1)")),
    ("write", Change("refused bursts are written", writer.Writer, "axi.awvalid.eq(~burst.refused)",
                     "axi.awvalid.eq(1)")),
]
_SYSTEMS: dict = {}


def _config(width: int, digit: int, d: int, dpus: int = 1) -> LeopardConfig:
    """Also with fewer bits than a coprocessor may have."""
    fields = {"name": "proved", "width": 4, "digit": digit, "taps": 8, "d_max": d, "l_max": 8,
              "dpus": dpus, "rows": ROWS}
    return LeopardConfig(**fields).model_copy(update={"width": width})


def _unit(case: tuple, change: Change | None = None) -> Iterator[Query]:
    width, digit, d, keys, live, cycles = case
    with changed(change):
        watched = system(UnitWatch(config=_config(width, digit, d), keys=keys, live=live,
                                   cycles=cycles))
    yield from bounded("", watched, cycles + 1)


def _control(case: tuple, change: Change | None = None, queries=unit_control) -> Iterator[Query]:
    config = _config(*case)
    with places(PLACES):
        if (case, change) not in _SYSTEMS:
            with changed(change):
                _SYSTEMS[case, change] = system(dpu.DotProductUnit(config=config))
        asked = list(queries(config, _SYSTEMS[case, change]))
    yield from asked


def _whole(case: tuple, change: Change | None = None, only: str = "ok_") -> Iterator[Query]:
    width, digit, dpus, rows, keys, cycles = case
    with places(PLACES):
        if (case, change) not in _SYSTEMS:
            with changed(change):
                _SYSTEMS[case, change] = system(WholeWatch(
                    config=_config(width, digit, 8, dpus), rows=rows, keys=keys))
    yield from bounded("", _SYSTEMS[case, change], cycles, only)


def _window(case: tuple, change: Change | None = None, queries=inside) -> Iterator[Query]:
    way, bits, addresses = case
    config = load_config("hdp_tiny").model_copy(
        update={"axi_data_width": bits, "axi_address_width": addresses})
    if (case, change) not in _SYSTEMS:
        with changed(change):
            _SYSTEMS[case, change] = system(WindowWatch(config=config, way=way))
    yield from queries(config, way, _SYSTEMS[case, change])


def circuits(units: list[tuple] = UNITS, control: list[tuple] = CONTROL,
             wrong_units: list[Change] = WRONG_UNITS,
             whole: list[tuple] = WHOLE, wrong_control: list[Change] = WRONG_CONTROL,
             wrong_whole: list[Change] = WRONG_WHOLE) -> Iterator[Proof]:
    """By default all."""
    for case in WINDOWS:
        name = "{} DMA, {} bits, addresses of {}".format(*case)
        yield Proof("RTL: windows of the DMAs, induction", name, lambda case=case: _window(case))
        yield Proof("must fail: RTL: no address on the bus", name,
                    lambda case=case: _window(case, queries=reachable), holds=False)
    for bits in (32, 64):
        for way, change in WRONG_WINDOWS:
            yield Proof("must fail: RTL: windows of the DMAs",
                        f"{change.name}, addresses of {bits}",
                        lambda case=(way, 64, bits), change=change: _window(case, change),
                        holds=False)
    for case in units:
        name = "W={} B={} d={} keys={} (q of {}) in {} cycles".format(*case)
        yield Proof("RTL: dot-product unit, bounded", name, lambda case=case: _unit(case))
    for case in control:
        name = "W={} B={} d={} units={}".format(*case)
        yield Proof("RTL: control of a unit, induction", name, lambda case=case: _control(case))
        yield Proof("must fail: RTL: the invariant is empty", name, lambda case=case: _control(
            case, queries=satisfiable), holds=False)
    for case in whole:
        name = "W={} B={} units={} rows={} keys={}, {} cycles".format(*case)
        yield Proof("RTL: QK unit, bounded", name, lambda case=case: _whole(case))
        yield Proof("must fail: RTL: no row ends", name, lambda case=case: _whole(
            case, only="never_"), holds=False)
    for change in wrong_units:
        yield Proof("must fail: RTL: dot-product unit", change.name,
                    lambda change=change: _unit(UNITS[0], change), holds=False)
    for change in wrong_control:
        yield Proof("must fail: RTL: control of a unit", change.name,
                    lambda change=change: _control(CONTROL[0], change), holds=False)
    for change in wrong_whole:
        yield Proof("must fail: RTL: QK unit", change.name,
                    lambda change=change: _whole(WHOLE[0], change), holds=False)
