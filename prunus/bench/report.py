# SPDX-License-Identifier: Apache-2.0
"""A bench as a table, as Markdown and as JSON."""

from collections.abc import Sequence

from prunus.golden.hdp import OCCUPANCY
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.registers import constants

from . import linear
from .cases import Suite
from .columns import Column, length_column, plain, shown
from .suite import Part

__all__ = ["MODEL_ERROR", "Column", "brief", "columns", "document", "markdown", "parts", "summary"]

MODEL_ERROR = 0.05         # of the model of cycles; more is marked

NOTES = """\
Every figure is read from counters of the simulated RTL or follows from the specification; both runs
of a case are on the same hardware, and every output word and status record equals the
specification's.

- **kappa**: blocks that the masks keep, of all visible ones.
- **cycles**: from the doorbell to the last write response, all heads together. **bound**: every
  multiplier busy in every cycle (`golden/hdp/bounds.py`); of two arrays, of the busier one.
  **use**: bound / cycles. **bus**: beats that
  the busier direction of the bus needs at least; where they are more than the bound, they are the
  limit. **over / head**: cycles beyond the bound, per head.
- **model**: cycles that `golden/hdp/timing/cycles.py` predicts without the RTL.
  **model error**: over what the
  RTL takes, marked with **!** beyond 5%.
- **\\*_slots**: cycles in which the array ran that phase. **idle_\\***: cycles in which it did not,
  by cause.
- **speed-up**: dense cycles / cycles. **work ratio**: the same of the bounds; 8 / (1 + 6 kappa)
  where every head is kept and sees every key. **share**: speed-up / work ratio.
- **cost**: cycles x multipliers (of both arrays, if P.V has its own) / (2 l_q l_kv d) per head;
  1 is a dense engine that keeps every
  multiplier busy, and about what ITA, the best open one, takes. **dense**: the same hardware
  without pruning.
"""


LINEAR_NOTES = """\
Linear layers, of made codes:

- **steps**: rows x dimensions -> channels of each job. A chain holds what lies between its jobs on
  the chip; *unfused* it is written, and read again behind a fence. **tt**: a tensor train of three
  cores, with views between them. **grouped**: two block-diagonal steps, as butterfly factors are.
- **bound**: every multiplier busy in every cycle, with one product of 8 x 8 bits or two of 8 x 4
  (`golden/hdp/linear/cost.py`). **bus**: beats of its busier direction. **limit** is the greater
  of both, **use** its share of the cycles, **array use** that of the bound.
- **model**: `golden/hdp/linear/timing.py`.
"""


def _error(title: str, key: str) -> Column:
    """A column of the model's errors."""
    return Column(title, lambda row: f"{row[key]:+.1%}" + (
        " !" if abs(row[key]) > MODEL_ERROR else ""))


def _counters() -> list[Column]:
    """A column for each counter of what the array does and does not."""
    def counter(name: str) -> Column:
        return Column(name, lambda row: shown(row["counters"][name], ","))

    return [counter(name) for name in OCCUPANCY]


def brief() -> list[Column]:
    """What fits on a terminal."""
    return [
        plain("case", "case", ""), plain("heads", "heads"), length_column(),
        plain("d", "d"), plain("kappa", "kappa", ".3f"), plain("cycles", "cycles"),
        plain("bound", "bound"), plain("use", "utilisation", ".1%"),
        plain("speed-up", "speedup", ".2f"), plain("work ratio", "work_ratio", ".2f"),
        plain("share", "share_of_work_ratio", ".1%"), plain("cost", "normalised_cost", ".3f"),
    ]


def columns() -> list[Column]:
    """All columns."""
    shape, kappa, clock = brief()[:4], brief()[4], brief()[5:8]
    return [
        *shape, kappa, plain("pruned", "heads_pruned"), *clock, plain("bus", "bus_bound"),
        plain("cycles / head", "cycles_per_head", ",.0f"),
        plain("over / head", "over_bound_per_head", ",.0f"),
        plain("model", "model_cycles"), _error("model error", "model_error"), *_counters(),
        plain("dense cycles", "dense_cycles"), plain("dense use", "dense_utilisation", ".1%"),
        plain("dense model", "dense_model_cycles"),
        _error("dense model error", "dense_model_error"),
        *brief()[8:11], plain("bytes read", "read_bytes"),
        plain("dense bytes read", "dense_read_bytes"), brief()[11],
        plain("dense cost", "dense_normalised_cost", ".3f"),
    ]


def parts(rows: Sequence[dict]) -> list[Part]:
    """Tables of heads and of linear layers, of which there are rows."""
    layers = [row for row in rows if linear.is_linear(row)]
    heads = [row for row in rows if not linear.is_linear(row)]
    both = (Part(rows=heads, columns=columns(), brief=brief()),
            Part(rows=layers, columns=linear.columns(_error), brief=linear.brief()))
    return [part for part in both if part.rows]


def document(rows: Sequence[dict], simulation: dict, suite: Suite, config: HdpConfig,
             command: str) -> dict:
    """All figures, ready for JSON."""
    return {
        "command": command, "config": config.name, "parameters": config.model_dump(
            exclude={"name"}),
        "multipliers": constants(config)["multipliers"],
        "simulation": simulation,
        "left_out": dict(suite.left_out),
        "cases": [row for row in rows if not linear.is_linear(row)],
        "linear": [row for row in rows if linear.is_linear(row)],
    }


def summary(result: dict) -> list[str]:
    """What was simulated and what was not, in lines."""
    run, rows = result["simulation"], [*result["cases"], *result.get("linear", [])]
    lines = [f"{len(rows)} cases on {result['config']}, {result['multipliers']} "
             f"multipliers: {run['cycles']:,} cycles simulated in {run['sim_s']:.1f} s, "
             f"{run['cycles_per_s']:,.0f} cycles per second, the simulator built or found in "
             f"{run['build_s']:.1f} s"]
    lines += [f"the model of cycles is off by {row[key]:+.1%}: {row['case']}{mode}"
              for row in rows
              for key, mode in (("model_error", ""), ("dense_model_error", ", dense"))
              if abs(row.get(key, 0)) > MODEL_ERROR]
    return lines + [f"left out: {name}, {why}" for name, why in result["left_out"].items()]


def markdown(result: dict, plots: Sequence[str] = ()) -> str:
    """The tables and what they mean, with links to ``plots``."""
    lines = [f"# Bench of {result['config']}", "", f"    {result['command']}", "",
             *(f"{line}\n" for line in summary(result)),
             *(f"![Speed-up over dense]({name})\n" for name in plots if result["cases"])]
    for part in parts([*result["cases"], *result.get("linear", [])]):
        lines += ["| " + " | ".join(column.title for column in part.columns) + " |",
                  "|---" * len(part.columns) + "|"]
        lines += ["| " + " | ".join(column.text(row) for column in part.columns) + " |"
                  for row in part.rows]
        lines += ["", LINEAR_NOTES if linear.is_linear(part.rows[0]) else NOTES]
    return "\n".join(lines)
