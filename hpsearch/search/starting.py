"""Starting a study, or going on with one: checks, lock, workers, session."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from hpsearch import tracking
from hpsearch.core.facts import StudyFacts
from hpsearch.core.files import make_folder
from hpsearch.core.trial import Origin
from hpsearch.core.user_code import source_digest
from hpsearch.errors import Interrupted, LedgerError, SpecError, TrackingError
from hpsearch.ledger import deletion, workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.changes import check_data, check_unchanged, with_defaults_as_begun, with_trials
from hpsearch.search.claims import Claims
from hpsearch.search.crowning import check_crown, crowned_spec
from hpsearch.search.joining import JOINED_NOTE, JoinedClaims, Seat, as_driven, taking_a_seat
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import open_executor, prepare_study
from hpsearch.search.session import Session, has_wanted_champion
from hpsearch.spec import AnyUri, SearchSection, StudySpec, sqlite_path
from hpsearch.training.protocol import WorkerProtocol

_ANSWER_S = 5.0
"""How long MLflow's server may take to answer before a study begins without it."""


def start(
    spec: StudySpec,
    text: str,
    observer: Observer,
    like: StudyFacts | None = None,
    *,
    join: bool = False,
    overwrite: bool = False,
) -> StudyRecord:
    """Run a study, or go on with it if the ledger has it.

    Args:
        spec: The study file.
        text: Its text.
        observer: Told of everything that happens.
        like: See :func:`~hpsearch.search.preparation.prepare_study`.
        join: Whether other drivers may work at it, too: see :mod:`~hpsearch.search.joining`.
        overwrite: Whether a study of that name is deleted, once this one is ready to begin.

    Returns:
        The study at its end.

    Raises:
        HpsearchError: See its subclasses. What was finished before is in the ledger.
    """
    uri = spec.tracking.resolved().ledger
    if join and overwrite:
        raise SpecError(
            "a study that others may join cannot be overwritten: each driver would delete what the others have begun",
            code="overwrite-joined",
            hint="delete it first, with `hpsearch delete NAME --yes`, and start the drivers then",
        )
    if not overwrite and ((path := sqlite_path(uri)) is None or path.exists()):
        ledger = Ledger(uri)
        if ledger.has(spec.name):
            record = ledger.load(spec.name)
            spec = _with_trials_as_resumed(record, spec, observer)
            spec = with_defaults_as_begun(record, spec, text)
            more = _more_than_stopped(record, spec)
            spec = with_trials(spec, record.spec.search.trials) if more else spec
            check_unchanged(record, spec)
            return resume(spec.name, uri, observer=observer, trials=more, changed=spec, join=join)
    with (
        _driving(uri, spec.name, observer, join=join, shared=spec.tracking.shared) as seat,
        tracking.environment(spec),
        ExitStack() as stack,
    ):
        if seat is None or not Ledger(uri).has(spec.name):
            return _begin(spec, text, observer, like, seat, stack, overwrite=overwrite)
    return start(spec, text, observer, like, join=join)  # another driver has begun it meanwhile


@contextmanager
def _driving(uri: AnyUri, name: str, observer: Observer, *, join: bool, shared: bool = False) -> Iterator[Seat | None]:
    """Keep other drivers out, except for joined ones: among these, a driver has a seat."""
    if not join:
        with workspace.driving(uri, name, shared=shared):
            yield None
        return
    with taking_a_seat(uri, name, observer) as seat:
        make_folder(workspace.study_folder(uri, name), shared=shared)
        yield seat


def _begin(
    spec: StudySpec,
    text: str,
    observer: Observer,
    like: StudyFacts | None,
    seat: Seat | None,
    stack: ExitStack,
    *,
    overwrite: bool = False,
) -> StudyRecord:
    """Run a study that the ledger does not have, or shall not have any longer."""
    uri = spec.tracking.resolved().ledger
    prepared = prepare_study(spec, stack, like, observer.note)
    _check_tracking(spec)
    ledger = Ledger(uri, create=True, shared=spec.tracking.shared)
    if overwrite and ledger.has(spec.name):
        deletion.replace(spec)
        observer.note(f"the study that was called {spec.name!r} was deleted with its trials; MLflow keeps its own copy")
    ledger.create(
        StudyRecord(
            name=spec.name,
            spec=spec,
            study_file=spec.tracking.hide_in(text),
            space=prepared.space,
            facts=prepared.facts,
            created=time.time(),
        )
    )
    record = ledger.load(spec.name)
    for warning in prepared.warnings:
        if not spec.is_null:  # the study that it is a control of has said them
            _note(ledger, record, warning, observer)
    claims = _claims(record, ledger, seat, observer, stack, first=True)
    return Session(record, ledger, prepared.executor, observer, claims).run()


