# SPDX-License-Identifier: Apache-2.0
"""Linear layers in codes: the specification's jobs in the place of a model's matrix products.

A compressed model has a file of them beside its other weights. The host makes codes of X and takes
those of Y for what they mean; all between is linear jobs of the coprocessor, one after the other,
with what lies between them held on the chip.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn

from prunus.golden.hdp.linear.compute import (
    CODE,
    Activation,
    Arrangement,
    LinearJob,
    Output,
    linear,
)

from ..errors import InputError

__all__ = ["CODES_FILE", "WEIGHTS_FILE", "Coded", "CodedLinear", "CodedStep", "Part", "host_codes",
           "install", "read_layers", "share", "smooth", "through", "write_layers"]

CODES_FILE = "compressed.safetensors"
VERSION = 1
WEIGHTS_FILE = "model.safetensors"


def host_codes(x: np.ndarray, unit: float, zero: int) -> np.ndarray:
    """The host's codes of X: in float32, halves up."""
    scaled = np.floor(x.astype(np.float32) / np.float32(unit) + np.float32(0.5))
    return np.clip(scaled + np.float32(zero), *CODE).astype(np.int8)


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedStep:
    """What a linear job has but X; its members are those of
    :class:`~prunus.golden.hdp.linear.compute.LinearJob`."""

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    table: np.ndarray | None = None
    bits: int = 8
    groups: int = 1
    arrangement: str = "merge"
    inner: int = 1
    middle: int = 1
    run: int = 0

    def job(self, x: np.ndarray, *, held: bool, holds: bool) -> LinearJob:
        """With an X, which the job before it may have held; its Y may be, too."""
        return LinearJob(
            x=x, w=self.weight, bias=self.bias, multiplier=self.multiplier, shift=self.shift,
            bits=self.bits, groups=self.groups, table=self.table,
            activation=Activation.NONE if self.table is None else Activation.TABLE,
            target=Output.HELD if holds else Output.CODES,
            arrangement=Arrangement(self.arrangement), inner=self.inner, middle=self.middle,
            run=self.run, held=held)

    def smooth(self, x: np.ndarray) -> np.ndarray:
        """The same without rounding: what it makes of X in codes that need not be whole."""
        channels, k = self.weight.shape
        parts = x.reshape(-1, self.groups, k).swapaxes(0, 1)
        w = self.weight.astype(np.float64).reshape(self.groups, channels // self.groups, k)
        acc = (parts @ w.swapaxes(1, 2)).swapaxes(0, 1).reshape(-1, channels)
        y = np.clip((acc + self.bias) * self.multiplier * 2.0 ** -self.shift.astype(float), *CODE)
        if self.table is not None:
            y = np.interp(y, np.arange(CODE[0], CODE[1] + 1), self.table)
        zeros = np.zeros((len(x), x.shape[1]), np.int8)
        return self.job(zeros, held=False, holds=False).view(y)


SHAPED = ("bits", "groups", "arrangement", "inner", "middle", "run")
DTYPES = {"weight": np.int8, "bias": np.int32, "multiplier": np.int32, "shift": np.int8,
          "table": np.int8}


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedLinear:
    """A layer in codes.

    Members
    -------
    n, k : int
        Outputs and inputs.
    inputs, split : int
        X (rows, k) is filled up to ``inputs`` with what means zero, and read as (rows * split,
        inputs / split).
    steps : tuple of CodedStep
    x_unit, x_zero : float, int
        A code c of X means ``(c - x_zero) * x_unit``.
    y_unit : ndarray of float32, (n,)
    y_zero : int
        A code c of Y means ``(c - y_zero) * y_unit``.
    rest : ndarray of float32, (n,), optional
        What the host adds to Y.
    """

    n: int
    k: int
    inputs: int
    split: int
    steps: tuple[CodedStep, ...]
    x_unit: float
    x_zero: int
    y_unit: np.ndarray
    y_zero: int = 0
    rest: np.ndarray | None = None

    def _read(self, codes: np.ndarray) -> np.ndarray:
        """Codes of X as the first step reads them."""
        whole = np.full((len(codes), self.inputs), self.x_zero, codes.dtype)
        whole[:, :self.k] = codes
        return whole.reshape(len(codes) * self.split, self.inputs // self.split)

    def jobs(self, codes: np.ndarray) -> Iterator[LinearJob]:
        """The jobs of codes of X (rows, k), each with what the one before it gives."""
        x, last = self._read(codes), len(self.steps) - 1
        for number, step in enumerate(self.steps):
            job = step.job(x, held=number > 0, holds=number < last)
            yield job
            x = linear(job).y

    def codes(self, codes: np.ndarray) -> np.ndarray:
        """Codes of Y (rows, n) from those of X (rows, k), by the specification."""
        *_, job = self.jobs(codes)
        return linear(job).y[:, :self.n]

    def smooth(self, x: np.ndarray) -> np.ndarray:
        """Y (rows, n) of X (rows, k) without any rounding."""
        values = np.clip(x.astype(np.float64) / self.x_unit + self.x_zero, *CODE)
        values = self._read(values)
        for step in self.steps:
            values = step.smooth(values)
        return self.means(values[:, :self.n])

    def means(self, codes: np.ndarray) -> np.ndarray:
        """Y (rows, n), float32, of its codes."""
        y = (codes.astype(np.float32) - np.float32(self.y_zero)) * self.y_unit
        return y if self.rest is None else y + self.rest

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Y (rows, n) of X (rows, k), both float32."""
        return self.means(self.codes(self.host(x)))

    def host(self, x: np.ndarray) -> np.ndarray:
        """Codes of X (rows, k)."""
        return host_codes(x, self.x_unit, self.x_zero)

    # -- files -----------------------------------------------------------------------------------
    def arrays(self) -> dict[str, np.ndarray]:
        """What of it is arrays, by name."""
        said = {f"{number}.{name}": np.ascontiguousarray(getattr(step, name), dtype)
                for number, step in enumerate(self.steps) for name, dtype in DTYPES.items()
                if getattr(step, name) is not None}
        said["y_unit"] = np.asarray(self.y_unit, np.float32)
        if self.rest is not None:
            said["rest"] = np.asarray(self.rest, np.float32)
        return said

    def plain(self) -> dict[str, Any]:
        """The others, ready for JSON."""
        return {"n": self.n, "k": self.k, "inputs": self.inputs, "split": self.split,
                "x_unit": self.x_unit, "x_zero": self.x_zero, "y_zero": self.y_zero,
                "steps": [{name: getattr(step, name) for name in SHAPED} for step in self.steps]}

    @classmethod
    def of(cls, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "CodedLinear":
        """From what :meth:`plain` and :meth:`arrays` gave. Raises ValueError if they are none."""
        others = dict(arrays)
        steps = []
        for number, said in enumerate(plain["steps"]):
            if set(said) != set(SHAPED):
                raise ValueError(f"step {number} must have {', '.join(SHAPED)}")
            own: dict[str, Any] = {
                name: others.pop(f"{number}.{name}") for name in DTYPES
                if name != "table" or f"{number}.table" in others}
            for name, value in own.items():
                if value.dtype != DTYPES[name]:
                    raise ValueError(f"{number}.{name} must be of {np.dtype(DTYPES[name])}, not "
                                     f"{value.dtype}")
            steps.append(CodedStep(**own, **said))
        y_unit, rest = others.pop("y_unit"), others.pop("rest", None)
        if others:
            raise ValueError(f"there must be no {min(others)}")
        made = cls(steps=tuple(steps), y_unit=y_unit, rest=rest,
                   **{name: value for name, value in plain.items() if name != "steps"})
        made._check()
        return made

    def _check(self) -> None:
        if self.k > self.inputs or self.inputs % self.split:
            raise ValueError(f"inputs must be at least {self.k} and a multiple of {self.split}, "
                             f"not {self.inputs}")
        if not (np.isfinite(self.x_unit) and self.x_unit > 0):
            raise ValueError(f"x_unit must be positive and finite, not {self.x_unit}")
        for zero in (self.x_zero, self.y_zero):
            if not CODE[0] <= zero <= CODE[1]:
                raise ValueError(f"a zero must lie in {CODE[0]}..{CODE[1]}, not {zero}")
        for name in ("y_unit", "rest"):
            value = getattr(self, name)
            if value is not None and (value.shape != (self.n,) or not np.isfinite(value).all()):
                raise ValueError(f"{name} must be {self.n} finite numbers")
        # The jobs refuse whatever else they cannot be made of.
        y = self.codes(np.zeros((1, self.k), np.int8))
        if y.shape != (1, self.n):
            raise ValueError(f"steps must give {self.n} outputs, not {y.shape[1]}")


class Coded(nn.Module):
    """A layer in codes in the place of a linear layer.

    Members
    -------
    linear : CodedLinear
    smooth : bool
        Nothing is rounded: for comparisons of what the model around it does.
    through : callable, optional
        Codes of Y from a layer and codes of X, by something else than the specification.
    """

    def __init__(self, coded: CodedLinear):
        super().__init__()
        self.linear, self.smooth = coded, False
        self.through: Callable[[CodedLinear, np.ndarray], np.ndarray] | None = None
        self.in_features, self.out_features = coded.k, coded.n

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            raise InputError("model must have weights to learn through, and a compressed one has "
                             "codes")
        rows = x.detach().reshape(-1, self.linear.k).numpy()
        if self.smooth:
            y = self.linear.smooth(rows)
        elif self.through:
            y = self.linear.means(self.through(self.linear, self.linear.host(rows)))
        else:
            y = self.linear(rows)
        return torch.from_numpy(y).reshape(*x.shape[:-1], self.linear.n)

    def extra_repr(self) -> str:
        return f"{self.linear.k} to {self.linear.n} in {len(self.linear.steps)} steps"


class Part(nn.Module):
    """Some outputs of a layer, in the place of one of several linear layers with the same inputs.

    Parameters
    ----------
    layer : Module
        In the place of all of them.
    first, count : int
        Outputs of this one.
    parts : int
        How many share the layer.
    owner : Part or None
        The first of them, which the layer belongs to; None if this is the first.
    """

    def __init__(self, layer: nn.Module, first: int, count: int, parts: int,
                 owner: "Part | None" = None):
        super().__init__()
        self.first, self.out_features, self.parts = first, count, parts
        self._given: tuple[Tensor, Tensor] | None = None
        self._asked = 0
        if owner is None:
            self.layer = layer
        # In a tuple, so that the layer's weights are those of one module only.
        self._owner = (owner,)

    def forward(self, x: Tensor) -> Tensor:
        y = (self._owner[0] or self).whole(x)
        return y[..., self.first:self.first + self.out_features]

    def whole(self, x: Tensor) -> Tensor:
        """All outputs, which are made once for all parts that are asked for the same X."""
        if self._given is None or self._given[0] is not x:
            self._given, self._asked = (x, self.layer(x)), 0
        y, self._asked = self._given[1], self._asked + 1
        if self._asked == self.parts:
            self._given = None
        return y


def share(model: nn.Module, places: Sequence[str], layer: nn.Module) -> None:
    """Put a layer in the place of linear layers, the outputs of which are its own, one after the
    other."""
    if len(places) == 1:
        model.set_submodule(places[0], layer)
        return
    first, owner = 0, None
    for place in places:
        count = model.get_submodule(place).out_features
        part = Part(layer, first, count, len(places), owner)
        model.set_submodule(place, part)
        first, owner = first + count, owner or part


@contextmanager
def through(model: nn.Module,
            run: Callable[[CodedLinear, np.ndarray], np.ndarray]) -> Iterator[None]:
    """Layers in codes by something else than the specification, see :class:`Coded`."""
    layers = [module for module in model.modules() if isinstance(module, Coded)]
    for layer in layers:
        layer.through = run
    try:
        yield
    finally:
        for layer in layers:
            layer.through = None


@contextmanager
def smooth(model: nn.Module) -> Iterator[None]:
    """Without rounding: a code that flips at a rounding error of floats is then no difference."""
    layers = [module for module in model.modules() if isinstance(module, Coded)]
    for layer in layers:
        layer.smooth = True
    try:
        yield
    finally:
        for layer in layers:
            layer.smooth = False


# -- files ---------------------------------------------------------------------------------------
def _sha256(arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode() + b"\0" + arrays[name].tobytes())
    return total.hexdigest()


def write_layers(directory: Path, layers: Mapping[tuple[str, ...], CodedLinear],
                 functions: Mapping[str, str]) -> None:
    """Beside the other weights of a model, which must be there already.

    Parameters
    ----------
    layers : mapping
        By the names of the modules that they stand for, one or several with the same inputs.
    functions : mapping
        Modules that a table does the work of, and the layer that has it.
    """
    arrays = {f"{places[0]}.{key}": value for places, layer in layers.items()
              for key, value in layer.arrays().items()}
    said = {"version": VERSION, "functions": dict(functions),
            "layers": [{"places": list(places), **layer.plain()}
                       for places, layer in layers.items()],
            "sha256": _sha256(arrays),
            "weights": hashlib.sha256((directory / WEIGHTS_FILE).read_bytes()).hexdigest()}
    save_file(arrays, directory / CODES_FILE, metadata={"prunus": json.dumps(said)})


def read_layers(directory: Path) -> tuple[dict[tuple[str, ...], CodedLinear], dict[str, str]]:
    """What :func:`write_layers` wrote. Raises InputError."""
    path = directory / CODES_FILE
    try:
        with safe_open(path, "numpy") as file:
            said = json.loads((file.metadata() or {}).get("prunus", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as err:
        raise InputError(f"codes {str(path)!r} cannot be read: {err}") from None
    if not isinstance(said, dict) or said.get("version") != VERSION:
        found = said.get("version") if isinstance(said, dict) else None
        raise InputError(f"codes {str(path)!r} must be of version {VERSION}, not {found!r}")
    try:
        weights = hashlib.sha256((directory / WEIGHTS_FILE).read_bytes()).hexdigest()
    except OSError as err:
        raise InputError(f"model {str(directory)!r} must have {WEIGHTS_FILE}: "
                         f"{err.strerror}") from None
    for what, value in (("sha256", _sha256(arrays)), ("weights", weights)):
        if said.get(what) != value:
            raise InputError(f"codes {str(path)!r} must be as they were written, with the weights "
                             f"that they were written with: {what} is {value[:12]}, not "
                             f"{str(said.get(what))[:12]}")
    layers = {}
    for plain in said["layers"]:
        places = tuple(plain.pop("places"))
        start = f"{places[0]}."
        own = {key.removeprefix(start): arrays.pop(key) for key in list(arrays)
               if key.startswith(start)}
        try:
            layers[places] = CodedLinear.of(plain, own)
        except (ValueError, KeyError, TypeError) as err:
            raise InputError(f"codes {str(path)!r}, layer {places[0]!r}: {err}") from None
    if arrays:
        raise InputError(f"codes {str(path)!r} must have layers that it names, and has "
                         f"{min(arrays)!r}")
    return layers, said["functions"]


def install(model: nn.Module, layers: Mapping[tuple[str, ...], CodedLinear],
            functions: Mapping[str, str], name: str) -> None:
    """Put layers in the place of a model's linear layers; ``name`` is the model's. Raises
    InputError."""
    for places, layer in layers.items():
        found = [_module(model, place) for place in places]
        outputs = 0
        for place, module in zip(places, found, strict=True):
            if not isinstance(module, nn.Linear) or module.in_features != layer.k:
                raise InputError(f"model {name!r} must have a linear layer {place!r} of {layer.k} "
                                 f"inputs, as {CODES_FILE} has, not {module}")
            outputs += module.out_features
        if outputs != layer.n:
            raise InputError(f"model {name!r} must have {layer.n} outputs of {', '.join(places)}, "
                             f"as {CODES_FILE} has, not {outputs}")
        share(model, places, Coded(layer))
    for place, above in functions.items():
        if _module(model, place) is None or not any(above in places for places in layers):
            raise InputError(f"model {name!r} must have a function {place!r} behind {above!r}, as "
                             f"{CODES_FILE} has")
        model.set_submodule(place, nn.Identity())


def _module(model: nn.Module, place: str) -> nn.Module | None:
    try:
        return model.get_submodule(place)
    except AttributeError:
        return None
