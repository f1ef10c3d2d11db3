"""Run, resume and read studies: what the command line and a notebook call."""

import shutil
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import analysis, report
from hpsearch.core.trial import Champion, Trial
from hpsearch.core.user_code import source_digest
from hpsearch.errors import HpsearchError, LedgerError, SpecError, StudyError
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import DEFAULT_URI, Ledger, sqlite_path, unknown_study
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import Setting, open_executor, prepare_study, with_engine
from hpsearch.search.session import LOG_CHAMPION, drive
from hpsearch.spec import OuterSection, SearchSection, StudySpec, load_spec
from hpsearch.tracking.mlflow import imported_ahead

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from hpsearch.report.notebook import Figures


CHANGEABLE = (
    "tracking.",
    "search.max_",
    *(f"resources.{name}" for name in ("executor", "workers", "gpus", "threads", "max_retries")),
)
"""What results do not depend on, so that a study file may change it between two starts."""


class Study:
    """A study, read from the ledger. Reading again (:func:`load`) sees what a running driver has added."""

    def __init__(self, record: StudyRecord, ledger_uri: str) -> None:
        self.record = record
        self.ledger_uri = ledger_uri

    def __repr__(self) -> str:
        best = self.best
        shown = "no complete trial" if best is None else f"best {self.record.objective.metric} = {best.score:.6g}"
        return f"<Study {self.name!r}: {self.record.state}, {len(self.trials)} trials, {shown}>"

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.name

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials, in order of their number."""
        return self.record.trials

    @property
    def best(self) -> Trial | None:
        """The best complete trial, or None."""
        return self.record.best

    @property
    def champion(self) -> Champion | None:
        """The winner refitted on all development rows, or None before the end."""
        return self.record.champion

    @property
    def folder(self) -> Path:
        """Where the study's files lie."""
        return workspace.study_folder(self.ledger_uri, self.name)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per trial: number, state, score, std, epoch, seconds, parameters, failure, ``config.*`` and
        ``fold_0`` … (fold scores)."""
        import pandas as pd

        rows = []
        for trial in self.trials:
            row: dict[str, Any] = {"number": trial.number, "state": trial.state.value}
            row |= {key: getattr(trial, key) for key in ("score", "std", "epoch", "seconds", "parameters")}
            row["failure"] = None if trial.failure is None else trial.failure.message
            row |= {f"config.{name}": trial.config.get(name) for name in self.record.space}
            row |= {f"fold_{i}": value for i, value in enumerate(trial.fold_scores)}
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def figures(self) -> "Figures":
        """The report's figures for a notebook, such as ``study.figures.importance()``."""
        from hpsearch.report import load_artifacts
        from hpsearch.report.notebook import Figures

        return Figures(self.record, load_artifacts(self.record, self.folder))

    def best_model(self) -> "keras.Model":
        """The champion as a Keras model (imports Keras).

        Raises:
            StudyError: The study has none yet, or its file is gone or was changed.
            ModelError: It needs code that the study's build module no longer has.
        """
        from hpsearch.models.saving import load_model

        return load_model(check_champion(self.record), self.record.spec)


def load(name: str, *, ledger: str = DEFAULT_URI) -> Study:
    """Read a study from a ledger.

    Raises:
        LedgerError: There is no such ledger or study.
    """
    return Study(workspace.read(Ledger(ledger), name), ledger)


def run(study_file: str | Path, *, name: str | None = None, observer: Observer | None = None) -> Study:
    """Search as a study file says, refit the winner, and return the study.

    A study that exists already is continued, or returned where it is finished. What results do not depend on
    (:data:`CHANGEABLE`) may have changed in the file since.

    Args:
        study_file: TOML; see ``hpsearch schema``.
        name: Takes the place of the file's name.
        observer: Told of everything that happens.

    Raises:
        HpsearchError: See its subclasses. What was finished before is in the ledger.
        Interrupted: Ctrl-C.
    """
    spec, text = load_spec(study_file)
    if name is not None:
        spec = _renamed(spec, name)
    return _run(spec, text, observer)


def _run(spec: StudySpec, text: str, observer: Observer | None) -> Study:
    uri = spec.tracking.resolved().ledger
    if (path := sqlite_path(uri)) is None or path.exists():
        ledger = Ledger(uri)
        if ledger.has(spec.name):
            there = ledger.load(spec.name)
            now, asked = there.spec.search.trials, spec.search.trials
            if now != asked == _trials_in(there.study_file):
                # The file is as it was, so the number was changed by `resume --trials`.
                ways = f"; `{there.command('resume', f'--trials {asked}')}` changes it" * (asked >= len(there.trials))
                (observer or Observer()).note(f"trials: {asked} in the study file, but {now} count{ways}")
                spec = _with_trials(spec, now)
            _check_unchanged(there, spec)
            return _resume(spec.name, uri, None, observer, changed=spec)
    with workspace.driving(uri, spec.name), imported_ahead(spec), ExitStack() as stack:
        setting = prepare_study(spec, stack)
        record = StudyRecord(
            name=spec.name,
            spec=spec,
            study_file=text,
            space=setting.space,
            facts=setting.facts,
            created=time.time(),
        )
        ledger = Ledger(uri, create=True)
        ledger.create(record)
        observer = observer or Observer()
        for warning in record.objective.warnings():
            ledger.add_note(record.name, warning)
            observer.note(warning)
        return Study(drive(ledger.load(record.name), ledger, setting.executor, observer), uri)


