"""Updates of runs straight into MLflow's tables: as ``log_batch`` leaves them, only quicker.

MLflow's store makes an object of every point and opens several sessions a call: 50 ms of CPU for a trial of 5 folds and
20 epochs, where one transaction of plain rows takes 8. The tables, and the rules for what may go into them, are
MLflow's own, so this way is taken only where :func:`unrecognised` finds exactly what it was tested with.
"""

from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from hpsearch.tracking.mlflow.client import store_of
from hpsearch.tracking.mlflow.trial_view import NAME, Point
from hpsearch.tracking.mlflow.writers import RunUpdate, RunWriter

REVISIONS = frozenset({"dc11669786a5"})
"""Versions of MLflow's database (Alembic's revision) that this module was tested with: MLflow 3.17."""

COLUMNS = {
    "runs": (
        *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
        *("end_time", "deleted_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    ),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
    "metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
}
"""The tables that are written, and all their columns."""

_RUNS, _PARAMS, _TAGS = SqlRun.__table__, SqlParam.__table__, SqlTag.__table__
_POINTS, _LATEST = SqlMetric.__table__, SqlLatestMetric.__table__

_ROW = ("key", "step", "timestamp", "value", "is_nan")


def unrecognised(client: MlflowClient) -> str:
    """What of the store behind a client is not as this module was tested with, in words; empty if all is known.

    Raises:
        SQLAlchemyError: The database is out of reach.
    """
    store = store_of(client)
    if type(store) is not SqlAlchemyStore:  # a subclass looks more closely at who may write what
        return f"the store {type(store).__name__}"
    for table in (_RUNS, _PARAMS, _TAGS, _POINTS, _LATEST):
        if set(table.columns.keys()) != set(COLUMNS.get(table.name, ())):
            return f"the columns of table {table.name!r}: {', '.join(table.columns.keys())}"
    with store.engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return "" if len(found) == 1 and found[0] in REVISIONS else f"version {', '.join(found)} of the database"


class TableWriter(RunWriter):
    """Writes all of an update, or nothing, in one transaction.

    Args:
        client: MLflow's, of a store that :func:`unrecognised` knows.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._store: SqlAlchemyStore = store_of(client)

    def write(self, run_id: str, update: RunUpdate) -> None:
        with self._store.ManagedSessionMaker(read_only=False) as session:
            _check_active(session, run_id)
            if update.params:
                _add_params(session, run_id, update.params)
            if update.points:
                _add_points(session, run_id, update.points, self._store)
            if update.tags:
                _set_tags(session, run_id, update.tags)
            _change_run(session, run_id, update)


def _refusal(what: str) -> MlflowException:
    return MlflowException(what, INVALID_PARAMETER_VALUE)


def _check_active(session: Session, run_id: str) -> None:
    stage = session.execute(select(_RUNS.c.lifecycle_stage).where(_RUNS.c.run_uuid == run_id)).scalar()
    if stage is None:
        raise MlflowException(f"there is no run {run_id}", RESOURCE_DOES_NOT_EXIST)
    if stage != "active":
        raise _refusal(f"run {run_id} has been deleted")


def _change_run(session: Session, run_id: str, changes: RunUpdate) -> None:
    values = {"status": changes.status, "end_time": changes.ended_ms, "name": changes.tags.get(NAME)}
    if values := {column: value for column, value in values.items() if value is not None}:
        session.execute(update(_RUNS).where(_RUNS.c.run_uuid == run_id).values(values))


def _add_params(session: Session, run_id: str, params: Mapping[str, str]) -> None:
    known = session.execute(select(_PARAMS.c.key, _PARAMS.c.value).where(_PARAMS.c.run_uuid == run_id))
    there = {row.key: row.value for row in known}
    valid = [_validate_param(key, value) for key, value in params.items()]
    if changed := [param.key for param in valid if there.get(param.key, param.value) != param.value]:
        raise _refusal(f"run {run_id} has these params already, with other values: {', '.join(changed)}")
    rows = [{"run_uuid": run_id, "key": param.key, "value": param.value} for param in valid if param.key not in there]
    if rows:
        session.execute(insert(_PARAMS), rows)


def _add_points(session: Session, run_id: str, points: Sequence[Point], store: SqlAlchemyStore) -> None:
    for point in {point.key: point for point in points}.values():
        _validate_metric(point.key, point.value, point.timestamp_ms, point.step)
    keys = sorted({point.key for point in points})
    mine = (_LATEST.c.run_uuid == run_id, _LATEST.c.key.in_(keys))
    known = session.execute(select(*(_LATEST.c[name] for name in _ROW)).where(*mine).with_for_update())
    latest = {row.key: tuple(row) for row in known}
    before = dict(latest)
    seen = set()
    if latest:  # a key without a latest point has no points at all
        mine = (_POINTS.c.run_uuid == run_id, _POINTS.c.key.in_(list(latest)))
        seen = {tuple(row) for row in session.execute(select(*(_POINTS.c[name] for name in _ROW)).where(*mine))}
    rows = []
    for point in points:
        is_nan, value = store.sanitize_metric_value(point.value)
        row = (point.key, point.step, point.timestamp_ms, value, is_nan)
        if row not in seen:
            seen.add(row)
            rows.append(row)
            # Greater in step, then time, then value.
            if point.key not in latest or row[1:4] > latest[point.key][1:4]:
                latest[point.key] = row
    moved = [row for key, row in latest.items() if row is not before.get(key)]
    if stale := [row[0] for row in moved if row[0] in before]:
        session.execute(delete(_LATEST).where(_LATEST.c.run_uuid == run_id, _LATEST.c.key.in_(stale)))
    for table, new in ((_POINTS, rows), (_LATEST, moved)):
        if new:
            session.execute(insert(table), [dict(zip(_ROW, row, strict=True), run_uuid=run_id) for row in new])


def _set_tags(session: Session, run_id: str, tags: Mapping[str, str]) -> None:
    valid = [_validate_tag(key, value) for key, value in tags.items()]
    session.execute(delete(_TAGS).where(_TAGS.c.run_uuid == run_id, _TAGS.c.key.in_([tag.key for tag in valid])))
    session.execute(insert(_TAGS), [{"run_uuid": run_id, "key": tag.key, "value": tag.value} for tag in valid])
