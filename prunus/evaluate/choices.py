# SPDX-License-Identifier: Apache-2.0
"""How a head is pruned by each engine: what options say of all heads, and calibrations of each."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from prunus.golden.hdp.compute import Importance

from ..engines.hdp import DEFAULT_RHO, TAU_MAX

__all__ = ["Choice", "HdpChoice", "LeopardChoice", "TopkChoice", "places"]


class Choice(BaseModel):
    """What can be chosen of a head of any method.

    Parameters
    ----------
    temperature : float
        Divides the logits before anything else looks at them. What is pruned no longer counts in
        the sum of the softmax, which sharpens the rest; a temperature above 1 makes up for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0


class HdpChoice(Choice):
    """Of HDP.

    Parameters
    ----------
    importance : Importance
        Of a block; by default that of which there is a parameter, else ``magnitude``.
    rho : float, optional
        Of ``magnitude``, 25/128 unless said.
    distance : float, optional
        Of ``distance``, in units of the logits.
    tau_head : int
        Heads with a smaller theta_head are pruned, in units of integer scores.
    pruned : "zero" or "drop"
        A pruned block has score 0 or probability 0.
    exact : bool
        Kept blocks get the full product.
    centred : bool
        The host takes the mean of the keys off each of them.
    balanced : bool
        The host scales the dimensions of queries and keys so that both have the same peak in each.
    dense : bool
        Nothing is pruned, and the full product is made of everything.
    """

    importance: Importance | None = None
    rho: Annotated[float | None, Field(gt=-1, lt=1)] = None
    distance: Annotated[float | None, Field(ge=0)] = None
    tau_head: Annotated[int, Field(ge=0, le=TAU_MAX)] = 0
    pruned: Literal["zero", "drop"] = "zero"
    exact: bool = False
    centred: bool = True
    balanced: bool = False
    dense: bool = False

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given):
        if not isinstance(given, dict):
            return given
        given = {name: value for name, value in given.items() if value is not None}
        wanted = given.setdefault("importance", "distance" if "distance" in given else "magnitude")
        if given.get("dense"):
            others = [name for name in ("rho", "distance", "tau_head") if name in given]
            if others:
                raise ValueError(f"{others[0]} means nothing where dense is set")
            return {name: value for name, value in given.items() if name != "importance"}
        if wanted == "magnitude":
            given.setdefault("rho", DEFAULT_RHO)
        for name, of in (("rho", "magnitude"), ("distance", "distance")):
            if name in given and wanted != of and wanted in list(Importance):
                raise ValueError(f"{name} belongs to importance {of}, and this is {wanted}")
        if wanted == "distance" and "distance" not in given:
            raise ValueError("importance distance needs a distance")
        return given

    @property
    def drop(self) -> bool:
        return self.pruned == "drop"


class LeopardChoice(Choice):
    """Of LeOPArd: a key with a logit below ``threshold`` is pruned; -inf keeps all."""

    threshold: float

    @field_validator("threshold")
    @classmethod
    def _real(cls, value):
        if value != value:
            raise ValueError("threshold must be a real number")
        return value


class TopkChoice(Choice):
    """Of Top-K: each query keeps ``top_k`` keys, or as many as keep about the share ``keep`` of the
    visible scores of a head, and at least one."""

    top_k: Annotated[int | None, Field(ge=1)] = None
    keep: Annotated[float | None, Field(gt=0, le=1)] = None

    @model_validator(mode="after")
    def _one_of_two(self):
        if (self.top_k is None) == (self.keep is None):
            raise ValueError("there must be one of top_k and keep")
        return self

    def places(self, limits: np.ndarray) -> int:
        """K of a head whose queries see so many keys."""
        return self.top_k or places(limits, self.keep or 1)


def places(limits: np.ndarray, keep: float) -> int:
    """The largest K that keeps at most the share ``keep`` of the visible scores, and at least 1.

    ``limits`` are the keys that each query sees.
    """
    kept = np.minimum(np.arange(1, limits.max() + 1)[:, None], limits).sum(axis=1)
    return max(1, int((kept <= keep * limits.sum()).sum()))
