"""Run, resume and read studies: what the command line and a notebook call."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import workspace
from hpsearch.driver import Driver
from hpsearch.engines.base import EnginePlan
from hpsearch.errors import HpsearchError, Interrupted, LedgerError, ModelError, SpecError, StudyError
from hpsearch.executors import make_executor
from hpsearch.executors.base import Executor
from hpsearch.ledger import DEFAULT_URI, Ledger, sqlite_path
from hpsearch.observer import Observer, Observers
from hpsearch.record import StudyRecord, StudyState
from hpsearch.spec import StudySpec, load_spec
from hpsearch.trial import Champion, Trial
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import TunerSettings
from hpsearch.worker import smallest_config

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from hpsearch.report.notebook import Figures
    from hpsearch.tracking import Tracker

INDEPENDENT = frozenset({"random", "grid", "qmc"})
"""Algorithms whose suggestions do not depend on results, so that more of them may be asked for ahead."""

LOG_CHAMPION = "hpsearch.tracking:log_champion"
"""Called by name in a worker, where the model is: the worker's layer does not know the tracking's."""


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
        """
        import keras

        return keras.models.load_model(check_champion(self.record))


@dataclass(frozen=True, slots=True)
class _Setting:
    """A problem made ready: what a study's workers found out before the first trial."""

    executor: Executor
    spec: StudySpec
    facts: Mapping[str, Any]


def load(name: str, *, ledger: str = DEFAULT_URI) -> Study:
    """Read a study from a ledger.

    Raises:
        LedgerError: There is no such ledger or study.
    """
    return Study(Ledger(ledger).load(name), ledger)


