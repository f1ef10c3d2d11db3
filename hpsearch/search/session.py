"""One start of a study, from its first suggestion to its end: search, refit, report, and whatever interrupts them."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from hpsearch import analysis, report
from hpsearch.core.out_of_fold import drop_all, predictions_folder
from hpsearch.core.trial import Champion, Trial, TrialState
from hpsearch.core.words import utc_minute
from hpsearch.errors import HpsearchError, Interrupted, LedgerError, StudyError
from hpsearch.executors.base import Executor
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.seals import seal_of
from hpsearch.ledger.store import Ledger
from hpsearch.search.best_predictions import BestPredictions
from hpsearch.search.claims import Claims
from hpsearch.search.driver import Driver
from hpsearch.search.feasibility import none_feasible
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer, Observers, TrackerObserver
from hpsearch.search.preparation import make_suggester
from hpsearch.search.refitting import to_refit
from hpsearch.search.signals import StopRequest, stop_on_signals
from hpsearch.search.watchdog import Watchdog
from hpsearch.tracking import make_tracker
from hpsearch.training.protocol import RefitOrder, WorkerProtocol


class Session:
    """Drives a study to its end and enters that end in the ledger, whichever it is.

    Args:
        record: The study as the ledger has it.
        ledger: Written by this object, and by the driver that it runs, alone.
        executor: Trains bundles and refits the winner.
        observer: Told of everything that happens.
        claims: What of the study is this driver's; by default, all.
    """

    def __init__(
        self,
        record: StudyRecord,
        ledger: Ledger,
        executor: Executor,
        observer: Observer,
        claims: Claims | None = None,
    ) -> None:
        self._record, self._ledger, self._executor = record, ledger, executor
        self._claims = claims or Claims(record, ledger)
        tracking = workspace.tracking_here(record.spec, ledger.uri)
        self._tracker = make_tracker(tracking, is_null=record.spec.is_null, turn=self._claims.tracker_turn)
        self._folder = workspace.study_folder(ledger.uri, record.name)
        if self._claims.is_first(record):
            drop_all(predictions_folder(self._folder))
        observers = [TrackerObserver(self._tracker), observer]
        if record.spec.tracking.predictions == "top":
            observers.append(BestPredictions(predictions_folder(self._folder), record.objective))
        self._observer = Observers(observers)
        # Made before anything is entered: a tuner or a rule that is not installed here leaves the study as it is.
        self._suggester = make_suggester(record.spec, record.space, record.facts, executor)
        self._monitor = PruningMonitor(record)

    def run(self) -> StudyRecord:
        """Search, refit, report. A null search ends with its search, and so does a driver whose champion others make.

        Returns:
            The study as the ledger then has it.

        Raises:
            Interrupted: The user stopped it.
            HpsearchError: As :meth:`Driver.search` and the refit raise; everything finished is in the ledger.
        """
        self._claims.begin()
        self._observer.open(self._record)
        for remark in self._ledger.remarks:
            self._ledger.add_note(self._record.name, remark)
            self._observer.note(remark)
        with self._entering_the_end(), stop_on_signals() as stop:
            self._settle_others()
            searched = replace(self._record, trials=self._search(stop))
            best = self._to_crown(searched)
            if not searched.spec.is_null and self._claims.crown():
                searched = replace(searched, champion=self._ledger.load(searched.name).champion)
                champion = self._refit(searched, best)
                record = self._ledger.load(searched.name)
                self._report(replace(record, champion=champion, state=StudyState.FINISHED))
        return self._ledger.load(self._record.name)

    def crown(self, trial: Trial) -> StudyRecord:
        """Make a trial the champion by hand. Whatever prevents it, the study stays in the state that it is in.

        Returns:
            The study as the ledger then has it.

        Raises:
            Interrupted: The user stopped it.
            HpsearchError: As the refit raises.
        """
        record, crowned = self._record, time.time()
        ended = record.state is StudyState.FAILED and len(record.trials) >= record.spec.search.trials
        after = StudyState.FINISHED if ended else record.state
        self._observer.open(record)
        with self._entering_the_end(record.state, after), stop_on_signals():
            self._suggester.close()
            champion = self._refit(record, trial, crowned)
            self._note(crowned_note(record, trial, crowned))
            self._report(replace(self._ledger.load(record.name), champion=champion, state=after))
        return self._ledger.load(record.name)

    def _to_crown(self, record: StudyRecord) -> Trial:
        """The trial that the champion is to be of: the best one, unless another was chosen by hand.

        Raises:
            StudyError: No trial is complete.
        """
        champion, best = record.champion, record.best
        if champion is None or champion.crowned is None:
            if best is None and record.infeasible and not record.spec.is_null:
                # It shows what the limits would have to be.
                self._report(replace(self._ledger.load(record.name), state=StudyState.FAILED))
            return _winner(record)
        if best is not None and best.number != champion.trial:
            self._note(
                f"the champion stays trial {champion.trial}, which was chosen by hand on "
                f"{utc_minute(champion.crowned)}; the search's best is trial {best.number}: "
                f"`{record.command('crown', str(best.number))}` makes that the champion"
            )
        return record.trials[champion.trial]

    def _note(self, text: str) -> None:
        self._ledger.add_note(self._record.name, text)
        self._observer.note(text)

    def _settle_others(self) -> None:
        for other in workspace.enter_dead(self._ledger):
            if not other.spec.is_null and other.spec.tracking.uri == self._record.spec.tracking.uri:
                self._tracker.settle(partial(workspace.settle, self._ledger.uri, other.name))

    def _search(self, stop: StopRequest) -> tuple[Trial, ...]:
        watchdog = Watchdog(self._record.spec.resources, trains_inline=not self._executor.ends_workers)
        stop.patience = lambda: watchdog.patience
        driver = Driver(
            self._record,
            self._ledger,
            executor=self._executor,
            suggester=self._suggester,
            monitor=self._monitor,
            observer=self._observer,
            interrupted=stop.asked.is_set,
            watchdog=watchdog,
            claims=self._claims,
        )
        try:
            finished = driver.search()
        finally:
            stop.no_more_patience()
            self._suggester.close()
            with _not_covering_errors():
                self._claims.release()
            self._add_compile_seconds(driver.compile_seconds)
        if not finished or stop.asked.is_set():
            raise self._interrupted("was stopped")
        return tuple(driver.trials)

    def _add_compile_seconds(self, seconds: float) -> None:
        if seconds:
            with _not_covering_errors():
                self._ledger.change_facts(
                    self._record.name, lambda facts: replace(facts, compile_seconds=facts.compile_seconds + seconds)
                )

    def _refit(self, record: StudyRecord, best: Trial, crowned: float | None = None) -> Champion:
        """A champion of a trial, in the ledger and on its way to the tracker. One that is there is kept.

        Args:
            record: The study.
            best: The trial: the best one, or one that was chosen by hand.
            crowned: When it is chosen by hand, if it is chosen now.

        Returns:
            The champion; its ``model_uri`` says where it will be registered.
        """
        champion = record.champion
        if champion is None or champion.trial != best.number or not has_wanted_champion(record) or _is_lost(champion):
            self._observer.refit_started(best)
            report.preload()
            crowned = crowned or (champion.crowned if champion else None)
            ranked = record.ranked[: max(_trials_in(kind) for kind in record.spec.champion_kinds)]
            trials = tuple(to_refit(one) for one in ranked) if crowned is None else (to_refit(best),)
            made = self._made(RefitOrder(trials, self._folder, crowned))
            alone = replace(record, trials=(replace(best, state=TrialState.COMPLETE),))
            seen = analysis.out_of_fold_info(alone, report.load_artifacts(alone, self._folder).out_of_fold)
            seal = seal_of(record.name, made.sha256)
            self._claims.check_crown()
            rechosen = _is_rechosen(record, best if crowned is not None else None)
            champion = replace(made, rechosen=rechosen, validation=seen.values, seal=seal, crowned=crowned)
            self._ledger.set_champion(record.name, champion)
        if champion.model_uri:
            return champion
        champion = self._with_mlflow_model(champion)
        if champion.weights_only:
            return champion
        return replace(champion, model_uri=self._tracker.champion_ready(replace(record, champion=champion)))

    def _made(self, order: RefitOrder) -> Champion:
        """The champion, made within ``trial_timeout`` for each trial that is trained for it."""
        if (limit := self._record.spec.resources.trial_timeout) is not None:
            self._executor.patience_s = limit * sum(map(_trials_in, self._record.spec.champion_kinds))
        try:
            return self._executor.call(WorkerProtocol.refit, order)
        finally:
            self._executor.patience_s = math.inf

    def _with_mlflow_model(self, champion: Champion) -> Champion:
        """The champion with the folder that MLflow registers, or as it is if that cannot be written."""
        if workspace.has_mlflow_model(champion):
            return champion
        try:
            champion = self._executor.call(WorkerProtocol.write_mlflow_model, champion, self._folder)
        except HpsearchError as error:
            self._ledger.add_note(self._record.name, error.what)
            self._observer.note(error.what)
        else:
            self._ledger.set_champion(self._record.name, champion)
        return champion

    def _report(self, record: StudyRecord) -> None:
        """Write the report into the study's folder and hand it to the tracker. A study does not fail without it."""
        try:
            for path in report.write_artifacts(record, self._folder, report.load_artifacts(record, self._folder)):
                self._tracker.add_file(path, "pictures" if path.parent.name == "pictures" else None)
        except HpsearchError as error:
            self._ledger.add_note(record.name, f"the report could not be written: {error.what}")

    @contextmanager
    def _entering_the_end(
        self, before: StudyState | None = None, after: StudyState = StudyState.FINISHED
    ) -> Iterator[None]:
        """Enter the study's end in the ledger and close the tracker, however the block ends.

        Args:
            before: The state to go back to if the block does not come to its end; failed or interrupted by default.
            after: The state if it does.
        """
        state = before or StudyState.FAILED
        try:
            yield
            state = after
        except Interrupted:
            state = before or StudyState.INTERRUPTED
            raise
        except KeyboardInterrupt:
            state = before or StudyState.INTERRUPTED
            raise self._interrupted("was stopped at once") from None
        finally:
            entered: StudyState | None = state
            with _not_covering_errors():
                entered = self._claims.end(state, self._tracker.flush)
            if entered is None:
                self._leave()
            else:
                self._close(entered)

    def _leave(self) -> None:
        """Other drivers go on with the study."""
        tracking = self._tracker.leave()
        record = replace(self._reloaded(), state=StudyState.RUNNING)
        self._observer.close(record)
        with _not_covering_errors():
            for note in tracking.notes:
                self._ledger.add_note(record.name, note)

    def _close(self, state: StudyState) -> None:
        record = replace(self._reloaded(), state=state)
        tracking = self._tracker.close(record)
        if tracking.problem:
            self._observer.note(replace(record, behind=tracking.problem).lacking)
        self._observer.close(record)
        with _not_covering_errors():
            if tracking.problem != record.behind:
                self._ledger.set_behind(record.name, tracking.problem)
            for note in tracking.notes:
                self._ledger.add_note(record.name, note)
            champion = record.champion
            if champion is None or champion.model_uri or champion.weights_only:
                return
            if tracking.model_uri:
                self._ledger.set_champion(record.name, replace(champion, model_uri=tracking.model_uri))
            else:
                reason = tracking.problem or "it has not been written yet"
                self._ledger.add_note(
                    record.name,
                    f"the champion is not in MLflow yet: {reason}; `{record.command('sync')}` registers it",
                )
                if state is StudyState.FINISHED:
                    self._report(self._reloaded())  # once more, without the address that the model did not get

    def _reloaded(self) -> StudyRecord:
        """The study as the ledger now has it, or as it was if the ledger cannot be read."""
        try:
            return self._ledger.load(self._record.name)
        except LedgerError:
            return self._record

    def _interrupted(self, how: str) -> Interrupted:
        return Interrupted(
            f"study {self._record.name!r} {how}; finished folds are kept",
            hint=f"`{self._record.command('resume')}` continues it",
            study=self._record.name,
        )


