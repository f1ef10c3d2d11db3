"""Writes a study into MLflow so that writing it again changes nothing.

Runs are found again by tags, points are exact duplicates of themselves, and a trial whose digest tag is there has been
written completely. Never MLflow's fluent state: run ids and one explicit client.
"""

import contextlib
import getpass
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.trial import FoldResult, Origin, Trial
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.tracking.mlflow import study_view, trial_view
from hpsearch.tracking.mlflow.address import Address
from hpsearch.tracking.mlflow.client import connect
from hpsearch.tracking.mlflow.writers import RunUpdate, open_writer

if TYPE_CHECKING:
    from mlflow.entities import Dataset, Run

_PAGE = 200  # runs come with their latest metrics; a page is some hundred kilobytes


@dataclass
class _Known:
    """What MLflow has of a trial."""

    run_id: str
    status: str
    digest: str = ""
    has_params: bool = False
    has_dataset: bool = False
    deleted: bool = False
    folds: set[int] = field(default_factory=set)


class Projection:
    """One study's place in MLflow: its experiment, its parent run, its trials' runs.

    Args:
        record: The study; its trials need not be complete.
        address: Where MLflow is.
        restore: Bring back trial runs that were deleted in MLflow's pages; else they are left out.
        turn: Given if other drivers show the study, too: runs are looked for and made in such a block.

    Attributes:
        client: MLflow's public client.
        experiment_id: MLflow's id of the study's experiment.
        parent_id: MLflow's id of the study's run.
        first_epoch: Step of the first epoch in the study's runs.
        notes: What the user should know.

    Raises:
        TrackingError: The database was moved, and its tables are not known.
        Exception: Whatever MLflow raises; see :mod:`hpsearch.tracking.mlflow.client`.
    """

    def __init__(
        self,
        record: StudyRecord,
        address: Address,
        *,
        restore: bool = False,
        turn: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.address, self._turn = address, turn
        self.client = connect(address)
        from hpsearch.tracking.mlflow.moved import bring_here  # imports MLflow

        moved = bring_here(self.client, address)
        self.notes: list[str] = [moved] if moved else []
        self._metric = record.objective.metric
        self._best = trial_view.BestSoFar(record.objective)
        self._common = _common_tags(record)
        self._dataset = make_dataset(record)
        self.first_epoch = trial_view.FIRST_EPOCH
        with contextlib.nullcontext() if turn is None else turn():
            self.experiment_id = self._open_experiment(record)
            self.parent_id = self._open_parent(record)
        self._known = self._list_trials(restore)
        # Only now does a fresh database have its tables.
        self._writer, note = open_writer(self.client, address)
        self.notes += [note] if note else []

    @property
    def url(self) -> str:
        """The study's web page; empty if no server is known."""
        return self.address.experiment_url(self.experiment_id)

    def write_trial(self, trial: Trial, *, open_status: str = "RUNNING") -> bool:
        """Write what MLflow lacks of a trial.

        Args:
            trial: As the ledger has it, running or finished.
            open_status: MLflow status of a trial that is not finished: KILLED once nobody trains it.

        Returns:
            Whether anything was missing or stale.
        """
        if trial.origin is Origin.QUEUED:
            return False  # it has no config before it begins
        known = self._known.get(trial.number) or self._open_trial(trial)
        status = trial_view.STATUS[trial.state] if trial.state.finished else open_status
        complete = trial.state.finished and known.digest == trial_view.digest(trial)
        if known.deleted or (complete and known.status == status):
            return False
        if not known.has_dataset:  # in a call of its own, which may not have come through
            self._log_dataset(known.run_id)
            known.has_dataset = True
        missing = [fold for fold in trial.folds if fold.fold not in known.folds]
        if not trial.state.finished and known.has_params and not missing and known.status == status:
            return False
        update = _trial_update(trial, known, missing, status, self._metric, self.first_epoch)
        self._write(known.run_id, update)
        known.has_params, known.status = True, status
        known.digest = update.tags.get(trial_view.DIGEST, known.digest)
        known.folds |= {fold.fold for fold in missing}
        return True

    def write_trajectory(self, trials: Iterable[Trial]) -> None:
        """Draw the best score so far on the parent run, as far as it is final."""
        self._write(self.parent_id, RunUpdate([point for trial in trials for point in self._best.add(trial)]))

    def write_study(self, record: StudyRecord) -> None:
        """Bring the parent run to the study's state: tags, description, charts, leaderboard, status."""
        tags = study_view.study_tags(record) | _table_tag("leaderboard.json")
        self._write(self.parent_id, RunUpdate(study_view.study_points(record, self.first_epoch), tags=tags))
        self.client.log_dict(self.parent_id, study_view.leaderboard(record), "leaderboard.json")
        self.client.log_dict(self.parent_id, study_view.facts_json(record), "facts.json")
        self.client.log_text(self.parent_id, record.study_file, "study.toml")
        self._log_dataset(self.parent_id)
        for name, value in study_view.experiment_tags(record, self.first_epoch).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)
        end = RunUpdate(status=study_view.STATUS[record.state], end_ms=study_view.end_ms(record))
        self._write(self.parent_id, end)

    def write_champion(self, record: StudyRecord) -> None:
        """Say on the parent run which registered model the champion is, and what its hyperparameters are.

        MLflow changes no params. If a later champion has others, a tag says which trial they are of.
        """
        champion = record.champion
        assert champion is not None
        tags = {study_view.MODEL_URI: champion.model_uri}
        params = trial_view.params(champion.config)
        there = self.client.get_run(self.parent_id).data.params
        if not there:
            tags[study_view.PARAMS_OF] = trial_view.trial_label(champion.trial)
        self._write(
            self.parent_id,
            RunUpdate(study_view.champion_points(record, self.first_epoch), params={} if there else params, tags=tags),
        )

    def write_file(self, path: Path, folder: str | None = None) -> None:
        """Put a file beside the parent run, in place of one of that name."""
        self.client.log_artifact(self.parent_id, str(path), folder)

    # Finding and creating

    def _open_experiment(self, record: StudyRecord) -> str:
        found = self.client.get_experiment_by_name(record.name)
        if found is None:
            location = self.address.make_place(record.name)
            tags = study_view.experiment_tags(record, trial_view.FIRST_EPOCH)
            return str(self.client.create_experiment(record.name, artifact_location=location, tags=tags))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
            self.notes.append(f"MLflow experiment {record.name!r} had been deleted; it was restored")
        return str(found.experiment_id)

    def _open_parent(self, record: StudyRecord) -> str:
        mine = study_view.unique_name(record)
        found = [
            run for run in self._search(f"tags.`{study_view.KIND}` = 'study'") if _tag(run, study_view.STUDY) == mine
        ]
        if not found:
            tags = self._common | {study_view.KIND: "study", study_view.STUDY: mine, trial_view.NAME: record.name}
            tags[study_view.FIRST_EPOCH] = str(self.first_epoch)
            run = self.client.create_run(
                self.experiment_id, start_time=trial_view.milliseconds(record.created), tags=tags, run_name=record.name
            )
            return str(run.info.run_id)
        # Two drivers that met a server coming up at once could have created two: all agree on the first.
        run = min(found, key=lambda one: (one.info.lifecycle_stage == "deleted", one.info.start_time, one.info.run_id))
        if run.info.lifecycle_stage == "deleted":
            self.client.restore_run(run.info.run_id)
            self.notes.append(f"the MLflow run of study {record.name!r} had been deleted; it was restored")
        self.first_epoch = int(_tag(run, study_view.FIRST_EPOCH) or 0)
        if record.state is StudyState.RUNNING and run.info.status != "RUNNING":
            self.client.update_run(run.info.run_id, status="RUNNING")
        return str(run.info.run_id)

    def _open_trial(self, trial: Trial) -> _Known:
        """The run of a trial that was not there when all were listed."""
        if self._turn is None:
            return self._create(trial)
        with self._turn():
            # Another driver may have begun the trial, and lost it.
            found = self._list_trials(False, f" AND tags.`{trial_view.TRIAL}` = '{trial.number}'")
            self._known |= found
            return found.get(trial.number) or self._create(trial)

    def _list_trials(self, restore: bool, which: str = "") -> dict[int, _Known]:
        known: dict[int, _Known] = {}
        for run in self._search(f"tags.`{trial_view.PARENT}` = '{self.parent_id}'{which}"):
            if not (trial := _tag(run, trial_view.TRIAL)).isdecimal() or int(trial) in known:
                continue
            one = _Known(run.info.run_id, run.info.status, _tag(run, trial_view.DIGEST), bool(run.data.params))
            one.has_dataset = bool(run.inputs.dataset_inputs)
            one.deleted = run.info.lifecycle_stage == "deleted"
            if one.deleted and restore:
                self.client.restore_run(one.run_id)
                one.deleted = False
            known[int(trial)] = one
        return known

    def _search(self, condition: str) -> Iterable["Run"]:
        from mlflow.entities import ViewType

        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                filter_string=condition,
                run_view_type=ViewType.ALL,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, trial: Trial) -> _Known:
        tags = self._common | {trial_view.PARENT: self.parent_id, trial_view.TRIAL: str(trial.number)}
        name = trial_view.trial_label(trial.number)
        run = self.client.create_run(
            self.experiment_id, start_time=trial_view.milliseconds(trial.started), tags=tags, run_name=name
        )
        known = self._known[trial.number] = _Known(run.info.run_id, "RUNNING")
        return known

    # Writing

    def _write(self, run_id: str, update: RunUpdate) -> None:
        if not update.is_empty:
            self._writer.write(run_id, update)

    def _log_dataset(self, run_id: str) -> None:
        from mlflow.entities import DatasetInput, InputTag

        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run_id, [DatasetInput(self._dataset, tags)])


