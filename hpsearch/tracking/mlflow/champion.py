"""Registers the champion from its files, without Keras, through MLflow's public client alone."""

import json
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hpsearch.analysis import crowned_sentences
from hpsearch.core.trial import Champion
from hpsearch.errors import TrackingError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.tracking.mlflow import study_view, trial_view
from hpsearch.tracking.mlflow.client import is_gone
from hpsearch.tracking.mlflow.projection import Projection, make_dataset

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

ALIAS = "champion"

_SHA = "hpsearch.sha256"


def registered_name(study: str) -> str:
    """A study's name as the model registry allows it: no slash, no colon, and no quote that its filters end with."""
    return re.sub(r'[/:"]', "_", study)


def champion_uri(study: str) -> str:
    """Where a study's champion is, whichever version it has."""
    return f"models:/{registered_name(study)}@{ALIAS}"


def register_champion(projection: Projection, record: StudyRecord) -> str:
    """Register the champion under the study's name, and let the alias ``champion`` point to it.

    The model carries its test metrics and is linked to the study's run and data set; the run carries the metrics and
    the refit's curves too. A file that is registered already, by its SHA-256, is not registered again.

    Args:
        projection: The study's place in MLflow.
        record: The study; ``record.champion`` says where the model's files are.

    Returns:
        ``models:/<study>/<version>``.

    Raises:
        TrackingError: The files in MLflow's format are missing.
        Exception: Whatever MLflow raises.
    """
    champion = record.champion
    assert champion is not None
    client, name = projection.client, registered_name(record.name)
    version = _find_version(client, name, champion.sha256) or _register(projection, record, champion)
    client.set_registered_model_alias(name, ALIAS, version)
    uri = f"models:/{name}/{version}"
    projection.write_champion(replace(record, champion=replace(champion, model_uri=uri)))
    return uri


def _find_version(client: "MlflowClient", name: str, sha256: str) -> str | None:
    """Version of this very file, if it has been registered."""
    versions = client.search_model_versions(f'name="{name}"')
    found = [int(one.version) for one in versions if one.tags.get(_SHA) == sha256 and one.status == "READY"]
    return str(max(found)) if found else None


NO_MODEL = "tracking.no-mlflow-model"
"""Code of the error for a champion whose files are not there. They are the business of whoever drives the study."""


def _register(projection: Projection, record: StudyRecord, champion: Champion) -> str:
    if not champion.mlflow_model or not Path(champion.mlflow_model, "MLmodel").is_file():
        raise TrackingError(
            f"the champion's model in MLflow's format is missing: {champion.mlflow_model or 'it has not been written'}",
            code="no-mlflow-model",
            hint=f"`{record.command('sync')}` writes it",
            folder=champion.mlflow_model,
        )
    client, name = projection.client, registered_name(record.name)
    tags = {_SHA: champion.sha256, "hpsearch.trial": str(champion.trial), "hpsearch.study": record.name}
    by_hand = " ".join(crowned_sentences(record))
    tags |= {study_view.CROWNED: by_hand} if by_hand else {}
    logged = _log_model(projection, record, champion, tags)
    _make_registered_model(client, name, record)
    # A database's registry looks up "models:/…" at MLflow's process-wide address, which is the user's own to set.
    source = f"models:/{logged.model_id}" if projection.address.http else logged.artifact_location
    version = client.create_model_version(
        name, source, run_id=projection.parent_id, tags=tags, model_id=logged.model_id, description=by_hand or None
    )
    pages = json.dumps([{"name": name, "version": str(version.version)}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": pages})
    return str(version.version)


def _log_model(projection: Projection, record: StudyRecord, champion: Champion, tags: dict[str, str]) -> "LoggedModel":
    """The champion as a logged model of the study's run. One that an earlier try has left is completed."""
    client = projection.client
    found = client.search_logged_models([projection.experiment_id], f"tags.`{_SHA}` = '{champion.sha256}'")
    mine = [one for one in found if one.source_run_id == projection.parent_id]
    logged = (
        mine[0]
        if mine
        else client.create_logged_model(
            projection.experiment_id,
            # Logged models are pickier about names than registered ones.
            name=re.sub(r"[/:.%\"']", "_", record.name),
            source_run_id=projection.parent_id,
            params={key: str(value) for key, value in champion.config.items()},
            tags=tags,
            model_type="keras",
        )
    )
    if str(logged.status) != "READY":
        _upload(client, logged, Path(champion.mlflow_model), projection.parent_id)
        logged = client.finalize_logged_model(logged.model_id, "READY")
    _link_to_run(client, logged, projection.parent_id)
    if not logged.metrics:
        _log_metrics(projection, record, logged)
    return logged


def _upload(client: "MlflowClient", logged: "LoggedModel", folder: Path, run_id: str) -> None:
    """The folder's files, with a description that names run and model."""
    from mlflow.models import Model

    client.log_model_artifacts(logged.model_id, str(folder))
    about = Model.load(str(folder))
    about.run_id, about.model_id, about.model_uuid = run_id, logged.model_id, logged.model_id
    about.artifact_path = logged.artifact_location
    with TemporaryDirectory() as temporary:
        path = Path(temporary, "MLmodel")
        about.save(str(path))
        client.log_model_artifact(logged.model_id, str(path))


def _link_to_run(client: "MlflowClient", logged: "LoggedModel", run_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    linked = {one.model_id for one in outputs.model_outputs} if outputs else set()
    if logged.model_id not in linked:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])


def _log_metrics(projection: Projection, record: StudyRecord, logged: "LoggedModel") -> None:
    """Test metrics, and where the refit ended, on the logged model.

    The parent run has the same points and the whole curves; a model's page would list every epoch as a metric.
    """
    from mlflow.entities import Metric

    dataset = make_dataset(record)
    about = {"dataset_name": dataset.name, "dataset_digest": dataset.digest, "model_id": logged.model_id}
    points = {point.key: point for point in study_view.champion_points(record, projection.first_epoch)}
    metrics = [Metric(*point, run_id=projection.parent_id, **about) for point in points.values()]
    if metrics:
        projection.client.log_batch(projection.parent_id, metrics=metrics)


def _make_registered_model(client: "MlflowClient", name: str, record: StudyRecord) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if not is_gone(error):
            raise
        # The champion comes last: by the time that anybody reads this, the study is finished.
        about = study_view.describe(replace(record, state=StudyState.FINISHED))
        client.create_registered_model(name, description=about[: trial_view.TAG_LENGTH])
