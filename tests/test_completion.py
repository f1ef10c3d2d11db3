"""What shells offer while a command is typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.ledger.store import Ledger
from hpsearch.testing.factories import make_record


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path}/studies.db"
    book = Ledger(uri, create=True)
    for name in ("digits", "digits-2", "mnist"):
        book.create(make_record(name=name))
    return uri


def offered(words: str, *, shell: str, **environment: str) -> str:
    asked = {
        "_HPSEARCH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'hpsearch'; from hpsearch.cli.main import main; main()"]
    done = subprocess.run(
        command, env={**os.environ, **asked, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_of_studies_are_offered(ledger: str, shell: str) -> None:
    found = offered("hpsearch show dig", shell=shell, HPSEARCH_LEDGER=ledger)
    assert "digits-2" in found
    assert "mnist" not in found


def test_the_ledger_may_be_named_on_the_line(ledger: str) -> None:
    assert offered(f"hpsearch compare --ledger {ledger} mn", shell="bash").split() == ["mnist"]


def test_a_ledger_that_is_not_there_offers_nothing(tmp_path: Path) -> None:
    assert offered("hpsearch show dig", shell="bash", HPSEARCH_LEDGER=f"sqlite:///{tmp_path}/none.db").split() == []
    (tmp_path / "text.db").write_text("no database")
    assert offered("hpsearch show dig", shell="bash", HPSEARCH_LEDGER=f"sqlite:///{tmp_path}/text.db").split() == []