def _claims(
    record: StudyRecord,
    ledger: Ledger,
    seat: Seat | None,
    observer: Observer,
    stack: ExitStack,
    *,
    first: bool = False,
) -> Claims:
    """What a driver has of a study that runs from now on. Others may come."""
    if seat is None:
        return Claims(record, ledger)
    ledger.add_note(record.name, JOINED_NOTE)
    ledger.set_state(record.name, StudyState.RUNNING)
    claims = JoinedClaims(record, ledger, seat, observer, first=first)
    stack.callback(claims.close)
    seat.pass_on()
    return claims


def resume(
    name: str,
    uri: AnyUri,
    *,
    observer: Observer,
    trials: int | None = None,
    changed: StudySpec | None = None,
    join: bool = False,
) -> StudyRecord:
    """Go on with a study: finished folds are kept, unfinished ones trained, suggestions continued.

    Args:
        name: The study.
        uri: Its ledger.
        observer: Told of everything that happens.
        trials: A new number of trials, not below the number of trials begun; None keeps the number.
        changed: The study file, if keys have changed in it that results do not depend on.
        join: Whether other drivers may work at it, too: see :mod:`~hpsearch.search.joining`.

    Returns:
        The study at its end; as it is if it has ended.

    Raises:
        LedgerError: There is no such study, another driver has it, or its data or Keras' settings have changed.
        SpecError: More trials have begun than `trials`.
    """
    ledger = Ledger(uri)
    ledger.load(name)
    with _driving(uri, name, observer, join=join) as seat, ExitStack() as stack:
        if seat is not None and seat.others:
            record = as_driven(ledger.load(name), changed, trials)
            ended = record.state is StudyState.FINISHED
        else:
            record, ended = _alone(name, ledger, trials, changed, observer, keeps_leases=join)
        if ended:
            return record
        claims = _claims(record, ledger, seat, observer, stack)
        return _session(record, ledger, uri, observer, stack, claims).run()


def _session(
    record: StudyRecord,
    ledger: Ledger,
    uri: AnyUri,
    observer: Observer,
    stack: ExitStack,
    claims: Claims | None = None,
) -> Session:
    """A session of a study that the ledger has, with workers that find everything as it was when the study began."""
    if record.champion is not None and record.champion.crowned is not None:
        record = replace(record, spec=crowned_spec(record.spec))  # should it have to be made again
    spec = record.worker_spec
    stack.enter_context(tracking.environment(spec))
    executor = stack.enter_context(open_executor(spec, record.facts.backend, ledger=uri, note=observer.note))
    executor.fingerprint = record.facts.data.fingerprint
    check_data(record, executor.call(WorkerProtocol.describe_data).fingerprint)
    if record.facts.machine.settings:
        _check_settings(record, executor.call(WorkerProtocol.describe_machine).settings)
    record = _with_present_code(record, ledger, observer)
    _check_tracking(spec)
    return Session(record, ledger, executor, observer, claims)


def crown(name: str, uri: AnyUri, number: int, *, observer: Observer) -> StudyRecord:
    """Make a trial the champion of its study by hand: refit, test, seal, report, and a new version in MLflow.

    It is refitted on all development rows, or a mean of its fold models where ``[champion] kind = "folds"``. It stays
    the champion, whatever is searched later, until another one is chosen by hand.

    Args:
        name: The study.
        uri: Its ledger.
        number: The trial.
        observer: Told of everything that happens.

    Returns:
        The study with this champion.

    Raises:
        LedgerError: There is no such study, a driver has it, or its data or Keras' settings have changed.
        StudyError: There is no such trial, it cannot be a champion, or it is one; or the study is part of another.
    """
    ledger = Ledger(uri)
    check_crown(ledger.load(name), number)  # before anything is made for a study that is not here
    with workspace.driving(uri, name), ExitStack() as stack:
        ledger.repair(name)
        record = ledger.load(name).undriven()
        trial = check_crown(record, number)
        record = replace(record, spec=crowned_spec(record.spec))
        session = _session(record, ledger, uri, observer, stack)
        try:
            return session.crown(trial)
        except Interrupted:
            kept = ledger.load(name).champion
            raise Interrupted(
                f"trial {number} was being made the champion of study {name!r}",
                hint="it has become the champion" if kept and kept.trial == number else "the study is as it was",
                study=name,
                trial=number,
            ) from None


def _alone(
    name: str, ledger: Ledger, trials: int | None, changed: StudySpec | None, observer: Observer, *, keeps_leases: bool
) -> tuple[StudyRecord, bool]:
    """A study that no other driver has, as it is to go on; and whether it has ended, so that it does not."""
    if not keeps_leases:
        ledger.end_leases(name)
    ledger.repair(name)
    record = ledger.load(name)
    if changed is not None and changed != record.spec:
        record = ledger.set_spec(name, changed)
    if trials is not None and trials != record.spec.search.trials:
        _check_trials(record, trials)
        record = ledger.set_spec(name, with_trials(record.spec, trials))
    record, goes_on = _asked_to_go_on(record, ledger, trials, observer)
    queued = any(trial.origin is Origin.QUEUED for trial in record.trials)
    registered = record.champion is not None and record.champion.model_uri and has_wanted_champion(record)
    ended = record.state is StudyState.FINISHED and bool(registered or record.spec.is_null)
    return record, ended and trials is None and not queued and not goes_on


