# SPDX-License-Identifier: Apache-2.0
"""Where the fields of structures lie in the vectors that they are in Verilog."""

from amaranth.hdl import Fragment, Shape
from amaranth.lib import data, enum, memory, wiring

__all__ = ["fields_of", "structures"]


def _scalar(name: str, low: int, shape) -> dict:
    cast = Shape.cast(shape)
    entry = {"name": name, "low": low, "width": cast.width, "signed": cast.signed}
    if isinstance(shape, enum.EnumMeta):
        entry["values"] = {member.name: member.value for member in shape}
    return entry


def fields_of(shape, name: str = "", low: int = 0) -> list[dict]:
    """The numbers in a shape by rising bits: name, low, width, signed, of an enum its values.

    Fields of fields are ``outer.inner``, elements ``name[0]``; an array of numbers is one entry
    with the width of an element and their ``count``.
    """
    if not isinstance(shape, data.Layout):
        return [_scalar(name, low, shape)] if Shape.cast(shape).width else []
    if isinstance(shape, data.ArrayLayout) and not isinstance(shape.elem_shape, data.Layout):
        element = _scalar(name, low, shape.elem_shape)
        return [element | {"count": shape.length}] if element["width"] else []
    joint = ("[{}]" if isinstance(shape, data.ArrayLayout) else ".{}" if name else "{}")
    return [entry for key, field in shape
            for entry in fields_of(field.shape, name + joint.format(key), low + field.offset)]


def structures(fragment: Fragment, path: str) -> dict[str, dict[str, list[dict]]]:
    """Fields of the ports that are structures, by instance path and name of the port."""
    found = {}
    for origin in fragment.origins or ():
        if isinstance(origin, wiring.Component) and not isinstance(origin, memory.Memory):
            ports = {"__".join(map(str, where)): fields_of(value.shape())
                     for where, _, value in origin.signature.flatten(origin)
                     if isinstance(value, data.View)}
            found[path] = {port: fields for port, fields in ports.items() if fields}
            break
    for n, (child, name, _) in enumerate(fragment.subfragments):
        found |= structures(child, f"{path}.{name or f'U${n}'}")
    return found
