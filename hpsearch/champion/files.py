"""The champion's saved file, checked before it is used."""

import hashlib
from pathlib import Path

from hpsearch.core.trial import Champion
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord


def check_champion(record: StudyRecord) -> Path:
    """The champion's file, checked to be the one that was saved.

    Raises:
        StudyError: There is none, or it is gone or was changed.
    """
    champion = record.champion
    if champion is None:
        raise StudyError(
            f"study {record.name!r} has no champion yet (state: {record.state})",
            code="no-champion",
            hint=f"`{record.command('resume')}` finishes it",
            study=record.name,
            state=record.state.value,
        )
    path = Path(champion.path)
    if not path.exists():
        raise StudyError(
            f"the champion's file {path} is missing",
            code="champion-missing",
            hint=f"put it back, or {_other_way(record, champion)}",
            path=str(path),
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != champion.sha256:
        raise StudyError(
            f"the champion's file {path} has changed since it was saved",
            code="champion-changed",
            hint="delete it, then " + _other_way(record, champion),
            path=str(path),
        )
    return path


def _other_way(record: StudyRecord, champion: Champion) -> str:
    if champion.model_uri:
        return f"load the model from MLflow: {champion.model_uri}"
    return f"train it again with `{record.command('resume')}`"
