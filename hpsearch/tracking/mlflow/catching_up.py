"""Catches MLflow up with the ledger, all at once: what ``hpsearch sync`` does."""

from collections.abc import Callable
from dataclasses import replace

from hpsearch.errors import TrackingError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.tracking.base import SyncReport
from hpsearch.tracking.mlflow.address import Address, resolve_address
from hpsearch.tracking.mlflow.champion import NO_MODEL, register_champion
from hpsearch.tracking.mlflow.client import as_tracking_error, quiet
from hpsearch.tracking.mlflow.projection import Projection
from hpsearch.tracking.settings import mlflow_settings


def sync(record: StudyRecord) -> SyncReport:
    """See :func:`hpsearch.tracking.sync`."""
    address = resolve_address(record.spec.tracking)
    with mlflow_settings(), quiet():
        try:
            projection = Projection(record, address, restore=True)
            written = _write_trials(projection, record)
            record, refused = _with_registered_champion(projection, record)
            projection.write_study(record)
            if refused is not None and refused.code != NO_MODEL:
                raise refused
        except Exception as error:  # MLflow raises its own errors, SQLAlchemy's, requests' and the artifact store's
            raise as_tracking_error(error, address) from address.cause(error)
    uri = record.champion.model_uri if record.champion and refused is None else ""
    notes = [*projection.notes, *([] if refused is None else [f"the champion was not registered: {refused.what}"])]
    return SyncReport(written or 0, projection.url, projection.parent_id, uri, tuple(notes))


def catch_up(record: StudyRecord, address: Address, has_to_end: Callable[[], bool]) -> bool:
    """Bring runs and their statuses to what the ledger has; champions and what was deleted are for :func:`sync`.

    Args:
        record: A study that nobody drives.
        address: Where MLflow is.
        has_to_end: Asked between two trials.

    Returns:
        Whether everything has been written.

    Raises:
        Exception: Whatever MLflow raises.
    """
    projection = Projection(record, address)
    if _write_trials(projection, record, has_to_end) is None:
        return False
    projection.write_study(record)  # last: children end before the parent
    return True


def _write_trials(
    projection: Projection, record: StudyRecord, has_to_end: Callable[[], bool] = lambda: False
) -> int | None:
    """Write what MLflow lacks; returns how many trials were missing or stale, or None if it had to end before."""
    open_status, written = "RUNNING" if record.state is StudyState.RUNNING else "KILLED", 0
    for trial in record.trials:
        if has_to_end():
            return None
        written += projection.write_trial(trial, open_status=open_status)
    projection.write_trajectory(record.trials)
    return written


def _with_registered_champion(projection: Projection, record: StudyRecord) -> tuple[StudyRecord, TrackingError | None]:
    """The study with its champion's address in MLflow, or why there is none: the rest is written first."""
    if record.champion is None:
        return record, None
    try:
        uri = register_champion(projection, record)
    except TrackingError as error:
        return record, error
    return replace(record, champion=replace(record.champion, model_uri=uri)), None
