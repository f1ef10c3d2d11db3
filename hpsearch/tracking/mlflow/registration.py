"""Logs and registers the refitted winner. Runs where the model is in memory: in a worker."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.core.trial import Champion
from hpsearch.data.dataset import Features
from hpsearch.errors import ModelError, TrackingError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow import study_view, trial_view
from hpsearch.tracking.mlflow.address import Address, resolve
from hpsearch.tracking.mlflow.client import explain, polite
from hpsearch.tracking.mlflow.projection import Projection

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient

ALIAS = "champion"
_SHA = "hpsearch.sha256"

CHAMPION_IMPORTS = ("hpsearch.tracking.mlflow.tables", "mlflow.keras", "mlflow.store.model_registry.sqlalchemy_store")
"""What :func:`log_champion` needs: 2 seconds of imports, which a worker can do while it refits."""

# Model.log copies the run's metrics of its step to the model; at this step there are none, and ours follow.
_NO_STEP = 2**31 - 1


def log_champion(
    *, model: "keras.Model | str", example: Features, tracking: TrackingSection, record: StudyRecord
) -> str:
    """Log the champion with ``mlflow.keras``, register it under the study's name, and let ``champion`` point to it.

    The model carries signature, input example, pinned requirements and its test metrics; the study's run carries the
    test metrics and the refit's curves. Done already, it is not done again: the file's digest tells.

    Args:
        model: The model, or the path of its ``.keras`` file.
        example: Some raw rows, as the model takes them.
        tracking: Where MLflow is.
        record: The study; ``record.champion`` tells what `model` is, and trials may be left out.

    Returns:
        ``models:/<study>/<version>``; also loadable as ``models:/<study>@champion``.

    Raises:
        TrackingError: MLflow cannot be reached or refuses, or there is no champion.
        ModelError: The file needs code that the study's build module no longer has.
    """
    champion = record.champion
    if champion is None:
        raise TrackingError(f"study {record.name!r} has no champion to log", hint="`hpsearch resume` refits the winner")
    address = resolve(tracking)
    with polite():
        try:
            projection = Projection(record, address)
            client, name = projection.client, registered_name(record.name)
            version = _registered(client, name, champion.sha256)
            if version is None:
                with _addressed(address):
                    version = _register(projection, record, champion, model=_load(model, record), example=example)
            client.set_registered_model_alias(name, ALIAS, version)
            uri = f"models:/{name}/{version}"
            projection.write_champion(replace(record, champion=replace(champion, model_uri=uri)))
        except ModelError:
            raise
        except Exception as error:
            raise explain(error, address) from error
    return uri


def registered_name(study: str) -> str:
    """A study's name as the model registry allows it: no slash, no colon, and no quote that its filters end with."""
    return re.sub(r'[/:"]', "_", study)


def requirements() -> list[str]:
    """What is needed to load the model, pinned to what trained it; inferring this takes MLflow 6–15 s every time."""
    import keras

    backend = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}
    found = []
    for names in (("keras",), backend.get(keras.backend.backend(), ()), ("numpy",)):
        for name in names:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.append(f"{name}=={metadata.version(name)}")
                break
    return found


def _load(model: "keras.Model | str", record: StudyRecord) -> "keras.Model":
    if not isinstance(model, str):
        return model
    from hpsearch.models.saving import load_model

    return load_model(model, record.spec, compile=False)


def _registered(client: "MlflowClient", name: str, sha256: str) -> str | None:
    """Version of this very file, if it has been registered."""
    versions = client.search_model_versions(f'name="{name}"')
    found = [one for one in versions if one.tags.get(_SHA) == sha256 and one.status == "READY"]
    return str(max(int(one.version) for one in found)) if found else None


def _register(
    projection: Projection, record: StudyRecord, champion: Champion, *, model: "keras.Model", example: Features
) -> str:
    from mlflow.models import Model, infer_signature

    client, name = projection.client, registered_name(record.name)
    rows = {column: _plain(values) for column, values in example.items()} if isinstance(example, Mapping) else example
    tags = {_SHA: champion.sha256, "hpsearch.trial": str(champion.trial), "hpsearch.study": record.name}
    logged = client.create_logged_model(
        projection.experiment_id,
        # Logged models are pickier about names than registered ones.
        name=re.sub(r"[/:.%\"']", "_", record.name),
        source_run_id=projection.parent_id,
        params={key: str(value) for key, value in champion.config.items()},
        tags=tags,
        model_type="keras",
    )
    Model.log(
        artifact_path=None,
        flavor=_KerasFlavor,
        model=model,
        run_id=projection.parent_id,
        model_id=logged.model_id,
        step=_NO_STEP,
        signature=infer_signature(rows, np.asarray(model.predict(example, verbose=0))),
        input_example=rows,
        pip_requirements=requirements(),
        validate_serving_input=False,
    )
    projection.write_model_metrics(record, logged.model_id)
    with contextlib.suppress(Exception):  # it exists already, or the next call says what is wrong
        # The champion comes last: by the time that anybody reads this, the study is finished.
        about = study_view.describe(replace(record, state=StudyState.FINISHED))
        client.create_registered_model(name, description=about[: trial_view.TAG_LENGTH])
    version = client.create_model_version(
        name, f"models:/{logged.model_id}", run_id=projection.parent_id, tags=tags, model_id=logged.model_id
    )
    pages = json.dumps([{"name": name, "version": str(version.version)}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": pages})
    return str(version.version)


class _KerasFlavor:
    """``mlflow.keras``, mended: it saves the input example before it makes the folder for it (mlflow 3.17)."""

    @staticmethod
    def save_model(*, path: str, validate_serving_input: bool, **kwargs: Any) -> None:
        import mlflow.keras

        from hpsearch.keras_internals.without_tensorflow import without_tensorflow

        del validate_serving_input  # meant for Model.log, which hands everything on
        os.makedirs(path, exist_ok=True)
        with without_tensorflow():
            mlflow.keras.save_model(path=path, **kwargs)


def _plain(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Text columns as NumPy text, which signatures know; object arrays they do not."""
    return values.astype(str) if values.dtype == object else values


@contextlib.contextmanager
def _addressed(address: Address) -> Iterator[None]:
    """MLflow's process-wide address, which ``Model.log`` insists on, set for a while."""
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(address.uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
