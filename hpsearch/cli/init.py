"""The files that ``hpsearch init`` writes."""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from hpsearch.analysis.toml import toml_parameter
from hpsearch.cli.printing import complain, say
from hpsearch.core.addresses import DEFAULT_LEDGER, DEFAULT_TRACKING
from hpsearch.core.words import listed
from hpsearch.errors import DataError, SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.proposal.budget import within
from hpsearch.proposal.study import is_seen, propose, study_name
from hpsearch.proposal.text import study_file
from hpsearch.proposal.values import Proposal
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

[space]                # ranges include both ends; what is not listed has its default (`hpsearch models`)
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

_REGRESSION_SOURCES = ("boston_housing", "california_housing")


def write_for(
    data: str,
    path: Path | None,
    *,
    targets: Sequence[str],
    family: str | None,
    minutes: float | None,
    force: bool,
) -> Path:
    """Write a study file for a data source, and print what was found in it.

    Args:
        data: The source.
        path: The study file; None to name it after a data file.
        targets: The columns to predict; none to find them.
        family: The model family; None for the one that fits.
        minutes: Time to search; None for the usual number of trials.
        force: Whether to overwrite a file.

    Returns:
        The file.

    Raises:
        HpsearchError: The data cannot be used or their target is unsure, or the file cannot be written.
    """
    seen = is_seen(data)
    by_default = f"{study_name(Path(data))}.toml" if seen and not data.startswith("sklearn:") else "study.toml"
    path = path or Path(by_default)
    check_free(path, force=force)
    if family is not None:
        family = FAMILIES[family].name  # a wrong one is refused before the data are read
    if not seen:
        if minutes is not None or targets:
            option = "--target" if targets else "--minutes"
            raise SpecError(
                f"{option} needs data that `init` looks at, but {data} is not a file or a data set of scikit-learn",
                code="source-not-read",
                hint=f"leave {option} out, and change the study file",
                source=data,
            )
        write_study_file(path, source=data, family=family or "mlp", force=force)
        return path
    found = propose_asking(data, path, targets=targets, family=family, ask=_ask if _is_there() else None)
    if minutes is not None:
        complain(f"measuring what a trial costs, to fit the search into {minutes:g} minutes …")
        found = within(found, path.parent, minutes)
    write_proposal(path, found, force=force)
    say(summary(found))
    return path


def _is_there() -> bool:
    """Whether somebody reads what is asked, and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


_OFFERED = 20


def _ask(error: DataError) -> str:
    candidates = error.values["candidates"]
    assert isinstance(candidates, tuple)
    say("Which column is the target?")
    for number, name in enumerate(candidates[:_OFFERED], 1):
        say(f"{number:3}  {name}")
    if len(candidates) > _OFFERED:
        say(f"     or one of {len(candidates) - _OFFERED} others, by its name")
    answer = str(typer.prompt("number or name", default="1")).strip()
    number = int(answer) if answer.isdecimal() else 0
    return str(candidates[number - 1]) if answer not in candidates and 0 < number <= len(candidates) else answer


def write_study_file(path: Path, *, source: str, family: str, force: bool) -> None:
    """Write a commented study file for a source that is not looked at.

    Raises:
        SpecError: The family is unknown, the file exists, or its folder cannot be written.
    """
    space = FAMILIES[family].space
    regression = source.partition(":")[2] in _REGRESSION_SOURCES
    objective = (
        'metric = "val_mae"\ndirection = "minimize"'
        if regression
        else 'metric = "val_accuracy"\ndirection = "maximize"'
    )
    text = _TEMPLATE.format(
        path=shlex.quote(str(path)),
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


def write_proposal(path: Path, found: Proposal, *, force: bool) -> None:
    """Write the study file that a data file suggests.

    Raises:
        SpecError: The file exists, or its folder cannot be written.
    """
    _write(path, study_file(found, path), force=force)


def propose_asking(
    source: str, path: Path, *, targets: Sequence[str], family: str | None, ask: Callable[[DataError], str] | None
) -> Proposal:
    """See :func:`~hpsearch.proposal.study.propose`; where the target is unsure, somebody is asked.

    Args:
        source: The data file.
        path: The study file to write.
        targets: The columns to predict; none to find them.
        family: The model family; None for the one that fits.
        ask: Told of the candidates, returns the column; None if nobody is there.
    """
    try:
        return propose(source, path, targets=targets, family=family)
    except DataError as error:
        if error.code != "data.which-target" or ask is None or not error.values["candidates"]:
            raise
        return propose(source, path, targets=(ask(error),), family=family)


def summary(found: Proposal) -> str:
    """What was found in the data, for the terminal."""
    target = found.data.get("target")
    lines = [f"read {found.source}: {found.summary}"]
    if target is not None:
        lines.append(f"target   {listed(target) if isinstance(target, list) else target}")
    roles = found.roles
    lines += [f"{role:8} {name}" for role, name in (("group", roles.group), ("time", roles.time)) if name is not None]
    if roles.ignore:
        lines.append(f"ignored  {listed(roles.ignore, most=10)}; the file says why")
    if found.budget:
        lines.append(f"trials   {found.trials}, {found.budget}")
    lines.append(f"metric   {found.goal.metric}, {found.goal.direction}")
    return "\n".join(lines)


def write_successor(path: Path, record: StudyRecord, *, force: bool) -> None:
    """Write the study file that the results of another study suggest.

    Raises:
        StudyError: The other study has no complete trial.
        SpecError: The file exists, or its folder cannot be written.
    """
    from hpsearch.analysis import next_study_file

    _write(path, next_study_file(record), force=force)


def check_free(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a file.

    Raises:
        SpecError: It exists.
    """
    if path.exists() and not force:
        raise SpecError(
            f"{path} already exists",
            code="file-exists",
            hint="choose another file, or overwrite it with --force",
            path=str(path),
        )


def _write(path: Path, text: str, *, force: bool) -> None:
    check_free(path, force=force)
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
