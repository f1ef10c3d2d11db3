"""Whether MLflow lets us in, before anything is trained for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.client import as_tracking_error, quiet
from hpsearch.tracking.settings import mlflow_settings


def check_access(section: TrackingSection, *, timeout_s: float) -> None:
    """See :func:`hpsearch.tracking.check_access`."""
    address = resolve_address(section)
    if address.file is not None:
        return
    with mlflow_settings(), quiet():
        try:
            if address.http:
                with _patience(timeout_s):
                    from mlflow import MlflowClient

                    MlflowClient(address.uri.reveal(), address.uri.reveal()).search_experiments(max_results=1)
            else:
                _connect(address.uri.reveal(), timeout_s)
        except Exception as error:  # MLflow raises its own errors, SQLAlchemy's and requests'
            raise as_tracking_error(error, address) from address.cause(error)


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """MLflow reads how long a server may take from the environment."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ.get(name)
    os.environ[name] = str(max(1, round(seconds)))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _connect(uri: str, timeout_s: float) -> None:
    """Connect to a database. MLflow itself would make its tables."""
    import sqlalchemy

    arguments = {"connect_timeout": round(timeout_s)} if uri.startswith("postgresql") else {}
    engine = sqlalchemy.create_engine(uri, connect_args=arguments)
    try:
        engine.connect().close()
    finally:
        engine.dispose()
