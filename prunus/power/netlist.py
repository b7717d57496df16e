# SPDX-License-Identifier: Apache-2.0
"""A netlist of gates that is flat, but for what block each gate is of, and in order of evaluation.

Nets are numbered so that whatever is evaluated together lies together: constants and inputs of the
top, outputs of flip-flops, of clock gates and of memories with a clock, then those of gates, level
by level and function by function.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import RunError
from ..synth.pdk.cells import Cell, Library

__all__ = ["Bank", "Group", "Memory", "Netlist", "ReadPort", "flatten"]

MEMORY = "$mem_v2"
ZERO, ONE = 0, 1            # nets
Path = tuple[str, ...]      # names of instances from the top down


# -- what is in it --------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Group:
    """Gates of a cell that are evaluated together.

    Members
    -------
    cell : str
    first : int
        Net of the first output; those of the others follow.
    inputs : ndarray of int32, shape (pins, gates)
        Nets, of the pins in the order of their names.
    """

    cell: str
    first: int
    inputs: np.ndarray

    @property
    def count(self) -> int:
        return self.inputs.shape[1]


@dataclass(frozen=True, eq=False)
class Bank:
    """Flip-flops.

    Members
    -------
    cell : str
    first : int
        Net of the first output.
    data, enable : ndarray of int32
        Nets of D, and of what lets the clock through, which is 1 without a clock gate.
    gate : ndarray of int32
        Number of the clock gate; -1 for none.
    initial : ndarray of uint8
    """

    cell: str
    first: int
    data: np.ndarray
    enable: np.ndarray
    gate: np.ndarray
    initial: np.ndarray

    @property
    def count(self) -> int:
        return len(self.data)


@dataclass(frozen=True, eq=False)
class ReadPort:
    """A port of a memory; without a clock it is evaluated like a gate.

    Members
    -------
    address, data : ndarray of int32
        Nets; data are outputs that lie together.
    clocked : bool
    enable, reset : int
        Nets, of a clocked port.
    """

    address: np.ndarray
    first: int
    width: int
    clocked: bool
    enable: int
    reset: int
    reset_value: np.ndarray
    initial: np.ndarray


@dataclass(frozen=True, eq=False)
class Memory:
    """A memory with one write port.

    Members
    -------
    path : tuple of str
        The block that it is of.
    name : str
    words, width : int
    reads : list of ReadPort
    address, data, enable : ndarray of int32
        Nets of the write port.
    initial : ndarray of uint8
        Bits to begin with, word after word.
    """

    path: Path
    name: str
    words: int
    width: int
    reads: list[ReadPort]
    address: np.ndarray
    data: np.ndarray
    enable: np.ndarray
    initial: np.ndarray

    @property
    def read_ports(self) -> int:
        return len(self.reads)

    @property
    def write_ports(self) -> int:
        return 1

    @property
    def clocked(self) -> bool:
        return all(port.clocked for port in self.reads)

    @property
    def dual(self) -> bool:
        """Whether it is read and written at different addresses."""
        return any(not np.array_equal(port.address, self.address) for port in self.reads)


@dataclass(eq=False)
class Netlist:
    """A flat netlist.

    Members
    -------
    nets : int
    inputs, outputs : dict of str to ndarray of int32
        Nets of the ports of the top, without its clock.
    steps : list of Group or (Memory number, port number)
        In order of evaluation.
    banks : list of Bank
    gates : ndarray of int32
        Nets that clock gates look at.
    memories : list of Memory
    driver : ndarray of int32
        By net: the number of the cell's name in ``names``, -1 for none.
    names : list of str
    block : ndarray of int32
        By net: the number in ``blocks`` of the block that drives it.
    gate_block : ndarray of int32
        Of each clock gate.
    blocks : list of tuple of str
    """

    nets: int
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    steps: list[Group | tuple[int, int]]
    banks: list[Bank]
    gates: np.ndarray
    memories: list[Memory]
    driver: np.ndarray
    names: list[str]
    block: np.ndarray
    gate_block: np.ndarray
    blocks: list[Path]

    @property
    def groups(self) -> Iterator[Group]:
        return (step for step in self.steps if isinstance(step, Group))

    @property
    def parts(self) -> list[Group | Bank]:
        """All cells but clock gates."""
        return [*self.groups, *self.banks]

    def begun_at_random(self, seed: int) -> "Netlist":
        """The same, whose flip-flops and memories begin with random bits, as silicon does."""
        rng = np.random.default_rng(seed)

        def bits(like: np.ndarray) -> np.ndarray:
            return rng.integers(0, 2, like.shape).astype(np.uint8)

        return replace(
            self, banks=[replace(bank, initial=bits(bank.initial)) for bank in self.banks],
            memories=[replace(
                memory, initial=bits(memory.initial),
                reads=[replace(port, initial=bits(port.initial)) for port in memory.reads])
                for memory in self.memories])

    def cells(self) -> Counter:
        """How many there are, by name; flip-flops and clock gates included."""
        found = Counter({"sg13g2_lgcp_1": len(self.gates)})
        for part in self.parts:
            found[part.cell] += part.count
        return found



# -- from Yosys -----------------------------------------------------------------------------------
@dataclass(eq=False)
class _Flat:
    """Cells of a flat design, whose nets are numbers of no order."""

    gates: list[tuple[str, int, list[int], int]] = field(default_factory=list)
    flops: list[tuple[str, int, int, int, int]] = field(default_factory=list)  # cell q d clk block
    clock_gates: list[tuple[int, int, int, int]] = field(default_factory=list)  # out, gate, clk, b
    memories: list[tuple[int, dict, dict]] = field(default_factory=list)   # block, params, nets
    initial: dict[int, int] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    blocks: list[Path] = field(default_factory=list)


class _Flattener:
    """Modules put into each other."""

    def __init__(self, modules: Mapping[str, Any], cells: Mapping[str, Cell]):
        self._modules, self._cells = modules, cells
        self.flat = _Flat()
        self._next = 2
        self._pins = {name: (sorted(cell.inputs) if cell.kind == "gate" else [])
                      for name, cell in cells.items()}

    def top(self, name: str) -> dict[str, list[int]]:
        """Nets of the ports of the top."""
        module = self._modules[name]
        bits: dict[int, int] = {}
        ports = {port: [self._net(bit, bits) for bit in said["bits"]]
                 for port, said in module["ports"].items()}
        self._module(name, (), bits)
        return ports

    def _net(self, bit: int | str, bits: dict[int, int]) -> int:
        if isinstance(bit, str):
            return ONE if bit == "1" else ZERO      # x and z read as 0
        if bit not in bits:
            bits[bit] = self._next
            self._next += 1
        return bits[bit]

    def _module(self, name: str, path: Path, bits: dict[int, int]) -> None:
        module, flat = self._modules[name], self.flat
        block = len(flat.blocks)
        flat.blocks.append(path)
        for wire in module["netnames"].values():
            if "init" in wire["attributes"]:
                value = wire["attributes"]["init"][::-1]
                for bit, said in zip(wire["bits"], value, strict=False):
                    if said == "1" and not isinstance(bit, str):
                        flat.initial[self._net(bit, bits)] = 1
        for instance, cell in module["cells"].items():
            kind = cell["type"]
            nets = {pin: [self._net(bit, bits) for bit in some]
                    for pin, some in cell["connections"].items()}
            if kind in self._modules:
                self._child(kind, (*path, instance), nets)
            elif kind == MEMORY:
                flat.memories.append((block, cell["parameters"], nets))
            elif kind in self._cells:
                self._cell(self._cells[kind], nets, block)
            elif kind != "$scopeinfo":
                raise RunError(f"the gates of {name} contain a {kind}, which is none")

    def _child(self, kind: str, path: Path, nets: dict[str, list[int]]) -> None:
        """A module with its ports joined to nets. Two bits of a port that are one net inside, or a
        port that is a constant inside, are joined by an alias."""
        inner: dict[int, int] = {}
        for port, said in self._modules[kind]["ports"].items():
            for bit, net in zip(said["bits"], nets.get(port, []), strict=False):
                if isinstance(bit, str):
                    self.flat.aliases[net] = ONE if bit == "1" else ZERO
                elif bit not in inner:
                    inner[bit] = net
                elif inner[bit] == net:
                    pass                # joined outside, too
                elif said["direction"] == "output":
                    self.flat.aliases[net] = inner[bit]
                else:
                    # An input that is an output, too, which was met first.
                    self.flat.aliases[inner[bit]] = net
                    inner[bit] = net
        self._module(kind, path, inner)

    def _cell(self, cell: Cell, nets: dict[str, list[int]], block: int) -> None:
        out = nets[cell.output][0]
        if cell.kind == "gate":
            self.flat.gates.append(
                (cell.name, out, [nets[pin][0] for pin in self._pins[cell.name]], block))
        elif cell.kind == "clock gate":
            self.flat.clock_gates.append((out, nets["GATE"][0], nets["CLK"][0], block))
        elif cell.kind == "flip-flop":
            if nets.get("RESET_B", [ONE]) != [ONE]:
                raise RunError("a flip-flop with an asynchronous reset cannot be replayed")
            self.flat.flops.append((cell.name, out, nets["D"][0], nets["CLK"][0], block))
        else:
            raise RunError(f"a {cell.kind} ({cell.name}) cannot be replayed")


def _number(text: str | int) -> int:
    if isinstance(text, int):
        return text
    return int(text.replace("x", "0").replace("z", "0") or "0", 2)


def _bits(text: str, width: int) -> np.ndarray:
    return np.array([bit == "1" for bit in text[::-1][:width].ljust(width, "0")], np.uint8)


class _Levels:
    """Which gates and memory ports come when: each after all that drives it."""

    def __init__(self, sources: set[int]):
        self._level = dict.fromkeys(sources, 0)

    def place(self, nodes: Sequence[tuple[list[int], list[int]]]) -> list[int]:
        """Levels of nodes ``(inputs, outputs)``. Raises RunError if they run in a circle."""
        by_net: dict[int, list[int]] = defaultdict(list)
        waits = []
        for number, (inputs, _) in enumerate(nodes):
            open_ones = {net for net in inputs if net not in self._level}
            waits.append(len(open_ones))
            for net in open_ones:
                by_net[net].append(number)
        levels = [0] * len(nodes)
        ready = [number for number, count in enumerate(waits) if not count]
        placed = 0
        while ready:
            number = ready.pop()
            placed += 1
            inputs, outputs = nodes[number]
            level = 1 + max((self._level[net] for net in inputs), default=0)
            levels[number] = level
            for net in outputs:
                self._level[net] = level
                for other in by_net.pop(net, ()):
                    waits[other] -= 1
                    if not waits[other]:
                        ready.append(other)
        if placed < len(nodes):
            raise RunError(f"{len(nodes) - placed} gates hang in a loop, or on a net that nothing "
                           "drives")
        return levels


def flatten(said: Mapping[str, Any], top: str, library: Library, clock: str = "clk") -> Netlist:
    """A netlist from Yosys' JSON, whose modules stay apart as blocks."""
    flattener = _Flattener(said["modules"], library.cells)
    ports = flattener.top(top)
    return _Order(flattener.flat, ports, said["modules"][top]["ports"], library, clock).netlist()


