"""Reads the champion's predictions and the list of its layers from a study's folder."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from hpsearch.analysis import FoldPredictions, Inputs, Layer, LeftOut, OutOfFold, Predictions
from hpsearch.core.out_of_fold import lane_file, predictions_folder
from hpsearch.core.records import as_floats
from hpsearch.core.wire import Json, JsonObject
from hpsearch.ledger.record import StudyRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReportArtifacts:
    """Optional inputs of a report. The report says what is missing.

    Attributes:
        predictions: The champion's predictions of the test rows, with raw inputs of the most wrong ones if these are
            small images.
        layers: Its layers, in order.
        missing: Why any of these is missing, in words; empty if nothing is missing.
        out_of_fold: The best trials' predictions for their validation rows.
        inputs: What the worker has found out about the input columns.
    """

    predictions: Predictions | None = None
    layers: tuple[Layer, ...] = ()
    missing: str = ""
    out_of_fold: OutOfFold = field(default_factory=dict)
    inputs: Inputs | None = None


def load_artifacts(record: StudyRecord, folder: Path) -> ReportArtifacts:
    """Read ``predictions.npz`` and ``champion.json`` from a study's folder.

    Files that are deleted, damaged or of another model than the record's champion are left out; `missing` says so.
    """
    kept = _OutOfFold(record, predictions_folder(folder))
    champion = record.champion
    if champion is None:
        return ReportArtifacts(out_of_fold=kept)
    problems = []
    layers: tuple[Layer, ...] = ()
    try:
        card = _read_object(folder / "champion.json")
        if card.get("sha256", champion.sha256) != champion.sha256:
            other = f"{folder / 'champion.json'} describes another model than the champion"
            return ReportArtifacts(missing=other, out_of_fold=kept)
        layers = _layers(card.get("layers"))
    except (OSError, ValueError) as error:
        problems.append(_reason(folder / "champion.json", error))

    def read(name: str, reader: Callable[[Path], T], *, needed: bool) -> T | None:
        try:
            return reader(folder / name)
        except FileNotFoundError as error:
            problems.extend([_reason(folder / name, error)] if needed else [])
        except Exception as error:  # NumPy and zipfile raise many types for a damaged file
            problems.append(_reason(folder / name, error))
        return None

    predictions = read("predictions.npz", _predictions, needed=record.facts.data.test_rows > 0)
    inputs = read("inputs.npz", _inputs, needed=False)  # hpsearch 0.1 and models without columns have none
    return ReportArtifacts(predictions, layers, "; ".join(problems), kept, inputs)


def _inputs(path: Path) -> Inputs:
    """What is known of the input columns."""
    with np.load(path, allow_pickle=False) as file:
        names = [str(file[f"name_{n}"]) for n in range(sum(one.startswith("name_") for one in file.files))]
        return Inputs(
            ranges={name: file[f"labels_{n}"].tolist() for n, name in enumerate(names)},
            codes={name: file[f"codes_{n}"] for n, name in enumerate(names)},
            names=file["importance_names"].tolist() if "importance" in file else (),
            worse=file["importance"] if "importance" in file else np.empty((0, 0)),
            metric=str(file.get("importance_metric", "")),
            whole=float(file.get("importance_whole", np.nan)),
            rows=int(file.get("importance_rows", 0)),
        )


class _OutOfFold(Mapping[int, Sequence[FoldPredictions]]):
    """The predictions of the trials that have all of theirs, read when they are asked for: all may not fit in memory.

    A trial of which a file is damaged turns out to have none.

    Args:
        record: The study.
        folder: Of all its predictions.
    """

    def __init__(self, record: StudyRecord, folder: Path) -> None:
        paths = {one.number: [lane_file(folder, one.number, fold.fold) for fold in one.folds] for one in record.ranked}
        self._paths = {number: files for number, files in paths.items() if files and all(map(Path.is_file, files))}

    def __getitem__(self, trial: int) -> Sequence[FoldPredictions]:
        try:
            return [_fold_predictions(path) for path in self._paths[trial]]
        except Exception as error:  # NumPy and zipfile raise many types for a damaged file
            raise KeyError(trial) from error

    def __iter__(self) -> Iterator[int]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _fold_predictions(path: Path) -> FoldPredictions:
    with np.load(path, allow_pickle=False) as file:
        return FoldPredictions(file["rows"], file["y"], file["predicted"], file.get("groups"), file.get("weights"))


def _read_object(path: Path) -> JsonObject:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, but got {type(value).__name__}")
    return value


def _layers(raw: Json) -> tuple[Layer, ...]:
    layers = []
    for one in raw if isinstance(raw, list) else ():
        if isinstance(one, dict):
            name, kind, shape = (str(one.get(key, "")) for key in ("name", "type", "output_shape"))
            params = one.get("params")
            layers.append(Layer(name, kind, shape, params if isinstance(params, int) else 0))
    return tuple(layers)


def _predictions(path: Path) -> Predictions:
    with np.load(path, allow_pickle=False) as file:
        samples = {}
        if "samples" in file and "sample_rows" in file:
            samples = {int(row): image for row, image in zip(file["sample_rows"], file["samples"], strict=True)}
        left_out = {}
        if "left_out" in file:
            columns = zip(file["left_out_names"], file["left_out_whole"], file["left_out"].T, strict=True)
            left_out = {str(name): LeftOut(float(whole), without) for name, whole, without in columns}
        return Predictions(
            file["y_true"],
            as_floats(file["y_pred"]),
            file["rows"],
            samples,
            groups=file.get("groups"),
            weights=file.get("weights"),
            time=file.get("time"),
            parts=file.get("parts", np.empty(0, dtype=np.intp)),
            left_out=left_out,
            left_out_problem=str(file.get("left_out_problem", "")),
        )


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} is missing (deleted?)"
    return f"{path} cannot be read ({type(error).__name__})"
