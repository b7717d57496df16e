# SPDX-License-Identifier: Apache-2.0
"""The Tang Nano 20K of Sipeed, which amaranth-boards does not have."""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform
from amaranth_boards.resources import ButtonResources, LEDResources, UARTResource

__all__ = ["TangNano20kPlatform"]

_PIN = Attrs(IO_TYPE="LVCMOS33")


class TangNano20kPlatform(GowinPlatform):
    """What the coprocessor's board needs of it: clock, serial port, lights and buttons.

    Pins are those of Sipeed's schematic of the printed board 3921,
    https://dl.sipeed.com/fileList/TANG/Nano_20K/2_Schematic/Tang_Nano_20K_3921_Schematics.pdf.
    A clock of 27 MHz comes in on a pin of the left PLL. The debugger, a BL616 on the board's USB,
    has the serial port: pin 70 is from it, 69 to it. Lights are on when low. Buttons are high when
    pressed, and tell the chip how to boot before it is configured.
    """

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    resources = [
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), _PIN),
        *LEDResources(pins="15 16 17 18 19 20", invert=True, attrs=_PIN),
        *ButtonResources(pins="88 87", attrs=_PIN),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(IO_TYPE="LVCMOS33", PULL_MODE="UP")),
    ]
    connectors = []
