"""What ``hpsearch check`` prints."""

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Space
from hpsearch.data import load_dataset
from hpsearch.spec import StudySpec


def render(spec: StudySpec, space: Space, facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the effective values, the data, the space and its size."""
    size = space.size()
    grid = space.grid_size(spec.search.grid_points)
    gaps = _unfilled(spec, facts["data"])
    if as_json:
        effective = {
            "study": spec.model_dump(mode="json"),
            "space": {name: describe_parameter(parameter) for name, parameter in space.items()},
            "space_size": size,
            "grid_size": grid,
            "gaps": gaps,
            **{key: facts[key] for key in ("data", "plan", "backend", "device", "versions")},
        }
        print(json.dumps(effective, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    data, plan = facts["data"], facts["plan"]
    table = Table.grid(padding=(0, 2))
    rows = data["folds"][0]
    for label, value in (
        ("study", spec.name),
        (
            "data",
            f"{data['source']}: {data['rows']} rows, {data['test_rows']} held out, fingerprint {data['fingerprint']}",
        ),
        ("task", f"{data['task']}" + (f", {len(data['classes'])} classes" if data["classes"] else "")),
        (
            "folds",
            f"{len(data['folds'])} × ({rows[0]} training + {rows[1]} validation rows)"
            + (f", {spec.validation.method}" if spec.validation.method else ""),
        ),
        ("model", spec.model.family or spec.model.build),
        ("objective", f"{spec.objective.direction} {spec.objective.metric} at the {spec.objective.epoch} epoch"),
        ("search", f"{spec.search.tuner} {spec.search.algorithm}, {spec.search.trials} trials, seed {spec.seed}"),
        ("engine", f"{plan['engine']} on {facts['backend']} ({facts['device']}): {plan['reason']}"),
        ("pruning", spec.pruning.method),
        ("mlflow", spec.tracking.uri),
        ("ledger", spec.tracking.ledger),
    ):
        table.add_row(f"[bold]{label}[/]", escape(str(value)))
    console.print(table)
    columns = data["columns"]
    if columns:
        listed = Table("column", "kind", title="inputs", title_justify="left")
        for column in columns:
            listed.add_row(escape(column["name"]), column["kind"])
        console.print(listed)
    if gaps:
        counts = ", ".join(f"{name} {count}" for name, count in gaps.items())
        console.print(
            f"[bold]empty cells[/] in number columns: {escape(counts)}. {escape(str(spec.model.build))} gets them as "
            "NaN and must fill them, or every trial diverges: docs/models-and-data.md shows how"
        )
    spaces = Table("hyperparameter", "values", "when", title="space", title_justify="left")
    for name, parameter in space.items():
        when = ", ".join(f"{other} in {list(values)}" for other, values in parameter.when.items())
        spaces.add_row(escape(name), escape(describe_parameter(parameter)), escape(when))
    console.print(spaces)
    total = "infinite (continuous ranges)" if size is None else f"{size:,}"
    console.print(f"size of the space: {total}; a grid has {grid:,} configs")


def _unfilled(spec: StudySpec, data: Mapping[str, Any]) -> dict[str, int]:
    """Empty cells of number columns that nobody but the user's own build function can fill."""
    if spec.model.build is None or not data["columns"]:
        return {}
    with redirect_stdout(sys.stderr):  # a function source may print, and stdout may be JSON
        return load_dataset(spec).gaps()


def describe_parameter(parameter: Parameter) -> str:
    """One line, such as ``0.01 … 0.04`` or ``sgd | adam``."""
    match parameter:
        case Constant():
            return f"{parameter.value}"
        case Choice():
            return " | ".join(str(option) for option in parameter.options)
        case Float() | Int():
            step = "" if parameter.step in (None, 1) else f", step {parameter.step:g}"
            whole = " (whole numbers)" if isinstance(parameter, Int) else ""
            return f"{parameter.low:g} … {parameter.high:g}{', log' if parameter.log else ''}{step}{whole}"
