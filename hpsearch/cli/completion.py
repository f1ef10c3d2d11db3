"""What a shell offers while a command is typed. It must be there at once, so no library of databases is imported."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import typer

from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.core.safe_text import for_terminal

_SQLITE = "sqlite:///"


def study_names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of studies in the ledger that begin with what is typed; none for a ledger that is not an SQLite file."""
    address = str(context.params.get("ledger") or DEFAULT_LEDGER)
    file = Path(address.removeprefix(_SQLITE).partition("?")[0])
    if not address.startswith(_SQLITE) or not file.is_file():
        return []
    found: list[str] = []
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as ledger:
        found = [name for (name,) in ledger.execute("SELECT study_name FROM studies ORDER BY study_id DESC")]
    # A shell prints them as they are.
    return [name for name in found if name.startswith(incomplete) and for_terminal(name) == name]
