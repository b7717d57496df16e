# SPDX-License-Identifier: Apache-2.0
"""Compressed layers: in floats, in codes as they learn, and as jobs of the specification."""

import numpy as np
import pytest

from prunus.compress.chain import Form, Step, View, apply
from tests.prunus.models.tiny import need_torch

torch = need_torch()

from prunus.compress.layers import CompressedLinear  # noqa: E402 - needs torch
from prunus.compress.quantise import quantise, watch  # noqa: E402
from prunus.models.coded import Coded, CodedLinear, host_codes  # noqa: E402


def svd(bits, n=24, k=32, rank=8):
    return Form("svd", n, k, (Step(rank, k, bits=bits), Step(n, rank, bits=bits)), rank=(rank,))


FORMS = {
    "dense8": Form("dense8", 24, 32, (Step(24, 32),)),
    "dense4": Form("dense4", 24, 32, (Step(24, 32, bits=4),)),
    "svd8": svd(8), "svd4": svd(4),
    # Fewer inputs and outputs than the chain has.
    "filled": Form("svd", 20, 27, (Step(8, 32, bits=4), Step(24, 8, bits=4))),
    "groups": Form("butterfly", 32, 32, (
        Step(8, 8, groups=4, bits=4, view=View(R=1)), Step(8, 8, groups=4))),
    # A tensor train of two cores: the last step's channels are a part of an output each.
    "ttm": Form("ttm", 32, 32, (
        Step(16, 4, bits=4, view=View(B=8, R=4, split=True)),
        Step(8, 32, view=View(B=4))), split=8),
}


def made(form, activation=None, seed=0, rounding="gptq"):
    """A layer of random weights with its units, and inputs for it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    # As small as factors are: outputs of about 1.
    layer = CompressedLinear(form, [draw(*step.shape) / (3 * step.k**0.5) for step in form.steps],
                             0.3 * draw(form.n), activation)
    with torch.no_grad():
        for bias in layer.biases:
            if bias.requires_grad:
                bias.copy_(0.3 * draw(*bias.shape))
    x = 3 * draw(5, 40, form.k) + 1
    seen = watch(torch.nn.ModuleList([layer]), lambda: layer(x))["0"]
    quantise(layer, seen, rounding=rounding)
    return layer, x


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("activation", [None, "gelu", "tanh"])
def test_learns_with_the_integers_of_the_jobs(name, activation):
    form = FORMS[name]
    if activation and not CompressedLinear.whole(form):
        with pytest.raises(ValueError, match="a channel for each output"):
            made(form, activation)
        return
    layer, x = made(form, activation)
    # Off the calibrated range too, where codes are clipped.
    x = torch.cat([x, 4 * x])
    with torch.no_grad():
        ours = layer(x)
        jobs = Coded(layer.coded())(x)
    assert ours.unique().numel() > 50
    np.testing.assert_array_equal(ours.numpy(), jobs.numpy())


def test_wide_sums_are_exact_too():
    form = Form("dense8", 8, 2048, (Step(8, 2048),))
    layer, x = made(form)
    with torch.no_grad():
        layer.weights[0].copy_(127 * layer._weight_units[0].expand(-1, 2048))
        ours, jobs = layer(x), Coded(layer.coded())(x)
    np.testing.assert_array_equal(ours.numpy(), jobs.numpy())


@pytest.mark.parametrize("name", FORMS)
def test_floats_are_those_of_the_chain(name):
    form = FORMS[name]
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(*step.shape, generator=generator) for step in form.steps]
    bias = torch.randn(form.n, generator=generator)
    x = torch.randn(7, form.k, generator=generator)
    want = apply(form, [w.numpy() for w in weights], x.numpy()) + bias.numpy()
    with torch.no_grad():
        np.testing.assert_allclose(CompressedLinear(form, weights, bias)(x).numpy(), want,
                                   rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["dense8", "svd8", "ttm"])
def test_codes_are_close_to_floats(name):
    layer, x = made(FORMS[name])
    with torch.no_grad():
        codes = layer(x)
        layer.units = None
        floats = layer(x)
    assert float((codes - floats).std() / floats.std()) < (0.02 if name != "ttm" else 0.15)


def test_gradients_are_those_of_floats_within_the_range():
    layer, x = made(svd(8), rounding="nearest")
    x = 0.3 * x.detach()

    def gradients():
        layer.zero_grad()
        given = x.clone().requires_grad_()
        (layer(given) * torch.arange(24.0)).sum().backward()
        return [given.grad, *(w.grad.clone() for w in layer.weights),
                *(b.grad.clone() for b in layer.biases)]

    codes = gradients()
    layer.units = None
    for one, other in zip(codes, gradients(), strict=True):
        assert float((one - other).norm() / other.norm()) < 0.05


def test_gptq_is_nearer_than_the_nearest():
    generator = torch.Generator().manual_seed(3)
    form = FORMS["dense4"]
    # Inputs that go along with each other: what one is wrong by, others can make up for.
    mixed = torch.randn(4, form.k, generator=generator)
    x = torch.randn(500, 4, generator=generator) @ mixed + 0.1 * torch.randn(
        500, form.k, generator=generator)
    weight = torch.randn(form.n, form.k, generator=generator)

    def error(rounding):
        layer = CompressedLinear(form, [weight], torch.zeros(form.n))
        with torch.no_grad():
            want = layer(x)
            seen = watch(torch.nn.ModuleList([layer]), lambda: layer(x))["0"]
            quantise(layer, seen, rounding=rounding)
            return float((layer(x) - want).pow(2).mean())

    assert error("gptq") < 0.5 * error("nearest")


def test_smooth_is_close_to_codes_and_continuous():
    layer, x = made(svd(4), "gelu")
    coded = Coded(layer.coded())
    y = coded(x)
    coded.smooth = True
    near, moved = coded(x), coded(x + 1e-5)
    assert float((near - y).std() / y.std()) < 0.05
    assert float((near - moved).abs().max()) < 1e-3


def test_files_hold_all_of_a_layer():
    layer, x = made(FORMS["filled"], "gelu")
    one = layer.coded()
    other = CodedLinear.of(one.plain(), one.arrays())
    np.testing.assert_array_equal(one(x.reshape(-1, 27).numpy()), other(x.reshape(-1, 27).numpy()))


def test_codes_of_the_host_round_halves_up():
    x = np.array([-0.75, -0.5, -0.25, 0.0, 0.25, 0.75, 1e9, -1e9], np.float32)
    assert host_codes(x, 0.5, 3).tolist() == [2, 2, 3, 3, 4, 5, 127, -128]


def test_nothing_learns_through_codes():
    layer, x = made(svd(4))
    coded = Coded(layer.coded())
    with pytest.raises(Exception, match="model must have weights to learn through"):
        coded(x.requires_grad_())
