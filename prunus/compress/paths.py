# SPDX-License-Identifier: Apache-2.0
"""Orders in which a form's factors and X can be multiplied, and what each costs on the array.

A factor may meet X, or another factor first; "rebuild W, then multiply" is such an order too. All
orders are tried, with the cost of :mod:`.cost`: the number of products alone, for which opt_einsum
has the best order, knows nothing of bytes, of blocks that are rounded up, or of what is held.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import opt_einsum

from prunus.golden.hdp.config import HdpConfig

from .chain import Form, Step
from .cost import Cost, Energy, edp, job_cost

__all__ = ["Network", "Order", "best", "fewest", "network", "orders"]

X = 0                   # the operand that is no factor
Tree = int | tuple["Tree", "Tree"]


@dataclass(frozen=True)
class Network:
    """X and the factors of a form, by names of their dimensions.

    Members
    -------
    inputs : tuple of str
        Of X, then of each factor: a letter for each dimension.
    output : str
    sizes : mapping of str to int
    bits : int
        Of a factor's code.
    """

    inputs: tuple[str, ...]
    output: str
    sizes: Mapping[str, int]
    bits: int

    @property
    def equation(self) -> str:
        """For einsum."""
        return f"{','.join(self.inputs)}->{self.output}"

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(self.sizes[name] for name in names) for names in self.inputs]

    def size(self, names: Sequence[str]) -> int:
        return prod(self.sizes[name] for name in names)


def network(form: Form, rows: int) -> Network:
    """Of a form with a shape, a rank or both, for so many rows of X. Raises ValueError."""
    n, k = form.shape or ((form.n,), (form.k,))
    symbols = iter(opt_einsum.get_symbol(number) for number in range(200))
    sizes: dict[str, int] = {}

    def new(size: int) -> str:
        name = next(symbols)
        sizes[name] = size
        return name

    row = new(rows)
    outs, ins = [new(size) for size in n], [new(size) for size in k]
    factors: list[str]
    if form.name.startswith("dense"):
        factors = [outs[0] + ins[0]]
    elif form.name == "svd":
        between = new(form.rank[0])
        factors = [between + ins[0], outs[0] + between]
    elif form.name == "cp":
        between = new(form.rank[0])
        factors = [name + between for name in (*ins, *outs)]
    elif form.name == "ttm":
        ranks = ["", *(new(rank) for rank in form.rank), ""]
        factors = [ranks[m] + outs[m] + ins[m] + ranks[m + 1] for m in range(len(n) - 1, -1, -1)]
    elif form.name == "tucker":
        core = ""
        before: list[str] = []
        after: list[str] = []
        for m, (name, size) in enumerate(zip((*outs, *ins), (*n, *k), strict=True)):
            if form.rank[m] < size:
                inner = new(form.rank[m])
                (before if m >= len(n) else after).append(inner + name)
                core += inner
            else:
                core += name
        factors = [*before[::-1], core, *after[::-1]]
    else:
        raise ValueError(f"form must be one of dense, svd, tucker, ttm, cp, not {form.name!r}")
    return Network((row + "".join(ins), *factors), row + "".join(outs), sizes,
                   form.steps[0].bits)


@dataclass(frozen=True)
class Order:
    """One way to multiply all.

    Members
    -------
    network : Network
    tree : nested pairs of numbers
        Of the operands; 0 is X.
    cost : Cost
    """

    network: Network
    tree: Tree
    cost: Cost

    @property
    def products(self) -> int:
        return self.cost.products

    @cached_property
    def chain(self) -> bool:
        """X meets one factor after the other, in the order of the form's steps: the only orders
        that the jobs of the coprocessor can make, since factors come from memory."""
        tree: Tree = X
        for number in range(1, len(self.network.inputs)):
            tree = (tree, number)
        return self.tree == tree

    @property
    def rebuilds(self) -> bool:
        """All factors are multiplied before X comes."""
        return isinstance(self.tree, tuple) and self.tree[0] == X and len(
            self.network.inputs) > 2

    def __str__(self) -> str:
        return _said(self.tree)


def _said(tree: Tree) -> str:
    if isinstance(tree, tuple):
        return f"({_said(tree[0])} {_said(tree[1])})"
    return "X" if tree == X else f"F{tree}"


def _leaves(tree: Tree) -> frozenset[int]:
    if isinstance(tree, tuple):
        return _leaves(tree[0]) | _leaves(tree[1])
    return frozenset((tree,))


def _trees(operands: tuple[int, ...]) -> Iterator[Tree]:
    """All of them, the part with the first operand on the left."""
    if len(operands) == 1:
        yield operands[0]
        return
    first, rest = operands[0], operands[1:]
    for chosen in range((1 << len(rest)) - 1):
        left = (first, *(one for i, one in enumerate(rest) if chosen >> i & 1))
        right = tuple(one for i, one in enumerate(rest) if not chosen >> i & 1)
        for a in _trees(left):
            for b in _trees(right):
                yield a, b


def _cost(net: Network, tree: Tree, config: HdpConfig, fused: bool,
          last: bool = True) -> tuple[str, Cost]:
    """Dimensions of what a tree makes, and its cost."""
    if not isinstance(tree, tuple):
        return net.inputs[tree], Cost()
    (a, cost_a), (b, cost_b) = (_cost(net, part, config, fused, last=False) for part in tree)
    inside = _leaves(tree)
    needed = {*net.output, *"".join(names for number, names in enumerate(net.inputs)
                                    if number not in inside)}
    both = [name for name in a if name in b]
    batch = [name for name in both if name in needed]
    inner = [name for name in both if name not in needed]
    free_a, free_b = ([name for name in own if name not in both] for own in (a, b))
    made_a, made_b = (isinstance(part, tuple) for part in tree)
    step = Step(net.size(free_b), net.size(inner), groups=net.size(batch),
                bits=8 if made_b else net.bits)
    own = job_cost(net.size(free_a), step, config, held_x=fused and made_a,
                   held_y=fused and not last, held_w=fused and made_b)
    return "".join((*batch, *free_a, *free_b)), cost_a + cost_b + own


def orders(form: Form, rows: int, config: HdpConfig, *, fused: bool = True) -> list[Order]:
    """All of a form, for so many rows of X."""
    net = network(form, rows)
    return [Order(net, tree, _cost(net, tree, config, fused)[1])
            for tree in _trees(tuple(range(len(net.inputs))))]


def best(found: Sequence[Order], energy: Energy) -> Order:
    """The one of least energy times cycles."""
    return min(found, key=lambda one: edp(one.cost, energy))


def fewest(form: Form, rows: int, config: HdpConfig, *, fused: bool = True) -> Order:
    """The order that opt_einsum finds for the number of products."""
    net = network(form, rows)
    path, _ = opt_einsum.contract_path(net.equation, *net.shapes, shapes=True, optimize="optimal")
    parts: list[Tree] = list(range(len(net.inputs)))
    for pair in path:
        if len(pair) == 1:
            continue
        taken = [parts.pop(number) for number in sorted(pair, reverse=True)]
        left, right = sorted(taken, key=lambda part: min(_leaves(part)))
        parts.append((left, right))
    tree, = parts
    return Order(net, tree, _cost(net, tree, config, fused)[1])