def make_dataset(record: StudyRecord) -> "Dataset":
    """The study's data as MLflow has data sets: where from, which digest, how large."""
    from mlflow.entities import Dataset

    source = record.spec.data.source
    return Dataset(
        name=source[:500],  # MLflow allows no more, and 36 characters of digest
        digest=record.facts.data.fingerprint[:36],
        source_type="code",
        source=json.dumps({"tags": {"hpsearch.source": source}}),
        profile=json.dumps(study_view.dataset_profile(record)),
    )


def _trial_update(
    trial: Trial, known: _Known, missing: Sequence[FoldResult], status: str, metric: str, first: int
) -> RunUpdate:
    points = [point for fold in missing for point in trial_view.fold_points(fold, first)]
    tags: dict[str, str] = {}
    if trial.state.finished:
        points += trial_view.mean_points(trial, first=first) + trial_view.summary_points(trial, metric, first)
        tags = trial_view.tags(trial)
    elif known.digest:
        tags = {trial_view.NAME: trial_view.run_name(trial), trial_view.DIGEST: ""}
    return RunUpdate(
        points,
        params={} if known.has_params else trial_view.params(trial.config),
        tags=tags,
        status=None if known.status == status else status,
        end_ms=trial_view.milliseconds(trial.finished or trial.started),
    )


def _common_tags(record: StudyRecord) -> dict[str, str]:
    tags = {"mlflow.source.name": "hpsearch", "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container's user id may have no name
        tags["mlflow.user"] = getpass.getuser()
    if commit := record.facts.git_commit:
        tags["mlflow.source.git.commit"] = commit
    return tags


def _table_tag(path: str) -> dict[str, str]:
    """What ``log_table`` sets so that MLflow's pages show the file as a table; ``log_table`` itself only appends."""
    return {"mlflow.loggedArtifacts": json.dumps([{"path": path, "type": "table"}])}


def _tag(run: "Run", name: str) -> str:
    return str(run.data.tags.get(name, ""))
