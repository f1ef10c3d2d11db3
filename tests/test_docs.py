"""The documentation works: its commands, code blocks and study files are run as a reader would run them."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

from hpsearch.cli.main import app
from hpsearch.spec import StudySpec, make_space, parse_spec
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MODELS_AND_DATA = ROOT / "docs" / "models-and-data.md"
MIGRATING = ROOT / "docs" / "migrating.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in that language, in order."""
    return [body for found, body in BLOCK.findall(path.read_text(encoding="utf-8")) if found == language]


def hpsearch(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hpsearch", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def python(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


# README and notebook


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The README's study file and rows to predict, as a reader would have them."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "flowers.toml").write_text(blocks(README, "toml")[0])
    (folder / "new_rows.csv").write_text("a,b,c,d\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    return folder


@pytest.mark.slow
def test_the_readmes_commands_work_in_order(folder: Path) -> None:
    (block,) = blocks(README, "bash")
    for line in filter(str.strip, block.splitlines()):
        name, *arguments = line.split("#")[0].split()
        assert name == "hpsearch"
        done = hpsearch(*arguments, folder=folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (folder / "handover" / "champion.keras").exists()
    assert (folder / "handover" / "saved_model" / "saved_model.pb").exists()
    parse_spec((folder / "next.toml").read_text())


@pytest.mark.slow
def test_the_readmes_python_works_after_its_commands(folder: Path) -> None:
    done = python("\n".join(blocks(README, "python")), folder=folder)
    assert done.returncode == 0, done.stderr


NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    def last_of_a_new_kernel() -> str:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        asked = "study.best.score > 0.8, len(table), study.champion.test, study.record.created"
        notebook.cells.append(nbformat.v4.new_code_cell(asked))
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return str(notebook.cells[-1].outputs[0]["data"]["text/plain"])

    first = last_of_a_new_kernel()
    assert " ".join(first.split()).startswith("(True, 8, {")  # long values stand on lines of their own
    assert last_of_a_new_kernel() == first, "the second kernel has trained the study again"


def test_the_notebook_has_small_outputs_and_pictures() -> None:
    cells = [one for one in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if one["cell_type"] == "code"]
    assert [one["execution_count"] for one in cells] == list(range(1, len(cells) + 1))
    outputs = [output for one in cells for output in one["outputs"]]
    assert not [one for one in outputs if one["output_type"] in ("error", "stream")]
    assert sum("image/png" in one["data"] for one in outputs) >= 2
    assert NOTEBOOK.stat().st_size < 300_000


# What the pages name exists


def test_links_lead_to_files() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    group = typer.main.get_command(app)
    return {name: {opt for one in command.params for opt in one.opts} for name, command in group.commands.items()}


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    known = commands()
    assert len(known) >= 15
    for page in PAGES:
        shell = "".join(blocks(page, "bash"))
        spans = re.findall(r"`hpsearch (\w+)([^`]*)`", page.read_text(encoding="utf-8"))
        spans += re.findall(r"^hpsearch (\w+)([^#\n]*)", shell, re.MULTILINE)
        for name, arguments in spans:
            assert name in known, f"{page.name} names `hpsearch {name}`"
            unknown = set(re.findall(r"--[\w-]+", arguments)) - known[name]
            assert not unknown, f"{page.name} names `hpsearch {name} {' '.join(unknown)}`"
        if page == README:
            assert known.keys() == {name for name, _ in spans}


def test_every_documented_key_of_a_study_file_exists() -> None:
    free = {"space", "model"}  # their keys are hyperparameters
    named = [
        (page.name, section, key)
        for page in PAGES
        for section, key in re.findall(r"`\[(\w+)\] (\w+)", page.read_text(encoding="utf-8"))
        if section not in free
    ]
    assert len(named) >= 5
    for page, section, key in named:
        fields = StudySpec.model_fields[section].annotation.model_json_schema()["properties"]  # type: ignore[union-attr]
        assert key in fields, f"{page} names [{section}] {key}"


def test_the_limits_of_the_search_page_are_those_of_a_study_file() -> None:
    (text,) = [block for block in blocks(ROOT / "docs" / "search.md", "toml") if "at_most" in block]
    spec = parse_spec(with_section(blocks(README, "toml")[0], "objective", text))
    assert spec.make_objective().constraints.quantities == (
        *("parameters", "model_mb", "latency_ms", "val_loss"),
        "val_accuracy",
    )


# docs/models-and-data.md


def write_modules(page: Path, folder: Path) -> None:
    """Write the Python blocks of the page that say which file they are."""
    for block in blocks(page, "python"):
        if found := re.match(r"# (\w+\.py)\n", block):
            (folder / found[1]).write_text(block, encoding="utf-8")


def with_section(text: str, name: str, replacement: str) -> str:
    """The study file with another ``[name]``."""
    return re.sub(rf"^\[{name}\]\n.*?(?=^\[)", replacement + "\n", text, flags=re.MULTILINE | re.DOTALL)


def check(folder: Path, text: str) -> dict[str, Any]:
    """The result of ``hpsearch check``: data, space and model are tried, nothing is trained."""
    (folder / "study.toml").write_text(text, encoding="utf-8")
    done = hpsearch("check", "study.toml", "--json", folder=folder)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.slow
def test_your_own_data_and_model(tmp_path: Path) -> None:
    write_modules(MODELS_AND_DATA, tmp_path)
    (build,) = [block for block in blocks(MODELS_AND_DATA, "toml") if "my_models:build" in block]
    data = '[data]\nsource = "my_data:load"\noptions = { rows = 200 }'
    found = check(tmp_path, with_section(with_section(blocks(README, "toml")[0], "data", data), "model", build))
    assert found["data"]["rows"] + found["data"]["test_rows"] == 200


@pytest.mark.slow
def test_models_of_a_table_take_gaps_and_unknown_categories(tmp_path: Path) -> None:
    write_modules(MODELS_AND_DATA, tmp_path)
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
    text = with_section(with_section(blocks(README, "toml")[0], "data", data), "validation", "[validation]\nfolds = 3")
    for name in ("my_table_models", "my_columns"):
        study = with_section(text, "model", f'[model]\nbuild = "{name}:build"')
        done = python(code, study, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    study = study.replace('"val_accuracy"', '"val_mae"').replace('"maximize"', '"minimize"')
    assert check(tmp_path, study)["gaps"] == {"horsepower": 6}


@pytest.mark.slow
def test_kerastuner_code_works_unchanged(tmp_path: Path) -> None:
    write_modules(MODELS_AND_DATA, tmp_path)
    (text,) = [block for block in blocks(MODELS_AND_DATA, "toml") if '"tuned"' in block]
    found = check(tmp_path, text.replace("keras:mnist", "sklearn:digits"))
    assert {"num_layers", "units_0", "units_1", "activation", "dropout", "lr"} <= set(found["space"])


def test_a_table_with_groups_is_split_by_them() -> None:
    (data,) = [block for block in blocks(MODELS_AND_DATA, "toml") if block.startswith("[data]")]
    text = with_section(blocks(README, "toml")[0], "validation", "[validation]")  # the method follows the column
    spec = parse_spec(with_section(text, "data", data))
    assert (spec.data.target, spec.data.group, spec.validation.method) == ("mpg", "maker", "group")


def test_what_a_family_may_have_is_a_space() -> None:
    (lines,) = [block for block in blocks(MODELS_AND_DATA, "toml") if 'family = "cnn"' in block]
    head = 'name = "a"\n[data]\nsource = "sklearn:digits"\n[objective]\nmetric = "val_loss"\ndirection = "minimize"\n'
    found = make_space(parse_spec(head + lines))
    assert found["warmup"].when == {"schedule": ("constant", "cosine")}
    assert {"rotation", "flip", "residual", "l2"} <= set(found.searched())


def test_the_documented_code_of_a_category_is_right() -> None:
    (coding,) = [block for block in blocks(MODELS_AND_DATA, "python") if "def code" in block]
    names: dict[str, Any] = {}
    exec(coding.partition("model = ")[0], names)
    assert names["code"]("USA") == int(re.search(r'code\("USA"\) == (\d+)', coding)[1])


@pytest.mark.slow
def test_the_documented_callbacks_work(tmp_path: Path) -> None:
    write_modules(MODELS_AND_DATA, tmp_path)
    (callbacks,) = [block for block in blocks(MODELS_AND_DATA, "toml") if block.startswith("[[training.callbacks]]")]
    readme = re.sub(r"^\[space\].*?(?=^\[)", "", blocks(README, "toml")[0], flags=re.MULTILINE | re.DOTALL)
    config = {"units": 4, "learning_rate": 0.01, "optimizer": "adam", "epochs": 1, "batch_size": 32}
    told = Worker(parse_spec(readme + callbacks)).rehearse({**config, "patience": 3})
    assert any("own validation rows" in one for one in told.doubts)
    assert "learning_rate" in told.metrics
    own = parse_spec(with_section(readme, "model", '[model]\nbuild = "watched:build"'), folder=tmp_path)
    assert "val_gap" in Worker(own).rehearse(config).metrics


# docs/migrating.md


@pytest.mark.slow
def test_models_for_migrating_are_built_refitted_and_saved(tmp_path: Path) -> None:
    write_modules(MIGRATING, tmp_path)
    text = with_section(blocks(README, "toml")[0], "data", '[data]\nsource = "sklearn:wine"')
    spec = parse_spec(with_section(text, "model", '[model]\nbuild = "decay:build"'), folder=tmp_path)
    config = {"units": 8, "learning_rate": 0.01, "epochs": 1, "batch_size": 32}
    worker = Worker(spec)
    assert "val_accuracy" in worker.rehearse(config).metrics
    champion = worker.refit(RefitOrder((ToRefit(0, config, 1),), tmp_path))
    assert keras.models.load_model(champion.path).count_params() == champion.parameters


# docs/rows.md


@pytest.mark.slow
@pytest.mark.parametrize("name", ["homes", "denoiser"])
def test_studies_of_rows_run_and_predict(name: str, tmp_path: Path) -> None:
    write_modules(ROOT / "docs" / "rows.md", tmp_path)
    (text,) = [block for block in blocks(ROOT / "docs" / "rows.md", "toml") if f'name = "{name}"' in block]
    (tmp_path / "study.toml").write_text(text)
    done = hpsearch("run", "study.toml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    code = {
        "homes": "import homes; x = homes.load(5)[0]; told = study.predict(x); assert {'price', 'kind'} <= {*told}",
        "denoiser": "import numpy as np; assert study.predict(np.zeros((3, 8, 8))).shape == (3, 64)",
    }
    told = python(f"import hpsearch; study = hpsearch.load({name!r}); {code[name]}", folder=tmp_path)
    assert told.returncode == 0, told.stderr


@pytest.mark.slow
def test_free_text_reaches_the_layers_of_the_build_function(tmp_path: Path) -> None:
    write_modules(ROOT / "docs" / "rows.md", tmp_path)
    words = ("a good film", "a bad film", "very good", "so bad, so long")
    rows = [f'"{words[place % 4]} {place}",{"yes" if place % 2 == 0 else "no"}' for place in range(60)]
    (tmp_path / "films.csv").write_text("\n".join(["review,liked", *rows]))
    (tmp_path / "study.toml").write_text(
        'name = "films"\n[data]\nsource = "films.csv"\ntarget = "liked"\ntext = ["review"]\n'
        '[validation]\nfolds = 2\n[model]\nbuild = "reviews:build"\n[space]\nunits = 8\nepochs = 2\n'
        '[objective]\nmetric = "val_loss"\n[search]\ntrials = 1\n'
    )
    done = hpsearch("run", "study.toml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "new.csv").write_text('review\na good film\nbad\n""\n')
    told = hpsearch("predict", "films", "new.csv", "--out", "told.csv", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert len((tmp_path / "told.csv").read_text().splitlines()) == 4
    code = "import hpsearch; study = hpsearch.load('films'); print(study.record.facts.plan.reason)"
    reason = python(f"{code}; study.predict({{'review': ['good']}})", folder=tmp_path)
    assert "is free text, which Keras' layers take on TensorFlow only, not on jax" in reason.stdout
    assert "TensorFlow only, but this program runs on jax" in reason.stderr


# docs/from-keras-tuner.md

FROM_KERAS_TUNER = ROOT / "docs" / "from-keras-tuner.md"


def test_every_argument_class_and_method_of_kerastuner_is_named() -> None:
    import keras_tuner as kt

    classes = [kt.Tuner, kt.Oracle, kt.HyperModel, kt.SklearnTuner]
    classes += [kt.RandomSearch, kt.GridSearch, kt.BayesianOptimization, kt.Hyperband]
    wanted = {name for one in classes for name in inspect.signature(one.__init__).parameters}
    for one in (kt.HyperParameters.Int, kt.HyperParameters.Choice):
        wanted |= set(inspect.signature(one).parameters)
    wanted |= {name for name in (*dir(kt.Tuner), *dir(kt.HyperModel)) if not name.startswith("_")}
    wanted |= {f"hp.{name}" for name in dir(kt.HyperParameters) if not name.startswith("_")}
    wanted |= {name for part in (kt.errors, kt.applications, kt.oracles, kt.tuners) for name in vars(part)}
    wanted |= {name for name in dir(kt) if name[0].isupper() and name != "HyperParameters"}
    # Of other things, and what only says how a hyperparameter is called and what it may be.
    wanted -= {"self", "args", "kwargs", "oracle", "values", "metric"} | {one for one in wanted if one.startswith("_")}
    text = BLOCK.sub("", FROM_KERAS_TUNER.read_text(encoding="utf-8"))
    named = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert sorted(wanted - named) == []


@pytest.fixture(scope="module")
def former(tmp_path_factory) -> Path:
    """A folder with the page's modules and study file."""
    folder = tmp_path_factory.mktemp("former")
    write_modules(FROM_KERAS_TUNER, folder)
    (folder / "digits.toml").write_text(blocks(FROM_KERAS_TUNER, "toml")[0])
    return folder


@pytest.mark.slow
def test_the_program_for_kerastuner_is_one(former: Path) -> None:
    done = python("import before; assert before.best.values['batch_size'] in (32, 64)", folder=former)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_program_for_hpsearch_gives_the_same_things(former: Path) -> None:
    asked = """
import keras, after
assert len(after.study.trials) == 4 and after.best["batch_size"] in (32, 64) and after.best["epochs"] == 3
assert isinstance(after.model, keras.Model) and isinstance(after.final, keras.Model)
assert {"layers", "units_0", "learning_rate"} <= set(after.best)
"""
    done = python(asked, folder=former)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_study_file_and_commands_for_former_users_of_kerastuner(former: Path) -> None:
    (block,) = blocks(FROM_KERAS_TUNER, "bash")
    for line in filter(str.strip, block.splitlines()):
        done = hpsearch(*line.split()[1:], folder=former)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    pruning = blocks(FROM_KERAS_TUNER, "toml")[1]
    spec = parse_spec(f"{blocks(FROM_KERAS_TUNER, 'toml')[0]}\n{pruning}")
    assert (spec.pruning.method, spec.pruning.reduction_factor) == ("hyperband", 3)