def resume(
    name: str, *, ledger: str = DEFAULT_URI, trials: int | None = None, observer: Observer | None = None
) -> Study:
    """Go on with a study: finished folds are kept, unfinished ones trained, suggestions continued.

    Args:
        name: The study.
        ledger: Its ledger.
        trials: A new number of trials, not below that of the trials begun: a larger one extends the study, a smaller
            one ends its search early, with the refit. None keeps the number.
        observer: Told of everything that happens.

    Raises:
        LedgerError: There is no such study, another driver has it, or its data have changed.
        SpecError: More trials have begun than `trials`.
    """
    return _resume(name, ledger, trials, observer)


def _resume(
    name: str, ledger: str, trials: int | None, observer: Observer | None, changed: StudySpec | None = None
) -> Study:
    """:func:`resume`; `changed` is the study file where it was changed since in what results do not depend on."""
    book = Ledger(ledger)
    book.load(name)
    with workspace.driving(ledger, name), ExitStack() as stack:
        record = book.load(name)
        if changed is not None and changed != record.spec:
            record = book.set_spec(name, changed)
        if trials is not None and trials != record.spec.search.trials:
            if trials < len(record.trials):
                begun = len(record.trials)
                raise SpecError(
                    f"--trials {trials} is fewer than the {begun} trials that study {name!r} has",
                    hint=f"`{record.command('resume', f'--trials {begun}')}` ends the search with these",
                )
            record = book.set_spec(name, _with_trials(record.spec, trials))
        if record.state is StudyState.FINISHED and record.champion and record.champion.model_uri and trials is None:
            return Study(record, ledger)
        spec = with_engine(record.spec, record.facts["plan"]["engine"])
        stack.enter_context(imported_ahead(spec))
        executor = stack.enter_context(open_executor(spec, record.facts["plan"]["backend"]))
        found = executor.request("data_facts")["fingerprint"]
        if found != record.facts["data"]["fingerprint"]:
            raise LedgerError(
                f"the data of study {name!r} have changed: fingerprint {found}, "
                f"but {record.facts['data']['fingerprint']} when it began",
                hint="scores would not be comparable: put the old data back, or start a study of another name",
            )
        observer = observer or Observer()
        return Study(drive(_with_present_code(record, book, observer), book, executor, observer), ledger)


def _with_present_code(record: StudyRecord, ledger: Ledger, observer: Observer) -> StudyRecord:
    """The study, which says so if the build function's file has changed. No error: a mistake in it can be mended."""
    build, before = record.spec.model.build, record.facts.get("model_source")
    now = source_digest(build, record.spec.folder) if build else None
    if now is None or now == before:
        return record
    ledger.add_fact(record.name, "model_source", now)
    trained = [trial.number for trial in record.trials if trial.folds]
    if before is not None and trained:
        note = (
            f"the code of {build} has changed since trial {trained[-1]} (SHA-256 {before[:12]} then, {now[:12]} now): "
            "what is trained from here on, the refit included, may not be comparable with the trials up to it"
        )
        ledger.add_note(record.name, note)
        observer.note(note)
    return ledger.load(record.name)


def run_nested(
    study_file: str | Path, folds: int, *, name: str | None = None, observer: Observer | None = None
) -> Study:
    """Nested validation: search anew without each outer fold in turn, and test every winner on the fold left out.

    Each outer fold is a study of its own (``name.outer0`` …), so that it can be interrupted, resumed and looked at.
    The study itself is run too; what was measured joins its ``facts["nested"]``, and so its verdict.

    Args:
        study_file: As for :func:`run`.
        folds: Number of outer folds, at least 2.
        name: Takes the place of the file's name.
        observer: Told of everything that happens, study by study.

    Raises:
        HpsearchError: As for :func:`run`.
    """
    study = run(study_file, name=name, observer=observer)
    spec, text = load_spec(study_file)
    scores, searched = [], []
    for index in range(folds):
        validation = spec.validation.model_copy(update={"outer": OuterSection(folds=folds, index=index)})
        inner = spec.model_copy(update={"name": f"{study.name}.outer{index}", "validation": validation})
        outcome = _run(inner, text, observer)
        metric = analysis.test_metric(outcome.record)
        assert outcome.champion is not None
        assert outcome.best is not None
        scores.append(outcome.champion.test[metric])
        searched.append(outcome.best.score)
    ledger = Ledger(study.ledger_uri)
    ledger.add_fact(study.name, "nested", {"metric": metric, "scores": scores, "searched": searched})
    record = ledger.load(study.name)
    with suppress(HpsearchError):
        report.write_artifacts(record, study.folder, report.load_artifacts(record, study.folder))
    return Study(record, study.ledger_uri)


