"""Where MLflow's record lives: absolute addresses made from the study file's ``[tracking]`` section. No MLflow here."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlparse
from urllib.request import url2pathname

from hpsearch.core.addresses import Uri, sqlite_address, sqlite_path
from hpsearch.core.files import make_folder
from hpsearch.core.rules import RuleError
from hpsearch.errors import SpecError, TrackingError
from hpsearch.spec import TrackingSection

VIEW_NAME = "study"
"""Name of the saved view in the address of a study's page; see :mod:`hpsearch.tracking.mlflow.saved_view`."""


@dataclass(frozen=True, slots=True)
class Address:
    """MLflow's addresses, independent of the working directory.

    Attributes:
        uri: Tracking and registry URI.
        artifact_root: URI under which new experiments keep their artifacts; None where the server decides.
        file: The database file of a SQLite URI; None for servers.
        written: The URI for messages: as the study file has it, without a password.
        shared: Whether others may read what is made.
    """

    uri: Uri
    artifact_root: str | None = field(repr=False)
    file: Path | None
    written: str
    shared: bool = False

    @property
    def http(self) -> bool:
        """Whether a server answers at this address, which then also has web pages."""
        return self.uri.is_http

    def cause(self, error: Exception) -> Exception | None:
        """The error as the cause of one of ours; None if its text, which Python shows too, may have a password."""
        return None if self.uri.has_secret else error

    def experiment_location(self, name: str) -> str | None:
        """Artifact location of the experiment `name`; None leaves it to the server."""
        if self.artifact_root is None:
            return None
        # MLflow puts one folder per run below; study names may hold characters that URIs do not.
        return f"{self.artifact_root.rstrip('/')}/{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}"

    def make_place(self, name: str) -> str | None:
        """Artifact location of the new experiment `name`, after a folder on this machine has been made for it."""
        location = self.experiment_location(name)
        if location is not None and location.startswith("file:"):
            with suppress(OSError):  # MLflow says what is wrong when it writes there
                make_folder(Path(url2pathname(urlparse(location).path)), shared=self.shared)
        return location

    def experiment_url(self, experiment_id: str) -> str:
        """The experiment's web page; empty where no server is known."""
        return study_page_url(self.uri.page, experiment_id) if self.http else ""

    def make_folder(self) -> None:
        """Create the folder of a SQLite database.

        Raises:
            TrackingError: It cannot be created.
        """
        if self.file is None:
            return
        try:
            make_folder(self.file.parent, shared=self.shared)
        except OSError as error:
            raise TrackingError(
                f"MLflow's folder {self.file.parent} cannot be created: {error.strerror or error}",
                code="folder-not-created",
                hint="set [tracking] uri in the study file to a place that can be written",
                folder=str(self.file.parent),
            ) from None


def study_page_url(server: str, experiment_id: str) -> str:
    """Web page of a study's experiment: all trials, best first.

    Left to itself, MLflow opens in its GenAI mode and shows the parent run alone, its trials folded away.
    """
    # An order in the address would make MLflow ignore the view, which has one.
    query = urlencode({"workflowType": "machine_learning", "viewStateShareKey": VIEW_NAME})
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"


def resolve_address(section: TrackingSection, *, folder: Path | None = None) -> Address:
    """Absolute addresses of a ``[tracking]`` section.

    Args:
        section: The section.
        folder: Where relative paths start; the working directory if not given.

    Raises:
        TrackingError: An environment variable that the section names is not set, or SQLAlchemy cannot take the path.
    """
    written = str(section.uri)
    try:
        section = section.resolved()
    except SpecError as error:
        raise TrackingError(error.what, code="unresolved-address", hint=error.hint, **error.values) from None
    folder = Path.cwd() if folder is None else folder
    uri, file = section.uri, None
    if (path := sqlite_path(uri)) is not None:
        file = Path(folder, path).resolve()
        settings = re.search(r"\?\w+=.*", uri.reveal())
        try:
            uri = Uri(sqlite_address(file, settings[0] if settings and settings[0] not in str(path) else ""))
        except RuleError as error:
            raise TrackingError(
                f"MLflow's database {file} cannot be opened: {error}",
                code=error.code,
                hint="upgrade SQLAlchemy (pip install 'sqlalchemy>=2.1'), or rename the folder",
                file=str(file),
            ) from None
    root = None if section.artifacts is None else section.artifacts.reveal()
    if root is None:
        # MLflow's own default would be ./mlruns or ./mlartifacts, wherever the command happens to be started.
        root = None if uri.is_http or uri.dialect.startswith("databricks") else "mlruns/artifacts"
    if root is not None and "://" not in root:
        root = Path(folder, root).resolve().as_uri()
    return Address(uri=uri, artifact_root=root, file=file, written=written, shared=section.shared)
