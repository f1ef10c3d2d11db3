"""Opening the ledger's database, and errors that say what to do when it fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.addresses import AnyUri, Uri, sqlite_address, sqlite_path
from hpsearch.core.files import make_folder
from hpsearch.core.locks import holders, taking_turns
from hpsearch.core.rules import RuleError
from hpsearch.core.sqlite_files import make_whole
from hpsearch.errors import LedgerError

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
    from sqlalchemy.engine.interfaces import DBAPIConnection

_BUSY_TIMEOUT_S = 30
"""How long SQLite waits for another program that writes."""

_REMEDIES = (
    (("could not parse",), "bad-address", "write it as an address, such as sqlite:///mlruns/ledger.db"),
    (
        ("not a database", "malformed"),
        "damaged",
        "the file is damaged: move it away or restore a copy, then start the study again",
    ),
    (("locked",), "locked", "another program holds the database: close it, then run `hpsearch resume`"),
    (
        ("full", "no space"),
        "disk-full",
        "free some disk space, then run `hpsearch resume`: nothing that was finished is lost",
    ),
    (
        ("readonly", "permission", "unable to open"),
        "not-writable",
        "make the folder writable, or name another ledger in [tracking]",
    ),
)
"""Words in the database's message, the error's code, and what to do."""


def open_storage(uri: Uri, *, create: bool, shared: bool = False) -> "optuna.storages.RDBStorage":
    """Optuna's storage at an address; its tables are made if they are missing.

    Args:
        uri: Any SQLAlchemy address that Optuna takes.
        create: Whether a missing SQLite file is made.
        shared: Whether others may read a file that is made.

    Raises:
        LedgerError: The SQLite file is missing.
    """
    path = sqlite_path(uri)
    if path is None:
        try:
            uri.check()
        except RuleError as error:
            raise LedgerError(f"the ledger {uri} {error}", code=error.code, ledger=str(uri)) from None
    if path is not None:
        if not create and not path.exists():
            raise LedgerError(
                f"there is no ledger at {path}",
                code="missing",
                hint="go to the folder that studies were started in, or name it: --ledger sqlite:///…/ledger.db",
                path=str(path),
            )
        if create:
            make_folder(path.parent, shared=shared)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings: dict[str, object] = {"pool_pre_ping": True}
    if path is not None:
        settings = {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
    if path is not None:
        make_whole(path, _make_tables, shared=shared)
    with taking_turns(uri.reveal()):
        storage = optuna.storages.RDBStorage(_for_sqlalchemy(uri), engine_kwargs=settings)
    if path is not None:
        _prepare_sqlite(storage.engine)
    return storage


def _make_tables(path: Path) -> None:
    import optuna

    optuna.storages.RDBStorage(sqlite_address(path)).engine.dispose()


def _for_sqlalchemy(uri: Uri) -> str:
    """The address as SQLAlchemy reads it, whatever characters the path has.

    Raises:
        LedgerError: It cannot.
    """
    if (path := sqlite_path(uri)) is None:
        return uri.reveal()
    found = re.search(r"\?\w+=.*", uri.reveal())
    try:
        return sqlite_address(path, found[0] if found and found[0] not in str(path) else "")
    except RuleError as error:
        raise LedgerError(
            f"the ledger {uri} cannot be opened: {error}",
            code=error.code,
            hint="upgrade SQLAlchemy (pip install 'sqlalchemy>=2.1'), or rename the folder",
            ledger=str(uri),
        ) from None


def _prepare_sqlite(engine: "sqlalchemy.Engine") -> None:
    import sqlalchemy

    @sqlalchemy.event.listens_for(engine, "connect")
    def _keep_readers_going(connection: "DBAPIConnection", _: object) -> None:
        # With write-ahead logging, readers such as dashboards and `hpsearch show` never block the driver, and a commit
        # survives the death of the process. Only a power cut can lose the last ones.
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=wal")
        cursor.execute("PRAGMA synchronous=normal")
        cursor.close()

    @sqlalchemy.event.listens_for(engine, "handle_error")
    def _keep_connection(context: "sqlalchemy.ExceptionContext") -> None:
        # If Ctrl-C interrupts a statement, SQLAlchemy drops the connection and leaves the file locked. After a
        # rollback the connection is as good as before.
        if not isinstance(context.original_exception, Exception):
            context.is_disconnect = False

    engine.dispose()


@contextmanager
def explained(uri: AnyUri) -> Iterator[None]:
    """Turn database errors into ones that say what to do.

    Raises:
        LedgerError: In place of the database's error.
    """
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError, OSError) as error:
        uri = Uri(uri)
        # With its cause, Python also shows what the library says, and that may have the password in it.
        raise _failed(uri, error) from (None if uri.has_secret else error)
    except ImportError as error:
        # Optuna wraps the error of the missing module in one without a name.
        raise _needs(Uri(uri), error.name or getattr(error.__cause__, "name", None) or str(error)) from None


def _failed(uri: Uri, error: BaseException) -> LedgerError:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = uri.hide_in(" ".join(str(getattr(cause, "orig", None) or cause).split()))
    code, hint = "unreachable", "check the address and that the database is up, then run `hpsearch resume`"
    for words, name, remedy in _REMEDIES:
        if any(word in text.lower() for word in words):
            code, hint = name, remedy
            break
    shown, path = str(uri), sqlite_path(uri)
    if code == "locked" and path is not None and (writers := holders(path.parent / "studies")):
        hint = f"{hint}. What runs studies here: {'; '.join(writers)}"
    return LedgerError(f"the ledger {shown} failed: {text}", code=code, hint=hint, ledger=shown, reason=text)


def _needs(uri: Uri, module: str) -> LedgerError:
    package = "'hpsearch[postgresql]'" if module.startswith("psycopg") else module
    package = {"MySQLdb": "mysqlclient"}.get(module, package)
    shown = str(uri)
    return LedgerError(
        f"the ledger {shown} needs the package {module!r}",
        code="missing-package",
        hint=f"pip install {package}",
        ledger=shown,
        module=module,
    )
