"""Where a study's things are now, though its folder may have been moved, copied or renamed since they were written.

The ledger keeps paths as they were written, and with them the folder that it was in. What lay beside it then is looked
for beside it now. A ledger on a server stays where it is, and so do its paths.
"""

import os
from dataclasses import replace
from pathlib import Path

from hpsearch.core.addresses import AnyUri, Uri, sqlite_address, sqlite_path
from hpsearch.core.trial import Champion
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import StudySpec, TrackingSection


def root_of(ledger_uri: AnyUri) -> Path:
    """The folder of a ledger: that of its SQLite file, else ``mlruns``."""
    path = sqlite_path(ledger_uri)
    return path.parent if path is not None else Path("mlruns")


def study_folder(ledger_uri: AnyUri, name: str) -> Path:
    """Folder of one study's files. It is not made here."""
    return root_of(ledger_uri) / "studies" / name


def home_of(ledger_uri: AnyUri) -> str:
    """The folder of a ledger's file, to be kept in it; empty for a server."""
    return "" if sqlite_path(ledger_uri) is None else str(root_of(ledger_uri).resolve())


def brought_here(record: StudyRecord, ledger_uri: AnyUri, home: str) -> StudyRecord:
    """A study with its paths as they are now.

    Args:
        record: As the ledger has it.
        ledger_uri: Where the ledger is now.
        home: The folder that it was in when the study file's folder was entered; empty if that is not known.
    """
    if sqlite_path(ledger_uri) is None:
        return replace(record, at_home=Path(record.spec.folder).is_dir())
    at_home = home == home_of(ledger_uri)
    folder = _folder_now(Path(record.spec.folder), root_of(ledger_uri), home)
    champion = record.champion and _champion_now(record.champion, study_folder(ledger_uri, record.name))
    spec = record.spec.model_copy(update={"folder": str(folder)})
    return replace(record, spec=spec, champion=champion, at_home=at_home)


def _folder_now(folder: Path, root: Path, home: str) -> Path:
    # The ledger's folder may be a link to another disk: what lies beside it lies beside the link.
    here = Path(os.path.abspath(root))
    places = [folder]
    if home and Path(home) != root.resolve():
        beside = os.path.relpath(folder, home)
        places = [*(Path(os.path.normpath(one / beside)) for one in (here, root.resolve())), folder]
    # Ledgers of hpsearch 0.2 do not say where they were.
    return next((place for place in places if place.is_dir()), here.parent)


def _champion_now(champion: Champion, folder: Path) -> Champion:
    """A champion's files are in its study's folder, wherever that is."""
    model = str(folder / Path(champion.mlflow_model).name) if champion.mlflow_model else ""
    return replace(champion, path=str(folder / Path(champion.path).name), mlflow_model=model)


def tracking_here(spec: StudySpec, ledger_uri: AnyUri) -> TrackingSection:
    """A study's ``[tracking]`` section for a process in any folder: relative paths start where the study was run.

    Args:
        spec: The study file.
        ledger_uri: Where the ledger is now.
    """
    section, now = spec.tracking, sqlite_path(ledger_uri)
    try:
        written = sqlite_path(section.resolved().ledger)
    except SpecError:  # a variable in it is not set here: the tracker says so where it matters
        return section
    if now is None or written is None or written.is_absolute():
        return section
    depth, here = len(written.parts), now.resolve()
    if here.parts[-depth:] != written.parts or (folder := Path(*here.parts[:-depth])) == Path.cwd():
        return section
    found = {"ledger": Uri(ledger_uri)}
    if (mlflow := sqlite_path(section.uri)) is not None and not mlflow.is_absolute():
        found["uri"] = Uri(sqlite_address(folder / mlflow))
    artifacts = "mlruns/artifacts" if section.artifacts is None else section.artifacts.reveal()
    if "://" not in artifacts and sqlite_path(section.uri) is not None:
        found["artifacts"] = Uri(str(folder / artifacts))
    return section.model_copy(update=found)
