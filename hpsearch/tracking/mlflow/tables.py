"""A run's points, params, tags and status, straight into MLflow's tables: as ``log_batch`` leaves them, only quicker.

MLflow's store makes an object of every point and opens several sessions a call: 50 ms of CPU for a trial of 5 folds and
20 epochs, where one transaction of plain rows takes 8. The tables, and the rules for what may go into them, are
MLflow's own. Imported late, as all of MLflow.
"""

from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from hpsearch.tracking.mlflow.trial_view import NAME, Point

_RUNS, _PARAMS, _TAGS = SqlRun.__table__, SqlParam.__table__, SqlTag.__table__
_POINTS, _LATEST = SqlMetric.__table__, SqlLatestMetric.__table__

_ROW = ("key", "step", "timestamp", "value", "is_nan")


def write(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point],
    params: Mapping[str, str],
    tags: Mapping[str, str],
    *,
    status: str | None = None,
    end_ms: int | None = None,
) -> None:
    """Write all of it, or nothing, in one transaction.

    Args:
        client: MLflow's, with a database open.
        run_id: An active run.
        points: As many as there are; those that the run has already change nothing.
        params: Those that the run has already must have the same values.
        tags: In place of those of the same names; the run's name is one of them.
        status: The run's MLflow status from now on, if not as before.
        end_ms: When the run ended, if it did, Unix time in milliseconds.

    Raises:
        Exception: MLflow would refuse it, the client talks to a server, this MLflow's tables are others, or the
            database is out of reach. MLflow's own calls find out which.
    """
    store = client._tracking_client.store
    if type(store) is not SqlAlchemyStore:  # a subclass looks more closely at who may write what
        raise TypeError(f"{type(store).__name__} is not MLflow's plain database store")
    with store.ManagedSessionMaker(read_only=False) as session:
        if session.execute(select(_RUNS.c.lifecycle_stage).where(_RUNS.c.run_uuid == run_id)).scalar_one() != "active":
            raise ValueError(f"run {run_id} has been deleted")
        if params:
            _add_params(session, run_id, params)
        if points:
            _add_points(session, run_id, points, store)
        if tags:
            _set_tags(session, run_id, tags)
        changed = {"status": status, "end_time": end_ms, "name": tags.get(NAME)}
        if changed := {column: value for column, value in changed.items() if value is not None}:
            session.execute(update(_RUNS).where(_RUNS.c.run_uuid == run_id).values(changed))


def _add_params(session: Session, run_id: str, params: Mapping[str, str]) -> None:
    known = session.execute(select(_PARAMS.c.key, _PARAMS.c.value).where(_PARAMS.c.run_uuid == run_id))
    there = {row.key: row.value for row in known}
    valid = [_validate_param(key, value) for key, value in params.items()]
    if any(there.get(param.key, param.value) != param.value for param in valid):
        raise ValueError(f"run {run_id} has these params already, with other values")
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
