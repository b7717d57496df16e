# SPDX-License-Identifier: Apache-2.0
"""Tables in which heads and linear layers read what others of the table write."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.linear import LinearJob, encode_requant, gelu_table, linear
from prunus.golden.hdp.linear.compute import codes_of_heads
from prunus.golden.links import Link, linked_image
from prunus.golden.softmax import encode_scale
from prunus.heads import EXAMPLES
from prunus.sim.cases import Batch
from prunus.sim.compare import check
from prunus.sim.simulate import simulate_batches

CONFIG = load_config("heat_tiny")


def layer(rng, x, n, bits=8, **more) -> LinearJob:
    """A layer whose results fill the range of codes about."""
    k, low = x.shape[1], 8 if bits == 4 else 128
    w = np.clip(np.rint(rng.normal(0, low / 3, (n, k))), -low, low - 1).astype(int)
    spread = max(1.0, float(np.abs(x.astype(float) @ w.T).std()))
    multiplier, shift = encode_requant(np.full(n, 40 / spread))
    return LinearJob(x=x, w=w, bits=bits, bias=rng.integers(-int(spread), int(spread) + 1, n),
                     multiplier=multiplier, shift=shift, **more)


def block(rng, length: int, heads: int, d: int, hidden: int):
    """An encoder block but for its LayerNorms: projections, attention, output projection with the
    residual, and the layers behind it as a held chain. All of it is one table."""
    dims = heads * d
    x = rng.integers(-100, 101, (length, dims))
    planes = {"arrangement": "heads", "run": d}
    q, k = (layer(rng, x, dims, target="digits", **planes) for _ in range(2))
    v = layer(rng, x, dims, bits=4, **planes)
    jobs, links = [q, k, v], []
    parts = {name: linear(job).out.reshape(heads, length, d)
             for name, job in zip("qkv", jobs, strict=True)}
    for h in range(heads):
        links += [Link(len(jobs), name, n, h * length) for n, name in enumerate("qkv")]
        jobs.append(HdpJob(**{name: part[h] for name, part in parts.items()},
                           scale=encode_scale(1 / 40), rho=-20, drop=h % 2 == 1))
    words = np.stack([engine_of(CONFIG).compute(job, CONFIG).out for job in jobs[3:]])
    out = layer(rng, codes_of_heads(words), dims, heads=words, residual=x,
                residual_scale=(1 << 15, 16))
    links += [Link(len(jobs), "x", 3 + h, part=h * length) for h in range(heads)]
    jobs.append(out)
    middle = linear(out).out
    up = layer(rng, middle, hidden, bits=4, activation="table", table=gelu_table(0.05, 0.04),
               target="held", fence=True)
    links.append(Link(len(jobs), "x", len(jobs) - 1))
    jobs.append(up)
    jobs.append(layer(rng, linear(up).y, dims, held=True, residual=middle,
                      residual_scale=(1 << 15, 16)))
    links.append(Link(len(jobs) - 1, "r", len(jobs) - 3))
    return jobs, links


@pytest.mark.parametrize(("stall", "length", "heads", "d", "hidden"), [
    (0.0, 12, 2, 16, 64), (0.4, 9, 3, 32, 96), (0.0, 33, 1, 32, 32)])
def test_an_encoder_block_is_one_table(stall, length, heads, d, hidden):
    """Nothing of it but x, weights and the last Y is on the host: what lies between is not in the
    image, so who reads it too early reads what is wrong."""
    rng = np.random.default_rng(length)
    jobs, links = block(rng, length, heads, d, hidden)
    simulation, = simulate_batches([Batch(jobs, image=linked_image(jobs, links, CONFIG))], CONFIG,
                                   stall=stall, seed=length)
    check(simulation, jobs, CONFIG)
    assert np.abs(simulation.results[-1][0]).mean() > 10


def real_layer() -> tuple[LinearJob, np.ndarray, float]:
    """The output projection of a layer of MiniLM on a sentence, what the model says, and the unit
    of a code of Y."""
    with np.load(EXAMPLES / "minilm_layer.npz") as given:
        names = ("x", "w", "bias", "multiplier", "shift")
        return (LinearJob(**{name: given[name].astype(np.int64) for name in names}),
                given["y"], float(given["y_scale"]))


def test_a_real_layer_in_codes_is_close_to_the_model():
    """Codes of X and W are wrong by half a unit at most: 1.7% of the mean square of Y here."""
    job, y, unit = real_layer()
    error = linear(job).out * unit - y
    assert np.sqrt((error**2).mean() / (y**2).mean()) < 0.018
    assert not linear(job).clipped


@pytest.mark.large
@pytest.mark.parametrize(("bits", "use"), [(8, 0.92), (4, 0.91)])
def test_a_real_layer_on_rtl(bits, use):
    """Weights of 4 bits are those of 8, rounded."""
    config, (job, _, _) = load_config("hdp_edge"), real_layer()
    if bits == 4:
        job = replace(job, bits=4, w=np.clip((job.w + 8) >> 4, -8, 7), bias=job.bias >> 4,
                      shift=job.shift - 4)
    simulation, = simulate_batches([[job]], config)
    result, = check(simulation, [job], config)
    bound = engine_of(config).bound_cycles([job], [result], config)
    assert bound / simulation.registers["cycles"] >= use