def sync(name: str, *, ledger: str = DEFAULT_URI) -> str:
    """Bring MLflow up to the ledger; returns what was done, in plain words.

    Raises:
        LedgerError: There is no such study.
        TrackingError: MLflow cannot be reached.
    """
    from hpsearch.tracking.mlflow import mlflow as tracking

    book = Ledger(ledger)
    with workspace.driving(ledger, name):
        record = book.load(name).undriven()
        report = tracking.sync(record)
        done = [f"{report.written} of {len(record.trials)} trials were missing or stale in MLflow", *report.notes]
        if record.champion is not None:
            path = str(check_champion(record))
            spec = with_engine(record.spec, record.facts["plan"]["engine"])
            with open_executor(spec, record.facts["plan"]["backend"]) as executor:
                uri = executor.request("call", LOG_CHAMPION, path, {"tracking": spec.tracking, "record": record})
            book.set_champion(name, replace(record.champion, model_uri=uri))
            done.append(f"champion: {uri}")
    return "\n".join(done)


def delete(name: str, *, ledger: str = DEFAULT_URI) -> Path:
    """Remove a study from the ledger, and its folder; what MLflow has of it stays there.

    Returns:
        The folder that was removed.

    Raises:
        LedgerError: There is no such study, a driver has it, or the folder cannot be removed.
    """
    book = Ledger(ledger)
    if not book.has(name):
        raise unknown_study(name, book.names(), ledger)
    folder = workspace.study_folder(ledger, name)
    with workspace.driving(ledger, name):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise LedgerError(
                f"{error.filename} cannot be removed: {error.strerror}",
                hint="make the folder writable and try again; the study is still in the ledger",
            ) from None
        book.delete(name)
    return folder


def check_champion(record: StudyRecord) -> Path:
    """The champion's file, checked to be the one that was saved.

    Raises:
        StudyError: There is none, or it is gone or changed.
    """
    import hashlib

    champion = record.champion
    if champion is None:
        raise StudyError(
            f"study {record.name!r} has no champion yet (state: {record.state})",
            hint=f"`{record.command('resume')}` finishes it",
        )
    path, again = Path(champion.path), f"`{record.command('resume')}`"
    if not path.exists():
        raise StudyError(
            f"the champion's file {path} is gone",
            hint="go to the folder that the study was started in, or "
            + (f"load it from MLflow: {champion.model_uri}" if champion.model_uri else f"train it anew with {again}"),
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != champion.sha256:
        raise StudyError(
            f"the champion's file {path} was changed since it was trained",
            hint=f"load the registered one from MLflow: {champion.model_uri}"
            if champion.model_uri
            else f"delete it, and train it anew with {again}",
        )
    return path


def set_up(spec: StudySpec) -> Setting:
    """What a study of this file would start from, without entering anything. The setting's executor is closed.

    Raises:
        HpsearchError: As :func:`run` would before its first trial.
    """
    with ExitStack() as stack:
        return prepare_study(spec, stack)


def _renamed(spec: StudySpec, name: str) -> StudySpec:
    from pydantic import ValidationError

    try:
        return StudySpec.model_validate({**spec.model_dump(), "folder": spec.folder, "name": name})
    except ValidationError as error:
        raise SpecError(f"--name {name!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _with_trials(spec: StudySpec, trials: int) -> StudySpec:
    return spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})


def _check_unchanged(record: StudyRecord, spec: StudySpec) -> None:
    """A study keeps its file: another one under the same name would mix what cannot be compared."""
    old, new = _flat(record.spec.model_dump(mode="json")), _flat(spec.model_dump(mode="json"))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    changed = [key for key in changed if not key.startswith(CHANGEABLE)]
    if changed:
        lines = "\n".join(f"  - {key}: {old.get(key)!r} then, {new.get(key)!r} now" for key in changed)
        raise SpecError(
            f"study {spec.name!r} is in the ledger with another study file:\n{lines}",
            hint=_ways_to(record, spec.search.trials)
            if changed == ["search.trials"]
            else "give the changed study a name of its own: `name = …` in the file, or --name",
        )


def _ways_to(record: StudyRecord, trials: int) -> str:
    """What to do for another number of trials than a study has."""
    begun, now = len(record.trials), record.spec.search.trials
    call = f"`{record.command('resume', f'--trials {max(trials, begun)}')}`"
    if trials > now:
        return f"{call} extends it"
    if trials >= begun:
        return f"{call} ends the search there and refits the best"
    if begun < now:
        return f"it has {begun} trials already: {call} ends the search with these and refits the best"
    return f"it has {begun} trials already: put back `trials = {now}`, or give the changed study a name of its own"


def _trials_in(study_file: str) -> int:
    """The number of trials that the text of a study file asks for."""
    default: int = SearchSection.model_fields["trials"].default
    return int(tomllib.loads(study_file).get("search", {}).get("trials", default))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
