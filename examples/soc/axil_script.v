// SPDX-License-Identifier: Apache-2.0
// A processor's part: an AXI4-Lite master that plays a script, one access at a time.
//
// A line of the script, for $readmemh, is OP_ADDRESS_VALUE in 2, 8 and 8 digits:
//   01  write VALUE; the answer must be OKAY
//   02  read; the value must be VALUE
//   03  wait until interrupt number VALUE is high
//   00  the end
// An address holds until its access is answered.
module axil_script #(
    parameter LINES  = 256,
    parameter SCRIPT = ""
) (
    input  wire        clk,
    input  wire        rst,
    input  wire [1:0]  irq,
    output wire [31:0] address,
    output reg         awvalid,
    input  wire        awready,
    output reg         wvalid,
    input  wire        wready,
    output wire [31:0] wdata,
    input  wire        bvalid,
    input  wire [1:0]  bresp,
    output reg         arvalid,
    input  wire        arready,
    input  wire        rvalid,
    input  wire [31:0] rdata,
    input  wire [1:0]  rresp,
    output wire        done,
    output reg         failed,
    output reg  [15:0] line
);
    localparam [7:0] END = 8'd0, WRITE = 8'd1, READ = 8'd2, WAIT = 8'd3;
    localparam BITS = $clog2(LINES);

    reg [71:0] lines [0:LINES-1];
    initial if (SCRIPT != "") $readmemh(SCRIPT, lines);

    wire [71:0] now = lines[line[BITS-1:0]];
    wire [7:0]  op  = now[71:64];
    reg         open;       // an access was begun and is not answered

    assign address = now[63:32];
    assign wdata   = now[31:0];
    assign done    = op == END;

    always @(posedge clk) begin
        if (awvalid & awready) awvalid <= 1'b0;
        if (wvalid & wready)   wvalid  <= 1'b0;
        if (arvalid & arready) arvalid <= 1'b0;
        if (~open & (op == WRITE | op == READ)) begin
            open    <= 1'b1;
            awvalid <= op == WRITE;
            wvalid  <= op == WRITE;
            arvalid <= op == READ;
        end
        if (open & (bvalid | rvalid)) begin
            open <= 1'b0;
            line <= line + 16'd1;
            if (bvalid ? bresp != 2'b00 : (rresp != 2'b00 | rdata != wdata)) failed <= 1'b1;
        end
        if (op == WAIT & irq[now[0]]) line <= line + 16'd1;
        if (rst) begin
            open    <= 1'b0;
            awvalid <= 1'b0;
            wvalid  <= 1'b0;
            arvalid <= 1'b0;
            failed  <= 1'b0;
            line    <= 16'd0;
        end
    end
endmodule
