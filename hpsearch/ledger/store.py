"""The ledger: a real Optuna study that alone rebuilds everything. Only the driver writes it.

Where things are in it, for readers of ``optuna.load_study``:

==========================  ==========================================================================
trial params                the config, with Optuna distributions of the space
trial value                 the score of a complete trial
trial intermediate values   the mean curve of the objective's metric, one step per epoch
trial user attributes       ``fold:0`` … (curves, seconds), ``outcome`` (state, score, failure), ``parameters``
trial state                 COMPLETE; PRUNED; FAIL for failed and diverged trials; RUNNING
study user attributes       ``hpsearch`` (spec, space, facts), ``facts`` (later ones), ``champion``, …
==========================  ==========================================================================
"""

import difflib
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.facts import StudyFacts
from hpsearch.core.locks import taking_turns
from hpsearch.core.objective import mean_curve
from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Space
from hpsearch.core.trial import Champion, FoldResult, Trial, TrialState
from hpsearch.errors import LedgerError
from hpsearch.ledger import codec
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec import StudySpec, without_password

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
    from optuna.distributions import BaseDistribution

DEFAULT_URI = "sqlite:///mlruns/ledger.db"


class Ledger:
    """One Optuna storage and the studies in it.

    Args:
        uri: Any SQLAlchemy address that Optuna takes, such as ``sqlite:///mlruns/ledger.db``.
        create: Whether a missing SQLite file is made; reading commands want an error instead.

    Raises:
        LedgerError: The database is missing, damaged, or cannot be reached.
    """

    def __init__(self, uri: str = DEFAULT_URI, *, create: bool = False) -> None:
        self.uri = uri
        self._ids: dict[str, int] = {}
        self._trial_ids: dict[tuple[str, int], int] = {}
        with explained(uri):
            self._storage = _open_storage(uri, create)
        # At the end of the process at the latest: an orderly goodbye folds SQLite's write-ahead log into its file.
        weakref.finalize(self, self._storage.engine.dispose)

    def names(self) -> list[str]:
        """Names of all studies that hpsearch made here, oldest first."""
        with explained(self.uri):
            studies = self._storage.get_all_studies()
        return [study.study_name for study in studies if "hpsearch" in study.user_attrs]

    def create(self, record: StudyRecord) -> None:
        """Enter a new study.

        Raises:
            LedgerError: There is one of that name already.
        """
        import optuna

        with explained(self.uri):
            direction = optuna.study.StudyDirection[record.spec.objective.direction.upper()]
            self._clear_stillborn(record.name)
            try:
                study_id = self._storage.create_new_study([direction], record.name)
            except optuna.exceptions.DuplicatedStudyError:
                raise LedgerError(
                    f"the ledger {without_password(self.uri)} already has a study {record.name!r}",
                    hint="change `name` in the study file; "
                    + (
                        f"`{record.command('resume')}` goes on with it"
                        if self.has(record.name)
                        else "hpsearch did not make it"
                    ),
                ) from None
            self._ids[record.name] = study_id
            self._storage.set_study_user_attr(study_id, "hpsearch", codec.head_to_json(record))
            self._storage.set_study_user_attr(study_id, "state", record.state.value)

    def _clear_stillborn(self, name: str) -> None:
        """Remove an entry without content, which a driver leaves that is killed between Optuna's entry and ours."""
        for found in self._storage.get_all_studies():
            empty = not found.user_attrs and found.study_name == name
            if empty and not self._storage.get_n_trials(found._study_id):
                self._storage.delete_study(found._study_id)

    def load(self, name: str) -> StudyRecord:
        """Read a study with all its trials.

        Raises:
            LedgerError: There is none of that name, or this version cannot read it.
        """
        with explained(self.uri):
            study_id = self._study_id(name)
            attrs = self._storage.get_study_user_attrs(study_id)
            frozen = self._storage.get_all_trials(study_id, deepcopy=False)
        head = attrs["hpsearch"]
        if (found := codec.format_of(head)) > codec.FORMAT:
            raise LedgerError(
                f"study {name!r} was written by a newer hpsearch (format {found}, this one reads {codec.FORMAT})",
                code="newer-format",
                hint="upgrade hpsearch",
                study=name,
                format=found,
            )
        try:
            return codec.record_from_json(name, attrs, frozen)
        except ValueError as error:
            raise LedgerError(
                f"study {name!r} breaks a rule of this hpsearch: {' '.join(str(error).split())}",
                code="unreadable-study",
                hint=f"read it with the hpsearch that made it: {codec.made_by(head)}",
                study=name,
            ) from None

    def has(self, name: str) -> bool:
        """Whether there is a study of that name."""
        return name in self.names()

    def delete(self, name: str) -> None:
        """Remove a study with all its trials.

        Raises:
            LedgerError: There is none of that name.
        """
        with explained(self.uri):
            self._storage.delete_study(self._study_id(name))
        del self._ids[name]
        self._trial_ids = {key: one for key, one in self._trial_ids.items() if key[0] != name}

    def set_state(self, name: str, state: StudyState) -> None:
        """Say where the study stands."""
        self._set_attr(name, "state", state.value)

    def set_facts(self, name: str, facts: StudyFacts) -> None:
        """Enter all that the study knows by now."""
        self._set_attr(name, "facts", facts.to_json())

    def set_spec(self, name: str, spec: StudySpec) -> StudyRecord:
        """Put another study file in the place of a study's, such as one with more trials; returns the study then."""
        record = replace(self.load(name), spec=spec)
        # First the facts, which win over the head's: a driver that is killed in between leaves a readable study.
        self.set_facts(name, record.facts)
        self._set_attr(name, "hpsearch", codec.head_to_json(record))
        return self.load(name)

    def set_champion(self, name: str, champion: Champion) -> None:
        """Enter the refitted winner."""
        self._set_attr(name, "champion", champion.to_json())

    def add_note(self, name: str, note: str) -> None:
        """Keep a remark for the user; one that is there already is not repeated."""
        with explained(self.uri):
            notes = self._storage.get_study_user_attrs(self._study_id(name)).get("notes", [])
        if note not in notes:
            self._set_attr(name, "notes", [*notes, note])

    def start_trial(self, name: str, trial: Trial, space: Space) -> None:
        """Enter a suggestion, before anything of it is trained.

        Raises:
            LedgerError: The trial's number is not the next one: another driver writes this study.
        """
        from hpsearch.ledger import trial_rows

        params = {key: (value, _distribution(space[key])) for key, value in trial.config.items()}
        with explained(self.uri):
            study_id = self._study_id(name)
        with self._transaction() as connection:
            trial_id = trial_rows.insert_trial(connection, study_id, trial.number, params, started=trial.started)
            trial_rows.insert_attrs(connection, trial_id, {"started": trial.started})
            if (others := trial_rows.count_trials(connection, study_id) - 1) != trial.number:
                raise LedgerError(
                    f"trial {trial.number} of study {name!r} would become number {others}: another driver writes it",
                    hint="stop the other one, then `hpsearch resume`",
                )
        self._trial_ids[name, trial.number] = trial_id

    def add_fold(self, name: str, number: int, result: FoldResult, parameters: int | None) -> None:
        """Enter a finished fold: from here on it is never trained again.

        `parameters` is the number of weights, where the ledger does not have it yet.
        """
        from hpsearch.ledger import trial_rows

        attrs: dict[str, object] = {} if parameters is None else {"parameters": parameters}
        attrs[f"{codec.FOLD_PREFIX}{result.fold}"] = result.to_json()
        trial_id = self._trial_id(name, number)
        with self._transaction() as connection:
            trial_rows.insert_attrs(connection, trial_id, attrs)

    def finish_trial(self, name: str, trial: Trial, metric: str) -> None:
        """Enter a trial's end. Its folds are in the ledger already, apart from those that were stopped early.

        Raises:
            LedgerError: It has ended already: another driver writes this study.
        """
        from optuna.trial import TrialState as OptunaState

        from hpsearch.ledger import trial_rows

        state = {
            TrialState.COMPLETE: OptunaState.COMPLETE,
            TrialState.PRUNED: OptunaState.PRUNED,
        }.get(trial.state, OptunaState.FAIL)
        curves = [fold.curves for fold in trial.folds]
        assert trial.finished is not None
        trial_id = self._trial_id(name, trial.number)
        with self._transaction() as connection:
            ended = trial_rows.end_trial(
                connection,
                trial_id,
                state,
                value=trial.score if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
                curve=mean_curve(curves, metric) if curves and all(metric in fold for fold in curves) else (),
                finished=trial.finished,
            )
            if not ended:
                raise LedgerError(
                    f"trial {trial.number} of study {name!r} has ended already: another driver writes it",
                    hint="stop the other one, then `hpsearch resume`",
                )
            trial_rows.insert_attrs(connection, trial_id, {"outcome": codec.Outcome.of(trial).to_json()})

    def _set_attr(self, name: str, key: str, value: object) -> None:
        with explained(self.uri):
            self._storage.set_study_user_attr(self._study_id(name), key, value)

    @contextmanager
    def _transaction(self) -> Iterator["sqlalchemy.Connection"]:
        with explained(self.uri), self._storage.engine.begin() as connection:
            yield connection

    def _trial_id(self, name: str, number: int) -> int:
        if (name, number) not in self._trial_ids:
            with explained(self.uri):
                found = self._storage.get_trial_id_from_study_id_trial_number(self._study_id(name), number)
            self._trial_ids[name, number] = found
        return self._trial_ids[name, number]

    def _study_id(self, name: str) -> int:
        if name not in self._ids:
            known = self.names()
            if name not in known:
                raise unknown_study(name, known, self.uri)
            self._ids[name] = self._storage.get_study_id_from_name(name)
        return self._ids[name]


