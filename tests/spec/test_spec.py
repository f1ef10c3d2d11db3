import json
from pathlib import Path

import pytest

from hpsearch.core.space import Choice, Constant, Float, Int
from hpsearch.errors import SpecError
from hpsearch.spec import READ_BACK, StudySpec, load_spec, make_space, parse_parameter, parse_spec

GOOD = """
name = "good"
[data]
source = "sklearn:digits"
[model]
family = "mlp"
layers = 3
[space]
units = { low = 32, high = 512, log = true }
momentum = { low = 0.0, high = 0.9, when = { optimizer = ["sgd"] } }
[objective]
metric = "val_accuracy"
direction = "maximize"
"""


def problems(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, origin="s.toml")
    return str(caught.value)


def test_defaults_are_the_documented_ones_and_overrides_win() -> None:
    space = make_space(parse_spec(GOOD))
    assert space["learning_rate"] == Float(0.01, 0.04)
    assert space["batch_size"] == Choice((16, 32, 64, 100, 128))
    assert space["optimizer"] == Choice(("sgd", "adam", "rmsprop"))
    assert space["dropout"] == Float(0.0, 0.5, step=0.05)
    assert space["units"] == Int(32, 512, log=True)
    assert space["layers"] == Constant(3)
    assert space["momentum"] == Float(0.0, 0.9, when={"optimizer": ("sgd",)})


@pytest.mark.parametrize(
    ("raw", "parameter"),
    [
        (5, Constant(5)),
        ("relu", Constant("relu")),
        (True, Constant(True)),
        ([16, 32], Choice((16, 32))),
        ({"low": 1, "high": 9}, Int(1, 9)),
        ({"low": 1, "high": 9, "step": 2}, Int(1, 9, step=2)),
        ({"low": 1, "high": 9.5}, Float(1, 9.5)),
        ({"low": 0.1, "high": 1.0, "log": True}, Float(0.1, 1.0, log=True)),
        ({"values": [1, 2], "when": {"a": "x"}}, Choice((1, 2), when={"a": ("x",)})),
    ],
)
def test_the_four_forms_of_a_space_entry(raw: object, parameter: object) -> None:
    assert parse_parameter(raw) == parameter


