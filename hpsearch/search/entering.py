"""How trials come into a study: suggested here, enqueued by another program, or simply there."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from hpsearch.core.events import Lane, ModelMeasured
from hpsearch.core.facts import Stopped
from hpsearch.core.space import Config, Space
from hpsearch.core.trial import Failure, FailureKind, Origin, Trial, TrialState
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import LedgerError
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.claims import Claims
from hpsearch.search.suggesting import Suggester, Suggestion

_SHOWN = 80
"""Characters of a value in a message."""


class Entering:
    """Enters trials in the ledger before they are trained.

    Args:
        record: The study.
        ledger: Its ledger.
        suggester: Suggests configs, and completes enqueued ones.
        note: Told what the user should know.
        claims: Which trials are this driver's.
    """

    def __init__(
        self, record: StudyRecord, ledger: Ledger, suggester: Suggester, note: Callable[[str], None], claims: Claims
    ) -> None:
        self._record, self._ledger, self._suggester, self._note = record, ledger, suggester, note
        self._claims = claims
        self._named = set(record.space)

    def next(self, history: Sequence[Trial]) -> Sequence[Trial]:
        """The next trial, entered. Several that others have entered meanwhile; none if all have been tried."""
        suggestion = self._suggester.suggest(history)
        if suggestion is None:
            return ()
        number = len(history)
        trial = Trial(number, suggestion.config, started=time.time(), found=suggestion.found)
        try:
            self._ledger.start_trial(self._record.name, trial, self._suggester.space)
        except LedgerError as error:
            if error.code != "ledger.number-taken":
                raise
            return self._claims.overtaken(error, number, self._suggester.space)
        self._tell(number, suggestion)
        return (trial,)

    def check(self, trials: Sequence[Trial]) -> None:
        """Refuse enqueued trials that cannot be trained as they are, and tell of foreign ones.

        Raises:
            LedgerError: Values are not of the space. These trials are entered as failed, so that the study can go on.
        """
        for trial in trials:
            if trial.origin is Origin.FOREIGN:
                assert trial.failure is not None
                self._note(f"trial {trial.number} was {trial.failure.message}")
        refused = {trial.number: why for trial in trials if (why := self._why_refused(trial))}
        for number, why in refused.items():
            now = time.time()
            self._ledger.adopt_trial(self._record.name, Trial(number, {}, started=now), self._suggester.space)
            failure = Failure(FailureKind.ERROR, f"enqueued by another program: {why}")
            ended = Trial(number, {}, TrialState.FAILED, failure=failure, started=now, finished=now)
            self._ledger.finish_trial(self._record.name, ended, self._record.objective.metric)
        if refused:
            which = "; ".join(f"trial {number} was enqueued with {why}" for number, why in refused.items())
            raise LedgerError(
                f"{which}; entered as failed",
                code="bad-queued-trial",
                hint="enqueue it again with values of the space (`hpsearch check` shows them); "
                f"`{self._record.command('resume')}` goes on without it",
                trials=tuple(refused),
                reasons=tuple(refused.values()),
            )

    def adopt(self, trial: Trial, history: Sequence[Trial]) -> Trial:
        """Begin an enqueued trial: with its values, and suggested ones for the others."""
        suggestion = self._suggester.complete(history[: trial.number], trial.config)
        begun = replace(
            trial, config=suggestion.config, started=time.time(), found=suggestion.found, origin=Origin.SEARCH
        )
        self._ledger.adopt_trial(self._record.name, begun, self._suggester.space)
        if unused := [name for name in trial.config if name not in suggestion.config]:
            self._note(f"trial {trial.number} was enqueued with {listed(unused)}, which its other values do not use")
        self._tell(trial.number, suggestion)
        return begun

    def to_measure(self, lanes: Sequence[Lane], trials: Sequence[Trial]) -> tuple[int, ...]:
        """The trials of some lanes whose models are to be measured before they are trained."""
        if not self._record.objective.constraints.of_model:
            return ()
        return tuple(dict.fromkeys(lane.trial for lane in lanes if not trials[lane.trial].measured))

    def measured(self, trial: Trial, found: ModelMeasured) -> Trial | None:
        """Enter what has been measured of a trial's model; None if another driver has the trial by now."""
        add = partial(self._ledger.add_measured, self._record.name, trial.number, found.parameters, found.measured)
        if not self._claims.enter(trial.number, add):
            return None
        return replace(trial, parameters=found.parameters, measured=found.measured)

    def end(self, stopped: Stopped) -> None:
        """No trial comes any more."""
        self._ledger.change_facts(self._record.name, lambda facts: replace(facts, stopped=stopped))
        self._note(stopped.text)

    def _tell(self, number: int, suggestion: Suggestion) -> None:
        new = [name for name in suggestion.found if name not in self._named]
        self._named.update(new)
        if new:
            self._note(f"trial {number}: the code asks for {listed(new)}, now part of the space")

    def _why_refused(self, trial: Trial) -> str | None:
        """Why a trial is refused; None if it is not, or if another driver has it."""
        if trial.origin is not Origin.QUEUED or (why := _why_outside(self._suggester.space, trial.config)) is None:
            return None
        return None if self._claims.take(trial, self._suggester.space) is None else why


def _why_outside(space: Space, config: Config) -> str | None:
    """Why given values are not of a space; None if they are."""
    for name, value in config.items():
        if name not in space:
            return f"{name!r}, which is not in the space{did_you_mean(name, space)}; it has {listed(space, most=20)}"
        if not space[name].contains(value):
            return f"{name} = {repr(value)[:_SHOWN]}, which is outside the space"
    return None
