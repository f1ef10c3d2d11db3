"""Export a finished study as a folder of plain files."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpsearch import analysis, report
from hpsearch.champion.files import check_champion
from hpsearch.core.output_metrics import outputs_of
from hpsearch.core.records import output_of
from hpsearch.errors import HpsearchError, SpecError
from hpsearch.executors import make_executor
from hpsearch.ledger.record import StudyRecord
from hpsearch.training.protocol import Exported, WorkerProtocol


def write_report(record: StudyRecord, study_folder: Path, *, format: str, folder: Path | None = None) -> Path:
    """Write a study's report; see :func:`hpsearch.report.write`.

    Args:
        record: The study.
        study_folder: The folder of the study's files.
        format: ``html``, ``md``, ``pdf`` or ``json``.
        folder: Where to write; the study's folder by default.
    """
    artifacts = report.load_artifacts(record, study_folder)
    # In a folder that somebody names, the umask alone decides who reads it.
    shared = folder is not None or record.spec.tracking.shared
    return report.write(record, folder or study_folder, artifacts, format=format, shared=shared)


def export(record: StudyRecord, study_folder: Path, target: Path, *, trust: bool = False) -> list[Exported]:
    """Write champion (``.keras``, SavedModel, ONNX, LiteRT), model card, study file, report, trials and predictions.

    Args:
        record: The study.
        study_folder: The folder of the study's files.
        target: The folder to write; created if it is not there.
        trust: See :func:`~hpsearch.champion.files.check_champion`.

    Raises:
        StudyError: The study has no champion, its file is gone or was changed, or its code is not trusted.
        SpecError: The folder cannot be written.
    """
    champion = check_champion(record, trust=trust)
    try:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(champion, target / champion.name)
        (target / "study.toml").write_text(record.study_file, encoding="utf-8")
        analysis.trials_table(record).to_csv(target / "trials.csv", index=False)
        artifacts = report.load_artifacts(record, study_folder)
        (target / "model_card.md").write_text(report.model_card(record, artifacts), encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"cannot write to {target}: {error.strerror or error}",
            code="cannot-write",
            hint="name another folder",
            folder=str(target),
        ) from None
    return [
        Exported(champion.name, _kind_of(champion)),
        Exported("model_card.md", "the model card: data, scores with intervals, limits"),
        Exported("study.toml", "the study file"),
        Exported("trials.csv", "every trial with its config and scores"),
        Exported(write_report(record, study_folder, format="html", folder=target).name, "the report"),
        _export_predictions(record, study_folder / "predictions.npz", target / "predictions.csv"),
        *_export_model(record, champion, target),
    ]


def _kind_of(champion: Path) -> str:
    if champion.suffix == ".keras":
        return "the champion, for Keras on any backend"
    return "the champion's weights, for a model that the study's build function builds"


def _export_predictions(record: StudyRecord, source: Path, target: Path) -> Exported:
    import numpy as np
    import pandas as pd

    if not source.exists():
        return Exported(target.name, "not written: no test rows were held out, or their predictions were deleted")
    with np.load(source, allow_pickle=False) as arrays:
        truth, predicted, rows = arrays["y_true"], arrays["y_pred"], arrays["rows"]
    columns, data = {"row": rows}, record.facts.data
    for output in outputs_of(data):
        front = f"{output.name} " if output.name else ""
        ours, theirs = (output_of(one, output.name) for one in (truth, predicted))
        if output.task.has_classes and ours.ndim == 2:
            ours = ours.argmax(axis=1)  # one-hot rows
        for name, values in ((f"{front}y_true", ours), (f"{front}y_pred", theirs)):
            flat = values.reshape(len(rows), -1).T
            columns |= {name if len(flat) == 1 else f"{name}_{i}": column for i, column in enumerate(flat)}
    pd.DataFrame(columns).to_csv(target, index=False)
    return Exported(target.name, "the champion's predictions of the test rows")


def _export_model(record: StudyRecord, champion: Path, target: Path) -> Sequence[Exported]:
    """For other runtimes. They are made in a worker with the TensorFlow backend."""
    assert record.champion is not None
    spec = record.worker_spec
    cpu = spec.model_copy(
        update={"resources": spec.resources.model_copy(update={"executor": "processes", "gpus": [], "gpu_share": 1})}
    )
    executor = make_executor(cpu, backend="tensorflow", cache=None)
    try:
        return executor.call(
            WorkerProtocol.export_model,
            replace(record.champion, path=str(champion.resolve())),
            target.resolve(),
            record.facts.data,
        )
    except HpsearchError as error:
        return [Exported("saved_model", f"not written: {error.what.splitlines()[0]}")]
    finally:
        executor.close()