def _check_tracking(spec: StudySpec) -> None:
    """Ask MLflow's server whether it lets us in. If it does not, it will not by itself while the study trains.

    A server that cannot be reached is another matter: it may come back, and is caught up then.

    Raises:
        TrackingError: It does not.
    """
    if spec.is_null or not spec.tracking.resolved().uri.is_http:
        return
    try:
        tracking.check_access(spec.tracking, timeout_s=_ANSWER_S)
    except TrackingError as error:
        if error.code == "tracking.not-allowed":
            raise


def _with_trials_as_resumed(record: StudyRecord, spec: StudySpec, observer: Observer) -> StudySpec:
    """`resume --trials` has changed the number, and the file is as it was: the study's number counts."""
    now, asked = record.spec.search.trials, spec.search.trials
    if now == asked or asked != _trials_in(record):
        return spec
    ways = f"; `{record.command('resume', f'--trials {asked}')}` changes it" * (asked >= len(record.trials))
    observer.note(f"trials: the study file says {asked}, but the study now has {now}{ways}")
    return with_trials(spec, now)


def _more_than_stopped(record: StudyRecord, spec: StudySpec) -> int | None:
    """The trials that a study file asks for, if they are more than before and ``[search] stop`` has ended the study."""
    stopped, asked = record.facts.stopped, spec.search.trials
    return asked if stopped is not None and not stopped.overruled and asked > record.spec.search.trials else None


def _asked_to_go_on(
    record: StudyRecord, ledger: Ledger, trials: int | None, observer: Observer
) -> tuple[StudyRecord, bool]:
    """Whether a study that ``[search] stop`` has ended is to go on: without it, or with more trials."""
    stopped = record.facts.stopped
    if stopped is None or stopped.overruled:
        return record, False
    more = trials is not None and trials > len(record.trials)
    if not more and record.spec.search.stop != "none":
        return record, False
    ledger.set_facts(record.name, replace(record.facts, stopped=replace(stopped, overruled=True)))
    why = f"{trials} trials were asked for" if more else 'stop = "auto" is no longer in the study file'
    _note(ledger, record, f"the search goes on after {stopped.trials} trials: {why}", observer)
    return ledger.load(record.name), True


def _trials_in(record: StudyRecord) -> int:
    """The number of trials that a study's file asks for."""
    default: int = SearchSection.model_fields["trials"].default
    return int(record.sections.get("search", {}).get("trials", default))


def _check_trials(record: StudyRecord, trials: int) -> None:
    begun = len(record.trials)
    if trials < begun:
        raise SpecError(
            f"--trials {trials} is fewer than the {begun} trials that study {record.name!r} has",
            code="fewer-trials-than-begun",
            hint=f"`{record.command('resume', f'--trials {begun}')}` ends the search with these",
            trials=trials,
            begun=begun,
        )


def _check_settings(record: StudyRecord, found: Mapping[str, str]) -> None:
    changed = {name: was for name, was in record.facts.machine.settings.items() if found.get(name, was) != was}
    if changed:
        lines = ", ".join(f"{name} was {was}, is {found[name]}" for name, was in changed.items())
        raise LedgerError(
            f"Keras has other settings than when study {record.name!r} began: {lines}",
            code="keras-settings-changed",
            hint="scores would not be comparable: set them back (keras.config), or start a study with another name",
            study=record.name,
            changed=changed,
        )


def _with_present_code(record: StudyRecord, ledger: Ledger, observer: Observer) -> StudyRecord:
    """The study with the digest of the code that it goes on with. A change is noted; fixing a mistake is no error."""
    build, before = record.spec.model.build, record.facts.model_source
    now = source_digest(build, record.spec.folder) if build else None
    if now is None or now == before:
        return record
    ledger.change_facts(record.name, lambda facts: replace(facts, model_source=now))
    trained = [trial.number for trial in record.trials if trial.folds]
    if before is not None and trained:
        note = (
            f"the code of {build} has changed since trial {trained[-1]} (SHA-256 {before[:12]}, now {now[:12]}): later "
            "trials and the refit may not be comparable with the trials before"
        )
        _note(ledger, record, note, observer)
    return replace(ledger.load(record.name), spec=record.spec)  # among others, a driver has resources of its own


def _note(ledger: Ledger, record: StudyRecord, text: str, observer: Observer) -> None:
    ledger.add_note(record.name, text)
    observer.note(text)
