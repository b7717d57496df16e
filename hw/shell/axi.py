# SPDX-License-Identifier: Apache-2.0
"""AXI4 and AXI4-Lite as wiring signatures, and how to expose them as flat ports."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

__all__ = [
    "AXI4",
    "AXI4Lite",
    "AXI4Read",
    "AXI4Write",
    "Resp",
    "attributes",
    "connect_flat",
    "flat_members",
]

INCR = 0b01         # axburst: rising addresses


class Resp:
    """Values of ``bresp`` and ``rresp``; bit 1 tells an error."""

    OKAY = 0b00
    EXOKAY = 0b01
    SLVERR = 0b10
    DECERR = 0b11


def _address(channel: str, address_width: int) -> dict:
    return {
        f"{channel}id": Out(1), f"{channel}addr": Out(address_width), f"{channel}len": Out(8),
        f"{channel}size": Out(3), f"{channel}burst": Out(2), f"{channel}lock": Out(1),
        f"{channel}cache": Out(4), f"{channel}prot": Out(3), f"{channel}qos": Out(4),
        f"{channel}valid": Out(1), f"{channel}ready": In(1),
    }


def attributes(axi, channel: str, config: EngineConfig) -> list:
    """What a channel of addresses says of all of them: whole beats, at rising addresses, and what
    the configuration has chosen."""
    values = {"size": (config.axi_data_width // 8).bit_length() - 1, "burst": INCR,
              "cache": config.axi_cache, "prot": config.axi_prot, "qos": config.axi_qos}
    return [getattr(axi, f"{channel}{name}").eq(value) for name, value in values.items()]


def _check_width(data_width: int, allowed: tuple[int, ...]):
    if data_width not in allowed:
        raise ValueError(f"data_width must be one of {', '.join(map(str, allowed))}, "
                         f"not {data_width!r}")


class _Signature(wiring.Signature):
    def __init__(self, address_width: int, data_width: int, members: dict):
        self.address_width = address_width
        self.data_width = data_width
        super().__init__(members)

    def __repr__(self):
        return f"{type(self).__name__}({self.address_width}, {self.data_width})"


class AXI4Read(_Signature):
    """The AR and R channels of AXI4 seen from the master, with one-bit ids.

    Parameters
    ----------
    address_width : int
        Bits of an address.
    data_width : int
        Bits of a beat, a power of two in 8..1024.
    """

    def __init__(self, address_width: int = 32, data_width: int = 64):
        _check_width(data_width, tuple(8 << n for n in range(8)))
        super().__init__(address_width, data_width, {
            **_address("ar", address_width),
            "rid": In(1), "rdata": In(data_width), "rresp": In(2), "rlast": In(1),
            "rvalid": In(1), "rready": Out(1),
        })


class AXI4Write(_Signature):
    """The AW, W and B channels of AXI4 seen from the master, with one-bit ids.

    Parameters
    ----------
    address_width : int
        Bits of an address.
    data_width : int
        Bits of a beat, a power of two in 8..1024.
    """

    def __init__(self, address_width: int = 32, data_width: int = 64):
        _check_width(data_width, tuple(8 << n for n in range(8)))
        super().__init__(address_width, data_width, {
            **_address("aw", address_width),
            "wdata": Out(data_width), "wstrb": Out(data_width // 8), "wlast": Out(1),
            "wvalid": Out(1), "wready": In(1),
            "bid": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        })


class AXI4(_Signature):
    """AXI4 seen from the master: the members of :class:`AXI4Write` and :class:`AXI4Read`.

    Parameters
    ----------
    address_width : int
        Bits of an address.
    data_width : int
        Bits of a beat, a power of two in 8..1024.
    """

    def __init__(self, address_width: int = 32, data_width: int = 64):
        super().__init__(address_width, data_width, {
            **dict(AXI4Write(address_width, data_width).members),
            **dict(AXI4Read(address_width, data_width).members),
        })


class AXI4Lite(_Signature):
    """AXI4-Lite seen from the master.

    Parameters
    ----------
    address_width : int
        Bits of an address.
    data_width : int
        32 or 64.
    """

    def __init__(self, address_width: int, data_width: int = 32):
        _check_width(data_width, (32, 64))
        super().__init__(address_width, data_width, {
            "awaddr": Out(address_width), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(data_width), "wstrb": Out(data_width // 8), "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(address_width), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
            "rdata": In(data_width), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
        })


def flat_members(prefix: str, signature: wiring.Signature) -> dict[str, wiring.Member]:
    """The members of ``signature`` as ``{prefix}_{name}``, for the signature of a component.

    Pass ``signature.flip()`` for the ports of a slave.
    """
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


def connect_flat(m: Module, component: wiring.Component, prefix: str, interface) -> None:
    """Join ``interface`` of a submodule to the ports ``{prefix}_{name}`` of ``component``.

    The directions follow from the interface: what the submodule drives goes out through the
    port, the rest comes in. An interface with some of the bus' channels, such as
    :class:`AXI4Read` of a whole :class:`AXI4`, leaves the other ports alone.

    Raises
    ------
    ValueError
        A port is missing, or runs the other way, or has another width.
    """
    ports = component.signature.members
    for name, member in interface.signature.members.items():
        port = f"{prefix}_{name}"
        if port not in ports or ports[port] != member:
            raise ValueError(f"the component needs a port {port} of {member!r}, "
                             f"not {ports[port] if port in ports else None!r}")
        outer, inner = getattr(component, port), getattr(interface, name)
        if member.flow is Out:
            m.d.comb += outer.eq(inner)
        else:
            m.d.comb += inner.eq(outer)
