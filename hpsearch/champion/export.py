"""Hand a finished study over as a folder of plain files."""

import json
import shutil
from pathlib import Path

from hpsearch import report
from hpsearch.errors import HpsearchError, SpecError
from hpsearch.executors import make_executor
from hpsearch.study import Study, check_champion


def write_report(study: Study, *, format: str, folder: Path | None = None) -> Path:
    """Write a study's report; see :func:`hpsearch.report.write`.

    Args:
        study: The study.
        format: ``html``, ``md``, ``pdf`` or ``json``.
        folder: Where to; the study's own folder if not given.
    """
    artifacts = report.load_artifacts(study.record, study.folder)
    return report.write(study.record, folder or study.folder, artifacts, format=format)


def export(study: Study, folder: Path) -> list[tuple[str, str]]:
    """Write champion (``.keras`` and TensorFlow SavedModel), study file, report, leaderboard and test predictions.

    Returns:
        (file name, what it is or why it is not there) in order.

    Raises:
        StudyError: The study has no champion, or its file is gone or changed.
        SpecError: The folder cannot be written.
    """
    champion = check_champion(study.record)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(champion, folder / "champion.keras")
        (folder / "study.toml").write_text(study.record.study_file, encoding="utf-8")
        study.to_dataframe().to_csv(folder / "trials.csv", index=False)
    except OSError as error:
        raise SpecError(f"cannot write into {folder}: {error.strerror or error}", hint="name another folder") from None
    written = [
        ("champion.keras", "the champion, for Keras on any backend"),
        ("study.toml", "the study file"),
        ("trials.csv", "every trial with its config and scores"),
    ]
    written.append((write_report(study, format="html", folder=folder).name, "the report"))
    written.append(_predictions(study, folder))
    return [*written, *_saved_model(study, champion, folder)]


def _predictions(study: Study, folder: Path) -> tuple[str, str]:
    import numpy as np
    import pandas as pd

    source = study.folder / "predictions.npz"
    if not source.exists():
        return "predictions.csv", "not written: no test rows were held out, or their predictions were deleted"
    with np.load(source, allow_pickle=False) as arrays:
        predicted = arrays["y_pred"]
        table = pd.DataFrame({"row": arrays["rows"]})
        truth = arrays["y_true"]
        table["y_true"] = truth.argmax(axis=1) if truth.ndim == 2 else truth
        columns = [predicted] if predicted.ndim == 1 else list(predicted.T)
        for i, column in enumerate(columns):
            table["y_pred" if len(columns) == 1 else f"y_pred_{i}"] = column
    table.to_csv(folder / "predictions.csv", index=False)
    return "predictions.csv", "the champion's predictions of the test rows"


def _saved_model(study: Study, champion: Path, folder: Path) -> list[tuple[str, str]]:
    """A TensorFlow SavedModel, made in a worker with the TensorFlow backend, and how its inputs are called."""
    spec = study.record.spec
    cpu = spec.model_copy(update={"resources": spec.resources.model_copy(update={"executor": "processes", "gpus": []})})
    executor = make_executor(cpu, backend="tensorflow", cache=None)
    try:
        renamed = executor.request(
            "export_saved_model",
            str(champion.resolve()),
            str((folder / "saved_model").resolve()),
            study.record.facts["data"],
        )
    except HpsearchError as error:
        return [("saved_model", f"not written: {error.what.splitlines()[0]}")]
    finally:
        executor.close()
    written = [("saved_model", "the champion as a TensorFlow SavedModel, for serving")]
    if renamed:
        names = folder / "saved_model_inputs.json"
        names.write_text(json.dumps(renamed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        other = ", ".join(f"{old!r} is {new!r}" for old, new in renamed.items() if old != new)
        written.append((names.name, f"what the SavedModel calls the columns, as its names must be ASCII: {other}"))
    return written
