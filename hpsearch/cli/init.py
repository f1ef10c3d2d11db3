"""The files that ``hpsearch init`` writes."""

import json
from pathlib import Path

from hpsearch.analysis.toml import toml_parameter
from hpsearch.core.addresses import DEFAULT_LEDGER, DEFAULT_TRACKING
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import parse_spec
from hpsearch.spec.families import FAMILIES

_TEMPLATE = """\
# A study: the data, the model, what to search and how. `hpsearch schema` prints a JSON Schema for editors.
# `hpsearch check {path}` checks this file, `hpsearch run {path}` runs the study.
name = {name}
seed = 0

[data]
source = {source}      # keras:…, sklearn:…, a CSV, Parquet or NPZ file, or "my_package.data:load"
# target = "price"     # tables: the column or columns to predict
# ignore = ["id"]      # tables: columns to leave out
# duplicates = "group" # rows that are equal in all inputs stay on one side of every split
test_fraction = 0.2    # rows that only test the winner; not used if the source has its own test rows

[validation]
# method = "stratified"  # kfold | stratified | group | time-series | holdout; by default, data and task decide
folds = 5
repeats = 1

[model]
family = {family}      # or build = "my_package.models:build"

[space]                # ranges include both ends; what is not listed has the family's default
{space}

[objective]
{objective}
epoch = "best"         # the best epoch of the mean curve over folds, or "last"

[search]
algorithm = "bayesian" # hpsearch: bayesian · optuna: tpe gp cmaes qmc random grid · keras-tuner: bayesian random grid
trials = 20

[pruning]
method = "none"        # none | median | successive-halving | hyperband | racing

[resources]
engine = "auto"        # one program for all folds of several trials if the model allows it, or Keras fit

[tracking]
uri = "{tracking}"     # MLflow: a database or a server's http(s) address
ledger = "{ledger}"  # Optuna storage
"""

_REGRESSION_SOURCES = ("diabetes", "boston_housing", "california_housing")


def write_study_file(path: Path, *, source: str, family: str, force: bool) -> None:
    """Write a commented study file.

    Raises:
        SpecError: The family is unknown, the file exists, or its folder cannot be written.
    """
    space = FAMILIES[family].space
    regression = source.partition(":")[2] in _REGRESSION_SOURCES or source.endswith((".csv", ".parquet"))
    objective = (
        'metric = "val_mae"\ndirection = "minimize"'
        if regression
        else 'metric = "val_accuracy"\ndirection = "maximize"'
    )
    if source.endswith((".csv", ".parquet")):
        objective += '\n# for classes: metric = "val_accuracy", direction = "maximize"'
    text = _TEMPLATE.format(
        path=path,
        name=json.dumps(path.stem, ensure_ascii=False),
        source=json.dumps(source, ensure_ascii=False),
        family=json.dumps(family),
        space="\n".join(f"{name} = {toml_parameter(parameter)}" for name, parameter in space.items()),
        objective=objective,
        tracking=DEFAULT_TRACKING,
        ledger=DEFAULT_LEDGER,
    )
    parse_spec(text, origin="the new file")
    _write(path, text, force=force)


def write_successor(path: Path, record: StudyRecord, *, force: bool) -> None:
    """Write the study file that the results of another study suggest.

    Raises:
        StudyError: The other study has no complete trial.
        SpecError: The file exists, or its folder cannot be written.
    """
    from hpsearch.analysis import next_study_file

    _write(path, next_study_file(record), force=force)


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise SpecError(
            f"{path} already exists",
            code="file-exists",
            hint="choose another file, or overwrite it with --force",
            path=str(path),
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"{path} cannot be written: {error.strerror or error}",
            code="cannot-write",
            hint="choose a file in a writable folder",
            path=str(path),
        ) from None
