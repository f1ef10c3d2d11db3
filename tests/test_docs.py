"""What README and docs say is run: every ``bash``, ``python`` and ``toml`` block, in order, in a fresh folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

from benchmarks.documented import STUDIES
from benchmarks.pictures import COLUMNS, shorten
from hpsearch.cli.main import app
from hpsearch.spec import parse_spec
from hpsearch.training.worker import Worker

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = ROOT / "README.md"


def blocks(path: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(path.read_text(encoding="utf-8")) if found == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The README's study file and rows to predict, as a reader would have them."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "flowers.toml").write_text(blocks(README, "toml")[0])
    (folder / "new_rows.csv").write_text("a,b,c,d\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    return folder


def commands(block: str) -> list[list[str]]:
    return [line.split("#")[0].split() for line in block.splitlines() if line.strip()]


def test_the_readmes_commands_work_in_order(folder: Path) -> None:
    (block,) = blocks(README, "bash")
    for command in commands(block):
        assert command[0] == "hpsearch"
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    assert (folder / "handover" / "champion.keras").exists()
    assert (folder / "handover" / "saved_model" / "saved_model.pb").exists()
    parse_spec((folder / "next.toml").read_text())


def test_the_readmes_python_works_after_them(folder: Path) -> None:
    code = "\n".join(blocks(README, "python"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_links_of_the_docs_lead_somewhere() -> None:
    for page in (README, *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    done = subprocess.run([sys.executable, "-m", "hpsearch", "--help"], capture_output=True, text=True, check=True)
    names = re.findall(r"^│ (\w+) ", done.stdout, re.MULTILINE)
    assert len(names) >= 15
    readme = README.read_text(encoding="utf-8")
    for name in names:
        assert f"hpsearch {name}" in readme, f"`hpsearch {name}` is not in the README"
        subprocess.run([sys.executable, "-m", "hpsearch", name, "--help"], capture_output=True, check=True)


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 8
    assert [cell["outputs"] for cell in cells if cell["outputs"]] == [], "outputs are not kept in the repository"
    code = "\n".join("".join(cell["source"]) for cell in cells)
    check = "assert study.best.score > 0.9 and len(table) == 8, study"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{check}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_every_documented_study_stands_in_the_readme() -> None:
    rows = README.read_text(encoding="utf-8").partition("<!-- studies -->")[2].partition("<!-- /studies -->")[0]
    listed = re.findall(r"^\| \[`([\w-]+)`\]\(studies/\1\.toml\) \|", rows, re.MULTILINE)
    assert listed == list(STUDIES)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "studies").glob("*.toml"))


MODELS_AND_DATA = ROOT / "docs" / "models-and-data.md"


def check(folder: Path, text: str) -> dict[str, Any]:
    """What ``hpsearch check`` says of a study file in `folder`: data, space and model are tried, nothing is trained."""
    (folder / "study.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "hpsearch", "check", "study.toml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return json.loads(done.stdout)


def modules(folder: Path) -> None:
    """The Python blocks of the page that say which file they are."""
    for block in blocks(MODELS_AND_DATA, "python"):
        if found := re.match(r"# (\w+\.py)\n", block):
            (folder / found[1]).write_text(block, encoding="utf-8")


def section(text: str, name: str, replacement: str) -> str:
    """A study file with another ``[name]``."""
    return re.sub(rf"^\[{name}\]\n.*?(?=^\[)", replacement + "\n", text, flags=re.MULTILINE | re.DOTALL)


def test_ones_own_data_and_model_as_documented(tmp_path: Path) -> None:
    modules(tmp_path)
    (build,) = [block for block in blocks(MODELS_AND_DATA, "toml") if block.startswith("[model]")]
    text = section(blocks(README, "toml")[0], "data", '[data]\nsource = "my_data:load"\noptions = { rows = 200 }')
    found = check(tmp_path, section(text, "model", build))
    assert found["data"]["rows"] + found["data"]["test_rows"] == 200


def test_builds_for_a_table_take_gaps_and_unmet_categories(tmp_path: Path) -> None:
    modules(tmp_path)
    (tmp_path / "cars.csv").write_text(
        "mpg,horsepower,weight,origin\n" + "".join(f"{i}.5,{i if i % 4 else ''},{i},{'ab'[i % 2]}\n" for i in range(24))
    )
    code = """
