"""Drive a study to its end: search, refit, register, report; and enter the end in the ledger, whichever it is."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hpsearch import report
from hpsearch.core.facts import EnginePlan
from hpsearch.core.trial import Champion, Trial
from hpsearch.errors import HpsearchError, Interrupted, LedgerError, StudyError
from hpsearch.executors.base import Executor
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.driver import Driver
from hpsearch.search.observer import Observer, Observers
from hpsearch.search.preparation import tuner_settings
from hpsearch.tracking.mlflow import CHAMPION_IMPORTS, Tracker
from hpsearch.tuners import make_tuner

LOG_CHAMPION = "hpsearch.tracking.mlflow:log_champion"
"""Called by name in a worker, where the model is: the worker's layer does not know the tracking's."""


def drive(record: StudyRecord, ledger: Ledger, executor: Executor, observer: Observer) -> StudyRecord:
    """Search, refit, and enter the end, whichever it is."""
    tracker = Tracker(record.spec.tracking)
    observers = Observers([tracker, observer])
    plan = record.facts["plan"]
    ledger.set_state(record.name, StudyState.RUNNING)
    observers.open(record)
    tuner = make_tuner(
        record.spec.search.tuner, record.spec.search.algorithm, tuner_settings(record.spec, record.space)
    )
    state = StudyState.FAILED
    driver = None
    try:
        with _signals() as stop:
            driver = Driver(
                record,
                ledger,
                executor=executor,
                tuner=tuner,
                plan=EnginePlan(plan["engine"], plan["reason"], frozenset(plan["lifted"]), plan["trials_per_bundle"]),
                window=plan["window"],
                observer=observers,
                interrupted=stop.asked.is_set,
            )
            finished = driver.search()
            # A refit is not continued but repeated, so there is nothing to wait for: one Ctrl-C is enough from here.
            stop.at_once.set()
            if not finished or stop.asked.is_set():
                state = StudyState.INTERRUPTED
                raise Interrupted(
                    f"study {record.name!r} was stopped; finished folds are kept",
                    hint=f"`{record.command('resume')}` goes on where it was",
                )
            _crown(replace(record, trials=tuple(driver.trials)), ledger, executor, observers)
            state = StudyState.FINISHED
            _write_report(replace(ledger.load(record.name), state=state), ledger, tracker)
    except KeyboardInterrupt:
        state = StudyState.INTERRUPTED
        raise Interrupted(
            f"study {record.name!r} was stopped at once; finished folds are kept",
            hint=f"`{record.command('resume')}` goes on where it was",
        ) from None
    finally:
        tuner.close()
        # Where the ledger itself has failed, its error is on its way already and must not be covered by a second one.
        with suppress(LedgerError) if sys.exc_info()[0] is not None else nullcontext():
            if driver is not None and driver.compile_seconds:
                spent = record.facts.get("compile_seconds", 0.0) + driver.compile_seconds
                ledger.add_fact(record.name, "compile_seconds", spent)
            ledger.set_state(record.name, state)
        observers.close(replace(_reloaded(ledger, record), state=state))
        with suppress(LedgerError) if sys.exc_info()[0] is not None else nullcontext():
            for note in tracker.notes:
                ledger.add_note(record.name, note)
    return ledger.load(record.name)


def _reloaded(ledger: Ledger, record: StudyRecord) -> StudyRecord:
    """The study as the ledger now has it, or as it was where the ledger cannot be read."""
    try:
        return ledger.load(record.name)
    except LedgerError:
        return record


def _crown(record: StudyRecord, ledger: Ledger, executor: Executor, observers: Observer) -> None:
    """Have a champion that is the best trial's, in the ledger and in MLflow; what is there already is kept.

    Raises:
        StudyError: No trial is complete.
    """
    best = record.best
    if best is None:
        counts = ", ".join(f"{n} {state}" for state, n in _count_states(record.trials).items()) or "none"
        raise StudyError(
            f"study {record.name!r} has no complete trial to choose from ({counts})",
            hint=f"`{record.command('show')}` tells why; change the study file, or resume with more --trials",
        )
    champion: Champion | None = record.champion
    # A file that is gone is made again only where nothing else has the model.
    gone = champion is not None and not champion.model_uri and not Path(champion.path).exists()
    if champion is None or champion.trial != best.number or gone:
        observers.refit_started(best)
        assert best.epoch is not None
        folder = str(workspace.study_folder(ledger.uri, record.name))
        report.preload()
        champion = executor.request("refit", best.number, dict(best.config), best.epoch + 1, folder, CHAMPION_IMPORTS)
        ledger.set_champion(record.name, champion)
    elif champion.model_uri:
        return
    try:
        crowned = replace(record, champion=champion)
        uri = executor.request(
            "call", LOG_CHAMPION, champion.path, {"tracking": record.spec.tracking, "record": crowned}
        )
    except HpsearchError as error:
        ledger.add_note(
            record.name, f"the champion is not in MLflow yet: {error.what}; `{record.command('sync')}` registers it"
        )
        observers.note(f"the champion could not be logged to MLflow: {error.what}")
        return
    ledger.set_champion(record.name, replace(champion, model_uri=uri))


def _write_report(record: StudyRecord, ledger: Ledger, tracker: Tracker) -> None:
    """Write the report into the study's folder and beside its MLflow run. A study does not fail for want of it."""
    folder = workspace.study_folder(ledger.uri, record.name)
    try:
        for path in report.write_artifacts(record, folder, report.load_artifacts(record, folder)):
            tracker.add_file(path, "pictures" if path.parent.name == "pictures" else None)
    except HpsearchError as error:
        ledger.add_note(record.name, f"the report could not be written: {error.what}")


def _count_states(trials: Sequence[Trial]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
    return counts


@dataclass(frozen=True)
class _Stop:
    """Whether the user wants to stop, and whether the next signal is not to wait for anything."""

    asked: threading.Event = field(default_factory=threading.Event)
    at_once: threading.Event = field(default_factory=threading.Event)


@contextmanager
def _signals() -> Iterator[_Stop]:
    """Ctrl-C once asks to stop, twice (or once ``at_once`` is set) raises KeyboardInterrupt; SIGTERM is the same."""
    stop = _Stop()

    def handle(*_: object) -> None:
        if stop.at_once.is_set():
            raise KeyboardInterrupt
        stop.asked.set()
        stop.at_once.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
