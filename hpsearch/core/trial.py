"""Trials, lanes and bundles, and what happens to them, as frozen values that cross process boundaries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hpsearch.core.space import Config

Curves = Mapping[str, tuple[float, ...]]
"""Metric name → one value per finished epoch; validation metrics carry the ``val_`` prefix, as in Keras."""


class TrialState(StrEnum):
    """Where a trial stands; only ``COMPLETE`` trials, which have all their folds, are ranked."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self is not TrialState.RUNNING


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One trained lane: the curves of one fold.

    Attributes:
        fold: Index of the fold, from 0.
        curves: See :data:`Curves`; all tuples have one length, the epochs trained.
        started: Unix time at which training began, seconds.
        seconds: Wall time of the lane, seconds (a fused lane's share of its bundle).
    """

    fold: int
    curves: Curves
    started: float
    seconds: float

    @property
    def epochs(self) -> int:
        return len(next(iter(self.curves.values()), ()))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial did not complete.

    Attributes:
        kind: ``"diverged"`` (loss not finite), ``"error"`` (the code raised), ``"out-of-memory"``, ``"worker"``
            (the process died) or ``"pruned"`` (a rule stopped it).
        message: One line, with the value.
        fold: The fold it happened in, if one can be named.
        epoch: The epoch it happened in, from 0, if one can be named.
        traceback: The worker's traceback; empty where there is none.
    """

    kind: str
    message: str
    fold: int | None = None
    epoch: int | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One config and everything known of it.

    Attributes:
        number: Position in the study, from 0.
        config: Value of every active hyperparameter.
        state: See :class:`TrialState`.
        score: Value of the mean curve at the objective's epoch; None unless complete or pruned.
        std: Sample standard deviation of the fold scores at that epoch; None with one fold.
        epoch: The epoch of the score, from 0.
        fold_scores: Each fold's value at that epoch, in fold order.
        folds: Finished folds, in fold order.
        failure: Set unless running or complete.
        started: Unix time of the suggestion, seconds.
        finished: Unix time of the end; None while running.
        parameters: Number of weights of the model; None before the first lane has been built.
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

    @property
    def seconds(self) -> float:
        """Seconds of training over all finished folds."""
        return sum(fold.seconds for fold in self.folds)


@dataclass(frozen=True, slots=True)
class Champion:
    """The best trial's config, trained anew on all development rows and tested once.

    Attributes:
        trial: Number of the winning trial.
        config: Its hyperparameter values.
        epochs: Epochs trained: the epoch of the trial's score + 1.
        curves: Training curves of the refit (no validation part is left to validate on).
        test: Test metrics by plain name, such as ``{"loss": …, "accuracy": …}``; empty where nothing was held out.
        path: The saved ``.keras`` file, relative to the working directory of the study where possible.
        sha256: Digest of that file, to notice a change.
        parameters: Number of weights.
        size_bytes: Size of the file.
        seconds: Training time of the refit.
        model_uri: ``models:/name/version`` once registered in MLflow; empty before.
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
    model_uri: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One trial on one fold; all that an engine needs to know of it besides the data."""

    trial: int
    fold: int
    config: Config


@dataclass(frozen=True, slots=True)
class Bundle:
    """Lanes that train together. The `fit` engine trains them in order, the `fused` engine all at once."""

    id: int
    lanes: tuple[Lane, ...]

    @property
    def trials(self) -> tuple[int, ...]:
        """Numbers of the trials in the bundle, in order of first appearance."""
        return tuple(dict.fromkeys(lane.trial for lane in self.lanes))


# Events: what an engine yields and an executor passes on, in the order in which it happens.


@dataclass(frozen=True, slots=True)
class EpochFinished:
    """One epoch of one lane, reported when it is done so that rules can act between epochs."""

    trial: int
    fold: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LaneFinished:
    """A lane trained to its end. ``parameters`` is the number of weights of its model."""

    trial: int
    result: FoldResult
    parameters: int


@dataclass(frozen=True, slots=True)
class LaneStopped:
    """A lane ended early because its trial was stopped; ``result`` holds the epochs it did train."""

    trial: int
    result: FoldResult


@dataclass(frozen=True, slots=True)
class LaneFailed:
    """A lane ended by a failure; its bundle goes on with the other lanes where it can."""

    trial: int
    fold: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class BundleFinished:
    """No more events of this bundle will come.

    Attributes:
        id: The bundle's id.
        rss_bytes: Resident memory of the worker afterwards, to see growth.
        compile_seconds: Time spent building and compiling rather than training.
        notes: Plain-words remarks for the user, such as "out of memory: bundle split in halves".
    """

    id: int
    rss_bytes: int = 0
    compile_seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker that trained this bundle is gone; lanes without a LaneFinished event are lost."""

    bundle: Bundle
    reason: str


Event = EpochFinished | LaneFinished | LaneStopped | LaneFailed | BundleFinished | WorkerDied
