# SPDX-License-Identifier: Apache-2.0
"""The heads that a bench runs: real ones, and made ones that each ask one question."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.hdp.compute import (
    HdpJob,
    Importance,
    encode_rho,
    head,
    least_deltas,
    magnitude_mask,
)
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import encode_scale

from ..engines.hdp import DEFAULT_RHO, Options, load_jobs
from ..errors import InputError
from ..heads import example_heads
from .linear import LinearCase
from .linear import made as made_layers

__all__ = ["KEPT", "LENGTHS", "Case", "Suite", "choose", "data_files", "dense", "made_head",
           "nothing_fits", "suite"]

KEPT = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
LENGTHS = (8, 16, 25, 50, 65, 100)
HEADS, LENGTH = 8, 128
QUICK_KEPT, QUICK_LENGTHS, QUICK_HEADS, QUICK_LENGTH = (0.1, 0.5), (8, 25), 2, 32
TILED = 4, 8               # lengths of heads in tiles, in tiles
SPREAD = 1.3               # standard deviation of Q and K, about that of real heads
RHOS = range(-127, 128)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """Heads for one doorbell, all of one shape.

    Members
    -------
    name : str
        ``group/...``.
    jobs : list of HdpJob
    """

    name: str
    jobs: list[HdpJob]

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Suite:
    """What a bench runs.

    Members
    -------
    cases : list of Case or LinearCase
    left_out : list of (str, str)
        Cases that the configuration cannot run, and why.
    """

    cases: list[Case | LinearCase]
    left_out: list[tuple[str, str]]


def dense(job: HdpJob) -> HdpJob:
    """The same head without pruning."""
    return replace(job, dense=True, exact=False, drop=False, rho=0, delta=0, tau_head=0,
                   importance=Importance.MAGNITUDE)


# -- made heads -----------------------------------------------------------------------------------
def _generator(name: str) -> np.random.Generator:
    """Always the same for a case, whatever else is run."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _job(rng, config: HdpConfig, l_q: int, l_kv: int, d: int, **fields) -> HdpJob:
    """A head of normally distributed codes."""
    one = 1 << config.frac
    q, k, v = (config.codes_of(name).quantise(rng.normal(0, SPREAD * one, (rows, d)), 1.0)
               for name, rows in (("q", l_q), ("k", l_kv), ("v", l_kv)))
    return HdpJob(**{"q": q, "k": k, "v": v, "rho": encode_rho(DEFAULT_RHO),
                  "scale": encode_scale(1 / (d**0.5 * one**2)), **fields})


def made_head(name: str, config: HdpConfig, l_q: int, l_kv: int, d: int) -> HdpJob:
    """The head that a case of this name would have in another shape."""
    return _job(_generator(name), config, l_q, l_kv, d)


def _with_kept(job: HdpJob, kept: float, rng, config: HdpConfig) -> HdpJob:
    """The job with the rho that keeps nearest to a fraction of its blocks.

    No rho keeps all blocks of a row whose theta differ, as the least lies below their mean: to
    keep all, the rows of Q and of K are one row each, with signs.
    """
    if kept == 1:
        signs = [rng.choice([-1, 1], (rows, 1)) for rows in (job.l_q, job.l_kv)]
        return replace(job, q=signs[0] * job.q[:1], k=signs[1] * job.k[:1])
    theta = head(job, config).theta
    visible = np.ones(theta.shape, bool)
    misses = [abs(magnitude_mask(theta, visible, rho).mean() - kept) for rho in RHOS]
    return replace(job, rho=RHOS[int(np.argmin(misses))])


def _within(job: HdpJob, kept: float, rng, config: HdpConfig) -> HdpJob:
    """The job with the delta that keeps nearest to a fraction of its blocks."""
    least = np.sort(least_deltas(job, config), axis=None)
    deltas, counts = np.unique(least, return_counts=True)
    near = int(np.argmin(abs(counts.cumsum() / least.size - kept)))
    return replace(job, importance=Importance.DISTANCE, delta=int(deltas[near]))


Chooser = Callable[[HdpJob, float, np.random.Generator, HdpConfig], HdpJob]
CHOOSERS: dict[str, Chooser] = {"kept": _with_kept, "distance": _within}


def _kept_case(name: str, config: HdpConfig, heads: int, length: int, d: int, kept: float,
               chooser: Chooser) -> Case:
    rng = _generator(f"kept/d{d}/{kept:g}")     # the same heads, whatever chooses their blocks
    jobs = [_job(rng, config, length, length, d) for _ in range(heads)]
    return Case(name=name, jobs=[chooser(job, kept, rng, config) for job in jobs])


