# SPDX-License-Identifier: Apache-2.0
"""Linear layers of a model in codes through a backend: same outputs, and costs that are counted."""

import numpy as np
import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from safetensors.torch import load_file, save_file  # noqa: E402

from prunus.errors import InputError  # noqa: E402
from prunus.evaluate.inference import Question  # noqa: E402
from prunus.evaluate.linear import counted_layers, has_linear  # noqa: E402
from prunus.evaluate.methods.registry import make_method  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402
from prunus.golden.hdp.linear import encode_requant  # noqa: E402
from prunus.models.coded import (  # noqa: E402
    WEIGHTS_FILE,
    Coded,
    CodedLinear,
    CodedStep,
    write_layers,
)
from prunus.models.model import open_model  # noqa: E402
from prunus.run import OPENED  # noqa: E402

CONFIG = load_config("heat_tiny")
PLACES = [f"bert.encoder.layer.{n}.{name}" for n in range(2)
          for name in ("attention.self.query", "attention.output.dense")]


def step(rng, n: int, k: int, bits: int) -> CodedStep:
    low = 1 << bits - 1
    w = rng.integers(-low, low, (n, k)).astype(np.int8)
    multiplier, shift = encode_requant(np.full(n, 40 / (low * 40 * k**0.5)))
    return CodedStep(weight=w, bias=rng.integers(-99, 99, n).astype(np.int32),
                     multiplier=multiplier.astype(np.int32), shift=shift.astype(np.int8), bits=bits)


def layer(seed: int, n: int = 16, k: int = 16, rank: int = 8) -> CodedLinear:
    """Two random factors, the first of 4 bits."""
    rng = np.random.default_rng(seed)
    return CodedLinear(n=n, k=k, inputs=k, split=1, x_unit=0.05, x_zero=0,
                       y_unit=np.full(n, 0.03, np.float32),
                       steps=(step(rng, rank, k, 4), step(rng, n, rank, 8)))


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    path = tiny.make_model(tmp_path_factory.mktemp("models") / "bert")
    kept = {name: value for name, value in load_file(path / WEIGHTS_FILE).items()
            if name.rpartition(".")[0] not in PLACES}
    save_file(kept, path / WEIGHTS_FILE, {"format": "pt"})
    write_layers(path, {(place,): layer(n) for n, place in enumerate(PLACES)}, {})
    return path


@pytest.mark.parametrize("backend", ["golden", "verilator"])
def test_a_whole_model(coded, backend):
    """The backend's linear layers give the class that the specification's give, bit for bit."""
    text = "w1 w2 w3 w4 w5"
    question = Question(coded, text, make_method("hdp", "heat_tiny", {"distance": 0.7}))
    plain = Question(coded, text, make_method("hdp", "hdp_tiny", {"distance": 0.7}))
    with OPENED[backend](CONFIG) as through:
        got = question.answer(backend, through)
    with OPENED["golden"](load_config("hdp_tiny")) as through:
        want = plain.answer("golden", through)
    np.testing.assert_array_equal(got.logits, want.logits)
    record = got.record()["linear"]
    assert want.record()["linear"] is None
    tokens = len(text.split()) + 2
    assert record["jobs"] == 2 * len(PLACES)
    assert record["products"] == len(PLACES) * tokens * 2 * 16 * 8
    # Of a layer: two descriptors, X, factors of 4 and 8 bits, parameters; Y and two records.
    assert record["read_bytes"] == len(PLACES) * (
        2 * 64 + tokens * 16 + 8 * (8 + 8) + 16 * (8 + 8))
    assert record["write_bytes"] == len(PLACES) * (tokens * 16 + 2 * 64)
    assert record["cycles_from"] == ("model" if backend == "golden" else "counters")
    assert record["array_cycles"] < record["cycles"]


def test_more_rows_than_the_buffers_hold(coded):
    """They go through in parts; the specification does not know."""
    model = open_model(coded).model
    one, = (module for name, module in model.named_modules() if name == PLACES[0])
    assert isinstance(one, Coded)
    x = torch.randn(1500, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = one(x)
        with OPENED["golden"](CONFIG) as run, counted_layers(model, CONFIG, run) as counts:
            got = one(x)
        assert torch.equal(got, want) and counts.jobs > 2
        assert torch.equal(one(x), want) and one.through is None


def test_a_layer_that_no_part_of_fits(coded, monkeypatch):
    model = open_model(coded).model
    one = dict(model.named_modules())[PLACES[0]]
    one.linear = layer(9, 16, 1024)
    with OPENED["golden"](CONFIG) as run, counted_layers(model, CONFIG, run), torch.no_grad(), \
            pytest.raises(InputError, match="heat_tiny cannot do a layer of the model"):
        one(torch.zeros(1, 1024))


def test_who_does_linear_layers(coded, tmp_path):
    model = open_model(coded).model
    assert has_linear(model, CONFIG)
    assert not has_linear(model, load_config("hdp_tiny"))
    assert not has_linear(model, load_config("leopard_tiny")) and not has_linear(model, None)
    assert not has_linear(open_model(tiny.make_model(tmp_path / "plain")).model, CONFIG)
