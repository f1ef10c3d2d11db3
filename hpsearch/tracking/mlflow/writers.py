"""Puts points, params, tags and status into a run. One interface, two ways: MLflow's calls, or rows in its tables."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.tracking.mlflow.address import Address
from hpsearch.tracking.mlflow.trial_view import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_POINTS = 800
"""Points per call: MLflow takes 1,000 items a call, up to 100 params and 100 tags among them."""

_MAX_PARAMS = 100


@dataclass(frozen=True, slots=True)
class RunUpdate:
    """What changes in a run.

    Attributes:
        points: As many as there are; those that the run has already change nothing.
        params: Those that the run has already must have the same values.
        tags: In place of those of the same names; the run's name is one of them.
        status: The run's MLflow status from now on; None if it stays.
        end_ms: When the run ended, Unix time in milliseconds. Counts only with a `status` that ends it.
    """

    points: Sequence[Point] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str | None = None
    end_ms: int | None = None

    @property
    def ended_ms(self) -> int | None:
        """When the run ended, if this update ends it."""
        return None if self.status in (None, "RUNNING") else self.end_ms

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.points or self.params or self.tags or self.status)


class RunWriter(ABC):
    """Writes updates of runs."""

    @abstractmethod
    def write(self, run_id: str, update: RunUpdate) -> None:
        """Write an update.

        Raises:
            MlflowException: The run was deleted, a value is not allowed, or MLflow is out of reach.
        """


class ClientWriter(RunWriter):
    """By the calls of MLflow's public client, on any store."""

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def write(self, run_id: str, update: RunUpdate) -> None:
        self._log(run_id, update)
        if update.ended_ms is not None:
            self._client.set_terminated(run_id, status=update.status, end_time=update.ended_ms)
        elif update.status is not None:
            self._client.update_run(run_id, status=update.status)

    def _log(self, run_id: str, update: RunUpdate) -> None:
        """Params first, tags last: a tag that says "complete" must never be there before the points are."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(name, value) for name, value in update.params.items()]
        while len(params) > _MAX_PARAMS:
            self._client.log_batch(run_id, params=params[:_MAX_PARAMS])
            params = params[_MAX_PARAMS:]
        metrics = [Metric(point.key, point.value, point.timestamp_ms, point.step) for point in update.points]
        starts = range(0, max(1, len(metrics)), MAX_POINTS)
        for start in starts:
            last = start == starts[-1]
            tags = [RunTag(name, value) for name, value in update.tags.items()] if last else []
            batch = metrics[start : start + MAX_POINTS]
            if batch or params or tags:
                self._client.log_batch(run_id, metrics=batch, params=params, tags=tags)
            params = []


def open_writer(client: "MlflowClient", address: Address) -> tuple[RunWriter, str]:
    """The quickest writer that is safe with the store behind a client.

    Returns:
        The writer, and a note if a database is not the one that the quick way was tested with; else an empty text.
    """
    if address.http:
        return ClientWriter(client), ""
    try:
        from hpsearch.tracking.mlflow import tables
    except ImportError as error:
        unknown = f"the module {error.name}"
    else:
        unknown = tables.unrecognised(client)
        if not unknown:
            return tables.TableWriter(client), ""
    return ClientWriter(
        client
    ), f"MLflow is written by its own calls, which take longer: hpsearch does not know {unknown}"
