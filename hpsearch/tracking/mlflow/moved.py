"""A record that was moved, copied or renamed with its folder: brings the addresses in MLflow's database here.

MLflow keeps the absolute address of every run's and model's artifacts. In a copy they would still lead to the original,
and what is written there would overwrite it. MLflow has no call to change them, so they are changed in its tables.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun
from sqlalchemy import Column, Connection, func, literal, update

from hpsearch.errors import TrackingError
from hpsearch.tracking.mlflow.address import Address
from hpsearch.tracking.mlflow.client import store_of
from hpsearch.tracking.mlflow.tables import unrecognised


@dataclass(frozen=True, slots=True)
class _Move:
    """An experiment whose artifacts are elsewhere now."""

    experiment: str
    before: str
    now: str


def bring_here(client: MlflowClient, address: Address) -> str:
    """Let a database lead to the artifacts beside it, if it was moved or copied together with them.

    Returns:
        What was done, in a sentence; empty if nothing.

    Raises:
        TrackingError: This MLflow's tables are not those that are known. Nothing may be written then.
    """
    if address.file is None:
        return ""
    experiments = client.search_experiments(view_type=ViewType.ALL)
    moves = [
        _Move(str(one.experiment_id), one.artifact_location, now)
        for one in experiments
        if (now := _place_now(one.artifact_location, address.experiment_location(one.name))) is not None
    ]
    if not moves:
        return ""
    before = _path(moves[0].before)
    if different := unrecognised(client):
        raise TrackingError(
            f"MLflow's database {address.file} was moved here and still leads to {before}; this MLflow has {different}",
            code="moved-record",
            hint="move the folder back, or move the database away: `hpsearch sync` then writes a new one",
            file=str(address.file),
            before=str(before),
        )
    with store_of(client).engine.begin() as connection:
        for move in moves:
            _apply(connection, move)
    here = _path(moves[0].now)
    return f"MLflow's record was moved here: its artifacts are now those in {here}, not those in {before}"


def _path(location: str) -> Path | None:
    """The folder of a local address; None for others."""
    parsed = urlparse(location)
    return Path(unquote(parsed.path) if parsed.scheme else location) if parsed.scheme in ("", "file") else None


def _place_now(before: str, wanted: str | None) -> str | None:
    """The location that an experiment would get today, if it is the old one under another folder."""
    old, new = _path(before), _path(wanted) if wanted is not None else None
    if old is None or new is None or old == new or old.parts[-2:] != new.parts[-2:]:
        return None
    # Artifacts that are there, and not here, are where the study file once wanted them.
    return wanted if new.is_dir() or not old.is_dir() else None


def _apply(connection: Connection, move: _Move) -> None:
    experiments, runs, models = SqlExperiment.__table__, SqlRun.__table__, SqlLoggedModel.__table__
    versions = SqlModelVersion.__table__
    mine = experiments.c.experiment_id == int(move.experiment)
    connection.execute(update(experiments).where(mine).values(artifact_location=move.now))
    places: tuple[Column[str], ...] = (
        runs.c.artifact_uri,
        models.c.artifact_location,
        versions.c.source,
        versions.c.storage_location,
    )
    for column in places:
        rest = func.substr(column, len(move.before) + 1)
        below = func.substr(column, 1, len(move.before) + 1) == f"{move.before}/"
        connection.execute(update(column.table).where(below).values({column.name: literal(move.now).concat(rest)}))
