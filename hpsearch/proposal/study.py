"""From a data file to a study: everything that :mod:`hpsearch.proposal.text` writes down."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpsearch.analysis.words import several
from hpsearch.core.facts import Task
from hpsearch.data import load_dataset
from hpsearch.data.dataset import Dataset
from hpsearch.data.files import SUFFIXES, find_file, read_arrays
from hpsearch.data.targets import missing_targets, target_values
from hpsearch.data.unlabelled import are_whole
from hpsearch.errors import DataError
from hpsearch.proposal.objective import goal_for
from hpsearch.proposal.reading import read
from hpsearch.proposal.roles import Roles, roles_of
from hpsearch.proposal.space import space_for
from hpsearch.proposal.targets import Meaning, meaning_of, target_of
from hpsearch.proposal.text import spec_of
from hpsearch.proposal.values import Proposal, Validation
from hpsearch.spec.families import FAMILIES
from hpsearch.training.problem import Problem


def is_seen(source: str) -> bool:
    """Whether a data source can be looked at without a download and without running code of the user's.

    A folder is looked at, too: it is a mistake, and reading it says so.
    """
    path = Path(source).expanduser()
    return path.suffix.lower() in SUFFIXES or source.startswith("sklearn:") or path.is_dir()


def propose(source: str, path: Path, *, targets: Sequence[str] = (), family: str | None = None) -> Proposal:
    """A study for a data file, or for a data set of scikit-learn.

    Args:
        source: Its name, or the file, seen from the working directory.
        path: The study file to write.
        targets: The columns to predict; none to find them.
        family: The model family; by default the one for the form of the rows.

    Raises:
        DataError: The file cannot be read, no model can learn from it, or its target is unsure:
            ``data.which-target``, whose ``values["candidates"]`` has the columns that it may be.
    """
    if source.startswith("sklearn:"):
        if targets:
            raise _no_columns(source)
        found = Proposal(study_name(path), source, {}, Roles(), {}, family=family or "mlp")
        return _fitted(found, path.parent, given=family)
    file = find_file(source, Path.cwd())
    seen = str(file.resolve()) if Path(source).is_absolute() else os.path.relpath(file, path.parent)
    if file.suffix.lower() == ".npz":
        roles, data, remarks, meaning = Roles(), *_of_arrays(file, targets)
    else:
        roles, data, remarks, meaning = _of_table(file, targets)
    if meaning.task:
        data["task"] = meaning.task
    remarks |= {name: [why] for name, why in meaning.why.items()}
    found = Proposal(study_name(path), seen, data, roles, remarks, family=family or "mlp")
    return _fitted(found, path.parent, given=family)


def study_name(path: Path) -> str:
    """The name of a study from that of its file."""
    name = re.sub(r"[\\\x00-\x1f]", "-", path.stem).strip().lstrip(".-")
    return name[:60] or "study"


def _of_table(file: Path, given: Sequence[str]) -> tuple[Roles, dict[str, object], dict[str, Sequence[str]], Meaning]:
    table = read(file)
    target = target_of(table, given)
    roles = roles_of(table, target.names)
    data: dict[str, object] = {"target": target.names[0] if len(target.names) == 1 else list(target.names)}
    remarks: dict[str, Sequence[str]] = {"target": [target.why] if target.why else []}
    y = target_values(str(file), table.frame[list(target.names)], Task.MULTICLASS)
    meaning, missing = _without_gaps(y)
    if missing:
        data["missing_targets"] = "drop"
        remarks["missing_targets"] = [f"{missing:,} of {len(y):,} rows have no target"]
    if table.options:
        data["options"] = dict(table.options)
        remarks["options"] = table.remarks
    return roles, data, remarks, meaning


def _of_arrays(file: Path, given: Sequence[str]) -> tuple[dict[str, object], dict[str, Sequence[str]], Meaning]:
    if given:
        raise _no_columns(file.name)
    arrays = read_arrays(file)
    y = next((arrays[name] for name in ("y", "y_train") if name in arrays), None)
    if y is None:
        return {}, {}, Meaning(None, {})  # reading it as a study says what is missing
    meaning, missing = _without_gaps(y)
    if not missing:
        return {}, {}, meaning
    return {"missing_targets": "drop"}, {"missing_targets": [f"{missing:,} of {len(y):,} rows have no target"]}, meaning


def _no_columns(source: str) -> DataError:
    return DataError(
        f"{source} holds arrays with their targets, but --target names columns of a table",
        code="no-columns",
        hint="leave --target out",
        source=source,
    )


def _without_gaps(y: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> tuple[Meaning, int]:
    """What the targets are that are there, and how many are not."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    gaps = missing_targets(y) if y.ndim and len(y) else np.zeros(0, dtype=bool)
    kept = y[~gaps] if gaps.any() else y
    kept = kept.astype(np.int64) if gaps.any() and are_whole(kept) else kept
    if not kept.size:
        return Meaning(None, {}), int(gaps.sum())
    return meaning_of(kept.astype(str) if kept.dtype.kind == "O" else kept), int(gaps.sum())


