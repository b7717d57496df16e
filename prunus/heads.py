# SPDX-License-Identifier: Apache-2.0
"""Heads of attention in .npz files: read and check what does not depend on the engine.

The contract of the files stands in docs/cli.md.
"""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prunus.golden import softmax
from prunus.golden.engine import EngineConfig

from .errors import InputError

__all__ = ["EXAMPLES", "attention_fields", "bools_per_head", "example_heads", "integers_per_head",
           "names_per_head", "read_arrays", "read_named", "real_per_head", "real_scale",
           "real_scales"]

EXAMPLES = Path(__file__).parent / "examples"      # what comes with the project
KNOWN = ("q", "k", "v", "scale", "valid_q", "valid_kv", "causal")
UNREADABLE = (ValueError, EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError,
              zipfile.BadZipFile, zlib.error)


def example_heads() -> list[Path]:
    """Files of heads that come with the project; others beside them are of linear layers."""
    return [path for path in sorted(EXAMPLES.glob("*.npz")) if "q" in read_named(path, ("q",))]


def read_arrays(path: Path, *more: str) -> dict[str, np.ndarray]:
    """The arrays of the file that every engine knows, and ``more`` of one of them; others are not
    even looked at."""
    return read_named(path, (*KNOWN, *more))


def read_named(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of a file that are wanted, as far as they are there. Raises InputError."""
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"input {str(path)!r} must be an .npz archive, and is a single "
                                 f"array")
            names = [name for name in wanted if name in archive.files]
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
    except MemoryError:
        raise InputError(f"{name} in {str(path)!r} takes more memory than there is") from None
    except UNREADABLE as err:
        pickled = "pickle" in str(err)
        reason = "it holds Python objects" if pickled else "its bytes are damaged"
        raise InputError(f"{name} in {str(path)!r} must be a plain array: "
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
    codes = config.codes_of(name)
    _check_range(name, array, codes.min_code, codes.max_code, f" ({config.limits_of(name)})")
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
    """The scale of the logits, one for all heads, checked."""
    if "scale" in arrays:
        _scalar("scale", arrays["scale"], "fiu", "one number")
    return float(real_scales(arrays, 1)[0])


def real_scales(arrays: dict, heads: int) -> np.ndarray:
    """The scale of the logits of each head, checked."""
    if "scale" not in arrays:
        raise InputError("scale is missing, the input needs q, k, v and scale")
    scales = real_per_head("scale", arrays["scale"], heads)
    for scale in scales:
        if not softmax.SCALE_MIN <= scale <= softmax.SCALE_MAX:
            raise InputError(f"scale must lie in {softmax.SCALES}, not {scale}")
    return scales


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


def integers_per_head(arrays: dict, name: str, heads: int, default: int, low: int,
                      high: int) -> list[int]:
    """One int for each head, of the file or the default."""
    array = _per_head(name, arrays.get(name, np.array(default)), heads)
    _check_integers(name, array)
    _check_range(name, array, low, high)
    return [int(x) for x in array]


def bools_per_head(arrays: dict, name: str, heads: int) -> list[bool]:
    """One bool for each head, False where the file says nothing."""
    array = _per_head(name, arrays.get(name, np.array(False)), heads)
    if array.dtype.kind not in "biu" or not np.isin(array, (0, 1)).all():
        raise InputError(f"{name} must be bools, 0 or 1, not {array.dtype} such as "
                         f"{array.ravel()[0]}")
    return array.astype(bool).tolist()


def real_per_head(name: str, array: np.ndarray, heads: int) -> np.ndarray:
    """One float64 for each head."""
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} must have a real dtype, not {array.dtype}")
    with np.errstate(over="ignore"):        # of longer floats: beyond float64 is inf
        return _per_head(name, array, heads).astype(np.float64)


def names_per_head(arrays: dict, name: str, heads: int, default: str,
                   allowed: Sequence[str]) -> list[str]:
    """One of the allowed names for each head, of the file or the default."""
    array = arrays.get(name, np.array(default))
    if array.dtype.kind != "U":
        raise InputError(f"{name} must have a text dtype, not {array.dtype}")
    for value in (array := _per_head(name, array, heads)):
        if value not in allowed:
            raise InputError(f"{name} must be {' or '.join(allowed)}, not {str(value)!r}")
    return [str(value) for value in array]


def attention_fields(arrays: dict, config: EngineConfig) -> list[dict]:
    """Of each head, the fields of a job that do not depend on the engine."""
    q, k, v = _operands(arrays, config)
    heads, l_q, l_kv = q.shape[0], q.shape[1], k.shape[1]
    scale = [softmax.encode_scale(float(one)) for one in real_scales(arrays, heads)]
    causal = _causal(arrays)
    valid_q = integers_per_head(arrays, "valid_q", heads, l_q, 0, l_q)
    valid_kv = integers_per_head(arrays, "valid_kv", heads, l_kv, 0, l_kv)
    group = heads // k.shape[0]
    return [{"q": q[h], "k": k[h // group], "v": v[h // group], "scale": scale[h],
             "valid_q": valid_q[h], "valid_kv": valid_kv[h], "causal": causal,
             "same_kv": h % group != 0} for h in range(heads)]
