"""The commands around a study as a user types them: mistakes, nested validation, files, lists."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import STUDY, hpsearch, ok, write_study

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("show", "nothing"), 5, "ledger.missing"),
        (("run", "missing.toml"), 2, "study-file.unreadable-file"),
        (("check", "bad.toml"), 2, "study-file.broken-rules"),
        (("init", "bad.toml"), 2, "study-file.file-exists"),
        (("init", "x.toml", "--family", "mpl"), 2, "study-file.unknown-name"),
        (("compare", "flowers:best", "flowers"), 8, "study.bad-trial-address"),
    ],
)
def test_mistakes_get_a_code_an_exit_code_and_no_traceback(tmp_path: Path, arguments, exit_code: int, code: str):
    (tmp_path / "bad.toml").write_text(STUDY.format(name="bad", trials=1, epochs=1).replace('"maximize"', '"up"'))
    done = hpsearch(*arguments, folder=tmp_path)
    assert done.returncode == exit_code
    assert done.stderr.startswith(f"error[{code}]")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlruns").exists(), "nothing is written before everything is checked"


@pytest.mark.parametrize(
    ("change", "exit_code", "code", "words"),
    [
        (("val_accuracy", "val_acuracy"), 2, "study-file.no-such-metric", "did you mean 'val_accuracy'?"),
        (
            ("val_accuracy", "roc_auc"),
            2,
            "study-file.no-such-metric",
            "hint: scikit-learn's scorers are named as sklearn:",
        ),
        (("folds = 3", "folds = 60"), 3, "data.rare-class", ""),
        (("sklearn:iris", "nothing.csv"), 3, "data.no-file", "nothing.csv"),
        (('family = "mlp"\nlayers = 1', 'build = "no_such_module:build"'), 4, "model.no-module", "no_such_module"),
    ],
)
def test_mistakes_that_only_data_or_model_show_are_found_before_anything_is_written(
    tmp_path: Path, change: tuple[str, str], exit_code: int, code: str, words: str
) -> None:
    (tmp_path / "s.toml").write_text(STUDY.format(name="s", trials=1, epochs=1).replace(*change))
    done = hpsearch("run", "s.toml", folder=tmp_path)
    assert done.returncode == exit_code, done.stderr
    assert done.stderr.startswith(f"error[{code}]")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.db"))


def test_nested_validation_measures_what_the_search_promises(tmp_path: Path) -> None:
    write_study(tmp_path, "nested", trials=2, epochs=2)
    verdict = json.loads(ok("run", "nested.toml", "--nested", "2", "--json", folder=tmp_path))["verdict"]
    assert any("without each of 2 outer folds" in sentence for sentence in verdict["sentences"])
    studies = json.loads(ok("list", "--json", folder=tmp_path))
    assert [row["study"] for row in studies] == ["nested", "nested.outer0", "nested.outer1"]
    shown = json.loads(ok("show", "nested", "--json", folder=tmp_path))
    assert shown["out_of_fold"]["trial"] == shown["verdict"]["winner"]
    assert shown["out_of_fold"]["n_rows"] > shown["predictions"]["n_rows"] > 0
    assert {row["state"] for row in studies} == {"finished"}
    assert "outer folds" in (tmp_path / "mlruns" / "studies" / "nested" / "report.md").read_text()
    assert "The search's own predictions of" in ok("show", "nested", folder=tmp_path)
    ok("delete", "nested", "--yes", folder=tmp_path)
    assert json.loads(ok("list", "--json", folder=tmp_path)) == []


def test_init_check_and_schema_fit_together(tmp_path: Path) -> None:
    assert "wrote mine.toml" in ok("init", "mine.toml", "--data", "sklearn:diabetes", folder=tmp_path)
    effective = json.loads(ok("check", "mine.toml", "--json", folder=tmp_path))
    assert effective["data"]["task"] == "regression"
    assert effective["study"]["objective"] == {
        "metric": "val_mae",
        "direction": "minimize",
        "epoch": "best",
        "at_most": {},
        "at_least": {},
    }
    assert effective["space_size"] is None
    assert effective["warnings"] == []
    text = (tmp_path / "mine.toml").read_text()
    (tmp_path / "wrong.toml").write_text(text.replace('"minimize"', '"maximize"'))
    found = json.loads(ok("check", "wrong.toml", "--json", folder=tmp_path))["warnings"]
    assert any('usually has direction = "minimize"' in one for one in found)
    assert "size of the space" in ok("check", "mine.toml", folder=tmp_path)
    assert json.loads(ok("schema", folder=tmp_path))["title"] == "hpsearch study file"


@pytest.mark.parametrize("command", ["schema", "models"])
def test_a_reader_that_stops_reading_is_no_error(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "hpsearch", command]
    done = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_models_and_data_are_listed() -> None:
    families = json.loads(ok("models", "--json", folder=Path()))
    assert {"mlp", "cnn"} <= {row["family"] for row in families}
    assert "sklearn:digits" in ok("data", folder=Path())
