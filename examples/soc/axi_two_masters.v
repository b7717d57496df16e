// SPDX-License-Identifier: Apache-2.0
// An AXI4 interconnect of two masters and one slave, who all share a clock.
//
// Each direction works off one burst at a time; whoever had the last one waits if both ask. The
// masters are coprocessors, which ask for INCR bursts of whole beats and nothing else, so that size,
// burst and ids need not be carried.
module axi_two_masters #(
    parameter DATA = 64
) (
    input  wire              clk,
    input  wire              rst,
    // Master 0.
    input  wire              m0_arvalid,
    output wire              m0_arready,
    input  wire [31:0]       m0_araddr,
    input  wire [7:0]        m0_arlen,
    output wire              m0_rvalid,
    input  wire              m0_rready,
    input  wire              m0_awvalid,
    output wire              m0_awready,
    input  wire [31:0]       m0_awaddr,
    input  wire [7:0]        m0_awlen,
    input  wire              m0_wvalid,
    output wire              m0_wready,
    input  wire [DATA-1:0]   m0_wdata,
    input  wire [DATA/8-1:0] m0_wstrb,
    input  wire              m0_wlast,
    output wire              m0_bvalid,
    input  wire              m0_bready,
    // Master 1.
    input  wire              m1_arvalid,
    output wire              m1_arready,
    input  wire [31:0]       m1_araddr,
    input  wire [7:0]        m1_arlen,
    output wire              m1_rvalid,
    input  wire              m1_rready,
    input  wire              m1_awvalid,
    output wire              m1_awready,
    input  wire [31:0]       m1_awaddr,
    input  wire [7:0]        m1_awlen,
    input  wire              m1_wvalid,
    output wire              m1_wready,
    input  wire [DATA-1:0]   m1_wdata,
    input  wire [DATA/8-1:0] m1_wstrb,
    input  wire              m1_wlast,
    output wire              m1_bvalid,
    input  wire              m1_bready,
    // The slave. Data and responses of the slave go to both masters; only valid tells whose.
    output wire              s_arvalid,
    input  wire              s_arready,
    output wire [31:0]       s_araddr,
    output wire [7:0]        s_arlen,
    input  wire              s_rvalid,
    output wire              s_rready,
    input  wire              s_rlast,
    output wire              s_awvalid,
    input  wire              s_awready,
    output wire [31:0]       s_awaddr,
    output wire [7:0]        s_awlen,
    output wire              s_wvalid,
    input  wire              s_wready,
    output wire [DATA-1:0]   s_wdata,
    output wire [DATA/8-1:0] s_wstrb,
    output wire              s_wlast,
    input  wire              s_bvalid,
    output wire              s_bready
);
    localparam [1:0] IDLE = 2'd0, ADDRESS = 2'd1, BEATS = 2'd2, RESPONSE = 2'd3;

    // Reads: an owner is chosen, its address goes through, then all beats.
    reg [1:0] r_state;
    reg       r_owner;
    wire      r_address = r_state == ADDRESS;
    wire      r_beats   = r_state == BEATS;

    assign s_arvalid  = r_address & (r_owner ? m1_arvalid : m0_arvalid);
    assign s_araddr   = r_owner ? m1_araddr : m0_araddr;
    assign s_arlen    = r_owner ? m1_arlen : m0_arlen;
    assign m0_arready = r_address & ~r_owner & s_arready;
    assign m1_arready = r_address & r_owner & s_arready;
    assign m0_rvalid  = r_beats & ~r_owner & s_rvalid;
    assign m1_rvalid  = r_beats & r_owner & s_rvalid;
    assign s_rready   = r_beats & (r_owner ? m1_rready : m0_rready);

    always @(posedge clk) begin
        case (r_state)
            IDLE: if (m0_arvalid | m1_arvalid) begin
                r_owner <= (m0_arvalid & m1_arvalid) ? ~r_owner : m1_arvalid;
                r_state <= ADDRESS;
            end
            ADDRESS: if (s_arvalid & s_arready) r_state <= BEATS;
            BEATS: if (s_rvalid & s_rready & s_rlast) r_state <= IDLE;
            default: r_state <= IDLE;
        endcase
        if (rst) begin
            r_state <= IDLE;
            r_owner <= 1'b0;
        end
    end

    // Writes: the address, all beats, the response.
    reg [1:0] w_state;
    reg       w_owner;
    wire      w_address  = w_state == ADDRESS;
    wire      w_beats    = w_state == BEATS;
    wire      w_response = w_state == RESPONSE;

    assign s_awvalid  = w_address & (w_owner ? m1_awvalid : m0_awvalid);
    assign s_awaddr   = w_owner ? m1_awaddr : m0_awaddr;
    assign s_awlen    = w_owner ? m1_awlen : m0_awlen;
    assign m0_awready = w_address & ~w_owner & s_awready;
    assign m1_awready = w_address & w_owner & s_awready;
    assign s_wvalid   = w_beats & (w_owner ? m1_wvalid : m0_wvalid);
    assign s_wdata    = w_owner ? m1_wdata : m0_wdata;
    assign s_wstrb    = w_owner ? m1_wstrb : m0_wstrb;
    assign s_wlast    = w_owner ? m1_wlast : m0_wlast;
    assign m0_wready  = w_beats & ~w_owner & s_wready;
    assign m1_wready  = w_beats & w_owner & s_wready;
    assign m0_bvalid  = w_response & ~w_owner & s_bvalid;
    assign m1_bvalid  = w_response & w_owner & s_bvalid;
    assign s_bready   = w_response & (w_owner ? m1_bready : m0_bready);

    always @(posedge clk) begin
        case (w_state)
            IDLE: if (m0_awvalid | m1_awvalid) begin
                w_owner <= (m0_awvalid & m1_awvalid) ? ~w_owner : m1_awvalid;
                w_state <= ADDRESS;
            end
            ADDRESS: if (s_awvalid & s_awready) w_state <= BEATS;
            BEATS: if (s_wvalid & s_wready & s_wlast) w_state <= RESPONSE;
            default: if (s_bvalid & s_bready) w_state <= IDLE;
        endcase
        if (rst) begin
            w_state <= IDLE;
            w_owner <= 1'b0;
        end
    end
endmodule