def run(study_file: str | Path, *, name: str | None = None, observer: Observer | None = None) -> Study:
    """Search as a study file says, refit the winner, and return the study.

    A study that exists already is continued, or returned where it is finished.

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
    uri = spec.tracking.resolved().ledger
    if (path := sqlite_path(uri)) is None or path.exists():
        ledger = Ledger(uri)
        if ledger.has(spec.name):
            _check_unchanged(ledger.load(spec.name), spec)
            return resume(spec.name, ledger=uri, observer=observer)
    with workspace.driving(uri, spec.name), ExitStack() as stack:
        setting = _set_up(spec, stack)
        record = StudyRecord(
            name=spec.name,
            spec=spec,
            study_file=text,
            space=setting.facts["space"],
            facts={key: value for key, value in setting.facts.items() if key != "space"},
            created=time.time(),
        )
        ledger = Ledger(uri, create=True)
        ledger.create(record)
        return _drive(record, ledger, setting.executor, observer or Observer())


def resume(
    name: str, *, ledger: str = DEFAULT_URI, trials: int | None = None, observer: Observer | None = None
) -> Study:
    """Go on with a study: finished folds are kept, unfinished ones trained, suggestions continued.

    Args:
        name: The study.
        ledger: Its ledger.
        trials: A new, larger number of trials; None keeps the study file's.
        observer: Told of everything that happens.

    Raises:
        LedgerError: There is no such study, or another driver has it.
        DataError: The data are not what the study began with.
    """
    book = Ledger(ledger)
    book.load(name)
    with workspace.driving(ledger, name), ExitStack() as stack:
        record = book.load(name)
        if trials is not None and trials != record.spec.search.trials:
            if trials < len(record.trials):
                raise SpecError(
                    f"--trials {trials} is fewer than the {len(record.trials)} trials that study {name!r} has"
                )
            record = book.set_trials(name, trials)
        if record.state is StudyState.FINISHED and record.champion and record.champion.model_uri and trials is None:
            return Study(record, ledger)
        spec = _with_engine(record.spec, record.facts["plan"]["engine"])
        executor = stack.enter_context(_executor(spec, record.facts["plan"]["backend"]))
        found = executor.request("data_facts")["fingerprint"]
        if found != record.facts["data"]["fingerprint"]:
            raise LedgerError(
                f"the data of study {name!r} have changed: fingerprint {found}, "
                f"but {record.facts['data']['fingerprint']} when it began",
                hint="scores would not be comparable: put the old data back, or start a study of another name",
            )
        return _drive(record, book, executor, observer or Observer())


def sync(name: str, *, ledger: str = DEFAULT_URI) -> str:
    """Bring MLflow up to the ledger; returns what was done, in plain words.

    Raises:
        LedgerError: There is no such study.
        TrackingError: MLflow cannot be reached.
    """
    from hpsearch import tracking

    book = Ledger(ledger)
    with workspace.driving(ledger, name):
        record = book.load(name)
        report = tracking.sync(record)
        done = [f"{report.written} of {len(record.trials)} trials were missing or stale in MLflow", *report.notes]
        if record.champion is not None:
            path = str(check_champion(record))
            spec = _with_engine(record.spec, record.facts["plan"]["engine"])
            with _executor(spec, record.facts["plan"]["backend"]) as executor:
                uri = executor.request("call", LOG_CHAMPION, path, {"tracking": spec.tracking, "record": record})
            book.set_champion(name, replace(record.champion, model_uri=uri))
            done.append(f"champion: {uri}")
    return "\n".join(done)


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
            hint=f"`hpsearch resume {record.name}` finishes it",
        )
    path = Path(champion.path)
    if not path.exists():
        raise StudyError(
            f"the champion's file {path} is gone",
            hint="go to the folder that the study was started in, or load it from MLflow: "
            + (champion.model_uri or "it was not registered"),
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != champion.sha256:
        raise StudyError(
            f"the champion's file {path} was changed since it was trained",
            hint=f"load the registered one from MLflow: {champion.model_uri or 'it was not registered'}",
        )
    return path


def set_up(spec: StudySpec) -> Mapping[str, Any]:
    """What a study of this file would start from: facts and effective space, without writing anything.

    Raises:
        HpsearchError: As :func:`run` would before its first trial.
    """
    with ExitStack() as stack:
        return _set_up(spec, stack).facts


def _set_up(spec: StudySpec, stack: ExitStack) -> _Setting:
    """Load data, find the space, rehearse the model, choose the engine."""
    resources = spec.resources
    if resources.engine == "fit" or resources.backend == "tensorflow":
        backend = "tensorflow" if resources.backend == "auto" else resources.backend
        return _try_backend(spec, backend, stack)
    may_turn = resources.engine == "auto" and resources.backend == "auto"
    attempt = ExitStack()
    try:
        setting = _try_backend(spec, "jax", attempt)
    except ModelError:
        attempt.close()
        if not may_turn:
            raise
        # The model may need TensorFlow itself; if it does not, the same mistake shows again.
        return _try_backend(_with_engine(spec, "fit"), "tensorflow", stack)
    except BaseException:
        attempt.close()
        raise
    plan = setting.facts["plan"]
    if plan["engine"] == "fit" and may_turn:
        attempt.close()
        turned = _try_backend(_with_engine(spec, "fit"), "tensorflow", stack)
        return replace(turned, facts={**turned.facts, "plan": {**turned.facts["plan"], "reason": plan["reason"]}})
    stack.push(attempt.pop_all())
    return setting


def _try_backend(spec: StudySpec, backend: str, stack: ExitStack) -> _Setting:
    executor = stack.enter_context(_executor(spec, backend))
    data = executor.request("data_facts")
    space = spec.make_space(executor.request("discover") if spec.model.build else None)
    # Fails early where the algorithm cannot work, before anything is written.
    make_tuner(spec.search.tuner, spec.search.algorithm, _tuner_settings(spec, space)).close()
    rehearsal = executor.request("rehearse", smallest_config(space))
    if spec.objective.metric not in rehearsal["metrics"]:
        from hpsearch.spec import closest

        legal = rehearsal["metrics"]
        raise SpecError(
            f"objective.metric: the model records no {spec.objective.metric!r}{closest(spec.objective.metric, legal)}; "
            f"it records {', '.join(legal)}"
        )
    plan: EnginePlan = executor.request("plan")
    per_bundle = plan.trials_per_bundle
    ahead = 4 if spec.search.algorithm in INDEPENDENT else 1
    facts = {
        "data": data,
        "space": space,
        "plan": {
            "engine": plan.engine,
            "reason": plan.reason,
            "lifted": sorted(plan.lifted),
            "trials_per_bundle": per_bundle,
            "window": executor.slots * per_bundle * ahead,
            "backend": backend,
        },
        **executor.request("machine_facts"),
        "host": {"platform": platform.platform(), "cores": os.cpu_count()},
        "git_commit": _git_commit(),
    }
    return _Setting(executor, spec, facts)


@contextmanager
def _executor(spec: StudySpec, backend: str) -> Iterator[Executor]:
    cache = str(workspace.cache_folder(spec.tracking.resolved().ledger).resolve())
    executor = make_executor(spec, backend=backend, cache=cache)
    try:
        yield executor
    finally:
        executor.close()


def _tuner_settings(spec: StudySpec, space: Any) -> TunerSettings:
    search = spec.search
    return TunerSettings(
        space=space,
        direction=spec.objective.direction,
        seed=spec.seed,
        startup_trials=search.startup_trials,
        grid_points=search.grid_points,
    )


def _drive(record: StudyRecord, ledger: Ledger, executor: Executor, observer: Observer) -> Study:
    """Search, refit, and enter the end, whichever it is."""
    from hpsearch.tracking import Tracker

    tracker = Tracker(record.spec.tracking)
    observers = Observers([tracker, observer])
    plan = record.facts["plan"]
    ledger.set_state(record.name, StudyState.RUNNING)
    observers.open(record)
    tuner = make_tuner(
        record.spec.search.tuner, record.spec.search.algorithm, _tuner_settings(record.spec, record.space)
    )
    state = StudyState.FAILED
    driver = None
    try:
        with _signals() as interrupted:
            driver = Driver(
                record,
                ledger,
                executor=executor,
                tuner=tuner,
                plan=EnginePlan(plan["engine"], plan["reason"], frozenset(plan["lifted"]), plan["trials_per_bundle"]),
                window=plan["window"],
                observer=observers,
                interrupted=interrupted.is_set,
            )
            finished = driver.search()
            if not finished:
                state = StudyState.INTERRUPTED
                raise Interrupted(
                    f"study {record.name!r} was stopped; finished folds are kept",
                    hint=f"`hpsearch resume {record.name}` goes on where it was",
                )
            _crown(replace(record, trials=tuple(driver.trials)), ledger, executor, observers)
            state = StudyState.FINISHED
            _write_report(replace(ledger.load(record.name), state=state), ledger, tracker)
    except KeyboardInterrupt:
        state = StudyState.INTERRUPTED
        raise Interrupted(
            f"study {record.name!r} was stopped at once; finished folds are kept",
            hint=f"`hpsearch resume {record.name}` goes on where it was",
        ) from None
    finally:
        tuner.close()
        # Where the ledger itself has failed, its error is on its way already and must not be covered by a second one.
        with suppress(LedgerError) if sys.exc_info()[0] is not None else nullcontext():
            if driver is not None and driver.compile_seconds:
                ledger.add_compile_seconds(record.name, driver.compile_seconds)
            ledger.set_state(record.name, state)
        observers.close(replace(_reloaded(ledger, record), state=state))
        with suppress(LedgerError) if sys.exc_info()[0] is not None else nullcontext():
            for note in tracker.notes:
                ledger.add_note(record.name, note)
    return Study(ledger.load(record.name), ledger.uri)


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
            hint=f"`hpsearch show {record.name}` tells why; change the study file, or resume with more --trials",
        )
    champion: Champion | None = record.champion
    if champion is None or champion.trial != best.number:
        observers.refit_started(best)
        assert best.epoch is not None
        folder = str(workspace.study_folder(ledger.uri, record.name))
        champion = executor.request("refit", best.number, dict(best.config), best.epoch + 1, folder)
        ledger.set_champion(record.name, champion)
    elif champion.model_uri:
        return
    try:
        crowned = replace(record, champion=champion)
        uri = executor.request(
            "call", LOG_CHAMPION, champion.path, {"tracking": record.spec.tracking, "record": crowned}
        )
    except HpsearchError as error:
        ledger.add_note(record.name, f"the champion is not in MLflow yet: {error.what}; `hpsearch sync` registers it")
        observers.note(f"the champion could not be logged to MLflow: {error.what}")
        return
    ledger.set_champion(record.name, replace(champion, model_uri=uri))


def _write_report(record: StudyRecord, ledger: Ledger, tracker: "Tracker") -> None:
    """Write the report into the study's folder and beside its MLflow run. A study does not fail for want of it."""
    from hpsearch import report

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


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Ctrl-C once sets the event, twice raises KeyboardInterrupt; SIGTERM is the same as one Ctrl-C."""
    event = threading.Event()

    def handle(*_: object) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _with_engine(spec: StudySpec, engine: str) -> StudySpec:
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"engine": engine})})


def _renamed(spec: StudySpec, name: str) -> StudySpec:
    from pydantic import ValidationError

    try:
        return StudySpec.model_validate({**spec.model_dump(), "folder": spec.folder, "name": name})
    except ValidationError as error:
        raise SpecError(f"--name {name!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _check_unchanged(record: StudyRecord, spec: StudySpec) -> None:
    """A study keeps its file: another one under the same name would mix what cannot be compared."""
    old, new = _flat(record.spec.model_dump(mode="json")), _flat(spec.model_dump(mode="json"))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    # What does not touch results may change between two starts.
    changed = [key for key in changed if not key.startswith(("resources.", "tracking.", "search.max_"))]
    if changed:
        lines = "\n".join(f"  - {key}: {old.get(key)!r} then, {new.get(key)!r} now" for key in changed)
        more = changed == ["search.trials"]
        raise SpecError(
            f"study {spec.name!r} is in the ledger with another study file:\n{lines}",
            hint=f"`hpsearch resume {spec.name} --trials {spec.search.trials}` extends it"
            if more
            else "give the changed study a name of its own: `name = …` in the file, or --name",
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _git_commit() -> str | None:
    """Commit of the working directory, with ``-dirty`` where tracked files have changes; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