def _fitted(found: Proposal, folder: Path, *, given: str | None) -> Proposal:
    """The proposal with folds that its rows allow, and what follows from rows and task."""
    dataset = load_dataset(spec_of(found, folder))
    shape = dataset.input_shape
    family = "cnn" if given is None and not dataset.columns and len(shape) in (2, 3) else found.family
    found = replace(found, family=family)
    if dataset.task is Task.REGRESSION:
        why = (
            "the network learns in standard deviations from the mean; scores and predictions stay in the target's unit"
        )
        found = replace(
            found,
            data={**found.data, "standardize_targets": True},
            remarks={**found.remarks, "standardize_targets": [why]},
        )
    validation, problem = _splits(found, folder, dataset)
    data = problem.dataset
    rows = min(len(fold.train) for fold in problem.folds)
    return replace(
        found,
        validation=validation,
        goal=goal_for(data.task.value, data.class_counts()),
        searched=space_for(family, FAMILIES[family].space, rows),
        summary=_summary(dataset),
    )


def _splits(found: Proposal, folder: Path, dataset: Dataset) -> tuple[Validation, Problem]:
    """The first split of a few that the rows allow, from the usual one to the poorest.

    Raises:
        DataError: They allow none.
    """
    first: DataError | None = None
    for validation in _ways(found, dataset):
        try:
            return validation, Problem.load(spec_of(replace(found, validation=validation), folder))
        except DataError as error:
            first = first or error
    assert first is not None
    raise first


def _ways(found: Proposal, dataset: Dataset) -> Iterator[Validation]:
    counts = dataset.class_counts()
    in_order = "time-series" if found.roles.in_order else None
    why = {"method": found.roles.remarks["method"]} if in_order else {}
    yield Validation(in_order, why=why)
    rarest = min(zip(counts, dataset.classes, strict=True), default=(0, ""))
    free = found.roles.group is None and found.roles.time is None and in_order is None
    few = (
        f"class {rarest[1]!r} has {several(rarest[0], 'row')}"
        if counts
        else f"{several(len(dataset.train), 'row')} only"
    )
    for folds in (4, 3) if len(counts) > 2 else (4, 3, 2):
        yield Validation(in_order, folds, why={**why, "folds": few})
    if free and counts:
        text = f"{few}, too few for every fold to have some"
        yield from (Validation("kfold", folds, why={"method": text}) for folds in (5, 3))
    for folds in (3, 2):
        without = {**why, "folds": few, "test_fraction": "too few rows to hold some out"}
        yield Validation("kfold" if free and counts else in_order, folds, 0.0, without)


def _summary(dataset: Dataset) -> str:
    rows = len(dataset.train) + (0 if dataset.test is None else len(dataset.test))
    counts = dataset.class_counts()
    what = "labels" if dataset.task is Task.MULTILABEL else "classes"
    kind = f"{dataset.task}, {len(counts)} {what}" if counts and dataset.task is not Task.BINARY else str(dataset.task)
    inputs = f"{len(dataset.columns)} input columns" if dataset.columns else f"inputs of shape {[*dataset.input_shape]}"
    if len(dataset.columns) == 1:
        inputs = "1 input column"
    return f"{rows:,} rows, {inputs}, {kind}"
