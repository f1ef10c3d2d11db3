"""No address shows its password, however it is written and whoever prints it."""

import copy
import json
import pickle

import pytest

from hpsearch.core.addresses import HIDDEN, Uri, hidden
from hpsearch.core.rules import RuleError

SECRET = "hunter2"

SHOWN = [
    (f"postgresql://me:{SECRET}@db/x", "postgresql://me:***@db/x"),
    (f"postgresql://me:{SECRET} {SECRET}@db/x", "postgresql://me:***@db/x"),
    (f"postgresql://me:{SECRET}%40{SECRET}@db:5432/x", "postgresql://me:***@db:5432/x"),
    (f"postgresql://me:{SECRET}@{SECRET}@db/x", "postgresql://me:***@db/x"),
    (f"postgresql://me:{SECRET}/{SECRET}@db/x", "postgresql://***"),
    (f"postgresql://me:{SECRET}?{SECRET}@db/x", "postgresql://***"),
    (f"postgresql://me@db/x?password={SECRET}&sslmode=require", "postgresql://me@db/x?password=***&sslmode=require"),
    (f"postgresql://me@db/x?sslpassword={SECRET}", "postgresql://me@db/x?sslpassword=***"),
    (f"postgresql://me@db/x?password={SECRET}@{SECRET}", "postgresql://***"),
    (f"postgresql://me@db/x?sslmode=require;password={SECRET}", "postgresql://me@db/x?sslmode=***"),
    (f"postgresql://me@db/x?{SECRET}", "postgresql://me@db/x?***"),
    (f"postgresql://me:{SECRET}@a:1,b:2/x", "postgresql://me:***@a:1,b:2/x"),
    (f"postgresql://me:{SECRET}@/x?host=a:1&host=b:2", "postgresql://me:***@/x?host=a:1&host=b:2"),
    (f"postgresql://me:{SECRET}/x", "postgresql://me:***/x"),
    (f"postgresql:/me:{SECRET}@db/x", "***"),
    (f"me:{SECRET}@db/x", "***"),
    (f"host=db password={SECRET}", "***"),
    (f"mssql+pyodbc:///?odbc_connect=PWD%3D{SECRET}", "mssql+pyodbc:///?odbc_connect=***"),
    (f"sqlite+pysqlcipher://:{SECRET}@/x.db", "sqlite+pysqlcipher://:***@/x.db"),
    (f"http://me:{SECRET}@host:5000/mlflow", "http://***@host:5000/mlflow"),
    (f"http://{SECRET}@host", "http://***@host"),
    (f"https://host/?token={SECRET}", "https://host/?token=***"),
    (f"databricks://token:{SECRET}@host", "databricks://***@host"),
    (f"postgrsql://me:{SECRET}@db/x", "postgrsql://***@db/x"),
]
HARMLESS = [
    "postgresql://me@db/x",
    "postgresql://me:${PASSWORD}@db:${PORT}/x",
    "postgresql+psycopg://me@[::1]:5432/x",
    "${MLFLOW}",
    "databricks",
    "databricks://profile",
    "http://127.0.0.1:5000/#/experiments",
    "sqlite:////home/me@work/it's 100%/a?b=c/x.db",
    "sqlite:///:memory:",
    "mlruns/artifacts",
    "s3://bucket/folder",
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_nothing_prints_a_password(text: str, shown: str) -> None:
    uri = Uri(text)
    assert str(uri) == f"{uri}" == shown
    printed = [str(uri), repr(uri), f"{uri!s:>60}", str([uri]), str({"uri": uri})]
    printed += [repr(pickle.loads(pickle.dumps(uri))), repr(copy.deepcopy(uri)), str(hidden({"a": [text]})["a"][0])]
    said = [f"could not parse {text}", f"invalid dsn {text!r}", f"GET {text}/api/2.0 failed"]
    if not {" ", "%"} & {*text}:  # else a library has no reason to take a part of it for a host
        said.append(f"no such host: {SECRET}")
    assert SECRET not in " ".join([*printed[:-1], *(uri.hide_in(one) for one in said)])
    assert uri.has_secret
    assert uri.reveal() == text
    with pytest.raises(TypeError):
        json.dumps(uri)
    if "://" in text:
        assert SECRET not in printed[-1]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert (str(Uri(text)), Uri(text).has_secret) == (text, False)
    assert Uri(text).hide_in(f"cannot open {text}") == f"cannot open {text}"
    assert Uri(text) == text
    Uri(text).check()


def test_the_forms_of_a_password_are_hidden_in_what_libraries_say() -> None:
    uri = Uri("postgresql://me:a%40b%2F%20c@db/x")
    said = uri.hide_in("FATAL: 'a@b/ c', 'a%40b%2F+c', 'a%40b%2F%20c' and me")
    assert said == f"FATAL: '{HIDDEN}', '{HIDDEN}', '{HIDDEN}' and me"


def test_a_short_password_does_not_garble_messages() -> None:
    assert Uri("postgresql://me:dat@db/x").hide_in("no database at db") == "no database at db"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:p@qq@db/x",
        "postgresql://me:***@db/x",
        "http://***@host/x",
        "http://a@qq@host",
        "postgresql://me:qq/x",
        "postgresql://me:p@a:1,b:2/x",
    ],
)
def test_an_address_that_would_be_misread_is_refused(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        Uri(text).check()
    assert caught.value.code == "bad-address"
    assert "qq" not in caught.value.text


def test_a_page_has_no_user_and_a_request_has() -> None:
    uri = Uri(f"https://me:{SECRET}%21@host:5000/mlflow/?token={SECRET}")
    assert (uri.page, uri.user_info) == ("https://host:5000/mlflow", f"me:{SECRET}!")
    assert SECRET not in Uri(f"http://me:a/{SECRET}@host").page