def unknown_study(name: str, known: list[str], uri: str) -> LedgerError:
    """The error for a study that is not there, with the closest names."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    has = f"it has {', '.join(known[:10])}{' …' if len(known) > 10 else ''}" if known else "it has no studies yet"
    return LedgerError(
        f"no study {name!r} in the ledger {without_password(uri)}; {has}",
        hint=f"did you mean {' or '.join(close)}?" if close else "`hpsearch list` shows what is there",
    )


def sqlite_path(uri: str) -> Path | None:
    """The file behind a SQLite address, or None for other databases."""
    prefix = next((p for p in ("sqlite:///", "sqlite+pysqlite:///") if uri.startswith(p)), None)
    return Path(uri.removeprefix(prefix)) if prefix else None


def _open_storage(uri: str, create: bool) -> "optuna.storages.RDBStorage":
    path = sqlite_path(uri)
    if path is not None:
        if not create and not path.exists():
            raise LedgerError(
                f"there is no ledger at {path}",
                hint="go to the folder that studies were started in, or name it: --ledger sqlite:///…/ledger.db",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings: dict[str, Any] = {"pool_pre_ping": True} if path is None else {"connect_args": {"timeout": 30}}
    with taking_turns(uri, None if path is None else path.parent):
        storage = optuna.storages.RDBStorage(uri, engine_kwargs=settings)
    if path is None:
        return storage

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _quick(connection: Any, _: object) -> None:
        # Write-ahead logging: readers (dashboards, `hpsearch show`) never block the driver, and a commit survives
        # the death of the process; only a power cut can lose the last ones.
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("PRAGMA synchronous=normal")

    @sqlalchemy.event.listens_for(storage.engine, "handle_error")
    def _keep(context: "sqlalchemy.ExceptionContext") -> None:
        # SQLAlchemy drops a connection that Ctrl-C comes upon in a statement, and leaves the file locked; rolled back,
        # it is as good as before.
        if not isinstance(context.original_exception, Exception):
            context.is_disconnect = False

    storage.engine.dispose()
    return storage


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn database errors into ones that say what to do."""
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    shown = without_password(uri)
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError, OSError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = " ".join(str(getattr(cause, "orig", None) or cause).split())
        raise LedgerError(f"the ledger {shown} failed: {without_password(text)}", hint=_remedy(text.lower())) from error
    except ImportError as error:
        # Optuna wraps the error of the missing module in one without a name.
        module = error.name or getattr(error.__cause__, "name", None) or str(error)
        raise LedgerError(f"the ledger {shown} needs the package {module!r}", hint=_driver_hint(module)) from None


