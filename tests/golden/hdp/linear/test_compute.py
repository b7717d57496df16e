# SPDX-License-Identifier: Apache-2.0
"""Linear layers in integers, against loops in Python and against tensors."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from prunus.golden.hdp.linear import LinearJob, linear

RNG = np.random.default_rng


def draw(rng, rows=3, k=8, span=8, groups=1, bits=8, **more) -> LinearJob:
    n, low = span * groups, -8 if bits == 4 else -128
    return LinearJob(**{
        "x": rng.integers(-128, 128, (rows, k * groups)), "w": rng.integers(low, -low, (n, k)),
        "bias": rng.integers(-2000, 2000, n), "multiplier": rng.integers(0, 1 << 16, n),
        "shift": rng.integers(14, 24, n), "bits": bits, "groups": groups, **more})


def rounded(value: Fraction) -> int:
    """To the nearest, half up."""
    return (2 * value + 1) // 2


def clip(value: int) -> int:
    return max(-128, min(127, value))


def by_loops(job: LinearJob) -> list[list[int]]:
    """The product's rows and channels, a result at a time."""
    rows = []
    for i in range(job.rows):
        row = []
        for j in range(job.channels):
            first = j // job.span * job.k
            t = sum(int(job.x[i, first + n]) * int(job.w[j, n]) for n in range(job.k))
            t += int(job.bias[j])
            c = clip(rounded(Fraction(t * int(job.multiplier[j]), 1 << int(job.shift[j]))))
            if job.activation == "relu":
                c = max(0, c)
            if job.activation == "table":
                c = int(job.table[c + 128])
            if job.residual is not None:
                by, shift = job.residual_scale
                c = clip(c + rounded(Fraction(int(job.residual[i, j]) * by, 1 << shift)))
            row.append(c)
        rows.append(row)
    return rows


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("activation", ["none", "relu", "table"])
@pytest.mark.parametrize("residual", [False, True])
def test_by_loops(bits, groups, activation, residual):
    rng = RNG([bits, groups, len(activation), residual])
    more = {"table": rng.integers(-128, 128, 256)} if activation == "table" else {}
    if residual:
        more |= {"residual": rng.integers(-128, 128, (3, 8 * groups)), "residual_scale": (300, 9)}
    for _ in range(5):
        job = draw(rng, groups=groups, bits=bits, activation=activation, **more)
        assert linear(job).out.tolist() == by_loops(job)


def test_rounding_and_clipping_at_their_ends():
    """A sum of 1, 2, 3 and so on times 1/2: half up on both sides; the shift may be any."""
    x = np.arange(-3, 4)[:, None] * np.ones(8, int) * [1] + 0
    w = np.zeros((8, 8), int)
    w[:, 0] = 1
    job = LinearJob(x=x, w=w, bias=np.zeros(8, int), multiplier=np.array([1] * 8),
                    shift=np.array([0, 1, 2, 3, 16, 48, 62, 63]))
    assert linear(job).out.T.tolist() == [
        [-3, -2, -1, 0, 1, 2, 3], [-1, -1, 0, 0, 1, 1, 2], [-1, 0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 0], *[[0] * 7] * 4]
    wide = replace(job, multiplier=np.full(8, 65535), bias=np.full(8, 1 << 20))
    result = linear(wide)
    assert set(result.out[:, 0]) == {127} and result.clipped == 7 * 8 - (wide.shift > 28).sum() * 7


def test_a_wide_output_is_the_sum():
    rng = RNG(5)
    job = draw(rng, k=16, target="wide")
    assert (linear(job).out == job.x @ job.w.T + job.bias).all()
    positive = np.minimum(np.abs(job.x), 127) | 1
    most = replace(job, bias=np.full(8, (1 << 31) - 1), x=positive, w=np.full((8, 16), 127))
    assert (linear(most).out == (1 << 31) - 1).all()
    least = replace(job, bias=np.full(8, -1 << 31), x=positive, w=np.full((8, 16), -128))
    assert (linear(least).out == -1 << 31).all()


@pytest.mark.parametrize(("arrangement", "text", "c"), [
    ("merge", "abpq->apbq", 1), ("split", "abcpq->acpbq", 2), ("split", "abcpq->acpbq", 1),
    ("heads", "apq->paq", 1)])
