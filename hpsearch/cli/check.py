"""Output of ``hpsearch check``."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from hpsearch.analysis import words
from hpsearch.analysis.provenance import begins_with
from hpsearch.analysis.toml import toml_parameter
from hpsearch.cli.printing import say_json
from hpsearch.core.facts import DataFacts, StudyFacts, Task
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Space
from hpsearch.core.transfer import Transferred
from hpsearch.core.wire import Json, JsonObject
from hpsearch.core.words import duration
from hpsearch.data import load_dataset
from hpsearch.data.dataset import Dataset
from hpsearch.errors import HpsearchError
from hpsearch.portable.arrays import is_array
from hpsearch.portable.columns import Column
from hpsearch.report.console import SafeConsole
from hpsearch.search.forecast import Forecast
from hpsearch.search.preparation import PreparedStudy
from hpsearch.spec import StudySpec
from hpsearch.spec.messages import problems_of


def render(prepared: PreparedStudy, cost: Forecast, *, as_json: bool, warnings: Sequence[str] = ()) -> None:
    """Print the effective values, the data, the space and the cost; as JSON, what looks like a mistake too."""
    spec, space, facts = prepared.spec, prepared.space, prepared.facts
    table = _read_table(spec, facts.data)
    # A family's model fills empty cells itself.
    gaps = table.gaps() if table is not None and spec.model.build is not None else {}
    if as_json:
        found = {**_effective(spec, space, facts, gaps), "cost": _cost_json(cost), "warnings": [*warnings]}
        say_json(found)
        return
    console = SafeConsole(highlight=False)
    console.print(_overview(spec, facts))
    if facts.data.class_counts:
        console.print(_class_table(facts.data))
    if table is not None:
        console.print(_input_table(table))
    if gaps:
        counts = ", ".join(f"{name} {count}" for name, count in gaps.items())
        console.print(
            f"[bold]empty cells[/] in number columns: {escape(counts)}. {escape(str(spec.model.build))} receives them "
            "as NaN. It must fill them, or every trial diverges; docs/models-and-data.md shows how."
        )
    console.print(_space_table(space))
    size = space.size()
    most = "" if space.is_exact else "at most "
    continuous = any(one.values() is None for one in space.values())
    uncounted = "infinite (continuous ranges)" if continuous else "too many to count"
    total = uncounted if size is None else f"{most}{size:,}"
    grid = space.grid_size(spec.search.grid_points)
    in_grid = "too many" if grid is None else f"{most}{grid:,}"
    console.print(f"size of the space: {total}; a grid has {in_grid} configs")
    console.print(_cost_table(cost))
    console.print(escape(cost.basis))
    if prepared.discovered:
        console.print(
            f"found by building {escape(str(spec.model.build))} with some configs. The search builds with every config "
            "before it trains it: it drops what the code does not use, and adds what the code asks for then."
        )


def _cost_table(cost: Forecast) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {"programs": f"about {cost.programs} to compile for {words.several(cost.trials, 'trial')}"}
    if cost.compile_seconds is not None and cost.train_seconds is not None and cost.memory_bytes is not None:
        rows["time"] = f"about {duration(cost.compile_seconds)} to compile, {duration(cost.train_seconds)} to train"
        rows["memory"] = f"{cost.memory_bytes / 2**20:,.0f} MB in the worker"
    for label, value in rows.items():
        table.add_row(f"[bold]{label}[/]", escape(value))
    return table


def _cost_json(cost: Forecast) -> JsonObject:
    return {
        "trials": cost.trials,
        "programs": cost.programs,
        "compile_seconds": cost.compile_seconds,
        "train_seconds": cost.train_seconds,
        "memory_bytes": cost.memory_bytes,
        "basis": cost.basis,
        "instead": {name: toml_parameter(parameter) for name, parameter in (cost.instead or {}).items()},
        "programs_then": cost.programs_then if cost.instead else None,
    }


def render_mistakes(error: HpsearchError) -> None:
    """Print as JSON what is wrong with a study file, one object for each mistake."""
    found = [
        {"key": one.key, "code": one.code, "text": one.text, "received": plain(one.received), "closest": one.closest}
        for one in problems_of(error)
    ]
    say_json({"error": error.code, "exit_code": error.exit_code, "problems": found})


def plain(value: object) -> Json:
    """A value as JSON has it; as a text if it has no such form, such as a date in TOML."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return str(value)


