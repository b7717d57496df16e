// SPDX-License-Identifier: Apache-2.0
// A coprocessor that knows no opcode: reads every descriptor, writes every status record with
// error 1 (opcode) and leaves the outputs alone. It has the ports and registers of the real one,
// so that benches can be tested without it. A number written to 0xfc makes it break a rule:
// 1 no interrupt, 2 wstrb with a gap, 3 writes one beat too far, 4 araddr moves while it waits,
// 5 reads across 4 KB, 6 wlast too early, 7 irq does not clear, 8 arsize too small,
// 9 awvalid falls before it is taken, 10 awburst is FIXED, 11 araddr lies between beats, 12 no wlast,
// 13 rdata of a register moves while it waits, 14 awcache is another, 15 arid is another.
module loopback (
  input clk, input rst, output reg irq,
  input [7:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid,
  output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output reg [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
  input [7:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid,
  output s_axil_arready,
  output reg [31:0] s_axil_rdata, output reg [1:0] s_axil_rresp, output reg s_axil_rvalid,
  input s_axil_rready,
  output m_axi_awlock, output [3:0] m_axi_awcache, output [2:0] m_axi_awprot,
  output [3:0] m_axi_awqos, output m_axi_awid, output [31:0] m_axi_awaddr, output [7:0] m_axi_awlen,
  output [2:0] m_axi_awsize, output [1:0] m_axi_awburst, output reg m_axi_awvalid,
  input m_axi_awready,
  output [63:0] m_axi_wdata, output [7:0] m_axi_wstrb, output m_axi_wlast,
  output reg m_axi_wvalid, input m_axi_wready,
  input m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
  output m_axi_arlock, output [3:0] m_axi_arcache, output [2:0] m_axi_arprot,
  output [3:0] m_axi_arqos, output m_axi_arid, output [31:0] m_axi_araddr, output [7:0] m_axi_arlen,
  output [2:0] m_axi_arsize, output [1:0] m_axi_arburst, output reg m_axi_arvalid,
  input m_axi_arready,
  input m_axi_rid, input [63:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
  input m_axi_rvalid, output m_axi_rready
);
  parameter VERSION = 0, FORMAT = 0, LIMITS = 0, MULTIPLIERS = 0, ENGINE = 0, REVISION = 0;
  localparam IDLE = 0, READ = 1, DATA = 2, WRITE = 3, WDATA = 4, RESPONSE = 5;

  reg [2:0] state;
  reg [2:0] beat;
  reg [3:0] fault = 0;
  reg [31:0] left, source, target, jobs, cycles, table_address;
  reg enable, pending, over;
  wire busy = state != IDLE;

  assign m_axi_awid = 0;
  assign m_axi_arid = fault == 15;
  assign {m_axi_awlock, m_axi_awprot, m_axi_awqos, m_axi_arlock, m_axi_arprot, m_axi_arqos} = 0;
  assign m_axi_awcache = fault == 14 ? 1 : 3;
  assign m_axi_arcache = 3;
  assign m_axi_awlen = fault == 3 ? 8 : 7;
  assign m_axi_arlen = 7;
  assign m_axi_awsize = 3;
  assign m_axi_arsize = fault == 8 ? 2 : 3;
  assign m_axi_awburst = fault == 10 ? 0 : 1;
  assign m_axi_arburst = 1;
  assign m_axi_araddr = fault == 4 ? source ^ {cycles, 3'b0} : fault == 5 ? source + 32'hfe0
    : fault == 11 ? source + 4 : source;
  assign m_axi_awaddr = target;
  assign m_axi_rready = state == DATA;
  assign m_axi_bready = state == RESPONSE;
  assign m_axi_wdata = beat == 0 && !over ? 64'h0000000000000101 : 64'h0;
  assign m_axi_wstrb = fault == 2 ? 8'hfe : 8'hff;
  assign m_axi_wlast = fault == 6 ? beat == 6 : fault == 3 ? over
    : fault == 12 ? 0 : beat == 7;

  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  wire read = s_axil_arvalid && !s_axil_rvalid;
  assign s_axil_awready = write;
  assign s_axil_wready = write;
  assign s_axil_arready = read;

  initial begin
    {irq, s_axil_bvalid, s_axil_rvalid, m_axi_arvalid, m_axi_awvalid, m_axi_wvalid} = 0;
    {state, beat, over} = 0;
  end

  always @(posedge clk) begin
    irq <= enable && pending && fault != 1;
    if (s_axil_bready) s_axil_bvalid <= 0;
    if (s_axil_rready) s_axil_rvalid <= 0;
    else if (fault == 13) s_axil_rdata <= ~s_axil_rdata;
    if (busy) cycles <= cycles + 1;
    case (state)
      READ: if (m_axi_arvalid && m_axi_arready) begin
        m_axi_arvalid <= 0;
        state <= DATA;
      end
      DATA: if (m_axi_rvalid) begin
        beat <= beat + 1;
        if (beat == 6) target <= m_axi_rdata[31:0];
        if (m_axi_rlast) begin
          state <= WRITE;
          m_axi_awvalid <= 1;
        end
      end
      WRITE: if (!m_axi_awready) m_axi_awvalid <= fault != 9 || !m_axi_awvalid;
      else if (m_axi_awvalid) begin
        m_axi_awvalid <= 0;
        m_axi_wvalid <= 1;
        state <= WDATA;
      end
      WDATA: if (m_axi_wready) begin
        beat <= beat + 1;
        if (beat == 7) over <= 1;
        if (fault == 3 ? over : beat == 7) begin
          m_axi_wvalid <= 0;
          beat <= 0;
          over <= 0;
          state <= RESPONSE;
        end
      end
      RESPONSE: if (m_axi_bvalid) begin
        jobs <= jobs + 1;
        left <= left - 1;
        source <= source + 64;
        state <= left == 1 ? IDLE : READ;
        m_axi_arvalid <= left != 1;
        if (left == 1) pending <= 1;
      end
      default: ;
    endcase
    if (write) begin
      s_axil_bvalid <= 1;
      s_axil_bresp <= 0;
      case (s_axil_awaddr)
        8'hfc: fault <= s_axil_wdata;
        8'h14: enable <= s_axil_wdata[0];
        8'h18: if (s_axil_wdata[1] && fault != 7) pending <= 0;
        8'h1c: table_address <= s_axil_wdata;
        8'h20: if (busy || s_axil_wdata == 0 || table_address[5:0] != 0) s_axil_bresp <= 2;
          else begin
            left <= s_axil_wdata;
            source <= table_address;
            jobs <= 0;
            cycles <= 0;
            beat <= 0;
            m_axi_arvalid <= 1;
            state <= READ;
          end
        default: ;
      endcase
    end
    if (read) begin
      s_axil_rvalid <= 1;
      s_axil_rresp <= 0;
      case (s_axil_araddr)
        8'h00: s_axil_rdata <= 32'h4e555250;
        8'h04: s_axil_rdata <= VERSION;
        8'h08: s_axil_rdata <= FORMAT;
        8'h0c: s_axil_rdata <= LIMITS;
        8'h10: s_axil_rdata <= MULTIPLIERS;
        8'h24: s_axil_rdata <= ENGINE;
        8'h28: s_axil_rdata <= REVISION;
        8'h38, 8'h3c: s_axil_rdata <= 0;
        8'h14: s_axil_rdata <= enable;
        8'h18: s_axil_rdata <= {pending, busy};
        8'h1c: s_axil_rdata <= table_address;
        8'h40, 8'h44: s_axil_rdata <= jobs;
        8'h48, 8'h70: s_axil_rdata <= cycles;     // all of them idle, for want of work
        8'h4c, 8'h50: s_axil_rdata <= jobs << 6;
        8'h20, 8'h54, 8'h58, 8'h5c, 8'h60, 8'h64, 8'h68, 8'h6c: s_axil_rdata <= 0;
        default: begin
          s_axil_rdata <= 0;
          s_axil_rresp <= 2;
        end
      endcase
    end
    if (rst) begin
      {irq, s_axil_bvalid, s_axil_rvalid, m_axi_arvalid, m_axi_awvalid, m_axi_wvalid} <= 0;
      {fault, state, beat, over, enable, pending, jobs, cycles, table_address} <= 0;
    end
  end
endmodule
