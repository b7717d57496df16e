// SPDX-License-Identifier: Apache-2.0
// Plays script.hex and compares all of the RAM with expected.hex, which the specification gave.
module soc_tb;
    localparam WORDS = 4096;
    localparam CYCLES = 4000;

    reg         clk, rst;
    wire        done, failed;
    wire [15:0] line;
    reg [63:0]  expected [0:WORDS-1];
    integer     n, wrong;

    initial clk = 1'b0;
    always #5 clk = ~clk;

    soc #(.WORDS(WORDS), .CONTENTS("memory.hex"), .SCRIPT("script.hex")) dut (
        .clk(clk), .rst(rst), .done(done), .failed(failed), .line(line)
    );

    initial begin
        $readmemh("expected.hex", expected);
        rst = 1'b1;
        repeat (4) @(negedge clk);
        rst = 1'b0;
        n = 0;
        while (!done && !failed && n < CYCLES) begin
            @(negedge clk);
            n = n + 1;
        end
        wrong = 0;
        for (n = 0; n < WORDS; n = n + 1)
            if (dut.ram.words[n] !== expected[n]) wrong = wrong + 1;
        if (failed) $display("FAIL: line %0d of the script", line);
        else if (!done) $display("FAIL: line %0d of the script is still waiting", line + 16'd1);
        else if (wrong != 0) $display("FAIL: %0d words of memory are wrong", wrong);
        else $display("PASS: %0d words of memory are those of the specification", WORDS);
        $finish;
    end
endmodule
