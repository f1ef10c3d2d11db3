"""Trials and their results: frozen values that cross process boundaries and enter the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from statistics import median_low

from hpsearch.core.safe_text import for_terminal
from hpsearch.core.space import Config, Parameter
from hpsearch.core.wire import Wire

Curves = Mapping[str, tuple[float, ...]]
"""Metric → one value per finished epoch. Validation metrics have the prefix ``val_``, as in Keras."""


class TrialState(StrEnum):
    """State of a trial. Only ``COMPLETE`` trials, which have all their folds, are ranked.

    An ``INFEASIBLE`` trial breaks a limit of the study. It has a score if it was trained: what breaks a limit by its
    size is not.
    """

    RUNNING = "running"
    COMPLETE = "complete"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self is not TrialState.RUNNING


@dataclass(frozen=True, slots=True)
class FoldResult(Wire):
    """The curves of one trained lane.

    Attributes:
        fold: Index of the fold, from 0.
        curves: See :data:`Curves`. The length of all tuples is the number of epochs trained.
        started: Unix time of the start, seconds.
        seconds: Wall time of the lane, seconds; a fused lane has its share of the bundle.
        stopped: Whether a callback, such as ``EarlyStopping``, has ended it after :attr:`epochs` epochs.
        kept: The epoch whose weights its model got back at the end, from 1; None if it has those of the last one.
    """

    fold: int
    curves: Curves
    started: float
    seconds: float
    stopped: bool = False
    kept: int | None = None

    @property
    def epochs(self) -> int:
        return len(next(iter(self.curves.values()), ()))

    def curve(self, metric: str, epochs: int) -> tuple[float, ...]:
        """The first `epochs` values of a metric. After the last epoch, they are those of the model as it was left."""
        values = self.curves[metric]
        if len(values) >= epochs or not values:
            return values[:epochs]
        return values + (values[(self.kept or len(values)) - 1],) * (epochs - len(values))


class FailureKind(StrEnum):
    """Why a trial did not complete."""

    DIVERGED = "diverged"
    """The loss is not finite."""
    ERROR = "error"
    """The code raised an exception."""
    OUT_OF_MEMORY = "out-of-memory"
    WORKER = "worker"
    """The worker process died."""
    TIMEOUT = "timeout"
    """It took longer than ``epoch_timeout`` or ``trial_timeout``."""
    PRUNED = "pruned"
    """A pruning rule stopped the trial."""
    INFEASIBLE = "infeasible"
    """It breaks a limit of ``[objective] at_most`` or ``at_least``."""


@dataclass(frozen=True, slots=True)
class Failure(Wire):
    """Why a trial did not complete.

    Attributes:
        kind: See :class:`FailureKind`.
        message: One line, with the value.
        fold: The fold in which it happened; None if unknown.
        epoch: The epoch in which it happened, from 1; None if unknown.
        traceback: The worker's traceback; empty if there is none.
    """

    kind: FailureKind
    message: str
    fold: int | None = None
    epoch: int | None = None
    traceback: str = ""


def not_trained(broken: str) -> Failure:
    """Why a trial ends whose model breaks limits, which are said in `broken`."""
    return Failure(FailureKind.INFEASIBLE, f"{broken}; not trained")


class Origin(StrEnum):
    """Where a trial in the ledger comes from. The ledger is an Optuna study, so other programs may write it, too."""

    SEARCH = "search"
    QUEUED = "queued"
    """Enqueued by another program, and waiting: its config has the values that it is to be trained with."""
    FOREIGN = "foreign"
    """Asked for, trained or added by another program."""


@dataclass(frozen=True, slots=True, repr=False)
class Trial:
    """One config and everything known about it.

    Attributes:
        number: Position in the study, from 0.
        config: Value of every active hyperparameter.
        state: See :class:`TrialState`.
        score: Value of the mean curve at the objective's epoch; None unless complete, pruned or infeasible.
        std: Sample standard deviation of the fold scores at that epoch; None with one fold.
        epoch: The epoch of the score, from 1. If the folds have restored their best weights, the median of these
            epochs.
        fold_scores: Each fold's value at that epoch, in fold order; folds in which the metric is not defined are left
            out. :meth:`scores_by_fold` has their numbers.
        folds: Finished folds, in fold order.
        failure: Set unless running or complete.
        started: Unix time of the suggestion, seconds.
        finished: Unix time of the end; None while running.
        parameters: Number of weights of the model; None before the first lane is built.
        found: What its suggestion has added to the space: hyperparameters that KerasTuner code asked for, and those
            whose condition turned out to be wrong.
        origin: See :class:`Origin`.
        measured: What the study's limits are on → its value for this trial, as far as it is known.
    """

    number: int
    config: Config
    state: TrialState = TrialState.RUNNING
    score: float | None = None
    std: float | None = None
    epoch: int | None = None
    fold_scores: tuple[float, ...] = ()
    folds: tuple[FoldResult, ...] = ()
    failure: Failure | None = None
    started: float = 0.0
    finished: float | None = None
    parameters: int | None = None
    found: Mapping[str, Parameter] = field(default_factory=dict)
    origin: Origin = Origin.SEARCH
    measured: Mapping[str, float] = field(default_factory=dict)

    def scores_by_fold(self, metric: str) -> dict[int, float]:
        """Fold → its score in the objective's `metric`, for the folds that have one."""
        scored = [fold.fold for fold in self.folds if metric in fold.curves]
        return dict(zip(scored, self.fold_scores, strict=False))

    def epoch_of(self, fold: FoldResult) -> int:
        """The epoch that a fold's score is of, from 1: the trial's, unless it ended before or restored another."""
        if self.has_restored and fold.kept is not None:
            return fold.kept
        return max(1, min(self.epoch or fold.epochs, fold.epochs))

    @property
    def refit_epochs(self) -> int:
        """Epochs to train a model on all rows: the median of :meth:`epoch_of`, the lower one of two."""
        return median_low([self.epoch_of(fold) for fold in self.folds]) if self.folds else self.epoch or 1

    @property
    def read_at(self) -> str:
        """Where its score is read, to follow "read"."""
        if not self.has_restored:
            return f"at epoch {self.epoch or 1}"
        return f"at the epoch that each fold has restored, {self.epoch} at the median"

    @property
    def stopped_epochs(self) -> tuple[int, ...]:
        """After how many epochs each fold ended, if a callback has ended one of them; else empty."""
        return tuple(fold.epochs for fold in self.folds) if any(fold.stopped for fold in self.folds) else ()

    @property
    def epochs_trained(self) -> str:
        """How many epochs its folds have trained: ``12``, or ``9 to 12``."""
        trained = [fold.epochs for fold in self.folds] or [0]
        differ = bool(self.stopped_epochs) and min(trained) < max(trained)
        return f"{min(trained)} to {max(trained)}" if differ else str(max(trained))

    @property
    def has_restored(self) -> bool:
        """Whether each fold's model has got back the weights of an epoch that a callback chose."""
        return bool(self.folds) and all(fold.kept is not None for fold in self.folds)

    @property
    def seconds(self) -> float:
        """Training time of all finished folds, seconds."""
        return sum(fold.seconds for fold in self.folds)

    def __repr__(self) -> str:
        config = ", ".join(f"{name}={_short(value)}" for name, value in self.config.items())
        return for_terminal(f"<Trial {self.number}: {self._said}; {config}>")

    def _repr_html_(self) -> str:
        """The trial for a notebook: its score, its folds and its config."""
        rows = {
            **self.config,
            **self.measured,
            "score by fold": ", ".join(map(_short, self.fold_scores)),
            "epochs": self._epochs,
        }
        if self.failure is not None:
            rows["failure"] = self.failure.message
        cells = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(_short(v))}</td></tr>" for k, v in rows.items())
        return f"<p>{escape(f'Trial {self.number}: {self._said}')}</p><table>{cells}</table>"

    @property
    def _epochs(self) -> str:
        trained = self.epochs_trained
        return trained if self.epoch is None else f"{trained}, scored at epoch {self.epoch}"

    @property
    def _said(self) -> str:
        if self.score is None:
            return str(self.state)
        spread = "" if self.std is None else f" ± {_short(self.std)}"
        return f"{self.state}, {_short(self.score)}{spread}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True, repr=False)