_CLASSES_SHOWN = 20
_COLUMNS_SHOWN = 60
_ROWS_SHOWN = 3


def _class_table(data: DataFacts) -> Table:
    label = data.task is Task.MULTILABEL
    table = Table("label" if label else "class", "rows", title="labels" if label else "classes", title_justify="left")
    counted = list(zip(data.classes, data.class_counts, strict=True))
    for name, count in counted[:_CLASSES_SHOWN]:
        table.add_row(escape(_cell(name)), f"{count:,}")
    if len(counted) > _CLASSES_SHOWN:
        table.add_row(f"and {len(counted) - _CLASSES_SHOWN} more", "")
    return table


def _input_table(dataset: Dataset) -> Table:
    """Each column as it is read, with its cells in the first rows."""
    rows = [f"row {row}" for row in range(_ROWS_SHOWN)]
    table = Table("column", "kind", *rows, title="inputs, as read", title_justify="left")
    for column in dataset.columns[:_COLUMNS_SHOWN]:
        examples = dataset.examples.get(column.name, ())
        cells = [escape(_cell(value)) for value in examples[:_ROWS_SHOWN]]
        table.add_row(escape(_cell(column.name)), _kind(column), *cells)
    if len(dataset.columns) > _COLUMNS_SHOWN:
        table.add_row(f"and {len(dataset.columns) - _COLUMNS_SHOWN} more", "")
    return table


def _kind(column: Column) -> str:
    """What a column is for the model; of an input of arrays, their shape and type."""
    return " × ".join(map(str, column.shape)) + f" {column.dtype}" if column.kind == "array" else column.kind


def _cell(value: object) -> str:
    """A cell with its blanks in sight, cut to a readable width."""
    if is_array(value):
        return "…"
    if value is None or value != value:
        return "(empty)"
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    text = text if text == text.strip() and text.isprintable() else repr(text)
    return text if len(text) <= 24 else f"{text[:23]}…"


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


def _effective(spec: StudySpec, space: Space, facts: StudyFacts, gaps: dict[str, int]) -> JsonObject:
    """The object that ``--json`` prints. Its keys are public, whatever the ledger calls them."""
    return {
        "study": spec.model_dump(mode="json", by_alias=True),
        "space": {name: describe_parameter(parameter) for name, parameter in space.items()},
        "space_size": space.size(),
        "grid_size": space.grid_size(spec.search.grid_points),
        "gaps": {**gaps},
        "data": _data(facts.data),
        "baseline": {"value": facts.baseline.value, "rule": facts.baseline.rule} if facts.baseline else None,
        "undefined": {one.metric: [*one.folds] for one in facts.undefined},
        "plan": {
            "engine": facts.plan.engine,
            "reason": facts.plan.reason,
            "lifted": [*sorted(facts.plan.dynamic)],
            "trials_per_bundle": facts.plan.trials_per_bundle,
            "startup": facts.schedule.startup,
            "batch": facts.schedule.batch,
            "lag": facts.schedule.lag,
            "backend": facts.backend,
        },
        "backend": facts.machine.backend,
        "device": facts.machine.device,
        "versions": {**facts.machine.versions},
        "from": taken_json(facts.taken),
    }


def taken_json(taken: Transferred | None) -> JsonObject | None:
    """What was taken from another study, as ``--json`` prints it."""
    if taken is None:
        return None
    return {
        "study": taken.study,
        "trials": taken.trials,
        "configs": [{**config} for config in taken.configs],
        "model": taken.model,
        "dropped": [*taken.dropped],
        "opened": [*taken.opened],
        "moved": [*taken.moved],
        "left_out": [*taken.left_out],
    }


