"""The ledger: a real Optuna study that alone rebuilds everything. Only the driver writes it.

Where things are in it, for readers of ``optuna.load_study``:

==========================  ==========================================================================
trial params                what is searched of the config, with Optuna distributions of the space
trial value                 the score of a complete, pruned or infeasible trial
trial intermediate values   the mean curve of the objective's metric, one step per epoch
trial system attributes     ``fold:0`` … (curves, seconds), ``outcome`` (state, score, failure), ``parameters``,
                            ``found`` (what KerasTuner code has added to the space with this trial), ``fixed``,
                            ``measured`` (of a model that the study limits), ``constraints:…`` (Optuna's own)
trial user attributes       ``std``, ``epoch``, ``seconds``, ``weights``, ``failure``: for readers only
trial state                 COMPLETE, also if it breaks a limit; PRUNED, also if it was too large to be trained; FAIL
                            for failed and diverged trials; RUNNING
study system attributes     ``hpsearch`` (spec, space, facts), ``facts`` (later ones), ``champion``, …
==========================  ==========================================================================

:mod:`~hpsearch.ledger.codec` has the JSON of the attributes.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hpsearch.core.addresses import DEFAULT_LEDGER, AnyUri, Uri
from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.facts import StudyFacts
from hpsearch.core.foreign import errors_as
from hpsearch.core.locks import turn
from hpsearch.core.space import Space
from hpsearch.core.trial import Champion, FoldResult, Trial
from hpsearch.core.wire import Json, JsonObject
from hpsearch.ledger import codec, places
from hpsearch.ledger.connection import explained, open_storage
from hpsearch.ledger.record import DRIVER_DIED, StudyRecord, StudyState
from hpsearch.ledger.refusals import name_taken, unknown_study, unreadable
from hpsearch.spec import StudySpec

if TYPE_CHECKING:
    import optuna

    from hpsearch.ledger.codec import Stored
    from hpsearch.ledger.leases import Leases
    from hpsearch.ledger.trial_writer import TrialWriter

_HEAD, _STATE, _FACTS, _CHAMPION, _NOTES, _BEHIND = "hpsearch", "state", "facts", "champion", "notes", "behind"
"""System attributes of a study. Before format 5, they were user attributes."""

_METRIC_NAMES = "study:metric_names"  # Optuna's own attribute


class Ledger:
    """One Optuna storage and the studies in it.

    Args:
        uri: Any SQLAlchemy address that Optuna takes, such as ``sqlite:///mlruns/ledger.db``.
        create: Whether a missing SQLite file is made. Commands that read pass False and get an error.
        shared: Whether others may read a file that is made.

    Attributes:
        uri: The address.
        remarks: What the user should know about this ledger, such as that writing to it is slow.

    Raises:
        LedgerError: The database is missing, damaged, or cannot be reached.
    """

    def __init__(self, uri: AnyUri = DEFAULT_LEDGER, *, create: bool = False, shared: bool = False) -> None:
        self.uri = Uri(uri)
        self._ids: dict[str, int] = {}
        self._trial_ids: dict[tuple[str, int], int] = {}
        self._turn: Callable[[], AbstractContextManager[None]] = nullcontext
        with explained(self.uri):
            self._storage = open_storage(self.uri, create=create, shared=shared)
            self._writer, self.remarks = _choose_writer(self._storage)
        # At the end of the process at the latest: a proper close moves SQLite's write-ahead log into its file.
        weakref.finalize(self, self._storage.engine.dispose)

    # Studies

    def names(self) -> list[str]:
        """Names of all studies that hpsearch made here, oldest first."""
        with explained(self.uri):
            studies = self._storage.get_all_studies()
        return [study.study_name for study in studies if _HEAD in {**study.user_attrs, **study.system_attrs}]

    def has(self, name: str) -> bool:
        """Whether there is a study of that name."""
        return name in self.names()

    def unsettled(self) -> list[str]:
        """Names of the studies that claim to be running, and of those whose dead drivers' runs are not ended yet."""
        with explained(self.uri):
            studies = self._storage.get_all_studies()
        attrs = {one.study_name: {**one.user_attrs, **one.system_attrs} for one in studies}
        return [
            name
            for name, one in attrs.items()
            if _HEAD in one and (one.get(_STATE) == StudyState.RUNNING or one.get(_BEHIND) == DRIVER_DIED)
        ]

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
                raise name_taken(record, self.uri, ours=self.has(record.name)) from None
            self._ids[record.name] = study_id
            self._enter_head(study_id, record)
            self._storage.set_study_system_attr(study_id, _STATE, record.state.value)
            self._storage.set_study_user_attr(study_id, "command", record.command("show"))
            # As Optuna's `set_metric_names`, which is experimental: its dashboard then names the score.
            self._storage.set_study_system_attr(study_id, _METRIC_NAMES, [record.objective.metric])

    def _clear_stillborn(self, name: str) -> None:
        """Remove an empty entry: a driver leaves one if it is killed between Optuna's entry and ours."""
        for found in self._storage.get_all_studies():
            empty = not {**found.user_attrs, **found.system_attrs} and found.study_name == name
            if empty and not self._storage.get_n_trials(found._study_id):
                self._storage.delete_study(found._study_id)

    def load(self, name: str) -> StudyRecord:
        """Read a study with all its trials.

        Raises:
            LedgerError: There is none of that name, or this version cannot read it.
        """
        with explained(self.uri):
            study_id = self._study_id(name)
            attrs = self._attrs(study_id)
            frozen = self._read_trials(study_id)
        with errors_as(lambda error: unreadable(name, attrs, error)):
            record = self._decoded(name, attrs, frozen)
            return places.brought_here(record, self.uri, codec.home_in(attrs))

    def _decoded(self, name: str, attrs: Mapping[str, Json], stored: "Sequence[Stored]") -> StudyRecord:
        from hpsearch.ledger.fast_reader import DamagedTextError

        try:
            return codec.record_from_json(name, attrs, stored)
        except DamagedTextError as error:
            with explained(self.uri):
                raise (error.__cause__ or error) from None

    def _read_trials(self, study_id: int) -> "Sequence[Stored]":
        from hpsearch.ledger.fast_reader import read_trials
        from hpsearch.ledger.fast_writer import FastWriter

        if isinstance(self._writer, FastWriter):
            return read_trials(self._storage.engine, study_id)
        return self._storage.get_all_trials(study_id, deepcopy=False)

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
        """Enter where the study stands."""
        self._set_attr(name, _STATE, state.value)

    def set_facts(self, name: str, facts: StudyFacts) -> None:
        """Enter everything that the study knows so far."""
        self._set_attr(name, _FACTS, facts.to_json())

    def change_facts(self, name: str, change: Callable[[StudyFacts], StudyFacts]) -> None:
        """Enter facts made of those that are there, whoever else changes them."""
        with self._turn():
            self.set_facts(name, change(self.load(name).facts))

    def set_spec(self, name: str, spec: StudySpec) -> StudyRecord:
        """Replace a study's spec, for example by one with more trials; returns the study as it is then."""
        record = replace(self.load(name), spec=spec)
        # The facts come first, because they win over the head's: the study stays readable if the driver is killed here.
        self.set_facts(name, record.facts)
        with explained(self.uri):
            self._enter_head(self._study_id(name), record)
        return self.load(name)

    def set_champion(self, name: str, champion: Champion) -> None:
        """Enter the refitted winner."""
        self._set_attr(name, _CHAMPION, champion.to_json())

    def set_behind(self, name: str, why: str) -> None:
        """Enter why MLflow lacks a part of the study; empty once it has everything."""
        self._set_attr(name, _BEHIND, why)

    def add_note(self, name: str, note: str) -> None:
        """Keep a remark for the user, once."""
        with self._turn():
            with explained(self.uri):
                notes = self._attrs(self._study_id(name)).get(_NOTES) or []
                assert isinstance(notes, list)
            if note not in notes:
                self._set_attr(name, _NOTES, [*notes, note])

    # Several drivers

    def join(self, name: str, *, seconds: float | None = None) -> "Leases":
        """From now on, other drivers enter trials of this study, too: see :mod:`~hpsearch.ledger.leases`.

        Args:
            name: The study.
            seconds: How long a lease lasts; by default, a minute.

        Raises:
            LedgerError: Optuna's tables are not those that hpsearch knows.
        """
        from hpsearch.ledger.leases import LeasedWriter, Leases, check_writer

        check_writer(self._writer, self.uri, self.remarks)
        leases = Leases(self._storage.engine, self.uri, self._study_id(name), seconds=seconds)
        self._writer = LeasedWriter(self._storage.engine, leases)
        self._turn = partial(turn, self.uri.reveal(), f"{name}/entries", f"entering notes or facts of {name!r}")
        return leases

    def end_leases(self, name: str) -> None:
        """Forget which drivers have had trials. Call it while the study's lock keeps out every other driver."""
        if self.uri.dialect == "postgresql":
            from hpsearch.ledger.leases import clear

            with explained(self.uri):
                clear(self._storage.engine, self._study_id(name))

    def trial_id(self, name: str, number: int) -> int:
        """Optuna's id of a trial."""
        with explained(self.uri):
            return self._trial_id(name, number)

    def load_trial(self, name: str, number: int, space: Space) -> Trial:
        """Read one trial; `space` is the study's as far as it is known."""
        with explained(self.uri):
            frozen = self._storage.get_trial(self._trial_id(name, number))
        with errors_as(lambda error: unreadable(name, {}, error)):
            return codec.trial_from_optuna(frozen, space.extended(codec.found_by(frozen)))

    # Trials

    def start_trial(self, name: str, trial: Trial, space: Space) -> None:
        """Enter a suggestion before it is trained.

        Raises:
            LedgerError: The trial's number is not the next one: another driver writes this study.
        """
        with explained(self.uri):
            self._trial_ids[name, trial.number] = self._writer.start(self._study_id(name), trial, space)

    def adopt_trial(self, name: str, trial: Trial, space: Space) -> None:
        """Begin a trial that another program has enqueued: from now on it is the study's own.

        Raises:
            LedgerError: It does not wait any more: another driver writes this study.
        """
        with explained(self.uri):
            self._writer.adopt(self._trial_id(name, trial.number), trial, space)

    def add_fold(self, name: str, number: int, result: FoldResult, parameters: int | None) -> None:
        """Enter a finished fold. It is never trained again.

        Args:
            name: The study.
            number: The trial.
            result: The fold.
            parameters: Number of weights; None if the ledger has it already.
        """
        attrs: JsonObject = {} if parameters is None else {codec.PARAMETERS: parameters}
        attrs[f"{codec.FOLD_PREFIX}{result.fold}"] = result.to_json()
        with explained(self.uri):
            self._writer.add(self._trial_id(name, number), attrs)

    def add_measured(self, name: str, number: int, parameters: int, measured: Mapping[str, float]) -> None:
        """Enter what has been measured of a trial's model before it is trained, and its number of weights."""
        attrs: JsonObject = {codec.PARAMETERS: parameters, codec.MEASURED: dict(measured)}
        with explained(self.uri):
            self._writer.add(self._trial_id(name, number), attrs)

    def finish_trial(self, name: str, trial: Trial, metric: str, constraints: Constraints = NO_CONSTRAINTS) -> None:
        """Enter the end of a trial. Its finished folds are in the ledger already.

        Args:
            name: The study.
            trial: As it has ended.
            metric: The objective's.
            constraints: The objective's, which Optuna's tools are told.

        Raises:
            LedgerError: It has ended already: another driver writes this study.
        """
        from hpsearch.ledger.trial_writer import TrialEnd

        with explained(self.uri):
            self._writer.end(self._trial_id(name, trial.number), TrialEnd.of(trial, metric, constraints))

    def repair(self, name: str) -> tuple[int, ...]:
        """Complete what a killed driver has left half entered. Call it before a study is driven on.

        Returns:
            Numbers of the trials that had ended here and were still running for Optuna.
        """
        from optuna.trial import TrialState

        from hpsearch.ledger.public_writer import PublicWriter
        from hpsearch.ledger.trial_writer import TrialEnd

        record = self.load(name)
        if self._told_format(name) < codec.FORMAT:
            self.set_spec(name, record.spec)  # what is entered from here on, an older hpsearch could not read
        ended = {trial.number: trial for trial in record.trials if trial.state.finished}
        with explained(self.uri):
            running = self._storage.get_all_trials(self._study_id(name), states=(TrialState.RUNNING,))
            half = [one.number for one in running if codec.OUTCOME in codec.trial_attrs(one)]
            numbers = tuple(number for number in half if number in ended)
            for number in numbers:
                end = TrialEnd.of(ended[number], record.objective.metric, record.objective.constraints)
                PublicWriter(self._storage).settle(self._trial_id(name, number), end)
        return numbers

    def _enter_head(self, study_id: int, record: StudyRecord) -> None:
        head = codec.head_to_json(record, home=places.home_of(self.uri))
        self._storage.set_study_system_attr(study_id, _HEAD, head)
        # Where older versions have looked for the head: they ask for an upgrade.
        self._storage.set_study_user_attr(study_id, _HEAD, {"format": codec.FORMAT})

    def _told_format(self, name: str) -> int:
        """The format that an older hpsearch finds; 0 if a driver was killed before it told one."""
        with explained(self.uri):
            told = self._storage.get_study_user_attrs(self._study_id(name)).get(_HEAD, {})
        found = told.get("format") if isinstance(told, dict) else None
        return found if isinstance(found, int) else 0

    def _set_attr(self, name: str, key: str, value: Json) -> None:
        with explained(self.uri):
            self._storage.set_study_system_attr(self._study_id(name), key, value)

    def _attrs(self, study_id: int) -> dict[str, Json]:
        """What hpsearch has entered for a study: before format 5, as user attributes."""
        return {**self._storage.get_study_user_attrs(study_id), **self._storage.get_study_system_attrs(study_id)}

    def _trial_id(self, name: str, number: int) -> int:
        if (name, number) not in self._trial_ids:
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


def _choose_writer(storage: "optuna.storages.RDBStorage") -> "tuple[TrialWriter, tuple[str, ...]]":
    """The fast writer if Optuna's tables are the tested ones, else the public writer and a remark."""
    from hpsearch.ledger import fast_writer, optuna_tables, public_writer

    difference = optuna_tables.find_difference(storage)
    if difference is None:
        return fast_writer.FastWriter(storage.engine), ()
    remark = f"hpsearch uses Optuna's public interface to enter trials, which is slower: {difference}"
    return public_writer.PublicWriter(storage), (remark,)