class Champion(Wire):
    """The model made of the best trial, tested once: see ``[champion]`` in a study file for its kinds.

    Attributes:
        trial: Number of the winning trial.
        config: Its hyperparameter values.
        epochs: Number of epochs trained: the epoch of the trial's score.
        curves: Training curves: of the model trained on all development rows (no rows are left to validate on), or
            means over the fold models. Of several trials, those of the best.
        test: Test metrics by plain name, such as ``{"loss": …, "accuracy": …}``; empty without a test part.
        baseline: What is reached at best, in the same metrics, without looking at the inputs of the test rows.
        validation: The task's metrics of the trial on validation rows, at the epoch of its score: means over folds.
        path: The saved ``.keras`` or ``.weights.h5`` file, relative to the study's working directory if possible.
        sha256: Digest of that file, to detect changes.
        parameters: Number of weights.
        size_bytes: Size of the file.
        seconds: Training time of all its models.
        mlflow_model: Folder of the same model in MLflow's format; empty if there is none, as in hpsearch 0.1.
        model_uri: ``models:/name/version`` after the registration in MLflow; empty before.
        kind: ``"refit"``, ``"folds"`` or, for the best five trials, ``"top-5"``.
        trials: Numbers of the trials that its models are of, the best first.
        models: How many models its predictions are the mean of.
        compared: Kind → test metrics of all kinds that were trained and tested; empty unless that was asked for.
        rechosen: Whether another kind, or another trial, had been tested when this one was asked for.
        crowned: Unix time at which its trial was chosen by hand; None for the search's winner.
        logits: Whether it returns logits of classes or labels; None for values, and in older ledgers.
        seal: Shows who has made the file; see :mod:`hpsearch.ledger.seals`. Empty in older ledgers.
    """

    trial: int
    config: Config
    epochs: int
    curves: Curves
    test: Mapping[str, float]
    path: str
    sha256: str
    parameters: int
    size_bytes: int
    seconds: float
    mlflow_model: str = ""
    model_uri: str = ""
    kind: str = "refit"
    trials: tuple[int, ...] = ()
    models: int = 1
    compared: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rechosen: bool = False
    baseline: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    logits: bool | None = None
    seal: str = ""
    crowned: float | None = None

    def __repr__(self) -> str:
        tested = ", ".join(f"{name} {_short(value)}" for name, value in self.test.items()) or "not tested"
        weights = f"{self.parameters:,} weights"
        return for_terminal(f"<Champion of trial {self.trial}: {self.made}; test: {tested}; {weights}>")

    @property
    def made(self) -> str:
        """How it was made, to follow its name or a verb: ``refitted on all training rows for 12 epochs``."""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        if self.kind == "folds" and self.models > 1:
            return f"the mean of the {self.models} fold models of trial {self.trial}, trained for {epochs}"
        if self.models > 1:
            trials = ", ".join(map(str, self.trials))
            return f"the mean of the {self.models} best trials ({trials}), each refitted on all training rows"
        return f"refitted on all training rows for {epochs}"

    @property
    def weights_only(self) -> bool:
        """Whether the file holds weights for a model that the study's build function builds."""
        return self.path.endswith(WEIGHTS_SUFFIX)


WEIGHTS_SUFFIX = ".weights.h5"
"""End of the name of a file of Keras that holds weights only."""
