"""When failed trials end a study: the very first one, or too many in a row."""

from hpsearch.core.trial import FailureKind, Trial, TrialState
from hpsearch.errors import ExecutorError, ModelError, StudyError
from hpsearch.ledger.record import StudyRecord


class FailuresInARow:
    """Counts the trials that a driver has trained and that failed, one after the other.

    Args:
        record: The study.
    """

    def __init__(self, record: StudyRecord) -> None:
        self._most = record.spec.search.max_failures
        self._hint = f"mend the cause, then `{record.command('resume')}`"
        self._count = 0

    def add(self, trial: Trial) -> None:
        """A trial has ended.

        Raises:
            ModelError: The very first trial failed in the user's code.
            StudyError: ``max_failures`` trials failed in a row.
            ExecutorError: So they did, the last because its worker kept dying.
        """
        if trial.state is not TrialState.FAILED:
            self._count = 0
            return
        assert trial.failure is not None
        self._count += 1
        reason = f"{trial.failure.message}\n{trial.failure.traceback}".rstrip()
        if trial.number == 0 and trial.failure.kind is FailureKind.ERROR:
            raise ModelError(f"the first trial failed: {reason}", hint=self._hint)
        if self._count >= self._most:
            # Where workers die, the machine is to blame; else the model or the data.
            kind = ExecutorError if trial.failure.kind is FailureKind.WORKER else StudyError
            raise kind(
                f"{self._count} trials failed in a row (max_failures = {self._most}); the last, trial {trial.number}: "
                f"{reason}",
                hint=self._hint,
            )