class _Order:
    """The nets of a flat design in their final order."""

    def __init__(self, flat: _Flat, ports: dict[str, list[int]], sides: Mapping[str, Any],
                 library: Library, clock: str):
        self._flat, self._library = flat, library
        self._clock = self._real(ports.pop(clock)[0])
        self._ports, self._sides = ports, sides
        self._number: dict[int, int] = {ZERO: 0, ONE: 1}
        self._names: dict[str, int] = {}
        self._driver: list[int] = [-1, -1]
        self._block: list[int] = [0, 0]

    def _real(self, net: int) -> int:
        while net in self._flat.aliases:
            net = self._flat.aliases[net]
        return net

    def _give(self, net: int, cell: str = "", block: int = 0) -> int:
        net = self._real(net)
        if net in self._number:
            raise RunError(f"net {net} is driven twice, by {cell or 'a port'} the second time")
        self._number[net] = len(self._driver)
        self._driver.append(self._names.setdefault(cell, len(self._names)) if cell else -1)
        self._block.append(block)
        return self._number[net]

    def _nets(self, some: Sequence[int]) -> np.ndarray:
        """Those that are read; what nothing drives is 0."""
        return np.array([self._number.get(self._real(net), ZERO) for net in some], np.int32)

    def netlist(self) -> Netlist:
        flat = self._flat
        for port, nets in self._ports.items():
            if self._sides[port]["direction"] == "input":
                for net in nets:
                    self._give(net)
        gates = {self._real(out): number
                 for number, (out, *_) in enumerate(flat.clock_gates)}
        self._check_clocks(gates)
        flops = self._flops()
        memories = [self._memory(*memory) for memory in flat.memories]
        for memory in memories:
            for port in memory["reads"]:
                if port["clocked"]:
                    port["first"] = [self._give(net, MEMORY, memory["block"])
                                     for net in port["data"]][0]
        steps = self._steps(memories)
        banks = [self._bank(*bank, gates) for bank in flops]
        done = [self._finished(memory) for memory in memories]
        blocks = flat.blocks
        inputs = {port: self._nets(nets) for port, nets in self._ports.items()
                  if self._sides[port]["direction"] == "input"}
        outputs = {port: self._nets(nets) for port, nets in self._ports.items()
                   if self._sides[port]["direction"] == "output"}
        names = list(self._names)
        return Netlist(
            nets=len(self._driver), inputs=inputs, outputs=outputs, steps=steps, banks=banks,
            gates=self._nets([gate for _, gate, _, _ in flat.clock_gates]),
            memories=done, driver=np.array(self._driver, np.int32), names=names,
            block=np.array(self._block, np.int32),
            gate_block=np.array([block for *_, block in flat.clock_gates], np.int32),
            blocks=blocks)

    def _check_clocks(self, gates: dict[int, int]) -> None:
        clocks = {self._clock, *gates}
        if any(self._real(clock) not in clocks for _, _, _, clock, _ in self._flat.flops):
            raise RunError("a flip-flop has a clock that is neither the design's nor one of a "
                           "clock gate")
        if any(self._real(clock) != self._clock for _, _, clock, _ in self._flat.clock_gates):
            raise RunError("a clock gate has a clock that is not the design's")

    def _flops(self) -> list[tuple[str, int, list]]:
        """Of each cell: its name, the first net, and the flip-flops in order."""
        banks: dict[str, list] = defaultdict(list)
        for flop in self._flat.flops:
            banks[flop[0]].append(flop)
        found = []
        for name, some in banks.items():
            first = len(self._driver)
            for _, out, _, _, block in some:
                self._give(out, name, block)
            found.append((name, first, some))
        return found

    def _bank(self, name: str, first: int, flops: list, gates: dict[int, int]) -> Bank:
        numbers = [gates.get(self._real(clock), -1) for _, _, _, clock, _ in flops]
        enables = [ONE if number < 0 else self._flat.clock_gates[number][1] for number in numbers]
        return Bank(
            cell=name, first=first, data=self._nets([d for _, _, d, _, _ in flops]),
            enable=self._nets(enables), gate=np.array(numbers, np.int32),
            initial=np.array([self._flat.initial.get(q, 0) for _, q, *_ in flops], np.uint8))

    def _memory(self, block: int, said: Mapping[str, Any], nets: dict[str, list[int]]) -> dict:
        width, ports = _number(said["WIDTH"]), _number(said["RD_PORTS"])
        bits = _number(said["ABITS"])
        if _number(said["WR_PORTS"]) != 1:
            raise RunError(f"memory {said['MEMID']} has {_number(said['WR_PORTS'])} write ports, "
                           "and one can be replayed")
        clocked = _number(said["RD_CLK_ENABLE"])
        if not _number(said["WR_CLK_ENABLE"]):
            raise RunError(f"memory {said['MEMID']} is written without a clock")
        clocks = [nets["WR_CLK"][0], *(net for port, net in enumerate(nets["RD_CLK"])
                                       if clocked >> port & 1)]
        if (any(self._real(net) != self._clock for net in clocks)
                or not _number(said["WR_CLK_POLARITY"])
                or clocked & ~_number(said["RD_CLK_POLARITY"])):
            raise RunError(f"memory {said['MEMID']} has a clock that is not the rising edge of the "
                           "design's")
        if any(net != ZERO for port, net in enumerate(nets["RD_ARST"]) if clocked >> port & 1):
            raise RunError(f"memory {said['MEMID']} has an asynchronous reset")
        reads = []
        for port in range(ports):
            def part(name: str, size: int, port: int = port) -> list[int]:
                return nets[name][port * size : (port + 1) * size]

            def value(name: str, port: int = port) -> np.ndarray:
                text = str(said[name])
                return _bits(text[::-1][port * width : (port + 1) * width][::-1], width)

            if _number(said["RD_TRANSPARENCY_MASK"]) >> port & 1:
                raise RunError(f"memory {said['MEMID']} reads what is written in the same cycle")
            if (_number(said["RD_CE_OVER_SRST"]) >> port & 1 and nets["RD_SRST"][port] != ZERO
                    and nets["RD_EN"][port] != ONE):
                raise RunError(f"memory {said['MEMID']} is reset only while it is enabled")
            reads.append({"address": part("RD_ADDR", bits), "data": part("RD_DATA", width),
                          "clocked": bool(clocked >> port & 1), "enable": nets["RD_EN"][port],
                          "reset": nets["RD_SRST"][port], "first": -1,
                          "reset_value": value("RD_SRST_VALUE"), "initial": value("RD_INIT_VALUE")})
        return {"block": block, "name": str(said["MEMID"]).lstrip("\\"),
                "words": _number(said["SIZE"]), "width": width, "reads": reads,
                "address": nets["WR_ADDR"], "data": nets["WR_DATA"], "enable": nets["WR_EN"],
                "offset": _number(said.get("OFFSET", 0)),
                "initial": _bits(str(said["INIT"]), _number(said["SIZE"]) * width)}

    def _steps(self, memories: list[dict]) -> list:
        """Gates and ports of memories without a clock in order of evaluation."""
        flat, real = self._flat, self._real
        nodes = [([real(n) for n in inputs], [real(out)]) for _, out, inputs, _ in flat.gates]
        ports = [(m, p) for m, memory in enumerate(memories)
                 for p, port in enumerate(memory["reads"]) if not port["clocked"]]
        nodes += [([real(n) for n in memories[m]["reads"][p]["address"]],
                   [real(n) for n in memories[m]["reads"][p]["data"]]) for m, p in ports]
        levels = _Levels(set(self._number)).place(nodes)
        at: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number, level in enumerate(levels):
            kind = flat.gates[number][0] if number < len(flat.gates) else MEMORY
            at[level, kind].append(number)
        steps: list = []
        waiting: list[tuple[Group, list[list[int]]]] = []
        for level, kind in sorted(at):
            numbers = at[level, kind]
            if kind == MEMORY:
                for number in numbers:
                    m, p = ports[number - len(flat.gates)]
                    port = memories[m]["reads"][p]
                    port["first"] = [self._give(net, MEMORY, memories[m]["block"])
                                     for net in port["data"]][0]
                    steps.append((m, p))
                continue
            first = len(self._driver)
            for number in numbers:
                name, out, _, block = flat.gates[number]
                self._give(out, name, block)
            rows = [flat.gates[number][2] for number in numbers]
            inputs = np.empty((len(rows[0]), len(rows)), np.int32)
            group = Group(kind, first, inputs)
            waiting.append((group, rows))
            steps.append(group)
        for group, rows in waiting:
            for n, row in enumerate(rows):
                group.inputs[:, n] = self._nets(row)
        return steps

    def _finished(self, said: dict) -> Memory:
        if said["offset"]:
            raise RunError(f"memory {said['name']} begins at {said['offset']}, not at 0")
        reads = [ReadPort(address=self._nets(port["address"]), first=port["first"],
                          width=said["width"], clocked=port["clocked"],
                          enable=int(self._nets([port["enable"]])[0]),
                          reset=int(self._nets([port["reset"]])[0]),
                          reset_value=port["reset_value"], initial=port["initial"])
                 for port in said["reads"]]
        return Memory(path=self._flat.blocks[said["block"]], name=said["name"],
                      words=said["words"], width=said["width"], reads=reads,
                      address=self._nets(said["address"]), data=self._nets(said["data"]),
                      enable=self._nets(said["enable"]), initial=said["initial"])
