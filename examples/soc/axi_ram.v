// SPDX-License-Identifier: Apache-2.0
// RAM behind AXI4: INCR bursts of whole beats, one of each direction at a time.
//
// An address outside is answered with DECERR. The contents come from a file of $readmemh, one beat
// a line.
module axi_ram #(
    parameter DATA     = 64,
    parameter WORDS    = 4096,
    parameter CONTENTS = ""
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              arvalid,
    output wire              arready,
    input  wire [31:0]       araddr,
    input  wire [7:0]        arlen,
    output reg               rvalid,
    input  wire              rready,
    output reg  [DATA-1:0]   rdata,
    output reg  [1:0]        rresp,
    output reg               rlast,
    input  wire              awvalid,
    output wire              awready,
    input  wire [31:0]       awaddr,
    input  wire              wvalid,
    output wire              wready,
    input  wire [DATA-1:0]   wdata,
    input  wire [DATA/8-1:0] wstrb,
    input  wire              wlast,
    output reg               bvalid,
    input  wire              bready,
    output reg  [1:0]        bresp
);
    localparam SHIFT = $clog2(DATA / 8);
    localparam BITS  = $clog2(WORDS);
    localparam [31:0] END = WORDS;
    localparam [1:0] OKAY = 2'b00, DECERR = 2'b11;

    reg [DATA-1:0] words [0:WORDS-1];
    initial if (CONTENTS != "") $readmemh(CONTENTS, words);

    // Reads.
    reg        reading;
    reg [31:0] r_word;
    reg [7:0]  r_left;
    wire       r_step = reading & (~rvalid | rready);

    assign arready = ~reading;

    always @(posedge clk) begin
        if (rready) rvalid <= 1'b0;
        if (arvalid & arready) begin
            reading <= 1'b1;
            r_word  <= araddr >> SHIFT;
            r_left  <= arlen;
        end
        if (r_step) begin
            rvalid  <= 1'b1;
            rdata   <= words[r_word[BITS-1:0]];
            rresp   <= r_word < END ? OKAY : DECERR;
            rlast   <= r_left == 8'd0;
            reading <= r_left != 8'd0;
            r_word  <= r_word + 32'd1;
            r_left  <= r_left - 8'd1;
        end
        if (rst) begin
            reading <= 1'b0;
            rvalid  <= 1'b0;
        end
    end

    // Writes.
    reg        writing;
    reg [31:0] w_word;
    integer    n;

    assign awready = ~writing & ~bvalid;
    assign wready  = writing;

    always @(posedge clk) begin
        if (bready) bvalid <= 1'b0;
        if (awvalid & awready) begin
            writing <= 1'b1;
            w_word  <= awaddr >> SHIFT;
            bresp   <= OKAY;
        end
        if (wvalid & wready) begin
            for (n = 0; n < DATA / 8; n = n + 1)
                if (wstrb[n] & w_word < END)
                    words[w_word[BITS-1:0]][8*n +: 8] <= wdata[8*n +: 8];
            if (w_word >= END) bresp <= DECERR;
            w_word  <= w_word + 32'd1;
            writing <= ~wlast;
            bvalid  <= wlast;
        end
        if (rst) begin
            writing <= 1'b0;
            bvalid  <= 1'b0;
        end
    end
endmodule
