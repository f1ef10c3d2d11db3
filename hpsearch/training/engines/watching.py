"""What becomes of a lane's predictions for its validation rows after every epoch: a score, and a file."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.core.events import Lane
from hpsearch.core.facts import Task
from hpsearch.core.files import make_folder, write_atomically
from hpsearch.core.hyperparameters import epochs_of
from hpsearch.core.out_of_fold import lane_file
from hpsearch.core.output_metrics import outputs_of
from hpsearch.core.records import output_of, records
from hpsearch.data.dataset import Array
from hpsearch.training.named_outputs import named_outputs, storable
from hpsearch.training.problem import Problem

MOST_BYTES = 64 << 20
"""Of a lane that is kept, in float32: 20 epochs of 10 class probabilities for 80,000 rows."""

_HALVED_BYTES = 4 << 20
"""Class probabilities of more bytes are kept in half precision."""

Note = Callable[[str], None]


class LaneWatch:
    """Sees a lane's predictions.

    Args:
        problem: The study's data, folds and scorers.
        lane: The lane.
        own: Names that the model gives its outputs.
        note: Told what the user should know.
    """

    def __init__(self, problem: Problem, lane: Lane, own: Sequence[str], note: Note) -> None:
        self._own = own
        self._problem, self._lane, self._keeps = problem, lane, problem.keeps_predictions(lane.fold)
        self._note = note
        self._rows = problem.folds[lane.fold].validation
        part = problem.dataset.train.take(self._rows)
        self._y, self._weights = part.y, part.weights
        self._epochs: list[Array] = []

    def __call__(self, predicted: Any, recorded: Collection[str]) -> dict[str, float]:
        """After an epoch.

        Args:
            predicted: The model's output for all validation rows of the fold, in order.
            recorded: The curves that the model has itself.

        Returns:
            What the study computes from predictions, by the name of its curve.

        Raises:
            ModelError: A scorer has failed.
        """
        predicted = named_outputs(predicted, self._y, self._own)
        if self._keeps and (kept := storable(predicted, self._y)) is not None:
            self._keep(kept)
        wanted = [one for one in self._problem.scorers if f"val_{one.name}" not in recorded]
        return {f"val_{one.name}": one(self._y, predicted, self._weights) for one in wanted}

    def _keep(self, predicted: Array) -> None:
        data = self._problem.dataset
        parts = {one.name: (one.task, output_of(predicted, one.name)) for one in outputs_of(data)}
        size = sum(part.size for _, part in parts.values()) * 4 * epochs_of(self._lane.config)
        if size > MOST_BYTES:
            self._keeps = False
            return
        kept = {name: _rounded(part, task, halve=size > _HALVED_BYTES) for name, (task, part) in parts.items()}
        self._epochs.append(records(kept) if data.outputs else kept[""])

    def finish(self) -> None:
        """The lane is trained: write what is kept. That it cannot be kept costs no training."""
        if not self._epochs:
            return
        groups = self._problem.dataset.train.groups
        arrays: dict[str, Array] = {
            "rows": self._rows.astype(np.int32),
            "y": self._y,
            "predicted": np.stack(self._epochs),
        }
        if self._weights is not None:
            arrays["weights"] = self._weights
        if groups is not None:
            arrays["groups"] = np.unique(groups, return_inverse=True)[1][self._rows].astype(np.int32)
        path = lane_file(Path(self._problem.predictions), self._lane.trial, self._lane.fold)
        try:
            shared = self._problem.spec.tracking.shared
            make_folder(path.parent, shared=shared)
            write_atomically(path, lambda temporary: np.savez(temporary, allow_pickle=False, **arrays), shared=shared)
        except OSError as error:
            folder = self._problem.predictions
            self._note(f"predictions for validation rows cannot be kept in {folder}: {error.strerror or error}")


def _rounded(predicted: Array, task: Task, *, halve: bool) -> Array:
    classes = task.has_classes and predicted.ndim == 2 and predicted.shape[1] > 1
    return in_half_precision(predicted) if halve and classes else np.asarray(predicted, dtype=np.float32)


def in_half_precision(predicted: Array) -> Array:
    """Class probabilities as float16, which rounds them to 1 in 2,000. The most probable class stays so."""
    half = np.asarray(predicted, dtype=np.float16)
    top = predicted.argmax(axis=-1)
    rows = np.flatnonzero(half.argmax(axis=-1) != top)
    half[rows, top[rows]] = np.nextafter(half[rows].max(axis=-1), np.float16(np.inf))
    return half


def watch_of(problem: Problem, lane: Lane, own: Sequence[str], *, note: Note) -> LaneWatch | None:
    """A lane's watch; None if nobody wants its predictions."""
    return LaneWatch(problem, lane, own, note) if problem.keeps_predictions(lane.fold) or problem.scorers else None
