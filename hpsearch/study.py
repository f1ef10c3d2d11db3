"""Run, resume and read studies: what the command line and a notebook call."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hpsearch import analysis, report, tracking
from hpsearch.arguments import Source, study_file
from hpsearch.champion.files import check_champion
from hpsearch.champion.predict import predict_rows
from hpsearch.core.space import Config
from hpsearch.core.trial import Champion, Trial
from hpsearch.errors import HpsearchError
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.live import watching
from hpsearch.search import starting
from hpsearch.search.mistakes import every_mistake
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import PreparedStudy, open_executor, prepare_study
from hpsearch.search.refitting import refit_trials
from hpsearch.spec import DEFAULT_LEDGER, AnyUri, StudySpec, Uri
from hpsearch.spoken import speaking_python
from hpsearch.training.protocol import WorkerProtocol

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from hpsearch.report.notebook import Figures


class Study:
    """A study, read from the ledger. Reading it again (:func:`load`) shows what a running driver has added."""

    def __init__(self, record: StudyRecord, ledger_uri: AnyUri) -> None:
        self.record = record
        self.ledger_uri = Uri(ledger_uri)

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
        """The folder of the study's files."""
        return workspace.study_folder(self.ledger_uri, self.name)

    def trials_dataframe(self) -> "pd.DataFrame":
        """One row per trial.

        Columns: number, state, score, std, epoch, seconds, parameters, failure, ``config.*`` and ``fold_0`` … (fold
        scores); in a study with limits also ``limited.*`` and ``violation``.
        """
        return analysis.trials_table(self.record)

    @property
    def figures(self) -> "Figures":
        """The report's figures for a notebook, such as ``study.figures.importance()``."""
        from hpsearch.report.notebook import Figures

        return Figures(self.record, report.load_artifacts(self.record, self.folder))

    def best_model(self, *, trust: bool = False) -> "keras.Model":
        """The champion as a Keras model (imports Keras).

        Args:
            trust: Whether its code may run although the study was made elsewhere, or by somebody else.

        Raises:
            StudyError: The study has none yet, its file is gone or was changed, or its code is not trusted.
            ModelError: It needs code that the study's build module no longer has.
        """
        from hpsearch.training.keeping import load_champion

        with speaking_python():
            path = check_champion(self.record, trust=trust)
            assert self.record.champion is not None
            return load_champion(path, self.record.worker_spec, self.record.champion.config)

    def best_models(self, count: int = 5) -> "list[keras.Model]":
        """Models of the best complete trials, the best first, each trained again: see :meth:`refit`."""
        return self._refitted(self.record.ranked[:count])

    def refit(self, trial: int | Trial) -> "keras.Model":
        """Train a trial's config on all development rows, to the epoch of its score.

        A study keeps no model but the champion, which the best trial becomes in this way. What comes out is not tested,
        and nothing of it is kept.

        Args:
            trial: A trial or its number.

        Returns:
            The Keras model (imports Keras).

        Raises:
            StudyError: There is no such trial, or it has no score.
            LedgerError: The study's data have changed.
            ModelError: Training fails or diverges, or the model cannot be saved and loaded.
        """
        with speaking_python():
            found = analysis.find_trial(self.record, trial.number if isinstance(trial, Trial) else trial)
        return self._refitted([found])[0]

    def crown(self, trial: int | Trial, *, observer: Observer | None = None) -> Champion:
        """Make a trial the champion by hand: refit, test, seal, report, and a new version in MLflow's registry.

        The fact and the date are kept with the champion. A test score that is looked at to choose, and one that is
        measured after others were known, is not unbiased any more; the report says so.

        Args:
            trial: A trial with a score of all folds, or its number. It may break a limit of the study.
            observer: Told of everything that happens.

        Returns:
            The champion, which :attr:`champion` is from now on.

        Raises:
            LedgerError: A driver has the study, or its data or Keras' settings have changed.
            StudyError: There is no such trial, it cannot be a champion, or it is one.
            ModelError: Training fails or diverges, or the model cannot be saved.
        """
        number = trial.number if isinstance(trial, Trial) else trial
        with speaking_python():
            self.record = starting.crown(self.name, self.ledger_uri, number, observer=observer or Observer())
        assert self.record.champion is not None
        return self.record.champion

    def _refitted(self, trials: Sequence[Trial]) -> "list[keras.Model]":
        from hpsearch.training.keeping import load_champion

        with speaking_python(), TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            paths = refit_trials(self.record, self.ledger_uri, trials, Path(folder))
            pairs = zip(paths, trials, strict=True)
            return [load_champion(path, self.record.worker_spec, one.config) for path, one in pairs]

    def predict(self, x: object, *, trust: bool = False) -> "pd.DataFrame":
        """Predict raw rows with the champion (imports Keras).

        Args:
            x: Rows as the study's source has them: an array, a DataFrame or a dict of columns.
            trust: Whether the champion's code may run although the study was made elsewhere, or by somebody else.

        Returns:
            One row per row: ``prediction`` (a class name, or a number in the data's own unit), and for classes
            ``probability`` and one column ``p(<class>)`` each.

        Raises:
            StudyError: The study has no champion yet, its file is gone or was changed, or its code is not trusted.
            DataError: The rows are not what the model takes.
            ModelError: The model needs code that the study's build module no longer has.
        """
        with speaking_python():
            return predict_rows(self.record, x, trust=trust)

    def best_configs(self, count: int = 5) -> list[Config]:
        """The configs of the best complete trials, the best first."""
        return [trial.config for trial in self.record.ranked[:count]]

    def _repr_html_(self) -> str:
        """The study, its ten best trials and their learning curves, for a notebook."""
        from hpsearch.report.notebook import study_html

        return study_html(self.record, repr(self))


