# SPDX-License-Identifier: Apache-2.0
"""The PE array: blocks of 2 queries x 2 keys, T dimensions per cycle at full width."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.arith.multiplier import ComposableMultiplier, add_sub, digit_layout
from prunus.hw.hdp.groups import LOOKAHEAD, group_bits
from prunus.hw.hdp.layouts import (
    Mode,
    fraction_layout,
    fraction_word,
    integer_layout,
    integer_scores_layout,
    integer_word,
    sum_width,
    tag_layout,
    value_layout,
)
from prunus.hw.hdp.linear.layouts import block_tag_layout
from prunus.hw.hdp.softmax_layouts import weight_entry_layout
from prunus.hw.parts.copies import kept_copy
from prunus.hw.parts.pipeline import delayed

__all__ = ["Array", "operand_layout", "select_layout"]


def operand_layout(config: HdpConfig) -> data.StructLayout:
    """Operands of a cycle as the buffers deliver them.

    Words of the integer and the fraction plane hold ``integer_word`` and ``fraction_word``
    dimensions, those that the mode needs first, of two rows each and of K_I of all pairs of keys
    of a group; ``place`` is the pair that the modes other than the integer mode need. ``v`` and
    ``w`` are there if P.V has no array of its own.
    """
    integer = data.ArrayLayout(integer_layout(config), integer_word(config))
    fraction = data.ArrayLayout(
        data.ArrayLayout(fraction_layout(config), fraction_word(config)), 2)
    place = {"place": group_bits(config)} if config.group > 1 else {}
    values = {} if config.own_values else {
        "v": data.ArrayLayout(data.ArrayLayout(value_layout(config), config.taps), 2),
        "w": weight_entry_layout(config).members["row"]}
    return data.StructLayout({
        "q_i": data.ArrayLayout(integer, 2), "q_f": fraction,
        "k_i": data.ArrayLayout(integer, 2 * config.group), "k_f": fraction,
        **values,
        **place,
    })


def select_layout(config: HdpConfig) -> data.StructLayout:
    """What decides which operands a multiplier gets, if ``en``; ``exact`` is whether fractions of
    queries and keys are multiplied too. With linear jobs ``narrow``: of mode ``FRACTION``, keys are
    digits."""
    return data.StructLayout({
        "en": 1, "mode": Mode, "exact": 1, **({"narrow": 1} if config.linear else {})})


def _choose(values, index):
    chosen = values[0]
    for n, value in enumerate(values[1:], start=1):
        chosen = Mux(index == n, value, chosen)
    return chosen


def _pick(word, elements):
    """Some elements of ``word``, a list of values; zeros beyond its end."""
    return [word[n] if n < len(word) else C(0, len(word[0])) for n in elements]


class Array(wiring.Component):
    """4*T composable multipliers, output stationary.

    In the integer mode segments of T / G taps serve the G blocks of a group, which share the
    queries; in the others all serve one block. Takes an operation in every cycle, of any mode after
    any other; the scores of a block and the outputs of a value chunk have accumulators of their
    own, so value operations may fall between those of a block. Scores appear ``score_latency``
    cycles after a block's last operation, values ``value_latency`` cycles after a chunk's last::

        operands -> select -> 2 x 2 x T multipliers -> pairs -+-> sum over T -> += -> score (4)
                                                              +-> << -> += -> value (2 x T)

    An operand belongs to a row and a tap, so that two multipliers share it. In the score modes the
    multiplier of rows ``a`` and ``b`` has query ``a`` and key ``b``. For P.V it has query ``b``,
    and of each pair of taps the even one has the first key, the odd one the second: the product of
    tap ``2 * n + k`` is that of ``v[k][2 * n + a]`` and the weight of ``b`` for ``k``. What is
    added over the two keys is then the pair that the sum over T begins with.

    Where P.V has an array of its own (:class:`.value_array.ValueArray`) there is no mode ``VALUE``
    and nothing that it alone needs.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    en, mode, first, last, tag : In
        The operation of this cycle; ``first`` and ``last`` of a block or of a value chunk.
    select : In(2 x T x 2 of select_layout)
        The same in all places: for each row and tap a copy for the query's operand and one for the
        key's, as one for all of them would have to reach the whole of a large array within a cycle.
    operands : In
        Belonging to this cycle's operation.
    integer_valid, score_valid : Out(1)
        ``integer`` holds the integer scores of ``score_tag``'s group, ``score`` the fraction or
        full products of its block. Integer scores are in units of 1, fraction products of
        2**-low_width, full ones of 2**(-2 * low_width). What is not valid means nothing.
    score_early : Out
        ``score_tag`` ``LOOKAHEAD`` cycles ahead, to look up what is to be added.
    linear, linear_tag, linear_valid, linear_done, linear_early : In, Out
        With linear jobs: the operation is of one, with this tag. Then ``score`` is its products,
        of ``linear_done``; ``linear_early`` comes two cycles ahead.
    value_valid : Out(1)
    value : Out(2 x T signed)
        A finished chunk of two output rows in units of 2**-EXP_FRAC.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "en": In(1),
            "mode": In(Mode),
            "select": In(data.ArrayLayout(data.ArrayLayout(
                data.ArrayLayout(select_layout(config), 2), config.taps), 2)),
            "first": In(1),
            "last": In(1),
            "tag": In(tag_layout(config)),
            "operands": In(operand_layout(config)),
            **({"linear": In(1), "linear_tag": In(block_tag_layout()), "linear_valid": Out(1),
                "linear_done": Out(block_tag_layout()), "linear_early": Out(block_tag_layout())}
               if config.linear else {}),
            "integer_valid": Out(1),
            "score_valid": Out(1),
            "integer": Out(integer_scores_layout(config)),
            "score": Out(data.ArrayLayout(signed(sum_width(config)), 4)),
            "score_tag": Out(tag_layout(config)),
            "score_early_valid": Out(1),
            "score_early": Out(tag_layout(config)),
            **({} if config.own_values else {"value_valid": Out(1), "value": Out(data.ArrayLayout(
                data.ArrayLayout(signed(config.accumulator_width), config.taps), 2))}),
        })

    @property
    def _tree_latency(self) -> int:
        """Two adder levels per register, the four levels of a segment first."""
        return -(-(self._config.taps - 1).bit_length() // 2)

    @property
    def score_latency(self) -> int:
        return 1 + ComposableMultiplier.latency + self._tree_latency + 1

    @property
    def value_latency(self) -> int:
        return 1 + ComposableMultiplier.latency + 3

    def elaborate(self, platform):
        m = Module()
        pairs = self._multipliers(m)
        linear = self._config.linear
        control = Signal(data.StructLayout({
            "mode": Mode, "first": 1, "last": 1, "tag": tag_layout(self._config),
            **({"linear": 1, "linear_tag": block_tag_layout()} if linear else {})}))
        if linear:
            m.d.comb += [control.linear.eq(self.linear), control.linear_tag.eq(self.linear_tag)]
        m.d.comb += [control.mode.eq(self.mode), control.first.eq(self.first),
                     control.last.eq(self.last), control.tag.eq(self.tag)]
        own = self._config.own_values
        cycles = self.score_latency if own else max(self.score_latency, self.value_latency)
        en = delayed(m, self.en, cycles, name="en", reset_less=False)
        stages = delayed(m, control, cycles, name="control", valid=en)
        self._scores(m, pairs, stages, en)
        if not own:
            self._values(m, pairs, stages, en)
        return m

    def _digits(self, m):
        """Registered digits per row and tap: of queries (or values) and of keys (or weights)."""
        t, ops = self._config.taps, self.operands
        config = self._config
        split = config.low_width
        digits = data.ArrayLayout(
            digit_layout(max(config.format.int_mag, split, config.width - split)), 4)
        x, y = ([[Signal(digits, name=f"{name}_{r}_{n}", reset_less=True) for n in range(t)]
                 for r in range(2)] for name in "xy")

        def assign(operand, select, sources):
            with m.If(select.en), m.Switch(select.mode):
                for case, values in sources.items():
                    with m.Case(case):
                        for digit, source in zip(operand, values, strict=True):
                            m.d.sync += [digit.mag.eq(source[:-1]), digit.sign.eq(source[-1])]

        def halves(code):
            """Two digits of a sign-magnitude code."""
            return Cat(code.mag[split:], code.sign), Cat(code.mag[:split], code.sign)

        group = self._config.group
        segment_taps = t // group
        own = config.own_values
        values = [] if own else [self._split(m, row, f"v_{k}") for k, row in enumerate(ops.v)]
        for r in range(2):
            q_word = self._split(m, ops.q_i[r], f"q_i_{r}")
            k_words = [self._split(m, ops.k_i[b], f"k_i_{b}") for b in range(r, 2 * group, 2)]
            q_f_word = self._fractions(m, ops.q_f[r], f"q_f_{r}")
            k_word, k_f_word = (self._own_keys(m, k_words, r),
                                self._fractions(m, ops.k_f[r], f"k_f_{r}"))
            for n in range(t):
                # Its dimensions of a word are the same ones in all modes.
                pair = (n, n + t)
                segment, local = divmod(n, segment_taps)
                taps = range(local, 4 * segment_taps, segment_taps)
                even, key = n & ~1, n % 2
                (q_i,), (q_f,) = (_pick(word, [n]) for word in (q_word, q_f_word))
                exact = self.select[r][n][0].exact
                if not own:
                    value = data.View(digit_layout(self._config.width), values[key][even + r])
                assign(x[r][n], self.select[r][n][0], {
                    Mode.INTEGER: _pick(q_word, taps),
                    Mode.FRACTION: self._order(_pick(q_f_word, pair) + _pick(q_word, pair)),
                    Mode.FULL: [q_i, q_f, q_i, Cat(Mux(exact, q_f[:-1], 0), q_f[-1])],
                    **({} if own else {Mode.VALUE: halves(value) * 2})})
                (k_i,), (k_f,) = (_pick(word, [n]) for word in (k_word, k_f_word))
                if not own:
                    high, low = halves(self._weight(r, key))
                assign(y[r][n], self.select[r][n][1], {
                    Mode.INTEGER: _pick(k_words[segment], taps),
                    Mode.FRACTION: self._order(_pick(k_word, pair) + self._second_keys(
                        self.select[r][n][1], _pick(k_word, pair), _pick(k_f_word, pair))),
                    Mode.FULL: [k_i, k_i, k_f, k_f],
                    **({} if own else {Mode.VALUE: [high, high, low, low]})})
        return x, y

    def _order(self, digits):
        """Which units of a multiplier get the digits of mode ``FRACTION``, of two dimensions each.
        With linear jobs those whose products have the same weight are units 0 and 3, and 1 and 2.
        """
        if not self._config.linear:
            return digits
        return [digits[0], digits[2], digits[3], digits[1]]

    def _second_keys(self, select, whole, rest):
        """What the integer parts of queries are multiplied with."""
        if not self._config.linear:
            return rest
        return [Mux(select.narrow, a, b) for a, b in zip(whole, rest, strict=True)]

    @staticmethod
    def _split(m, word, name):
        """The elements of an array as signals; slices of a wide word cost an emission minutes."""
        elements = [Signal(len(value.as_value()), name=f"{name}_{n}")
                    for n, value in enumerate(word)]
        m.d.comb += [element.eq(value) for element, value in zip(elements, word, strict=True)]
        return elements

    def _fractions(self, m, word, name):
        """The fractions of an array as digits with whole magnitudes, over zeros if there are few
        bits."""
        lift, fractions = self._config.lift, self._split(m, word, name)
        if self._config.rounded:
            held, fractions = fractions, []
            for n, fraction in enumerate(held):
                mag, sign = fraction[:-1], fraction[-1]
                fractions.append(Signal(len(fraction) + 1, name=f"{name}_{n}_whole"))
                m.d.comb += fractions[-1].eq(Cat(mag, sign & (mag == 0), sign))
        return [Cat(C(0, lift), fraction) if lift else fraction for fraction in fractions]

    def _own_keys(self, m, words, r):
        """The word of K_I of the block of an operation that has only one."""
        if len(words) == 1:
            return words[0]
        own = []
        for n, values in enumerate(zip(*words, strict=True)):
            own.append(Signal(len(values[0]), name=f"own_{r}_{n}"))
            m.d.comb += own[-1].eq(_choose(values, self.operands.place))
        return own

    def _weight(self, query, key):
        """A weight as a code of W bits."""
        mant = self.operands.w[query].mant[key]
        wide = digit_layout(self._config.width)
        return data.View(wide, Cat(mant.mag, Cat(*[0] * (self._config.width - len(mant.mag))),
                                   mant.sign))

    def _multipliers(self, m):
        """Sums of the products of two neighbouring taps, per two rows."""
        x, y = self._digits(m)
        full = [Signal(name=f"full_{n}", reset_less=True) for n in range(self._config.taps)]
        for n, mine in enumerate(full):
            select = self.select[0][n][1]
            with m.If(select.en):
                m.d.sync += mine.eq(select.mode == Mode.FULL if self._config.own_values
                                    else (select.mode == Mode.FULL) | (select.mode == Mode.VALUE))
        narrow = [Signal(name=f"narrow_{n}", reset_less=True) for n in range(self._config.taps)]
        for n, mine in enumerate(narrow if self._config.linear else []):
            m.d.sync += mine.eq(self.select[0][n][1].narrow)
        pairs = {}
        for a in range(2):
            for b in range(2):
                products = []
                for n in range(self._config.taps):
                    mult = ComposableMultiplier(config=self._config)
                    m.submodules[f"mult_{a}{b}_{n}"] = mult
                    m.d.comb += [mult.x.eq(x[a][n]), mult.y.eq(y[b][n]), mult.full.eq(full[n])]
                    if self._config.linear:
                        m.d.comb += mult.narrow.eq(narrow[n])
                    products.append((mult.o, mult.o_sign))
                pairs[a, b] = self._sum_pairs(products)
        return pairs

    @staticmethod
    def _accumulate(m, out, name, takes, first, term):
        """``out`` is the sum of terms since the first one; both flags come a cycle before."""
        value, sign = term
        acc = Signal(out.shape(), name=name, reset_less=True)
        flags = kept_copy(m, Cat(takes, first), f"{name}_flags")
        with m.If(flags[0]):
            m.d.sync += acc.eq(add_sub(Mux(flags[1], 0, acc).as_signed(), value, sign))
        m.d.comb += out.eq(acc)

    def _scores(self, m, pairs, stages, en):
        group, last = self._config.group, self.score_latency
        stage = stages[last - 2]
        early = last - 2 - self._tree_latency       # before the first sums are registered
        takes, begins = en[last - 2], en[early]
        if not self._config.own_values:
            takes &= stage.mode != Mode.VALUE
            begins &= stages[early].mode != Mode.VALUE
        for q in range(2):
            for k in range(2):
                element = 2 * q + k
                adds = kept_copy(m, begins, f"adds_{element}", reset_less=False)
                adds = delayed(m, adds, self._tree_latency - 1, name=f"adds_{element}",
                               reset_less=False)
                terms, segments = pairs[q, k], None
                for level in range(self._tree_latency):
                    halves = terms if level == 0 else self._sum_pairs(terms)
                    terms = self._register(m, self._sum_pairs(halves), f"sum_{q}{k}_{level}",
                                           adds[level])
                    if segments is None and len(halves) == group > 1:
                        segments = self._integers(halves)
                    if segments is not None:        # they wait for the sum over them
                        segments = self._register(m, segments, f"segment_{q}{k}_{level}",
                                                  adds[level])
                    elif len(terms) == group:
                        segments = self._integers(terms)
                self._accumulate(m, self.score[element], f"score_{element}", takes, stage.first,
                                 terms[0])
                if group == 1:                      # one accumulator for all modes
                    m.d.comb += self.integer[0][element].eq(self.score[element])
                    continue
                for n, term in enumerate(segments):
                    self._accumulate(m, self.integer[n][element], f"integer_{n}_{element}",
                                     takes, stage.first, term)
        done, valid, early = stages[last], en[last], stages[last - LOOKAHEAD]
        m.d.comb += [
            self.score_tag.eq(done.tag),
            self.score_early.eq(early.tag),
            self.score_early_valid.eq(en[last - LOOKAHEAD] & early.last
                                      & (early.mode == Mode.FRACTION)),
            self.integer_valid.eq(valid & done.last & (done.mode == Mode.INTEGER)),
        ]
        scored = valid & done.last & ((done.mode == Mode.FRACTION) | (done.mode == Mode.FULL))
        if not self._config.linear:
            m.d.comb += self.score_valid.eq(scored)
            return
        m.d.comb += [
            self.score_valid.eq(scored & ~done.linear), self.linear_valid.eq(scored & done.linear),
            self.linear_done.eq(done.linear_tag), self.linear_early.eq(stages[last - 2].linear_tag),
        ]

    def _integers(self, terms):
        """The same as no more than integer scores."""
        return [(value[: self._config.int_score_width].as_signed(), sign) for value, sign in terms]

    def _sum_pairs(self, terms):
        """``(value, sign)`` of neighbours added: s0*a + s1*b = s0*(a +- b)."""
        if len(terms) == 1:
            return terms
        width = sum_width(self._config)
        return [(add_sub(a, b, sign_a ^ sign_b)[:width].as_signed(), sign_a)
                for (a, sign_a), (b, sign_b) in zip(terms[::2], terms[1::2], strict=True)]

    def _register(self, m, terms, name, en):
        registered = []
        for n, (value, sign) in enumerate(terms):
            value_r = Signal(value.shape(), name=f"{name}_{n}", reset_less=True)
            sign_r = Signal(name=f"{name}_{n}_sign", reset_less=True)
            with m.If(en):
                m.d.sync += [value_r.eq(value), sign_r.eq(sign)]
            registered.append((value_r, sign_r))
        return registered

    def _values(self, m, pairs, stages, en):
        config, last = self._config, self.value_latency
        stage = stages[last - 2]
        takes = en[last - 2] & (stage.mode == Mode.VALUE)
        begins = en[last - 4] & (stages[last - 4].mode == Mode.VALUE)
        shifts = [delayed(m, self.operands.w[q].shift, last - 3, name=f"shift_{q}", valid=en)[-1]
                  for q in range(2)]
        for q in range(2):
            for n in range(config.taps):
                adds = delayed(m, kept_copy(m, begins, f"adds_{q}_{n}", reset_less=False), 1,
                               name=f"adds_{q}_{n}", reset_less=False)
                (pair, sign), = self._register(m, [pairs[n % 2, q][n // 2]], f"pair_{q}_{n}",
                                               adds[0])
                # A shift index counts steps of two bits.
                shift = kept_copy(m, shifts[q], f"shift_{q}_for_{n}")
                choice = Mux(shift[2], pair << 8, pair)
                choice = Mux(shift[1], choice << 4, choice)
                choice = Mux(shift[0], choice << 2, choice)
                (shifted, sign), = self._register(
                    m, [(choice[: len(pair) + 10].as_signed(), sign)], f"shifted_{q}_{n}",
                    adds[1])
                self._accumulate(m, self.value[q][n], f"value_{q}_{n}", takes, stage.first,
                                 (shifted, sign))
        done = stages[last]
        m.d.comb += self.value_valid.eq(en[last] & done.last & (done.mode == Mode.VALUE))
