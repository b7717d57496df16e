# SPDX-License-Identifier: Apache-2.0
"""Points that ``prunus evaluate --json`` has written into files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError

__all__ = ["Record", "joined", "read_evaluations"]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Real = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """One evaluation; what a page has no use for is not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str
    task: str
    method: str
    parameters: dict[str, Any]
    n: Annotated[int, Field(ge=1)]
    metric: Literal["accuracy", "mcc", "perplexity"]
    value: Real
    low: Real
    high: Real
    blocks_pruned: Share
    scores_pruned: Share
    heads_pruned: Share


def read_evaluations(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The records of files, of which each line has one.

    Raises
    ------
    InputError
        With the file, the field, its value and what is allowed.
    """
    found = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            reason = getattr(err, "strerror", None) or "not UTF-8 text"
            raise InputError(f"evaluation {str(path)!r} cannot be read: {reason}") from None
        lines = [line for line in lines if line.strip()]
        if not lines:
            raise InputError(f"evaluation {str(path)!r} must hold what prunus evaluate --json "
                             "prints, and is empty")
        for line in lines:
            try:
                found.append(Record.model_validate_json(line).model_dump())
            except ValidationError as err:
                first = err.errors()[0]
                field = ".".join(str(part) for part in first["loc"])
                got = f", not {first['input']!r}" if field and first["type"] != "missing" else ""
                raise InputError(f"evaluation {str(path)!r} must hold what prunus evaluate --json "
                                 f"prints: {field + ': ' if field else ''}{first['msg']}"
                                 f"{got}") from None
    return found


def joined(own: Sequence[dict[str, Any]], read: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """All points of a curve, each with the ``series`` that it belongs to; None without any.

    ``own`` have theirs. Raises InputError where metrics differ.
    """
    records = [*own, *({**record, "series": f"{record['method']} ({record['model']}, "
                                            f"{record['task']})"} for record in read)]
    if not records:
        return None
    metric = records[0]["metric"]
    for record in records:
        if record["metric"] != metric:
            raise InputError(f"evaluations of one page must have one metric, not {metric} and "
                             f"{record['metric']}")
    return {"metric": metric, "records": records}
