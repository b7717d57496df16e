// SPDX-License-Identifier: Apache-2.0
// Reads the registers of NAME that tell coprocessors apart. Prints PASS, or FAIL and why.
module NAME_tb;
    reg         clk, rst, arvalid;
    reg  [7:0]  araddr;
    wire        arready, rvalid;
    wire [31:0] rdata;
    wire [1:0]  rresp;
    reg         failed;

    initial clk = 1'b0;
    always #5 clk = ~clk;

    NAME dut (
        .clk(clk), .rst(rst),
        .s_axil_awaddr(8'd0), .s_axil_awprot(3'd0), .s_axil_awvalid(1'b0),
        .s_axil_wdata(32'd0), .s_axil_wstrb(4'd0), .s_axil_wvalid(1'b0), .s_axil_bready(1'b1),
        .s_axil_araddr(araddr), .s_axil_arprot(3'd0), .s_axil_arvalid(arvalid),
        .s_axil_arready(arready), .s_axil_rdata(rdata), .s_axil_rresp(rresp),
        .s_axil_rvalid(rvalid), .s_axil_rready(1'b1),
        .m_axi_arready(1'b0), .m_axi_rid(1'b0), .m_axi_rdata({DATA{1'b0}}), .m_axi_rresp(2'd0),
        .m_axi_rlast(1'b0), .m_axi_rvalid(1'b0), .m_axi_awready(1'b0), .m_axi_wready(1'b0),
        .m_axi_bid(1'b0), .m_axi_bresp(2'd0), .m_axi_bvalid(1'b0)
    );

    task check(input [7:0] address, input [31:0] expected);
        begin
            araddr  = address;
            arvalid = 1'b1;
            while (!arready) @(negedge clk);
            @(negedge clk);
            arvalid = 1'b0;
            while (!rvalid) @(negedge clk);
            if (rresp !== 2'b00 || rdata !== expected) begin
                failed = 1'b1;
                $display("FAIL: register %h reads %h, not %h", address, rdata, expected);
            end
            @(negedge clk);
        end
    endtask

    initial begin
        failed  = 1'b0;
        arvalid = 1'b0;
        araddr  = 8'd0;
        rst     = 1'b1;
        repeat (4) @(negedge clk);
        rst     = 1'b0;
        @(negedge clk);
        CHECKS
        if (!failed) $display("PASS: the registers are those of NAME");
        $finish;
    end
endmodule
