"""What any tracker can do. The record of truth is the ledger; a tracker shows it elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class TrackingState:
    """Where a tracker stands.

    Attributes:
        caught_up: Everything is written.
        waiting: How many trials may be missing.
        problem: Why; empty if caught up.
        url: The study's web page; empty if no server is known (`hpsearch ui` starts one).
        run_id: The tracker's id of the study's run; empty before it has been reached.
        model_uri: Where the champion is registered, such as ``models:/digits/1``; empty before.
        notes: What the user should know, oldest first: outages, refusals, things restored.
    """

    caught_up: bool
    waiting: int
    problem: str
    url: str
    run_id: str
    model_uri: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What catching up has done.

    Attributes:
        written: How many trials were missing or stale.
        url: The study's web page; empty if no server is known.
        run_id: The tracker's id of the study's run.
        model_uri: Where the champion is registered, such as ``models:/digits/1``; empty if it is not.
        notes: What else the user should know.
    """

    written: int
    url: str
    run_id: str
    model_uri: str = ""
    notes: tuple[str, ...] = ()


Settle = Callable[[Callable[[StudyRecord], bool]], None]
"""Hands a study to a function that writes it, if its driver is still dead."""


class Tracker(ABC):
    """Shows a study elsewhere while it is searched, such as in MLflow.

    Called by the driver's thread alone. Every method but :meth:`close` returns at once and none raises: whatever
    happens to the tracking server, the study goes on. What could not be written is caught up by the next start or by
    ``hpsearch sync``.
    """

    @abstractmethod
    def open(self, record: StudyRecord) -> None:
        """A study starts or goes on. Trials that are missing are caught up."""

    @abstractmethod
    def settle(self, other: "Settle") -> None:
        """Another study's driver has died: what it has left running is ended, after this study's own.

        Args:
            other: Called with a function that writes a study and says whether it is complete. It may call it or not.
        """

    @abstractmethod
    def trial_changed(self, trial: Trial) -> None:
        """A trial has started, finished a fold or ended; ``trial.folds`` holds all that are finished."""

    def driver_waited(self, seconds: float) -> None:  # noqa: B027 - a tracker may work elsewhere, or hardly at all
        """The driver has waited for its workers for so long. A tracker that works beside it may take as much time."""

    @abstractmethod
    def champion_ready(self, record: StudyRecord) -> str:
        """The champion's files are saved: ``record.champion`` says where. They must stay until :meth:`close`.

        Returns:
            Where the model will be once it is registered, such as ``models:/digits@champion``; empty if the tracker is
            known to be out of reach.
        """

    @abstractmethod
    def add_file(self, path: Path, folder: str | None = None) -> None:
        """Put a file beside the study, such as the report. It must stay until :meth:`close`."""

    @abstractmethod
    def flush(self) -> bool:
        """Wait until all that was told so far is written, but not for ever; False if it is not."""

    @abstractmethod
    def leave(self) -> TrackingState:
        """This driver ends, and others go on with the study: in place of :meth:`close`."""

    @abstractmethod
    def close(self, record: StudyRecord) -> TrackingState:
        """The study has ended, whichever way: see ``record.state``. Waits for the last writes, but not for ever."""

    @property
    @abstractmethod
    def state(self) -> TrackingState:
        """Where the tracker stands."""


class Untracked(Tracker):
    """Shows a study nowhere."""

    def open(self, record: StudyRecord) -> None:
        """Nothing to do."""

    def settle(self, other: "Settle") -> None:
        """Nothing to do."""

    def trial_changed(self, trial: Trial) -> None:
        """Nothing to do."""

    def champion_ready(self, record: StudyRecord) -> str:
        """It is registered nowhere."""
        return ""

    def add_file(self, path: Path, folder: str | None = None) -> None:
        """Nothing to do."""

    def flush(self) -> bool:
        """Nothing to wait for."""
        return True

    def leave(self) -> TrackingState:
        """Nothing to wait for."""
        return self.state

    def close(self, record: StudyRecord) -> TrackingState:
        """Nothing to wait for."""
        return self.state

    @property
    def state(self) -> TrackingState:
        """Everything that is to be written is."""
        return TrackingState(caught_up=True, waiting=0, problem="", url="", run_id="")