def _driver_hint(module: str) -> str:
    if module.startswith("psycopg"):
        return "pip install 'hpsearch[postgresql]'"
    package = {"MySQLdb": "mysqlclient"}.get(module, module)
    return f"pip install {package}"


def _remedy(text: str) -> str:
    if "could not parse" in text:
        return "write it as an address, such as sqlite:///mlruns/ledger.db"
    if "not a database" in text or "malformed" in text:
        return "the file is damaged: put it aside (or restore a copy), then start the study again"
    if "locked" in text:
        return "another program holds the database; close it, then `hpsearch resume`"
    if "full" in text or "no space" in text:
        return "free some disk space, then `hpsearch resume`: nothing that was finished is lost"
    if "readonly" in text or "permission" in text or "unable to open" in text:
        return "make the folder writable, or name another ledger in [tracking]"
    return "check the address and that the database is up, then `hpsearch resume`"


def _distribution(parameter: Parameter) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case Float():
            values = parameter.values()
            high = parameter.high if values is None else values[-1]
            return FloatDistribution(parameter.low, high, log=parameter.log, step=parameter.step)
        case Int():
            high = parameter.low + (parameter.high - parameter.low) // parameter.step * parameter.step
            return IntDistribution(parameter.low, high, log=parameter.log, step=parameter.step)
        case Choice() | Constant():
            return CategoricalDistribution(parameter.values())