def test_views(arrangement, text, c):
    rng = RNG(7)
    a, b, p, q = 3, 1 if arrangement == "heads" else 4, 2, 16
    extents = {"a": a, "b": b, "c": c, "p": p, "q": q}
    before, after = text.split("->")
    plain = draw(rng, rows=a * b * c, span=p * q)
    job = replace(plain, arrangement=arrangement, inner=b, middle=c, run=q)
    y = linear(plain).y.reshape([extents[axis] for axis in before])
    assert (linear(job).y.ravel() == np.einsum(text, y).ravel()).all()
    dims = {"merge": p * b * q, "split": b * q, "heads": q}[arrangement]
    assert linear(job).y.shape == job.output_shape() == (plain.rows * p * q // dims, dims)


def ones(n: int) -> dict[str, np.ndarray]:
    """Scales that change nothing."""
    return {"bias": np.zeros(n, int), "multiplier": np.ones(n, int), "shift": np.zeros(n, int)}


def step(x, w, **more) -> LinearJob:
    return LinearJob(x=x, w=w, **ones(len(w)), **more)


def small(rng, *shape):
    """Codes such that no product of those below is clipped."""
    return rng.integers(-1, 2, shape) * (rng.random(shape) < 0.1)


def test_a_tensor_train_is_a_chain_of_views():
    """y[m, n1, n2, n3] of cores with ranks of 16, contracted from the last dimension of x on."""
    rng = RNG(11)
    m, ks, ns, r = 2, (2, 2, 8), (2, 3, 8), 16
    x = small(rng, m, *ks)
    g1, g2, g3 = (small(rng, *shape) for shape in (
        (ns[0], ks[0], r), (r, ns[1], ks[1], r), (r, ns[2], ks[2])))
    # G3: rows (m, k1, k2), channels (n3, r2); then X' (m, k1, n3 | k2, r2).
    first = step(x.reshape(-1, ks[2]), g3.transpose(1, 0, 2).reshape(-1, ks[2]), run=r,
                 inner=ks[1], arrangement="split", target="held")
    # G2: rows (m, k1, n3), channels (n2, r1); then (m, n3, n2 | k1, r1).
    second = step(linear(first).y, g2.transpose(1, 0, 2, 3).reshape(ns[1] * r, ks[1] * r), run=r,
                  inner=ks[0], middle=ns[2], arrangement="split", target="held", held=True)
    third = step(linear(second).y, g1.reshape(ns[0], -1).repeat(4, axis=0), held=True)
    y = linear(third).y.reshape(m, ns[2], ns[1], ns[0], 4)[..., 0]
    want = np.einsum("mijk,ain,npjo,oqk->mqpa", x, g1, g2.transpose(0, 1, 2, 3), g3)
    assert np.abs(want).max() < 128 and np.abs(want).sum() > 20
    assert (y == want).all()


def test_tucker_is_a_chain_of_five():
    """y[m, n1, n2] = U1 U2 core V1 V2 x, all modes of 16."""
    rng = RNG(12)
    d, m = 16, 2
    x = small(rng, m, d, d)
    v1, v2, u1, u2 = (np.eye(d, dtype=int)[rng.permutation(d)] for _ in range(4))
    core = small(rng, d, d, d, d)
    jobs = [step(x.reshape(m * d, d), v2, run=1, inner=d, arrangement="split", target="held")]
    # (m, s2 | s1) -> (m | s2 s1); (m | t1 t2) -> (m, t1 | t2); (m, t1 | n2) -> (m, n2 | t1);
    # (m, n2 | n1) -> (m | n1 n2).
    chain = [   # weights, view
        (v1, {"inner": d, "arrangement": "split"}),
        (core.transpose(0, 1, 3, 2).reshape(d * d, d * d), {"run": d, "arrangement": "split"}),
        (u2, {"run": 1, "inner": d, "arrangement": "split"}),
        (u1, {"run": 1, "inner": d})]
    for n, (w, view) in enumerate(chain):
        jobs.append(step(linear(jobs[-1]).y, w, held=True,
                         target="codes" if n == 3 else "held", **view))
    want = np.einsum("mij,ai,bj,cdab,ec,fd->mef", x, v1, v2, core, u1, u2)
    assert np.abs(want).max() < 128 and np.abs(want).sum() > 20
    assert (linear(jobs[-1]).out == want.reshape(m, -1)).all()


def test_butterflies_are_groups():
    """Two stages of blocks of 16 at strides 1 and 16: every input reaches every output."""
    rng = RNG(13)
    m, d = 2, 16
    x = small(rng, m, d, d)
    near, far = small(rng, d, d, d), small(rng, d, d, d)    # block, output, input
    first = step(x.reshape(m, -1), near.reshape(d * d, d), groups=d, run=d, target="held")
    y = linear(first).y.reshape(m, d, d)
    assert (y == np.einsum("mbi,boi->mbo", x, near)).all()
    # The second stage wants what lies 16 apart side by side: inputs in another order.
    second = step(y.transpose(0, 2, 1).reshape(m, -1), far.reshape(d * d, d), groups=d)
    want = np.einsum("mbi,boi,opb->mop", x, near, far)
    assert (linear(second).out.reshape(m, d, d) == want).all() and np.abs(want).sum() > 5


@pytest.mark.parametrize(("change", "text"), [
    ({"bits": 5}, "bits must be 4 or 8"),
    ({"w": np.full((8, 8), 8), "bits": 4}, r"w must lie in -8..7"),
    ({"x": np.full((3, 8), 128)}, r"x must lie in -128..127"),
    ({"groups": 3}, "groups must divide"),
    ({"bias": np.zeros(7, int)}, "bias must be an array of shape"),
    ({"shift": np.full(8, 64)}, r"shift must lie in 0..63"),
    ({"multiplier": np.full(8, 1 << 16)}, r"multiplier must lie in 0..65535"),
    ({"activation": "gelu"}, "activation must be none, relu, table"),
    ({"activation": "table"}, "table must be an array of shape"),
    ({"table": np.zeros(256, int)}, "table must be None"),
    ({"target": "digits"}, "arrangement must be heads"),
    ({"inner": 2}, r"inner \* middle must divide 3"),
    ({"run": 3}, "run must divide 8"),
    ({"middle": 3}, "middle must be 1 unless split"),
    ({"target": "wide", "activation": "relu"}, "no activation"),
    ({"target": "held", "arrangement": "heads"}, "merge or split"),
    ({"residual": np.zeros((3, 7), int)}, "residual must be an array of shape"),
    ({"residual_scale": (1, 64)}, "residual shift must lie in"),
    ({"x": np.zeros((3, 16), int)}, "x must have 1 x 8 dimensions"),
])
def test_what_is_no_job(change, text):
    with pytest.raises(ValueError, match=text):
        replace(draw(RNG(1)), **change)
