"""The champion's saved file, checked before it is used: it must be the one that was saved, and its code must be known.

A study with a build function is code. So is its champion, unless Keras' own layers are all that is in it. Loading it
imports the build module of the study's folder, and runs what the file holds itself (a ``Lambda`` layer). That is done
for studies of this user, and for others if they are trusted.
"""

from pathlib import Path

from hpsearch.core.files import sha256_of
from hpsearch.core.hardware import processor
from hpsearch.core.trial import WEIGHTS_SUFFIX, Champion
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.seals import is_own
from hpsearch.models.saved_file import custom_names, holds_code


def check_champion(record: StudyRecord, *, trust: bool = False, runs_study: bool = False) -> Path:
    """The champion's file, checked to be the one that was saved, and to run no code of strangers.

    Args:
        record: The study.
        trust: Whether code may run although the study was made elsewhere, or by somebody else.
        runs_study: Whether a worker will load the study's data and metric, too, which may be code.

    Raises:
        StudyError: There is none, it is gone or was changed, or it would run code of a study that is not trusted.
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
    if sha256_of(path) != champion.sha256:
        raise StudyError(
            f"the champion's file {path} has changed since it was saved",
            code="champion-changed",
            hint="delete it, then " + _other_way(record, champion),
            path=str(path),
        )
    runs_code = _runs_code(record, path) or (runs_study and _names_code(record))
    if not trust and runs_code and not _made_here(record, champion):
        raise _not_trusted(record)
    return path


def _runs_code(record: StudyRecord, path: Path) -> bool:
    """Whether loading the champion runs other code than that of installed packages. A family's never does."""
    if record.spec.model.build is None:
        return False
    return str(path).endswith(WEIGHTS_SUFFIX) or holds_code(path) or bool(custom_names(path))


def _names_code(record: StudyRecord) -> bool:
    """Whether a worker of the study imports a module that the study names."""
    spec = record.spec
    addresses = (spec.data.source, *spec.objective.addresses)
    own = [one for one in addresses if ":" in one and one.partition(":")[0] not in ("sklearn", "keras")]
    return spec.model.build is not None or bool(own)


def _made_here(record: StudyRecord, champion: Champion) -> bool:
    """Whether this user has made the champion: by its seal. Where it has none, the ledger's word has to do."""
    if champion.seal:
        return is_own(record.name, champion.sha256, champion.seal)
    return record.at_home and record.facts.host.processor in ("", processor())


def _not_trusted(record: StudyRecord) -> StudyError:
    build = str(record.spec.model.build)
    return StudyError(
        f"study {record.name!r} was made elsewhere or by somebody else, and its champion runs code: that of {build} in "
        f"{record.spec.folder}, and what its file holds",
        code="not-trusted",
        hint="look at the code, and add --trust if you trust whoever made it",
        study=record.name,
        build=build,
        folder=record.spec.folder,
    )


def _other_way(record: StudyRecord, champion: Champion) -> str:
    if champion.model_uri:
        return f"load the model from MLflow: {champion.model_uri}"
    return f"train it again with `{record.command('resume')}`"
