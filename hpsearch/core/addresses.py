"""Addresses of databases and servers: defaults, environment variables in them, and the type that keeps passwords."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from hpsearch.core.rules import RuleError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema
    from pydantic_core.core_schema import SerializationInfo

DEFAULT_LEDGER = "sqlite:///mlruns/ledger.db"
DEFAULT_TRACKING = "sqlite:///mlruns/mlflow.db"

REVEALED = "revealed"
"""Serialization context: an address is written with its password, as the ledger must have it."""

HIDDEN = "***"
"""What stands for a password."""

_DATABASES = frozenset({"postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "cockroachdb", "sqlite"})
"""Dialects whose user names are shown. Elsewhere a user name may be a token."""

_HARMLESS = frozenset({
    "application_name", "cache", "charset", "check_same_thread", "client_encoding", "connect_timeout", "driver",
    "encrypt", "host", "keepalives", "mode", "port", "sslmode", "target_session_attrs", "timeout", "uri", "user",
})  # fmt: skip
"""Settings in an address that are shown. All others may be secret."""


class Uri:
    """The address of a database or server. Nothing that prints it shows its password; only :meth:`reveal` has it.

    Args:
        text: The address.
    """

    __slots__ = ("_hidden", "_secrets", "_text")

    def __init__(self, text: "AnyUri") -> None:
        self._text: str = text._text if isinstance(text, Uri) else text
        self._hidden, self._secrets = _read(self._text)

    def reveal(self) -> str:
        """The whole address, for the library that connects to it."""
        return self._text

    @property
    def has_secret(self) -> bool:
        """Whether there is something in it that is not shown."""
        return bool(self._secrets)

    @property
    def dialect(self) -> str:
        """What kind of database or server it is: ``postgresql`` of ``postgresql+psycopg://…``."""
        return self._text.partition("://")[0].partition("+")[0].lower()

    @property
    def is_http(self) -> bool:
        """Whether it is a web server's."""
        return self._text.startswith(("http://", "https://"))

    @property
    def page(self) -> str:
        """A web server's address for a browser and for messages: without user, password and settings."""
        scheme, separator, rest = self._text.partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        path = rest.removeprefix(authority).partition("?")[0]
        return self._hidden if "@" in path else f"{scheme}{separator}{authority.rpartition('@')[2]}{path}".rstrip("/")

    @property
    def user_info(self) -> str:
        """A web server's user and password, ``user:password``, decoded. A secret, too."""
        return unquote(re.split(r"[/?#]", self._text.partition("://")[2], maxsplit=1)[0].rpartition("@")[0])

    def check(self) -> None:
        """Check what libraries would misread, and then print.

        Raises:
            RuleError: The password has a bare ``@``, or is the sign that stands for one; a port is no number, or there
                are several.
        """
        authority = re.split(r"[/?#]", self._text.partition("://")[2], maxsplit=1)[0]
        if authority.count("@") > 1:
            raise RuleError("has an @ in its user name or password: write %40 for it", "bad-address")
        hosts = authority.rpartition("@")[2]
        if "," in hosts and ":" in hosts:
            rule = "has several hosts with ports: write ?host=first:5432&host=second:5432 after the database's name"
            raise RuleError(rule, "bad-address")
        if _hosts(hosts)[1]:
            raise RuleError("has a port that is no number (is an @ missing before the host?)", "bad-address")
        if HIDDEN in self._text:
            raise RuleError(f"has {HIDDEN} where a password was left out: write it, or ${{NAME}}", "bad-address")

    def expanded(self) -> "Uri":
        """The address with the values of its environment variables; see :func:`expanded`."""
        return Uri(expanded(self._text))

    def hide_in(self, text: str) -> str:
        """What another library says about this address, without what the address must not show."""
        text = text.replace(self._text, self._hidden)
        known = {form for secret in self._secrets for form in _forms_of(secret) if len(form) >= _TELLING}
        for secret in sorted(known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def __str__(self) -> str:
        return self._hidden

    def __repr__(self) -> str:
        return f"Uri({self._hidden!r})"

    def __format__(self, spec: str) -> str:
        return format(self._hidden, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uri | str) and self._text == (other._text if isinstance(other, Uri) else other)

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema

        def written(value: "AnyUri", info: "SerializationInfo") -> object:
            if info.mode == "python":
                return value
            return Uri(value).reveal() if info.context == REVEALED else str(Uri(value))

        def as_text(value: object) -> object:
            return value.reveal() if isinstance(value, Uri) else value

        of_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))
        return core_schema.no_info_before_validator_function(
            as_text,
            of_text,
            serialization=core_schema.plain_serializer_function_ser_schema(written, info_arg=True),
        )


AnyUri: TypeAlias = str | Uri

_TELLING = 4
"""Shorter secrets are in many words; replacing them there would tell what they are."""


def addresses_in(value: object) -> Iterator[Uri]:
    """The addresses with passwords in what somebody has written."""
    if isinstance(value, str) and "://" in value and (uri := Uri(value)).has_secret:
        yield uri
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from addresses_in(one)


def hidden(value: object) -> object:
    """`value`, which somebody has written, to be shown: the addresses in it without their passwords."""
    if isinstance(value, str):
        return str(Uri(value)) if "://" in value else value
    if isinstance(value, dict):
        return {key: hidden(one) for key, one in value.items()}
    return [hidden(one) for one in value] if isinstance(value, list) else value


