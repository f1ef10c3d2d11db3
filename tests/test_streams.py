"""What a command prints: onto a full disk, into a reader that goes, in ASCII, or nowhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import hpsearch, ok, write_study

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
ASCII = {**os.environ, "PYTHONIOENCODING": "ascii"}
C = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def command(*arguments: str, folder: Path, **streams: object) -> subprocess.CompletedProcess[bytes]:
    whole = [sys.executable, "-m", "hpsearch", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(whole, cwd=folder, check=False, **options)  # type: ignore[call-overload,no-any-return]


@needs_full
@pytest.mark.parametrize("arguments", [["models"], ["schema"], ["--help"]])
def test_a_full_standard_output_is_an_error_of_its_own(tmp_path: Path, arguments: list[str]) -> None:
    with FULL.open("w") as full:
        done = command(*arguments, folder=tmp_path, stdout=full)
    assert done.returncode == 9
    assert done.stderr.startswith(b"error[output.not-written]: ")
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@needs_full
def test_a_full_standard_error_changes_no_exit_code(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        assert command("models", folder=tmp_path, stderr=full).returncode == 0
        assert command("show", "nothing", folder=tmp_path, stderr=full).returncode == 5
        assert command("check", "nothing.toml", folder=tmp_path, stderr=full, stdout=full).returncode == 2


@pytest.mark.parametrize("arguments", [["models"], ["schema"], ["--help"]])
def test_a_reader_that_goes_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = command(*arguments, folder=tmp_path, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("environment", [ASCII, C], ids=["PYTHONIOENCODING", "LC_ALL"])
def test_characters_that_a_terminal_lacks_are_escaped(tmp_path: Path, environment: dict[str, str]) -> None:
    for arguments in (["models"], ["--help"]):
        done = command(*arguments, folder=tmp_path, env=environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.isascii()
    assert b"\\u2026" in command("models", folder=tmp_path, env=environment).stdout


def test_json_in_ascii_is_the_same_json(tmp_path: Path) -> None:
    plain = json.loads(ok("models", "--json", folder=tmp_path))
    found = command("models", "--json", folder=tmp_path, env=ASCII)
    assert found.stdout.isascii()
    assert json.loads(found.stdout) == plain
    text = "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{FOX FACE} \ud800"
    code = "import json; from hpsearch.cli import streams; streams.prepare()"
    code = f"{code}; print(json.dumps({text!a}, ensure_ascii=False))"
    for encoding in ("ascii", "latin-1", "utf-8"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        assert json.loads(done.stdout.decode(encoding)) == text


@needs_full
@pytest.mark.slow
def test_a_study_goes_on_when_nobody_can_see_it(tmp_path: Path) -> None:
    path = write_study(tmp_path, "unseen", trials=2, epochs=1)
    reader, writer = os.pipe()
    os.close(reader)
    with FULL.open("w") as full:
        done = command("run", str(path), folder=tmp_path, stderr=full, stdout=writer)
    os.close(writer)
    assert done.returncode == 0
    listed = json.loads(hpsearch("list", "--json", folder=tmp_path).stdout)
    assert [(one["study"], one["state"]) for one in listed] == [("unseen", "finished")]