def test_all_errors_come_at_once_with_key_rule_value_and_closest_name() -> None:
    text = (
        GOOD.replace('"mlp"', '"mpl"')
        .replace('"maximize"', '"max"')
        .replace("low = 32", "low = 3200")
        .replace("source =", "sorce =")
        + '[search]\nalgorithm = "bayesian"\ntrials = 0\n[foo]\n'
    )
    told = problems(text)
    for line in (
        "s.toml: 8 problems:",
        "data.source: is required",
        "data.sorce: unknown key (did you mean 'source'?)",
        "model.family: must be one of",
        "but got 'mpl' (did you mean 'mlp'?)",
        "objective.direction: must be one of minimize, maximize, but got 'max'",
        "search.algorithm: must be one of tpe, gp, cmaes, qmc, random, grid with tuner = 'optuna', but got 'bayesian'",
        "search.trials: must be greater than or equal to 1, but got 0",
        "foo: unknown key",
        "space.units: low <= high must hold, but got low=3200, high=512",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("units =", "unit ="), "space.unit: not a hyperparameter of family 'mlp' (did you mean 'units'?)"),
        (("layers = 3", "layer = 3"), "model.layer: not a hyperparameter of family 'mlp' (did you mean 'layers'?)"),
        (("[space]", "[space]\nepochs = 0"), "space.epochs: must be whole numbers of at least 1, but got 0"),
        (("[space]", "[space]\nlearning_rate = -1"), "space.learning_rate: must be numbers above 0, but got -1"),
        (
            ("[space]", '[space]\noptimizer = ["addam"]'),
            "but got 'addam' (did you mean 'adam'?)",
        ),
        (
            ("units = { low = 32, high = 512, log = true }", "units = [8, 8.5]"),
            "units: must be whole numbers of at least 1, but got 8.5",
        ),
        (
            ("units = { low = 32, high = 512, log = true }", 'units = [8, "x"]'),
            "units: must be whole numbers of at least 1, but got 'x'",
        ),
        (("low = 32", "low = 0.5"), "space.units: must be whole numbers of at least 1, but got 0.5"),
        (("layers = 3", "layers = -1"), "model.layers: must be whole numbers of at least 0, but got -1"),
        (
            ("[space]", "[space]\ndropout = [0.1, 1.5]"),
            "space.dropout: must be numbers from 0 to less than 1, but got 1.5",
        ),
        (
            ("[space]", "[space]\ndropout_2 = true"),
            "space.dropout_2: must be numbers from 0 to less than 1, but got True",
        ),
        (("[space]", "[space]\nbeta_2 = 1.0"), "space.beta_2: must be numbers from 0 to less than 1, but got 1.0"),
        (
            ("momentum = {", "momentum = [0, 0.9]\nnesterov = {"),
            "space.momentum: must be numbers from 0 to 1 with a decimal point, but got 0",
        ),
        (("[space]", "[space]\nbatch_norm = [0, 1]"), "space.batch_norm: must be true or false, but got 0"),
        (("[space]", "[space]\nactivation = 3"), "space.activation: must be a text such as relu, but got 3"),
        (
            ("optimizer = [", "optimzer = ["),
            "space.momentum: 'when' names 'optimzer', which is not in the space (did you mean 'optimizer'?)",
        ),
        (("[space]", "[space]\ndropout = { low = 0.0 }"), "a range needs low and high, but high is missing"),
        (("[space]", "[space]\ndropout = { low = 0.0, hihg = 1.0 }"), "unknown key 'hihg' (did you mean 'high'?)"),
        (('family = "mlp"', 'family = "mlp"\nbuild = "a:b"'), "model: needs exactly one of family and build"),
        (('name = "good"', 'name = "a/b"'), "name: must be usable as a folder name"),
        (('name = "good"', 'name = "-v"'), "name: must be usable as a folder name: no slashes"),
        (('name = "good"', f'name = "{"🚀" * 61}"'), "at most 240 bytes, 244 as UTF-8"),
        (('name = "good"', "name = 3"), "name: must be a valid string, but got 3"),
        (
            ("[space]", "[validation]\nmethod = 'group'\nrepeats = 2\n[space]"),
            "validation.repeats: repeats works with kfold and stratified, not with group, but got 2",
        ),
        (
            ("[space]", '[tracking]\nuri = "file:///x"\n[space]'),
            "tracking.uri: must be a database or http(s) address",
        ),
        (
            ("[space]", '[tracking]\nledger = "sqlite:///mlruns/mlflow.db"\n[space]'),
            "tracking.ledger: must not be MLflow's database",
        ),
        (
            ("[space]", '[tracking]\nuri = "http://${HPSEARCH_NOT_SET}:5000"\n[space]'),
            "names the environment variable HPSEARCH_NOT_SET, which is not set",
        ),
        (("[space]", "[resources]\nworkers = 0\n[space]"), 'resources.workers: must be at least 1, or "auto"'),
        (("[data]", "[data"), "not valid TOML"),
    ],
)
def test_each_rule_names_key_and_value(change: tuple[str, str], message: str) -> None:
    assert message in problems(GOOD.replace(*change))


