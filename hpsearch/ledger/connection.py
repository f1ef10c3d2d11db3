"""Opening the ledger's database, and errors that say what to do when it fails."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.addresses import AnyUri, Uri, sqlite_address, sqlite_path
from hpsearch.core.files import make_folder
from hpsearch.core.locks import holders, taking_turns
from hpsearch.core.rules import RuleError
from hpsearch.core.sqlite_files import make_whole
from hpsearch.core.words import cut, listed
from hpsearch.errors import HpsearchError, LedgerError

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
    from sqlalchemy.engine.interfaces import DBAPIConnection

_BUSY_TIMEOUT_S = 30
"""How long SQLite waits for another program that writes."""

_ANSWER_S = 5
"""How long a server may take to answer one who only looks."""

_TABLES = frozenset({"studies", "study_directions", "trials", "version_info"})
"""Some of Optuna's."""

_MOST = 300
"""Characters of a database's message. What follows may be the content of a cell."""

_DAMAGED = "the ledger is damaged: move it away or restore a copy, then start the study again"

_REMEDIES = (
    (("not a database", "malformed", "could not decode to utf-8"), "damaged", _DAMAGED),
    (("can't load plugin",), "bad-address", "write it as an address, such as sqlite:///mlruns/ledger.db"),
    (
        ("no longer compatible",),
        "other-schema",
        "another version of Optuna has made it: install that one, or copy the ledger and run `optuna storage upgrade`",
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
        _check_is_ours(path)
    elif uri.dialect != "sqlite":
        _check_address(uri)
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


def _check_is_ours(path: Path) -> None:
    """Refuse another program's database: Optuna would make its tables in it.

    Raises:
        LedgerError: It is one, or no file at all.
    """
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return
    what = "is a folder" if path.is_dir() else "is no file"
    if path.is_file():
        with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables or not tables.isdisjoint(_TABLES):
            return
        what = f"is another program's database, with the tables {listed(sorted(tables), most=5)}"
    raise LedgerError(
        f"{path} {what}",
        code="not-a-ledger",
        hint="name another file: --ledger sqlite:///…/ledger.db, or ledger in [tracking]",
        path=str(path),
    )


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


def _check_address(uri: Uri) -> None:
    """Refuse what SQLAlchemy or a driver would stumble over only when it connects.

    Raises:
        LedgerError: The address cannot be read, or no port has such a number.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        port = make_url(uri.reveal()).port
        wrong = "" if port is None or 0 < port < 2**16 else "names a port that does not exist: 65535 is the last"
    except ArgumentError:
        wrong = "is no address of a database"
    except ValueError:
        wrong = "names a port that is no number"
    if wrong:
        shown = cut(uri, _MOST)
        raise LedgerError(
            f"the ledger {shown} {wrong}",
            code="bad-address",
            hint="write it as an address, such as sqlite:///mlruns/ledger.db or postgresql://user@host:5432/name",
            ledger=shown,
        )


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
    except (HpsearchError, MemoryError):
        raise
    except ImportError as error:
        # Optuna wraps the error of the missing module in one without a name.
        raise _needs(Uri(uri), error.name or getattr(error.__cause__, "name", None) or str(error)) from None
    except Exception as error:  # the boundary of the ledger: what a file holds may make any library raise anything
        of_database = sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, StorageInternalError, RuntimeError, OSError
        sound = isinstance(error, of_database) and not isinstance(error, RecursionError)
        uri = Uri(uri)
        # With its cause, Python also shows what the library says, and that may have the password in it.
        raise _failed(uri, error, sound=sound) from (None if uri.has_secret else error)


def _failed(uri: Uri, error: BaseException, *, sound: bool) -> LedgerError:
    """The error for what a database has raised, or for what reading its content has, if it is not `sound`."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = uri.hide_in(" ".join(str(getattr(cause, "orig", None) or cause).split()))
    text = cut(text, _MOST)
    code, hint = "unreachable", "check the address and that the database is up, then run `hpsearch resume`"
    if not sound:
        code, hint = "damaged", _DAMAGED
    for words, name, remedy in _REMEDIES:
        if any(word in text.lower() for word in words):
            code, hint = name, remedy
            break
    shown, path = str(uri), sqlite_path(uri)
    if code == "locked" and path is not None and (writers := holders(path.parent / "studies")):
        hint = f"{hint}. What runs studies here: {'; '.join(writers)}"
    what = f"the ledger {cut(shown, _MOST)} failed: {text}"
    return LedgerError(what, code=code, hint=hint, ledger=shown, reason=text)


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


def count_studies(uri: Uri) -> int | None:
    """How many studies a ledger on a server has; None if it has no tables yet. Makes nothing.

    Raises:
        LedgerError: It cannot be reached or read.
    """
    import sqlalchemy

    try:
        uri.check()
    except RuleError as error:
        raise LedgerError(f"the ledger {uri} {error}", code=error.code, ledger=str(uri)) from None
    _check_address(uri)
    arguments = {"connect_timeout": _ANSWER_S} if uri.dialect == "postgresql" else {}
    with explained(uri):
        engine = sqlalchemy.create_engine(_for_sqlalchemy(uri), connect_args=arguments)
        try:
            with engine.connect() as connection:
                if not sqlalchemy.inspect(connection).has_table("studies"):
                    return None
                return int(connection.execute(sqlalchemy.text("SELECT count(*) FROM studies")).scalar_one())
        finally:
            engine.dispose()
