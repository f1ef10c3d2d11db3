"""What ``hpsearch init`` writes."""

import json
from pathlib import Path

from hpsearch.analysis.toml import toml_parameter
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import closest, parse_spec
from hpsearch.spec.families import FAMILIES

_TEMPLATE = """\
# A study: what to search, on which data, judged how. `hpsearch schema` prints a JSON Schema for editors.
# Check it with `hpsearch check {path}`, start it with `hpsearch run {path}`.
name = {name}
seed = 0

[data]
source = {source}      # keras:…, sklearn:…, a CSV/Parquet/NPZ file, or "my_package.data:load"
# target = "price"     # tables: the column(s) to predict
# ignore = ["id"]      # tables: columns to leave out
test_fraction = 0.2    # held out and met once, by the winner; ignored where the source has its own test split

[validation]
# method = "stratified"  # kfold | stratified | group | time-series | holdout; follows columns and task if left out
folds = 5
repeats = 1

[model]
family = {family}      # or build = "my_package.models:build"

[space]                # what is left out has the family's default; both ends of a range are included
{space}

[objective]
{objective}
epoch = "best"         # the best epoch of the mean curve over folds; or "last"

[search]
tuner = "optuna"       # optuna: tpe gp cmaes qmc random grid · keras-tuner: bayesian random grid
algorithm = "tpe"
trials = 20

[pruning]
method = "none"        # none | median | successive-halving | racing

[resources]
engine = "auto"        # all folds of several trials in one program where the model allows it, else Keras fit

[tracking]
uri = "sqlite:///mlruns/mlflow.db"     # MLflow; or an http(s) address
ledger = "sqlite:///mlruns/ledger.db"  # Optuna storage
"""

_REGRESSION_SOURCES = ("diabetes", "boston_housing", "california_housing")


def write_study_file(path: Path, *, source: str, family: str, force: bool) -> None:
    """Write a commented study file.

    Raises:
        SpecError: The family is unknown, the file exists, or its folder cannot be written.
    """
    if family not in FAMILIES:
        raise SpecError(f"no family {family!r}{closest(family, FAMILIES)}", hint=f"there are {', '.join(FAMILIES)}")
    regression = source.partition(":")[2] in _REGRESSION_SOURCES or source.endswith((".csv", ".parquet"))
    objective = (
        'metric = "val_mae"\ndirection = "minimize"'
        if regression
        else 'metric = "val_accuracy"\ndirection = "maximize"'
    )
    if source.endswith((".csv", ".parquet")):
        objective += '\n# for classes: metric = "val_accuracy", direction = "maximize"'
    space = FAMILIES[family].space
    text = _TEMPLATE.format(
        path=path,
        name=json.dumps(path.stem, ensure_ascii=False),
        source=json.dumps(source, ensure_ascii=False),
        family=json.dumps(family),
        space="\n".join(f"{name} = {toml_parameter(parameter)}" for name, parameter in space.items()),
        objective=objective,
    )
    parse_spec(text, origin="the new file")
    _write(path, text, force=force)


def write_successor(path: Path, record: StudyRecord, *, force: bool) -> None:
    """Write the study that the results of another one suggest.

    Raises:
        StudyError: The other one has no complete trial.
        SpecError: The file exists, or its folder cannot be written.
    """
    from hpsearch.analysis import next_study_file

    _write(path, next_study_file(record), force=force)


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise SpecError(f"{path} exists already", hint="name another file, or overwrite it with --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"{path} cannot be written: {error.strerror}", hint="name a file in a writable folder"
        ) from None
