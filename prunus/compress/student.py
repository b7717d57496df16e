# SPDX-License-Identifier: Apache-2.0
"""The layers of a model that can be compressed, and a model with others in their place.

Needs torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.coded import CodedLinear, share
from .chain import Form
from .layers import CompressedLinear

__all__ = ["Place", "Plan", "freeze", "linears", "plan_of", "student"]

# Functions that a table can hold, by the names of their classes.
FUNCTIONS = {"GELUActivation": "gelu", "GELU": "gelu", "ReLU": "relu", "Tanh": "tanh"}
# Where a layer's function and the layer behind it stand, by the name of the layer: those of
# encoders like BERT and ViT.
BEHIND = {"intermediate.dense": ("intermediate.intermediate_act_fn", "output.dense")}
GRAIN = 8               # sizes that the hardware takes are multiples of it


@dataclass(frozen=True)
class Place:
    """A linear layer.

    Members
    -------
    n, k : int
    function : str or None
        Module of the function behind it that a table can hold.
    activation : str or None
        That function.
    behind : str or None
        The layer that takes what the function gives, and nobody else does.
    """

    n: int
    k: int
    function: str | None = None
    activation: str | None = None
    behind: str | None = None


@dataclass(frozen=True)
class Plan:
    """What of a model can be compressed.

    Members
    -------
    places : dict of str to Place
        Linear layers, in their order.
    stacks : list of tuple of str
        Those with the same inputs, also those alone.
    """

    places: dict[str, Place]
    stacks: list[tuple[str, ...]]

    @property
    def chains(self) -> dict[str, str]:
        """Layers whose inputs a table can make, and the layers before them."""
        return {place.behind: name for name, place in self.places.items() if place.behind}


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    """Linear layers of a model's blocks, those the hardware takes. What comes before and after
    the blocks stays as it is."""
    blocks = [f"{name}." for name, module in model.named_modules()
              if isinstance(module, nn.ModuleList)]
    return {name: module for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and name.startswith(tuple(blocks))
            and not (module.in_features % GRAIN or module.out_features % GRAIN)}


def _function(model: nn.Module, name: str) -> tuple[str, str, str] | None:
    """Behind a layer: module of the function, its name, and the layer after it."""
    for end, (function, behind) in BEHIND.items():
        if name.endswith(end):
            start = name.removesuffix(end)
            try:
                module = model.get_submodule(start + function)
            except AttributeError:
                return None
            known = FUNCTIONS.get(type(module).__name__)
            return None if known is None else (start + function, known, start + behind)
    return None


def plan_of(model: nn.Module, batch: Mapping[str, Any]) -> Plan:
    """What can be compressed of a model, as it runs on a batch."""
    layers = linears(model)
    given: dict[str, Tensor] = {}
    made: dict[str, Tensor] = {}

    def inputs(name: str):
        return lambda module, args: given.setdefault(name, args[0])

    def output(name: str):
        return lambda module, args, result: made.setdefault(name, result)

    functions = {name: found for name in layers if (found := _function(model, name))}
    handles = [layer.register_forward_pre_hook(inputs(name)) for name, layer in layers.items()]
    handles += [model.get_submodule(function).register_forward_hook(output(function))
                for function, _, _ in functions.values()]
    try:
        with torch.no_grad():
            model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    places: dict[str, Place] = {}
    stacks: dict[int, list[str]] = {}
    for name, layer in layers.items():
        if name not in given:
            continue                    # never came to
        function, activation, behind = functions.get(name, (None, None, None))
        # A table's codes go on as they are only where nothing lies between.
        if behind not in given or given[behind] is not made.get(str(function)):
            function = activation = behind = None
        places[name] = Place(layer.out_features, layer.in_features, function, activation, behind)
        # The tensors are alive, so that these are theirs alone.
        stacks.setdefault(id(given[name]), []).append(name)
    return Plan(places, [tuple(names) for names in stacks.values()])


def _bias(layer: nn.Linear) -> Tensor:
    return torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach()


def student(model: nn.Module, plan: Plan,
            chosen: Mapping[tuple[str, ...], tuple[Form, Sequence[np.ndarray], np.ndarray]],
            ) -> tuple[dict[tuple[str, ...], CompressedLinear], dict[str, str], dict[str, str]]:
    """Put compressed layers into a model.

    Parameters
    ----------
    chosen : mapping
        By the names of the layers, one or a stack: form, weights of its steps, and what is added
        to the bias.

    Returns
    -------
    layers : dict
        By the same names.
    functions : dict
        Modules that tables stand for now, and the layers that have them.
    chains : dict
        By module, layers whose inputs are a table's codes: the layer that has it.
    """
    layers: dict[tuple[str, ...], CompressedLinear] = {}
    functions: dict[str, str] = {}
    chains: dict[str, str] = {}
    for names, (form, weights, more) in chosen.items():
        bias = torch.cat([_bias(model.get_submodule(name)) for name in names])
        bias = bias + torch.tensor(more, dtype=torch.float32)
        place = plan.places[names[0]]
        tabled = (len(names) == 1 and place.activation is not None
                  and (place.behind,) in chosen and CompressedLinear.whole(form))
        layer = CompressedLinear(form, [torch.tensor(weight) for weight in weights], bias,
                                 place.activation if tabled else None)
        if tabled:
            assert place.function is not None and place.behind is not None
            functions[place.function] = names[0]
            chains[place.behind] = names[0]
        layers[names] = layer
    for names, layer in layers.items():
        share(model, names, layer)
    for function in functions:
        model.set_submodule(function, nn.Identity())
    return layers, functions, chains


def freeze(model: nn.Module, layers: Mapping[tuple[str, ...], CompressedLinear],
           ) -> dict[tuple[str, ...], CodedLinear]:
    """The codes of a student's layers, in the places of which nothing with weights is left."""
    coded = {names: layer.coded() for names, layer in layers.items()}
    for names in layers:
        for name in names:
            model.set_submodule(name, nn.Identity())
    return coded