def _data(data: DataFacts) -> JsonObject:
    return {
        "source": data.source,
        "rows": data.rows,
        "test_rows": data.test_rows,
        "fingerprint": data.fingerprint,
        "task": data.task.value,
        "classes": [*data.classes],
        "class_counts": dict(zip(data.classes, data.class_counts, strict=False)),
        "columns": [{"name": column.name, "kind": column.kind} for column in data.columns],
        "input": [*data.input_shape],
        "folds": [[fold.train, fold.validation] for fold in data.folds],
        "extra": {**data.extra},
        "warnings": [*data.warnings],
        "equal_rows": asdict(data.equal_rows) if data.equal_rows else None,
    }


def _task(data: DataFacts) -> str:
    if data.outputs:
        return "; ".join(f"{one.name}: {_kind_of_targets(one.task, one.classes)}" for one in data.outputs)
    return _kind_of_targets(data.task, data.classes) if data.task is not Task.NONE else "no targets"


def _kind_of_targets(task: Task, classes: Sequence[str]) -> str:
    return f"{task}, {len(classes)} {'labels' if task is Task.MULTILABEL else 'classes'}" if classes else str(task)


def _overview(spec: StudySpec, facts: StudyFacts) -> Table:
    data, plan, search = facts.data, facts.plan, spec.search
    fold = data.folds[0]
    rows = {
        "study": spec.name,
        "data": f"{data.source}: {data.rows} rows + {data.test_rows} held out, fingerprint {data.fingerprint}",
        "task": _task(data),
        "folds": f"{data.n_folds} × ({fold.train} training + {fold.validation} validation rows)"
        + (f", {spec.validation.method}" if spec.validation.method else "")
        + (f", each trained with {spec.validation.seeds} seeds" if spec.validation.seeds > 1 else ""),
        "model": spec.model.family or spec.model.build,
        "objective": f"{spec.objective.direction} {spec.objective.metric} at the {spec.objective.epoch} epoch",
        **({"baseline": _baseline(facts.baseline)} if facts.baseline else {}),
        "search": f"{search.tuner} {search.algorithm}, {words.several(search.trials, 'trial')}, seed {spec.seed}",
        **({"from": begins_with(facts.taken)} if facts.taken else {}),
        "engine": f"{plan.engine} on {facts.machine.backend} ({facts.machine.device}): {plan.reason}",
        "pruning": _pruning(spec),
        "mlflow": spec.tracking.uri,
        "ledger": spec.tracking.ledger,
    }
    table = Table.grid(padding=(0, 2))
    for label, value in rows.items():
        table.add_row(f"[bold]{label}[/]", escape(str(value)))
    return table


def _pruning(spec: StudySpec) -> str:
    pruning = spec.pruning
    if pruning.folds != "none":
        bar = "worst fold" if pruning.folds == "forgiving" else "score"
        return f"fold by fold, {pruning.folds}: stops a trial whose folds so far are worse than the best trial's {bar}"
    if pruning.method in ("successive-halving", "hyperband"):
        brackets = ", in brackets that begin later and later" if pruning.method == "hyperband" else ""
        return f"{pruning.method} from epoch {pruning.min_epochs}: 1 in {pruning.reduction_factor} goes on{brackets}"
    return pruning.method


def _baseline(found: Baseline) -> str:
    return f"{found.value:.6g} by always saying {found.rule}"


def _space_table(space: Space) -> Table:
    table = Table("hyperparameter", "values", "when", title="space", title_justify="left")
    for name, parameter in space.items():
        when = ", ".join(f"{other} in {list(values)}" for other, values in parameter.when.items())
        when = "the code asks for it" if parameter.asked else when
        table.add_row(escape(name), escape(describe_parameter(parameter)), escape(when))
    return table


def _read_table(spec: StudySpec, data: DataFacts) -> Dataset | None:
    """The study's table, read again to show its rows; None for arrays."""
    if not data.columns:
        return None
    with redirect_stdout(sys.stderr):  # the user's data function may print, and stdout may be JSON
        return load_dataset(spec)