def _pruned_heads(name: str, config: HdpConfig, heads: int, length: int, d: int) -> Case:
    """Heads of which the less important half is pruned."""
    rng = _generator(name)
    jobs = [_job(rng, config, length, length, d) for _ in range(heads)]
    tau = sorted(head(job, config).theta_head for job in jobs)[heads // 2]
    return Case(name=name, jobs=[replace(job, tau_head=tau) for job in jobs])


def _mode_job(mode: str, rng, config: HdpConfig, length: int, d: int) -> HdpJob:
    """A head that shows a mode."""
    l_q = {"cross": length // 2, "decode": 1}.get(mode, length)
    job = _job(rng, config, l_q, length, d, causal=mode == "causal")
    if mode == "padded":
        valid = int(rng.integers(length // 2, length + 1))
        return replace(job, valid_q=valid, valid_kv=valid)
    return job


MODES = ("causal", "cross", "decode", "padded")


def _made(config: HdpConfig, quick: bool) -> dict[str, Callable[[], Case] | str]:
    """Made cases by name; a text in place of a case says why there is none."""
    heads = QUICK_HEADS if quick else HEADS
    length = min(QUICK_LENGTH if quick else LENGTH, config.l_max)
    dims = [d for d in (32, 64) if d <= config.d_max] or [config.d_max]
    made: dict[str, Callable[[], Case] | str] = {}
    for d in dims[:1] if quick else dims:
        for group, chooser in CHOOSERS.items():
            for kept in QUICK_KEPT if quick else KEPT:
                name = f"{group}/d{d}/{kept:g}"
                made[name] = partial(_kept_case, name, config, heads, length, d, kept, chooser)
    d = dims[-1]

    def alike(name: str, job: Callable[[np.random.Generator], HdpJob]) -> Callable[[], Case]:
        rng = _generator(name)
        return lambda: Case(name=name, jobs=[job(rng) for _ in range(heads)])

    for rows in QUICK_LENGTHS if quick else LENGTHS:
        name = f"length/{rows}"
        made[name] = (f"l must be at most {config.l_max}" if rows > config.l_max else
                      alike(name, partial(_job, config=config, l_q=rows, l_kv=rows, d=d)))
    made["mode/heads"] = lambda: _pruned_heads("mode/heads", config, heads, length, d)
    for mode in MODES:
        name = f"mode/{mode}"
        made[name] = alike(name, partial(_mode_job, mode, config=config, length=length, d=d))
    if config.tile and not quick:
        made |= _long(config, config.tile, d)
    return made


def _long(config: HdpConfig, tile: int, d: int) -> dict[str, Callable[[], Case] | str]:
    """Heads in tiles, one of each kind; the longest, of few dimensions, must be asked for."""
    most = config.l_max
    lengths = sorted({min(tiles * tile, most) for tiles in TILED})
    shapes = {f"long/{rows}": (rows, rows, False) for rows in lengths}
    shapes |= {"long/causal": (lengths[-1], lengths[-1], True), "long/decode": (1, most, False),
               "long/cross": (tile, most, False),
               "longest/causal": (most, most, True), "longest/self": (most, most, False)}

    def case(name: str, l_q: int, l_kv: int, causal: bool) -> Case:
        return Case(name=name, jobs=[_job(
            _generator(name), config, l_q, l_kv, 8 if name.startswith("longest") else d,
            causal=causal)])

    return {name: partial(case, name, *shape) for name, shape in shapes.items()}


# -- real heads -----------------------------------------------------------------------------------
def data_files(data: Sequence[Path]) -> list[Path]:
    """The .npz files that --data names."""
    files: list[Path] = []
    for path in data:
        found = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not found:
            raise InputError(f"data {str(path)!r} must be .npz files or directories of them, and "
                             "holds none")
        files += found
    names = [path.stem for path in files]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"data must be files of different names, not {name!r} twice")
    return files


def _real(name: str, path: Path, config: HdpConfig, quick: bool) -> Case:
    try:
        jobs = load_jobs(path, config, Options())
    except InputError as err:
        raise InputError(f"{path.name}: {err}") from None
    return Case(name=name, jobs=jobs[:QUICK_HEADS] if quick else jobs)


# -- all together ---------------------------------------------------------------------------------
def choose(names: Sequence[str], wanted: str | None) -> list[str]:
    """Names that one of the comma-separated patterns occurs in, all without a filter."""
    if wanted is None:
        return list(names)
    patterns = [pattern.strip() for pattern in wanted.split(",") if pattern.strip()]
    chosen = [name for name in names
              if any(fnmatchcase(name, f"*{pattern}*") for pattern in patterns)]
    if not chosen:
        raise InputError(f"cases must occur in one of {', '.join(names)}, not {wanted!r}")
    return chosen


def nothing_fits(config: EngineConfig, why: str = "") -> InputError:
    """The error when no case is left for a configuration."""
    return InputError(f"{config.name} has no room for any of the cases{why}: give heads of d up to "
                      f"{config.d_max} and l up to {config.l_max} with --data")


def suite(config: HdpConfig, *, data: Sequence[Path] = (), quick: bool = False,
          wanted: str | None = None) -> Suite:
    """The cases of a bench.

    Parameters
    ----------
    config : HdpConfig
    data : sequence of Path
        Files of real heads beside the examples, or directories of them.
    quick : bool
        Fewer, shorter cases of fewer heads.
    wanted : str or None
        Comma-separated patterns, of which one must occur in a case's name.

    Raises
    ------
    InputError
        When a file of ``data`` does not fit or cannot be read, or no case is wanted.
    """
    real = {f"example/{path.stem}": path for path in example_heads()}
    given = {f"data/{path.stem}": path for path in data_files(data)}
    made: dict[str, Callable[[], Case | LinearCase] | str] = {
        **_made(config, quick), **made_layers(config, quick)}
    cases: list[Case | LinearCase] = []
    left_out: list[tuple[str, str]] = []
    for name in choose([*real, *given, *made], wanted):
        if name.startswith("longest/") and wanted is None:
            left_out.append((name, "takes half an hour: name it to run it"))
        elif name in given:
            cases.append(_real(name, given[name], config, quick))
        elif name in made:
            case = made[name]
            if isinstance(case, str):
                left_out.append((name, case))
            else:
                cases.append(case())
        else:
            try:
                cases.append(_real(name, real[name], config, quick))
            except InputError as err:
                left_out.append((name, str(err)))
    if not cases:
        raise nothing_fits(config, " ({})".format(
            ", ".join(f"{name}: {why}" for name, why in left_out)))
    return Suite(cases=cases, left_out=left_out)