def has_wanted_champion(record: StudyRecord) -> bool:
    """Whether a study's champion is what ``[champion]`` asks for, the comparison included."""
    champion, spec = record.champion, record.spec
    if champion is not None and champion.crowned is not None:  # it stays until another one is chosen by hand
        return True
    if champion is None or champion.kind != spec.champion.kind:
        return False
    made_of = tuple(one.number for one in record.ranked[: _trials_in(champion.kind)])
    if champion.kind.startswith("top-") and champion.trials != made_of:  # trials since are among the best, too
        return False
    has_test = bool(record.facts.data.test_rows)
    return not (spec.champion.compare and has_test) or set(champion.compared) == set(spec.champion_kinds)


def _is_rechosen(record: StudyRecord, by_hand: Trial | None = None) -> bool:
    """Whether another champion's test scores were known before: one of another kind, or than the trial `by_hand`."""
    before = record.champion
    if before is None or not before.test:
        return False
    other = before.kind != record.spec.champion.kind or (by_hand is not None and by_hand.number != before.trial)
    return before.rechosen or other


def crowned_note(record: StudyRecord, trial: Trial, when: float) -> str:
    """What the ledger keeps of a champion that was chosen by hand."""
    before, said = record.champion, f"trial {trial.number} was made the champion by hand on {utc_minute(when)}"
    if trial.state is TrialState.INFEASIBLE and trial.failure is not None:
        said += f", although it breaks a limit ({trial.failure.message})"
    if before is None:
        return said
    known = "; its test score was known by then" if before.test else ""
    return f"{said}, in place of trial {before.trial}{known}"


def _trials_in(kind: str) -> int:
    return int(kind.removeprefix("top-")) if kind.startswith("top-") else 1


def _winner(record: StudyRecord) -> Trial:
    """The best trial.

    Raises:
        StudyError: No trial is complete.
    """
    if record.best is None and (infeasible := none_feasible(record)) is not None:
        raise infeasible
    if record.best is None or record.best.epoch is None:
        counts = ", ".join(f"{n} {state}" for state, n in record.counts.items()) or "none"
        raise StudyError(
            f"study {record.name!r} has no complete trial to choose from ({counts})",
            code="no-complete-trial",
            hint=f"`{record.command('show')}` shows why; change the study file, or resume with more --trials",
            study=record.name,
            counts={state.value: n for state, n in record.counts.items()},
        )
    return record.best


def _is_lost(champion: Champion) -> bool:
    """Whether nothing has the model any more: a file that is gone is made again only if it is not registered."""
    return not champion.model_uri and not Path(champion.path).exists()


def _not_covering_errors() -> "suppress | nullcontext[None]":
    """Where an error is on its way already, one of the ledger itself must not cover it."""
    return suppress(LedgerError) if sys.exc_info()[0] is not None else nullcontext()
