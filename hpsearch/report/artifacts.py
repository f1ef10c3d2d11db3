"""What a study's folder holds besides the ledger: the champion's predictions and the list of its layers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.analysis import Layer, Predictions
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class ReportArtifacts:
    """Optional inputs of a report; what is missing is said in its place.

    Attributes:
        predictions: The champion's predictions of the test rows, with raw inputs of the most wrong ones where these
            are small images.
        layers: Its layers, in order.
        missing: Why `layers` or `predictions` are not there, in words; empty where all is there.
    """

    predictions: Predictions | None = None
    layers: tuple[Layer, ...] = ()
    missing: str = ""


def load_artifacts(record: StudyRecord, folder: Path) -> ReportArtifacts:
    """Read ``predictions.npz`` and ``champion.json`` from a study's folder.

    Files that are deleted, damaged, or those of another model than the record's champion are left out; `missing` says
    so.
    """
    if record.champion is None:
        return ReportArtifacts()
    problems = []
    card: Mapping[str, Any] = {}
    try:
        card = json.loads((folder / "champion.json").read_text(encoding="utf-8"))
        if card.get("sha256", record.champion.sha256) != record.champion.sha256:
            return ReportArtifacts(missing=f"{folder / 'champion.json'} belongs to another model than the champion")
    except (OSError, ValueError) as error:
        problems.append(_reason(folder / "champion.json", error))
    predictions = None
    try:
        predictions = _predictions(folder / "predictions.npz")
    except FileNotFoundError as error:
        if record.facts.get("data", {}).get("test_rows"):
            problems.append(_reason(folder / "predictions.npz", error))
    except Exception as error:  # NumPy and zipfile raise many kinds for a damaged file
        problems.append(_reason(folder / "predictions.npz", error))
    layers = tuple(
        Layer(
            str(one.get("name", "")), str(one.get("type", "")), str(one.get("output_shape", "")), one.get("params", 0)
        )
        for one in card.get("layers", ())
    )
    return ReportArtifacts(predictions, layers, "; ".join(problems))


def _predictions(path: Path) -> Predictions:
    with np.load(path, allow_pickle=False) as file:
        samples = {}
        if "samples" in file and "sample_rows" in file:
            samples = {int(row): image for row, image in zip(file["sample_rows"], file["samples"], strict=True)}
        return Predictions(file["y_true"], np.asarray(file["y_pred"], dtype=float), file["rows"], samples)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} is not there (deleted?)"
    return f"{path} cannot be read ({type(error).__name__})"