def load(name: str, *, ledger: AnyUri = DEFAULT_LEDGER) -> Study:
    """Read a study from a ledger.

    Raises:
        LedgerError: There is no such ledger or study.
    """
    with speaking_python():
        return Study(workspace.read(Ledger(ledger), name), ledger)


def run(
    source: Source,
    x: object = None,
    y: object = None,
    *,
    name: str | None = None,
    x_test: object = None,
    y_test: object = None,
    groups: object = None,
    time: object = None,
    sample_weight: object = None,
    sample_weight_test: object = None,
    callbacks: object = None,
    space: Mapping[str, object] | None = None,
    folds: int | None = None,
    trials: int | None = None,
    metric: str | None = None,
    direction: str | None = None,
    seed: int | None = None,
    verbose: int = 1,
    observer: Observer | None = None,
    join: bool = False,
    overwrite: bool = False,
    **sections: Mapping[str, object],
) -> Study:
    """Search, refit the winner, and return the study.

    A study that exists already is continued, or returned if it is finished. Keys that the search does not depend on
    (:data:`hpsearch.search.changes.CHANGEABLE`) may have changed since.

    >>> study = hpsearch.run("studies/digits.toml", trials=5)
    >>> study = hpsearch.run(build, x, y, space={"units": [32, 64]}, folds=5, metric="val_loss", direction="minimize")

    Data and code that are given in memory are kept in the workspace, so that ``resume`` and ``predict`` work later and
    in other processes.

    Args:
        source: A study file (see ``hpsearch schema``); a dict of the same sections; or a build function, wherever it is
            defined: ``build(config, data)``, KerasTuner's ``build(hp)``, a ``HyperModel`` or its class.
        x: Rows in memory: an array of shape ``(n_rows, …)``, a DataFrame, a dict of columns, or a ``tf.data.Dataset``
            of ``(x, y)``.
        y: Their targets.
        name: The study's name. By default that of the file, or one made of the call: the same call continues the same
            study, and a changed one begins another.
        x_test: Rows to test the winner on; by default, a fifth of `x` is held out.
        y_test: Their targets.
        groups: Group of each row of `x`: rows of one group are never split.
        time: Time of each row of `x`: every fold validates on later rows.
        sample_weight: How much each row of `x` counts in the loss and in weighted metrics, as for Keras' ``fit``.
        sample_weight_test: The same of the rows of `x_test`.
        callbacks: Keras callbacks for a build function: a list, of which every fold gets copies, or a function of a
            config that returns a new list. They count as in ``docs/models-and-data.md``.
        space: Hyperparameter → list of values, two numbers ``(low, high)``, a dict such as
            ``{"low": 1e-3, "high": 0.1, "log": True}``, or one value.
        folds: Number of folds; 5 by default.
        trials: Number of trials; 20 by default.
        metric: What to optimise; ``val_loss`` by default with a build function.
        direction: ``"minimize"`` or ``"maximize"``; needed with a `metric` that is not the loss or one of the task.
        seed: The study's seed.
        verbose: 0 shows no progress.
        observer: Told of everything that happens, instead of showing progress.
        join: Whether other drivers, each in a process of its own, may work at the study at the same time. Needs a
            PostgreSQL ledger; see ``docs/scale.md``. The study may still be running when this driver has ended.
        overwrite: Whether to delete a study of that name with its trials, null searches and outer folds, and begin
            anew. It is deleted when the new one is ready to begin. What MLflow has of it stays there. A program that
            is started again after an interruption must not say so: it would delete its own trials.
        sections: Further sections of a study file as dicts, such as ``search={"stop": "auto"}``.

    Raises:
        HpsearchError: See its subclasses. What was finished before is in the ledger.
        Interrupted: Ctrl-C.
    """
    parts = {"x": x, "y": y, "x_test": x_test, "y_test": y_test, "groups": groups, "time": time}
    parts |= {"sample_weight": sample_weight, "sample_weight_test": sample_weight_test}
    given = {"space": space, "folds": folds, "trials": trials, "metric": metric, "direction": direction, "seed": seed}
    with speaking_python(source, y):
        with every_mistake():
            spec, text = study_file(source, parts, {"name": name, **given, **sections}, callbacks=callbacks)
        with nullcontext(observer) if observer is not None or not verbose else watching() as told:
            return start(spec, text, told, join=join, overwrite=overwrite)


