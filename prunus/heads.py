# SPDX-License-Identifier: Apache-2.0
"""Heads of attention in .npz files: read and check them, and write what came out of HDP.

The contract of the files stands in docs/cli.md.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden import softmax
from golden.engine import EngineConfig
from golden.hdp.compute import HdpJob, HdpResult, encode_rho
from golden.hdp.config import HdpConfig
from golden.hdp.planes import HdpStatus

from .errors import InputError
from .files import write_files

__all__ = ["DEFAULT_RHO", "Options", "attention_fields", "load_jobs", "read_arrays",
           "real_per_head", "real_scale", "save_results"]

DEFAULT_RHO = 25 / 128
TAU_MAX = 2**32 - 1
KNOWN = ("q", "k", "v", "scale", "valid_q", "valid_kv", "causal", "rho", "tau_head",
         "threshold")
UNREADABLE = (ValueError, EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError,
              zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says about pruning; None leaves it to the file or the default."""

    rho: float | None = None
    tau_head: int | None = None
    drop: bool = False
    exact: bool = False
    dense: bool = False


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file that the contract knows; others are not even looked at."""
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"input {str(path)!r} must be an .npz archive, and is a single "
                                 f"array")
            names = [name for name in KNOWN if name in archive.files]
            return {name: _read_array(archive, name, path) for name in names}
    except OSError as err:
        raise InputError(f"input {str(path)!r} cannot be read: {err.strerror or err}") from None
    except InputError:
        raise
    except UNREADABLE:
        raise InputError(f"input {str(path)!r} must be an .npz archive of NumPy, and is "
                         f"none") from None


def _read_array(archive, name: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(archive[name])
    except OSError:
        raise
    except UNREADABLE as err:
        pickled = "pickle" in str(err)
        reason = "it holds Python objects" if pickled else "its bytes are damaged"
        raise InputError(f"{name} in {str(path)!r} must be a plain numeric array: "
                         f"{reason}") from None


def _check_integers(name: str, array: np.ndarray) -> None:
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} must have an integer dtype, not {array.dtype}")


def _check_range(name: str, array: np.ndarray, low: int, high: int, note: str = "") -> None:
    for value in (int(array.min()), int(array.max())):
        if not low <= value <= high:
            raise InputError(f"{name} must lie in {low}..{high}{note}, not {value}")


def _operand(arrays: dict, name: str, config: EngineConfig) -> np.ndarray:
    if name not in arrays:
        raise InputError(f"{name} is missing, the input needs q, k, v and scale")
    array = arrays[name]
    _check_integers(name, array)
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(f"{name} must have shape (heads, l, d) with no size 0, not {array.shape}")
    _, rows, d = array.shape
    if d % 8 or d > config.d_max:
        raise InputError(f"{name} must have a d that is a multiple of 8 up to {config.d_max} "
                         f"({config.name}), not {d}")
    if rows > config.l_max:
        raise InputError(f"{name} must have at most {config.l_max} rows ({config.name}), "
                         f"not {rows}")
    _check_range(name, array, config.min_code, config.max_code,
                 f" (codes of {config.width} bits)")
    return array.astype(np.int64)


def _operands(arrays: dict, config: EngineConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    q, k, v = (_operand(arrays, name, config) for name in ("q", "k", "v"))
    if k.shape != v.shape:
        raise InputError(f"k and v must have the same shape, not {k.shape} and {v.shape}")
    if q.shape[2] != k.shape[2]:
        raise InputError(f"q and k must have the same d, not {q.shape} and {k.shape}")
    if q.shape[0] % k.shape[0]:
        raise InputError(f"q must have a whole number of times the heads of k (grouped queries), "
                         f"not {q.shape[0]} and {k.shape[0]}")
    return q, k, v


def _scalar(name: str, array: np.ndarray, kinds: str, what: str):
    if array.shape != () or array.dtype.kind not in kinds:
        raise InputError(f"{name} must be {what}, not {array.dtype} of shape {array.shape}")
    return array.item()


def real_scale(arrays: dict) -> float:
    """The scale of the logits, checked."""
    if "scale" not in arrays:
        raise InputError("scale is missing, the input needs q, k, v and scale")
    scale = float(_scalar("scale", arrays["scale"], "fiu", "one number"))
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"scale must be finite and positive, not {scale}")
    return scale


def _causal(arrays: dict) -> bool:
    value = _scalar("causal", arrays.get("causal", np.array(False)), "biu", "one bool")
    if value not in (0, 1):
        raise InputError(f"causal must be a bool, 0 or 1, not {value}")
    return bool(value)


def _per_head(name: str, array: np.ndarray, heads: int) -> np.ndarray:
    """One value for each head, of a scalar or of as many."""
    if array.shape not in ((), (heads,)):
        raise InputError(f"{name} must be a scalar or have shape ({heads},), one for each head, "
                         f"not {array.shape}")
    return np.broadcast_to(array, heads)


def _integers(arrays: dict, name: str, heads: int, default: int, high: int) -> list[int]:
    array = _per_head(name, arrays.get(name, np.array(default)), heads)
    _check_integers(name, array)
    _check_range(name, array, 0, high)
    return [int(x) for x in array]


def real_per_head(name: str, array: np.ndarray, heads: int) -> np.ndarray:
    """One float64 for each head."""
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} must have a real dtype, not {array.dtype}")
    return _per_head(name, array, heads).astype(np.float64)


def _rho(arrays: dict, heads: int, option: float | None) -> list[int]:
    array = arrays.get("rho", np.array(DEFAULT_RHO)) if option is None else np.array(option)
    array = real_per_head("rho", array, heads)
    for value in array:
        if not -1 < value < 1:
            raise InputError(f"rho must lie in (-1, 1), not {value}")
    return [encode_rho(float(value)) for value in array]


def attention_fields(arrays: dict, config: EngineConfig) -> list[dict]:
    """Of each head, the fields of a job that do not depend on the engine."""
    q, k, v = _operands(arrays, config)
    heads, l_q, l_kv = q.shape[0], q.shape[1], k.shape[1]
    scale, causal = softmax.encode_scale(real_scale(arrays)), _causal(arrays)
    valid_q = _integers(arrays, "valid_q", heads, l_q, l_q)
    valid_kv = _integers(arrays, "valid_kv", heads, l_kv, l_kv)
    group = heads // k.shape[0]
    return [{"q": q[h], "k": k[h // group], "v": v[h // group], "scale": scale,
             "valid_q": valid_q[h], "valid_kv": valid_kv[h], "causal": causal,
             "same_kv": h % group != 0} for h in range(heads)]


def load_jobs(path: Path, config: HdpConfig, options: Options) -> list[HdpJob]:
    """The heads of a file, one job each.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    arrays = read_arrays(path)
    if options.tau_head is not None:
        if not 0 <= options.tau_head <= TAU_MAX:
            raise InputError(f"tau_head must lie in 0..{TAU_MAX}, not {options.tau_head}")
        arrays["tau_head"] = np.array(options.tau_head)
    heads = attention_fields(arrays, config)
    tau_head = _integers(arrays, "tau_head", len(heads), 0, TAU_MAX)
    rho = _rho(arrays, len(heads), options.rho)
    return [HdpJob(**fields, rho=rho[h], tau_head=tau_head[h], drop=options.drop,
                   exact=options.exact, dense=options.dense) for h, fields in enumerate(heads)]


def save_results(path: Path, outputs: Sequence[tuple[np.ndarray, HdpStatus]], config: HdpConfig, *,
                 cycles: int | None = None, trace: Sequence[HdpResult] | None = None) -> None:
    """Write the outputs and status of all heads, with the trace of the golden model if given."""
    arrays = {
        "out": np.stack([out for out, _ in outputs]).astype(np.int32),
        "out_frac": np.int64(config.out_frac),
        "head_kept": np.array([status.head_kept for _, status in outputs], bool),
    }
    for name in ("theta_head", "blocks_kept", "blocks_total"):
        arrays[name] = np.array([getattr(status, name) for _, status in outputs], np.int64)
    if cycles is not None:
        arrays["cycles"] = np.int64(cycles)
    for name in ("theta", "mask", "scores") if trace else ():
        arrays[name] = np.stack([getattr(result, name) for result in trace])
    # Given a file rather than a name, savez does not append .npz.
    write_files({path: lambda file: np.savez(file, **arrays)})