def test_secrets_are_filled_in_for_use_but_never_kept(monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_PASSWORD", "hush")
    spec = parse_spec(GOOD + '[tracking]\nuri = "postgresql://me:${MLFLOW_PASSWORD}@db/mlflow"\n')
    assert spec.tracking.resolved().uri == "postgresql://me:hush@db/mlflow"
    assert "hush" not in json.dumps(spec.model_dump(mode="json"))


def test_missing_file_offers_a_similar_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.toml").write_text(GOOD)
    with pytest.raises(SpecError, match=r"digit\.toml: cannot be read: No such file") as caught:
        load_spec("digit.toml")
    assert caught.value.hint == "did you mean digits.toml?"


def with_roles(data: str, validation: str = "") -> str:
    text = GOOD.replace('source = "sklearn:digits"', f'source = "rows.csv"\ntarget = "y"\n{data}')
    return f"{text}[validation]\n{validation}\n"


@pytest.mark.parametrize(
    ("data", "validation", "message"),
    [
        ('group = "g"', 'method = "kfold"', "validation: needs method = 'group' or 'holdout' with data.group = 'g'"),
        ('group = "g"', 'method = "stratified"', "stratified would share groups between training and validation"),
        ('group = "g"', 'method = "time-series"', "validation: needs method = 'group' or 'holdout'"),
        ('time = "t"', 'method = "kfold"', "needs method = 'time-series' or 'holdout' with data.time = 't'"),
        ('time = "t"', 'method = "group"', "group would share the future between training and validation"),
        ('group = "g"', "repeats = 2", "validation.repeats: repeats works with kfold and stratified, not with group"),
        ('group = "g"\ntime = "t"', "", "data.time: must not be given together with data.group"),
    ],
)
def test_folds_that_would_leak_are_refused(data: str, validation: str, message: str) -> None:
    assert message in problems(with_roles(data, validation))


def test_a_role_decides_the_method_and_old_studies_stay_as_they_were() -> None:
    assert parse_spec(with_roles('group = "g"')).validation.method == "group"
    assert parse_spec(with_roles('time = "t"', "folds = 3")).validation.method == "time-series"
    assert parse_spec(with_roles("")).validation.method is None
    old = parse_spec(with_roles("")).model_dump()
    old["data"] |= {"group": "g", "time": "t"}
    old["validation"]["method"] = "kfold"
    assert StudySpec.model_validate(old, context=READ_BACK).validation.method == "kfold"


def test_schema_lists_every_section_and_accepts_the_four_forms() -> None:
    schema = StudySpec.model_json_schema()
    assert {"data", "validation", "model", "space", "objective", "search", "tracking"} <= schema["properties"].keys()
    assert "folder" not in schema["required"]
    assert len(schema["properties"]["space"]["additionalProperties"]["anyOf"]) == 4


@pytest.mark.parametrize("path", sorted(Path("studies").glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_file_that_comes_with_us_is_valid(path: Path) -> None:
    spec, _ = load_spec(path)
    assert spec.name == path.stem
    assert make_space(spec).size() != 0


OWN = GOOD.replace('family = "mlp"\nlayers = 3', 'build = "mine:build"')


def test_a_condition_on_a_name_that_is_nowhere_is_refused_for_build_functions_too() -> None:
    spec = parse_spec(OWN.replace("[space]", '[space]\noptimizer = ["sgd", "adam"]'))
    assert make_space(spec)["momentum"].when == {"optimizer": ("sgd",)}
    wrong = parse_spec(OWN.replace("[space]", '[space]\noptimiser = ["sgd", "adam"]'))
    with pytest.raises(
        SpecError, match=r"'when' names 'optimizer', which is not in the space \(did you mean 'optimiser'"
    ):
        make_space(wrong)


def test_a_condition_on_what_a_kerastuner_model_declares_stands() -> None:
    spec = parse_spec(OWN.replace("momentum", "units_1").replace("units = {", "batch_size = {"))
    discovered = {"optimizer": Choice(("sgd", "adam")), "units_1": Int(8, 64)}
    assert make_space(spec, discovered)["units_1"].when == {"optimizer": ("sgd",)}


def test_a_build_functions_own_hyperparameters_may_be_anything() -> None:
    spec = parse_spec(
        OWN.replace("[space]", '[space]\noptimizer = "mine"\ndropout = [1, "none"]').replace("sgd", "mine")
    )
    assert make_space(spec)["dropout"] == Choice((1, "none"))
