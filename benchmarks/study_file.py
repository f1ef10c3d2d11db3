"""Writes a workload of the comparison as a study file, as a user of hpsearch would."""

import json
from collections.abc import Mapping

from benchmarks.workloads import SEED, Dimension, Workload


def study_file(workload: Workload, *, name: str, trials: int, engine: str, backend: str, holdout: bool = False) -> str:
    """A study file with the same search as the peers', on folds or on one holdout."""
    validation = 'method = "holdout"' if holdout else f'method = "stratified"\nfolds = {workload.folds}'
    space = {**workload.space, "epochs": workload.epochs}
    return f"""\
name = "{name}"
seed = {SEED}

[data]
source = "{workload.source}"
test_fraction = {workload.test_fraction}
{workload.options}

[validation]
{validation}

[model]
family = "{workload.family}"

[space]
{_entries(space)}

[objective]
metric = "val_accuracy"
direction = "maximize"

[search]
tuner = "optuna"
algorithm = "tpe"
trials = {trials}

[resources]
engine = "{engine}"
backend = "{backend}"
"""


def _entries(space: Mapping[str, Dimension]) -> str:
    return "\n".join(f"{name} = {_entry(one)}" for name, one in space.items())


def _entry(one: Dimension) -> str:
    return f"{{ low = {one[0]}, high = {one[1]} }}" if isinstance(one, tuple) else json.dumps(one)