import sys
from pathlib import Path
import numpy as np
from hpsearch.training.problem import Problem
from hpsearch.spec import load_spec
Path("study.toml").write_text(sys.argv[1])
problem = Problem.load(load_spec("study.toml")[0])
part = problem.dataset.train
part.x["origin"][:3] = 12345
part.x["horsepower"][:3] = np.nan
config = {"units": 4, "optimizer": "sgd", "learning_rate": 0.01, "batch_size": 8}
model = problem.build(config, problem.fold_parts(0)[0], seed=0)
predicted = model.predict(part.x, verbose=0)
assert predicted.shape == (len(part), 1) and np.isfinite(predicted).all(), predicted
"""
    data = '[data]\nsource = "cars.csv"\ntarget = "mpg"\ntest_fraction = 0'
    text = section(section(blocks(README, "toml")[0], "data", data), "validation", "[validation]\nfolds = 3")
    for name in ("my_table_models", "my_columns"):
        study = section(text, "model", f'[model]\nbuild = "{name}:build"')
        done = subprocess.run(
            [sys.executable, "-c", code, study], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
    study = study.replace('"val_accuracy"', '"val_mae"').replace('"maximize"', '"minimize"')
    assert check(tmp_path, study)["gaps"] == {"horsepower": 6}


def test_kerastuner_code_as_documented(tmp_path: Path) -> None:
    modules(tmp_path)
    (text,) = [block for block in blocks(MODELS_AND_DATA, "toml") if '"tuned"' in block]
    found = check(tmp_path, text.replace("keras:mnist", "sklearn:digits"))
    assert {"num_layers", "units_0", "units_1", "activation", "dropout", "lr"} <= set(found["space"])


def test_tables_and_codes_as_documented() -> None:
    (data,) = [block for block in blocks(MODELS_AND_DATA, "toml") if block.startswith("[data]")]
    text = section(blocks(README, "toml")[0], "validation", "[validation]")  # the method follows the column
    spec = parse_spec(section(text, "data", data))
    assert (spec.data.target, spec.data.group, spec.validation.method) == ("mpg", "maker", "group")
    (coding,) = [block for block in blocks(MODELS_AND_DATA, "python") if "def code" in block]
    names: dict[str, Any] = {}
    exec(coding.partition("model = ")[0], names)
    assert names["code"]("USA") == int(re.search(r'code\("USA"\) == (\d+)', coding)[1])


def test_the_recording_is_one_of_make_study() -> None:
    readme = README.read_text(encoding="utf-8")
    recording = readme.partition("<!-- recording -->")[2].partition("<!-- /recording -->")[0]
    for line in (
        "$ make study",
        "study digits: 1438 rows + 359 test, 5 folds",
        "[20/20] ✓",
        "is the best of 20 complete",
    ):
        assert line in recording
    assert max(map(len, recording.splitlines())) <= COLUMNS


def test_recordings_are_shortened_where_they_say_so() -> None:
    lines = [f"[{number}/9] ✓ t{number:03d} 0.9  " + "x" * 200 for number in range(1, 10)]
    shown = shorten("\n".join(["begin", *lines, "word " * 40, "end  "])).splitlines()
    cut = [line[: COLUMNS - 1] + "…" for line in lines]
    prose = ["word " * 23 + "word", "word " * 15 + "word"]
    assert shown == ["begin", cut[0], cut[1], "…", cut[8], *prose, "end"]


QUESTIONS = ROOT / "docs" / "questions.md"


@pytest.mark.parametrize("module", ["weighted", "decay", "branches"])
def test_answers_to_questions_are_models_that_can_be_built_and_saved(module: str, tmp_path: Path) -> None:
    (code,) = [block for block in blocks(QUESTIONS, "python") if block.startswith(f"# {module}.py\n")]
    (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
    text = section(blocks(README, "toml")[0], "data", '[data]\nsource = "sklearn:wine"\nlabels = "LABELS"')
    text = text.replace("LABELS", "one-hot" if module == "weighted" else "integer")
    spec = parse_spec(section(text, "model", f'[model]\nbuild = "{module}:build"'), folder=tmp_path)
    config = {"units": 8, "learning_rate": 0.01, "epochs": 1, "batch_size": 32}
    worker = Worker(spec)
    metrics = worker.rehearse(config)["metrics"]
    assert "val_accuracy" in metrics
    assert ("val_f1" in metrics) == (module == "weighted")
    champion = worker.refit(0, config, 1, str(tmp_path))
    assert keras.models.load_model(champion.path).count_params() == champion.parameters


def test_every_command_in_the_answers_exists() -> None:
    named = set(re.findall(r"`hpsearch (\w+)", QUESTIONS.read_text(encoding="utf-8")))
    assert named >= {"resume", "delete", "show"}
    assert named <= {command.name or command.callback.__name__ for command in app.registered_commands}