def start(
    spec: StudySpec, text: str, observer: Observer | None, *, join: bool = False, overwrite: bool = False
) -> Study:
    """:func:`run` for a study file that is read already."""
    record = starting.start(spec, text, observer or Observer(), join=join, overwrite=overwrite)
    return Study(record, spec.tracking.resolved().ledger)


def resume(
    name: str,
    *,
    ledger: AnyUri = DEFAULT_LEDGER,
    trials: int | None = None,
    observer: Observer | None = None,
    join: bool = False,
) -> Study:
    """Continue a study: finished folds are kept, unfinished ones trained, suggestions continued.

    Args:
        name: The study.
        ledger: Its ledger.
        trials: A new number of trials, not below the number of trials begun. A larger one extends the study, a smaller
            one ends its search early, with the refit. None keeps the number.
        observer: Told of everything that happens.
        join: As for :func:`run`.

    Raises:
        LedgerError: There is no such study, another driver has it, or its data have changed.
        SpecError: More trials have begun than `trials`.
    """
    with speaking_python():
        told = observer or Observer()
        return Study(starting.resume(name, ledger, observer=told, trials=trials, join=join), ledger)


def sync(name: str, *, ledger: AnyUri = DEFAULT_LEDGER, trust: bool = False) -> str:
    """Bring MLflow up to date with the ledger.

    Args:
        name: The study.
        ledger: Its ledger.
        trust: Whether the champion's code may run although the study was made elsewhere, or by somebody else: where its
            model in MLflow's format is missing, it has to be loaded.

    Returns:
        What was done, in plain words.

    Raises:
        LedgerError: There is no such study.
        TrackingError: MLflow cannot be reached.
    """
    with speaking_python(), ExitStack() as stack:
        store = Ledger(ledger)
        store.load(name)  # before anything is made for a study that is not here
        stack.enter_context(workspace.driving(ledger, name))
        record = store.load(name).undriven()
        with tracking.environment(record.spec):
            done, record = _sync(record, ledger, trust)
        if record.behind:
            store.set_behind(name, "")
        lines = [f"{done.written} of {len(record.trials)} trials were missing or stale in MLflow", *done.notes]
        if record.champion is not None and done.model_uri:
            store.set_champion(name, replace(record.champion, model_uri=done.model_uri))
            lines.append(f"champion: {done.model_uri}")
    return "\n".join(lines)


def _sync(record: StudyRecord, ledger: AnyUri, trust: bool) -> tuple[tracking.SyncReport, StudyRecord]:
    """Trials are written whatever has become of the champion's files; only then is their error raised."""
    champion, broken = record.champion, None
    if champion is not None:
        try:
            record = replace(record, champion=_with_mlflow_model(record, ledger, trust))
        except HpsearchError as error:
            broken = error
            # One that is registered needs no files. Any other is left out.
            record = record if champion.model_uri else replace(record, champion=None)
    here = record.spec.model_copy(update={"tracking": workspace.tracking_here(record.spec, ledger)})
    done = tracking.sync(replace(record, spec=here))
    if broken is not None and not done.model_uri:
        raise broken
    return done, record


def _with_mlflow_model(record: StudyRecord, ledger: AnyUri, trust: bool) -> Champion:
    """The champion with its model in MLflow's format, which hpsearch 0.1 did not write."""
    champion = record.champion
    assert champion is not None
    has_one = workspace.has_mlflow_model(champion)
    path = check_champion(record, trust=trust or has_one, runs_study=not has_one)  # files are handed on as they are
    if has_one:
        return champion
    with open_executor(record.worker_spec, record.facts.backend, ledger=ledger, note=warnings.warn) as executor:
        return executor.call(
            WorkerProtocol.write_mlflow_model,
            replace(champion, path=str(path)),
            workspace.study_folder(ledger, record.name),
        )


def prepare(spec: StudySpec) -> PreparedStudy:
    """What a study of this file would start from, without entering anything. The executor in it is closed.

    Raises:
        HpsearchError: As :func:`run` would before its first trial.
    """
    with ExitStack() as stack:
        return prepare_study(spec, stack)
