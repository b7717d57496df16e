// SPDX-License-Identifier: Apache-2.0
// A system on a chip in the small: two coprocessors, a RAM that they share, and a script in the
// place of a processor.
//
//   axil_script -+- registers of hdp_tiny     at 0x000, master 0 -+- axi_two_masters - axi_ram
//                +- registers of leopard_tiny at 0x100, master 1 -+
module soc #(
    parameter WORDS    = 4096,
    parameter CONTENTS = "",
    parameter SCRIPT   = ""
) (
    input  wire        clk,
    input  wire        rst,
    output wire        done,
    output wire        failed,
    output wire [15:0] line
);
    wire [1:0]  irq;

    // Registers: bit 8 of the address tells whose. The script holds it until the answer.
    wire [31:0] address, wdata;
    wire        awvalid, wvalid, arvalid;
    wire        first  = ~address[8];
    wire        second = address[8];

    wire        c0_awready, c0_wready, c0_bvalid, c0_arready, c0_rvalid;
    wire [1:0]  c0_bresp, c0_rresp;
    wire [31:0] c0_rdata;
    wire        c0_arid, c0_arlock, c0_awid, c0_awlock;
    wire [2:0]  c0_arsize, c0_arprot, c0_awsize, c0_awprot;
    wire [1:0]  c0_arburst, c0_awburst;
    wire [3:0]  c0_arcache, c0_awcache, c0_arqos, c0_awqos;
    wire        m0_arvalid, m0_arready, m0_rvalid, m0_rready;
    wire        m0_awvalid, m0_awready, m0_wvalid, m0_wready, m0_wlast;
    wire        m0_bvalid, m0_bready;
    wire [31:0] m0_araddr, m0_awaddr;
    wire [7:0]  m0_arlen, m0_awlen;
    wire [63:0] m0_wdata;
    wire [7:0]  m0_wstrb;

    wire        c1_awready, c1_wready, c1_bvalid, c1_arready, c1_rvalid;
    wire [1:0]  c1_bresp, c1_rresp;
    wire [31:0] c1_rdata;
    wire        c1_arid, c1_arlock, c1_awid, c1_awlock;
    wire [2:0]  c1_arsize, c1_arprot, c1_awsize, c1_awprot;
    wire [1:0]  c1_arburst, c1_awburst;
    wire [3:0]  c1_arcache, c1_awcache, c1_arqos, c1_awqos;
    wire        m1_arvalid, m1_arready, m1_rvalid, m1_rready;
    wire        m1_awvalid, m1_awready, m1_wvalid, m1_wready, m1_wlast;
    wire        m1_bvalid, m1_bready;
    wire [31:0] m1_araddr, m1_awaddr;
    wire [7:0]  m1_arlen, m1_awlen;
    wire [63:0] m1_wdata;
    wire [7:0]  m1_wstrb;

    axil_script #(.SCRIPT(SCRIPT)) script (
        .clk(clk), .rst(rst), .irq(irq), .address(address), .wdata(wdata),
        .awvalid(awvalid), .awready(second ? c1_awready : c0_awready),
        .wvalid(wvalid), .wready(second ? c1_wready : c0_wready),
        .bvalid(c0_bvalid | c1_bvalid), .bresp(second ? c1_bresp : c0_bresp),
        .arvalid(arvalid), .arready(second ? c1_arready : c0_arready),
        .rvalid(c0_rvalid | c1_rvalid), .rdata(second ? c1_rdata : c0_rdata),
        .rresp(second ? c1_rresp : c0_rresp),
        .done(done), .failed(failed), .line(line)
    );

    wire        s_arvalid, s_arready, s_rvalid, s_rready, s_rlast;
    wire        s_awvalid, s_awready, s_wvalid, s_wready, s_wlast, s_bvalid, s_bready;
    wire [31:0] s_araddr, s_awaddr;
    wire [7:0]  s_arlen, s_awlen;
    wire [63:0] s_rdata, s_wdata;
    wire [7:0]  s_wstrb;
    wire [1:0]  s_rresp, s_bresp;

    hdp_tiny c0 (
        .clk(clk), .rst(rst), .irq(irq[0]),
        // Registers at 0x000.
        .s_axil_awaddr(address[7:0]), .s_axil_awprot(3'b000),
        .s_axil_awvalid(awvalid & first), .s_axil_awready(c0_awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111),
        .s_axil_wvalid(wvalid & first), .s_axil_wready(c0_wready),
        .s_axil_bresp(c0_bresp), .s_axil_bvalid(c0_bvalid), .s_axil_bready(1'b1),
        .s_axil_araddr(address[7:0]), .s_axil_arprot(3'b000),
        .s_axil_arvalid(arvalid & first), .s_axil_arready(c0_arready),
        .s_axil_rdata(c0_rdata), .s_axil_rresp(c0_rresp), .s_axil_rvalid(c0_rvalid),
        .s_axil_rready(1'b1),
        // Memory. What the interconnect does not carry is constant.
        .m_axi_arid(c0_arid), .m_axi_araddr(m0_araddr), .m_axi_arlen(m0_arlen),
        .m_axi_arsize(c0_arsize), .m_axi_arburst(c0_arburst), .m_axi_arlock(c0_arlock),
        .m_axi_arcache(c0_arcache), .m_axi_arprot(c0_arprot), .m_axi_arqos(c0_arqos),
        .m_axi_arvalid(m0_arvalid), .m_axi_arready(m0_arready),
        .m_axi_rid(1'b0), .m_axi_rdata(s_rdata), .m_axi_rresp(s_rresp), .m_axi_rlast(s_rlast),
        .m_axi_rvalid(m0_rvalid), .m_axi_rready(m0_rready),
        .m_axi_awid(c0_awid), .m_axi_awaddr(m0_awaddr), .m_axi_awlen(m0_awlen),
        .m_axi_awsize(c0_awsize), .m_axi_awburst(c0_awburst), .m_axi_awlock(c0_awlock),
        .m_axi_awcache(c0_awcache), .m_axi_awprot(c0_awprot), .m_axi_awqos(c0_awqos),
        .m_axi_awvalid(m0_awvalid), .m_axi_awready(m0_awready),
        .m_axi_wdata(m0_wdata), .m_axi_wstrb(m0_wstrb), .m_axi_wlast(m0_wlast),
        .m_axi_wvalid(m0_wvalid), .m_axi_wready(m0_wready),
        .m_axi_bid(1'b0), .m_axi_bresp(s_bresp), .m_axi_bvalid(m0_bvalid),
        .m_axi_bready(m0_bready)
    );

    leopard_tiny c1 (
        .clk(clk), .rst(rst), .irq(irq[1]),
        // Registers at 0x100.
        .s_axil_awaddr(address[7:0]), .s_axil_awprot(3'b000),
        .s_axil_awvalid(awvalid & second), .s_axil_awready(c1_awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111),
        .s_axil_wvalid(wvalid & second), .s_axil_wready(c1_wready),
        .s_axil_bresp(c1_bresp), .s_axil_bvalid(c1_bvalid), .s_axil_bready(1'b1),
        .s_axil_araddr(address[7:0]), .s_axil_arprot(3'b000),
        .s_axil_arvalid(arvalid & second), .s_axil_arready(c1_arready),
        .s_axil_rdata(c1_rdata), .s_axil_rresp(c1_rresp), .s_axil_rvalid(c1_rvalid),
        .s_axil_rready(1'b1),
        // Memory. What the interconnect does not carry is constant.
        .m_axi_arid(c1_arid), .m_axi_araddr(m1_araddr), .m_axi_arlen(m1_arlen),
        .m_axi_arsize(c1_arsize), .m_axi_arburst(c1_arburst), .m_axi_arlock(c1_arlock),
        .m_axi_arcache(c1_arcache), .m_axi_arprot(c1_arprot), .m_axi_arqos(c1_arqos),
        .m_axi_arvalid(m1_arvalid), .m_axi_arready(m1_arready),
        .m_axi_rid(1'b0), .m_axi_rdata(s_rdata), .m_axi_rresp(s_rresp), .m_axi_rlast(s_rlast),
        .m_axi_rvalid(m1_rvalid), .m_axi_rready(m1_rready),
        .m_axi_awid(c1_awid), .m_axi_awaddr(m1_awaddr), .m_axi_awlen(m1_awlen),
        .m_axi_awsize(c1_awsize), .m_axi_awburst(c1_awburst), .m_axi_awlock(c1_awlock),
        .m_axi_awcache(c1_awcache), .m_axi_awprot(c1_awprot), .m_axi_awqos(c1_awqos),
        .m_axi_awvalid(m1_awvalid), .m_axi_awready(m1_awready),
        .m_axi_wdata(m1_wdata), .m_axi_wstrb(m1_wstrb), .m_axi_wlast(m1_wlast),
        .m_axi_wvalid(m1_wvalid), .m_axi_wready(m1_wready),
        .m_axi_bid(1'b0), .m_axi_bresp(s_bresp), .m_axi_bvalid(m1_bvalid),
        .m_axi_bready(m1_bready)
    );

    axi_two_masters #(.DATA(64)) shared (
        .clk(clk), .rst(rst),
        .m0_arvalid(m0_arvalid), .m0_arready(m0_arready), .m0_araddr(m0_araddr), .m0_arlen(m0_arlen),
        .m0_rvalid(m0_rvalid), .m0_rready(m0_rready), .m0_awvalid(m0_awvalid), .m0_awready(m0_awready),
        .m0_awaddr(m0_awaddr), .m0_awlen(m0_awlen), .m0_wvalid(m0_wvalid), .m0_wready(m0_wready),
        .m0_wdata(m0_wdata), .m0_wstrb(m0_wstrb), .m0_wlast(m0_wlast), .m0_bvalid(m0_bvalid),
        .m0_bready(m0_bready),
        .m1_arvalid(m1_arvalid), .m1_arready(m1_arready), .m1_araddr(m1_araddr), .m1_arlen(m1_arlen),
        .m1_rvalid(m1_rvalid), .m1_rready(m1_rready), .m1_awvalid(m1_awvalid), .m1_awready(m1_awready),
        .m1_awaddr(m1_awaddr), .m1_awlen(m1_awlen), .m1_wvalid(m1_wvalid), .m1_wready(m1_wready),
        .m1_wdata(m1_wdata), .m1_wstrb(m1_wstrb), .m1_wlast(m1_wlast), .m1_bvalid(m1_bvalid),
        .m1_bready(m1_bready),
        .s_arvalid(s_arvalid), .s_arready(s_arready), .s_araddr(s_araddr), .s_arlen(s_arlen),
        .s_rvalid(s_rvalid), .s_rready(s_rready), .s_rlast(s_rlast),
        .s_awvalid(s_awvalid), .s_awready(s_awready), .s_awaddr(s_awaddr), .s_awlen(s_awlen),
        .s_wvalid(s_wvalid), .s_wready(s_wready), .s_wdata(s_wdata), .s_wstrb(s_wstrb),
        .s_wlast(s_wlast), .s_bvalid(s_bvalid), .s_bready(s_bready)
    );

    axi_ram #(.DATA(64), .WORDS(WORDS), .CONTENTS(CONTENTS)) ram (
        .clk(clk), .rst(rst),
        .arvalid(s_arvalid), .arready(s_arready), .araddr(s_araddr), .arlen(s_arlen),
        .rvalid(s_rvalid), .rready(s_rready), .rdata(s_rdata), .rresp(s_rresp), .rlast(s_rlast),
        .awvalid(s_awvalid), .awready(s_awready), .awaddr(s_awaddr),
        .wvalid(s_wvalid), .wready(s_wready), .wdata(s_wdata), .wstrb(s_wstrb), .wlast(s_wlast),
        .bvalid(s_bvalid), .bready(s_bready), .bresp(s_bresp)
    );

    // Bursts end with wlast, so their length need not reach the RAM. The rest is constant.
    wire unused = &{1'b0, address[31:9], s_awlen,
        c0_arid, c0_arsize, c0_arburst, c0_arlock, c0_arcache, c0_arprot, c0_arqos,
        c0_awid, c0_awsize, c0_awburst, c0_awlock, c0_awcache, c0_awprot, c0_awqos,
        c1_arid, c1_arsize, c1_arburst, c1_arlock, c1_arcache, c1_arprot, c1_arqos,
        c1_awid, c1_awsize, c1_awburst, c1_awlock, c1_awcache, c1_awprot, c1_awqos};
endmodule