def _read(text: str) -> tuple[str, tuple[str, ...]]:
    """An address as it may be shown, and what is secret in it. What can be read in two ways is not shown."""
    scheme, separator, rest = text.partition("://")
    if not separator:  # a folder, `databricks`, or no address at all
        looks_secret = re.search(r":[^/]*@|(?i:passw\w*|pwd|secret|token|key)\s*=", text)
        return (HIDDEN, (text,)) if looks_secret else (text, ())
    if not re.fullmatch(r"[A-Za-z][\w.+-]*", scheme):
        return HIDDEN, (text,)
    dialect, _, driver = scheme.lower().partition("+")
    if dialect in ("sqlite", "file") and driver != "pysqlcipher" and (not rest or rest[0] in "/:"):
        return text, ()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest.removeprefix(authority)
    path, question, query = tail.partition("?")
    settings, secrets = _settings(query)
    if "@" in tail:
        whole = rest.rpartition("@")[0]
        return f"{scheme}://{HIDDEN}", (*secrets, *filter(None, (whole.partition(":")[2], whole)))
    info, at, hosts = authority.rpartition("@")
    hosts, bad_ports = _hosts(hosts)
    user, colon, password = info.partition(":")
    if at and dialect not in _DATABASES and not _is_told(user):
        user, secrets = HIDDEN, secrets if password or not user else (*secrets, user)
    if password and not _is_told(password):
        password, secrets = HIDDEN, (*secrets, password)
    if user == HIDDEN and password == HIDDEN:
        colon = password = ""
    return f"{scheme}://{user}{colon}{password}{at}{hosts}{path}{question}{settings}", (*secrets, *bad_ports)


def _hosts(text: str) -> tuple[str, tuple[str, ...]]:
    """Hosts with their ports. What stands for a port but is no number may be a password whose ``@`` is missing."""
    shown, secrets = [], []
    for one in text.split(","):
        host, colon, port = one.rpartition(":")
        if colon and port and not port.isdigit() and not _is_told(port) and not one.endswith("]"):
            secrets.append(port)
            one = f"{host}:{HIDDEN}"
        shown.append(one)
    return ",".join(shown), tuple(secrets)


def _settings(query: str) -> tuple[str, tuple[str, ...]]:
    """What follows the ``?``."""
    shown, secrets = [], []
    for one in query.split("&") if query else ():
        name, equals, value = one.partition("=")
        harmless = name.lower() in _HARMLESS and re.fullmatch(r"[\w.,:/+-]*", value)
        if (equals and not value) or harmless or _is_told(value):
            shown.append(one)
        else:
            secrets.append(value if equals else name)
            shown.append(f"{name}={HIDDEN}" if equals else HIDDEN)
    return "&".join(shown), tuple(secrets)


def _is_told(text: str) -> bool:
    """Whether `text` is no secret: it names an environment variable, or stands for a secret that is left out."""
    return text == HIDDEN or re.fullmatch(r"\$\{\w+\}", text) is not None


def _forms_of(secret: str) -> set[str]:
    """How a library may write a secret."""
    parts = re.split(r"[@/?#:&;=]", secret)  # what a library takes for a host or a port
    plain = {secret, unquote(secret), unquote_plus(secret), *parts}
    coded = {code(one, safe="") for one in plain for code in (quote, quote_plus)}
    return plain | coded | {repr(one)[1:-1] for one in plain}


def expanded(text: str) -> str:
    """`text` with every ``${NAME}`` replaced by the value of that environment variable.

    Raises:
        RuleError: A variable is not set.
    """
    missing = [name for name in re.findall(r"\$\{(\w+)\}", text) if name not in os.environ]
    if missing:
        raise RuleError(f"the environment variable {missing[0]} is not set", "unset-variable", received=missing[0])
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], text)


_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(.*)", re.DOTALL)


def sqlite_path(uri: AnyUri) -> Path | None:
    """The file of a SQLite address; None for other databases, and for one in memory.

    In an address, ``%3F`` stands for ``?``, and what follows a ``?`` are settings. A path that is there, or whose
    folder is, is taken as it is written: a shell completes it so.
    """
    match = _SQLITE.fullmatch(Uri(uri).reveal())
    if match is None or match[1] in ("", ":memory:"):
        return None
    path, decoded = Path(match[1]), Path(unquote(match[1].partition("?")[0]))
    as_written = path.exists() or (path.parent.is_dir() and not decoded.parent.is_dir())
    return path if as_written else decoded


def sqlite_address(path: Path, settings: str = "") -> str:
    """The address of a SQLite file, for SQLAlchemy and all that use it.

    Args:
        path: The file.
        settings: What follows the path in an address, such as ``?timeout=5``.

    Raises:
        RuleError: The installed SQLAlchemy cannot take such a path.
    """
    if re.fullmatch(r"[\w./~+:\\ -]*", str(path), re.ASCII):
        return f"sqlite:///{path.as_posix()}{settings}"
    from sqlalchemy.engine import URL, make_url  # takes 0.2 s

    # Of a plain "sqlite:///", MLflow makes the folder, without decoding its name.
    address = URL.create("sqlite+pysqlite", database=path.as_posix()).render_as_string()
    if make_url(address).database != path.as_posix():
        raise RuleError(
            "SQLAlchemy 2.0 takes no folders with a question mark in their names", "bad-address", received=str(path)
        )
    return address + settings
