"""The next study: ranges narrowed to the leading trials, and widened if the best trial is at an edge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hpsearch.analysis import words
from hpsearch.analysis.edges import EdgeRow, describe, edges_info
from hpsearch.analysis.toml import toml_document, toml_parameter, toml_value
from hpsearch.core.space import Choice, Constant, Float, Int, Parameter
from hpsearch.core.trial import Trial
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord

MIN_TRIALS = 10
"""With fewer complete trials, no range is narrowed."""

LEADING = 0.2
"""Ranges are narrowed to this share of the complete trials, at least five."""

MARGIN = 0.1
"""Margin on both sides of the leaders' values, as a share of the range."""

NARROWEST = 1 / 3
"""No range shrinks to less than this share of itself."""


@dataclass(frozen=True, slots=True)
class SuggestedRow:
    """One hyperparameter of the next study: the old values, the new ones, and why (empty if nothing changes)."""

    name: str
    old: str
    new: str
    why: str
    parameter: Parameter


def suggested_space(record: StudyRecord) -> tuple[SuggestedRow, ...]:
    """What to search next: all searched hyperparameters, and all others that should change."""
    edges = {row.name: row for row in edges_info(record) if row.wider is not None}
    count = len(record.ranked)
    leaders = record.ranked[: max(5, math.ceil(LEADING * count))] if count >= MIN_TRIALS else ()
    conditions = {name for parameter in record.space.values() for name in parameter.when}
    rows = []
    for name, parameter in record.space.items():
        edge = edges.get(name)
        if edge is None and name not in record.space.searched():
            continue
        new, why = parameter, ""
        if edge is not None and edge.wider is not None:
            new, why = edge.wider, _why_wider(edge)
        elif leaders and name not in conditions:
            new, why = _narrowed(name, parameter, leaders, record.trials)
        rows.append(SuggestedRow(name, describe(parameter), describe(new), why if new != parameter else "", new))
    return tuple(rows)


def _why_wider(edge: EdgeRow) -> str:
    if edge.name == "epochs" and isinstance(edge.wider, Constant):
        return "the best trial was still improving"
    return f"the best value, {words.setting(edge.value)}, is at the {'lower' if edge.side == 'low' else 'upper'} edge"


def next_study_file(record: StudyRecord) -> str:
    """A study file that continues from this study: the same sections with another name and the suggested space.

    Environment variables stay unexpanded. Comments of the old file are lost.

    Raises:
        StudyError: The study has no complete trial.
    """
    if record.best is None:
        raise StudyError(
            f"study {record.name!r} has no complete trial, so there is nothing to suggest",
            code="no-complete-trial",
            hint=f"`{record.command('show')}` shows its trials; `hpsearch init` writes a new study file",
            study=record.name,
        )
    raw = record.sections
    rows = {row.name: row for row in suggested_space(record)}
    changed = {**raw, "name": f"{record.name[:195]}-next", "space": {}}
    in_model = {name for name in raw.get("model", {}) if name in rows}
    if in_model:
        changed["model"] = {name: value for name, value in raw["model"].items() if name not in in_model}
    lines = {name: (toml_parameter(row.parameter), row.why) for name, row in rows.items()}
    for name, value in raw.get("space", {}).items():
        lines.setdefault(name, (toml_parameter(value), ""))
    head = [
        f"Suggested by the results of the study {record.name!r}. Its best trial was number {record.best.number}.",
        f"[search] from = {toml_value(record.name)} would also train its best configs first and learn from its trials.",
    ]
    return toml_document(_in_order(changed), head=head, special={"space": lines})


def _in_order(raw: Mapping[str, object]) -> dict[str, object]:
    """The same sections with the space before the objective, as in the documented example."""
    order = ["name", "seed", "data", "validation", "model", "space", "objective", "search", "pruning", "resources"]
    return {name: raw[name] for name in [*order, *(name for name in raw if name not in order)] if name in raw}


def _narrowed(
    name: str, parameter: Parameter, leaders: Sequence[Trial], trials: Sequence[Trial]
) -> tuple[Parameter, str]:
    values = [trial.config[name] for trial in leaders if name in trial.config]
    if len(values) < 5:
        return parameter, ""
    if isinstance(parameter, Choice):
        tried = [trial.config.get(name) for trial in trials]
        options = tuple(o for o in parameter.options if o in values or tried.count(o) < 3)
        new: Parameter = replace(parameter, options=options) if len(options) > 1 else parameter
        if len(options) == 1:
            new = Constant(options[0], when=parameter.when)
        return new, f"none of the {len(leaders)} leading trials has another value"
    if isinstance(parameter, Float | Int):
        return _narrowed_range(parameter, [float(value) for value in values]), (
            f"narrowed to the {len(leaders)} leading trials"
        )
    return parameter, ""


def _narrowed_range(parameter: Float | Int, values: Sequence[float]) -> Float | Int:
    log = parameter.log
    low, high = float(parameter.low), float(parameter.high)
    if log:
        low, high = math.log(low), math.log(high)
    at = [math.log(value) for value in values] if log else list(values)
    whole = high - low
    start, end = max(low, min(at) - MARGIN * whole), min(high, max(at) + MARGIN * whole)
    if end - start < NARROWEST * whole:
        middle = min(max((start + end) / 2, low + NARROWEST * whole / 2), high - NARROWEST * whole / 2)
        start, end = middle - NARROWEST * whole / 2, middle + NARROWEST * whole / 2
    if end - start > 0.9 * whole:
        return parameter
    if log:
        start, end = math.exp(start), math.exp(end)
    if isinstance(parameter, Int):
        below = (math.floor(start) - parameter.low) // parameter.step
        above = math.ceil((end - parameter.low) / parameter.step)
        first = parameter.low + max(0, below) * parameter.step
        return replace(parameter, low=first, high=min(parameter.high, parameter.low + above * parameter.step))
    if (step := parameter.step) is not None:
        new_low = round(parameter.low + math.floor((start - parameter.low) / step + 1e-9) * step, 12)
        new_high = round(parameter.low + math.ceil((end - parameter.low) / step - 1e-9) * step, 12)
        return replace(parameter, low=max(parameter.low, new_low), high=min(parameter.high, new_high))
    new_low = max(parameter.low, float(f"{start:.2g}")) if start > parameter.low else parameter.low
    new_high = min(parameter.high, float(f"{end:.2g}")) if end < parameter.high else parameter.high
    return replace(parameter, low=new_low, high=new_high) if new_low < new_high else parameter
