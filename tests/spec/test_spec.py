import json
from datetime import date
from pathlib import Path

import pytest

from hpsearch.core.space import Choice, Constant, Float, Int
from hpsearch.spec import READ_BACK, StudySpec, doubts, load_spec, make_space, parse_parameter, parse_spec
from hpsearch.spec.messages import SpecProblem
from tests.raising import raises

from .texts import GOOD, OWN


def problems(text: str) -> tuple[SpecProblem, ...]:
    with raises("study-file.broken-rules", origin="s.toml") as caught:
        parse_spec(text, origin="s.toml")
    found = caught.value.values["problems"]
    assert isinstance(found, tuple)
    return found


def only(text: str) -> tuple[str, str, object]:
    """Key, code and value of the only problem."""
    (problem,) = problems(text)
    return problem.key, problem.code, problem.received


def test_defaults_are_the_documented_ones_and_overrides_win() -> None:
    space = make_space(parse_spec(GOOD))
    assert space["learning_rate"] == Float(0.01, 0.04)
    assert space["batch_size"] == Choice((16, 32, 64, 100, 128))
    assert space["optimizer"] == Choice(("sgd", "adam", "rmsprop"))
    assert space["dropout"] == Float(0.0, 0.5, step=0.05)
    assert space["units"] == Int(32, 512, log=True)
    assert space["layers"] == Constant(3)
    assert space["momentum"] == Float(0.0, 0.9, when={"optimizer": ("sgd",)})


def test_an_optimizer_with_a_learning_rate_of_its_own_needs_no_other() -> None:
    own = 'learning_rate_adam = { low = 0.001, high = 0.01, when = { optimizer = ["adam"] } }\n'
    some = make_space(parse_spec(GOOD.replace("[space]\n", f"[space]\n{own}")))
    assert some["learning_rate"] == Float(0.01, 0.04, when={"optimizer": ("sgd", "rmsprop")})
    one = make_space(
        parse_spec(GOOD.replace("[space]\n", f'[space]\noptimizer = ["adam"]\n{own}').replace("momentum", "# "))
    )
    assert "learning_rate" not in one
    kept = make_space(parse_spec(GOOD.replace("[space]\n", f"[space]\nlearning_rate = 0.02\n{own}")))
    assert kept["learning_rate"] == Constant(0.02)
    assert only(GOOD.replace("[space]\n", "[space]\nlearning_rate_adam = 0.0\n"))[:2] == (
        "space.learning_rate_adam",
        "illegal-value",
    )


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


def test_all_errors_come_at_once_one_line_each() -> None:
    text = (
        GOOD.replace('"mlp"', '"mpl"')
        .replace('"maximize"', '"max"')
        .replace("low = 32", "low = 3200")
        .replace("source =", "sorce =")
        + '[search]\nalgorithm = "gridsearch"\ntrials = 0\n[foo]\n'
    )
    with raises("study-file.broken-rules") as caught:
        parse_spec(text, origin="s.toml")
    first, *lines = str(caught.value).splitlines()
    assert first == "s.toml: 8 problems:"
    data = (
        "source, test_fraction, target, ignore, group, time, weight, text, duplicates, task, labels, unit, "
        "standardize_targets, missing_targets, max_rows, options"
    )
    sections = (
        "name, seed, data, validation, model, space, objective, training, search, pruning, resources, champion, "
        "tracking"
    )
    algorithms = "tpe, gp, cmaes, qmc, random, grid with tuner = 'optuna', or bayesian with tuner = 'hpsearch'"
    assert lines == [
        "  - data.source: is required",
        f"  - data.sorce: unknown key (did you mean 'source'?); legal: {data}",
        "  - model.family: must be one of mlp, cnn, but got 'mpl' (did you mean 'mlp'?)",
        "  - objective.direction: must be one of minimize, maximize, but got 'max'",
        f"  - search.algorithm: must be one of {algorithms}, but got 'gridsearch'; in hpsearch: algorithm = \"grid\"",
        "  - search.trials: must be greater than or equal to 1, but got 0",
        f"  - foo: unknown key; legal: {sections}",
        "  - space.units: low <= high must hold, but got low=3200, high=512",
    ]
    assert [(problem.key, problem.code) for problem in caught.value.values["problems"]] == [
        ("data.source", "missing"),
        ("data.sorce", "unknown-key"),
        ("model.family", "not-one-of"),
        ("objective.direction", "not-one-of"),
        ("search.algorithm", "not-one-of"),
        ("search.trials", "out-of-range"),
        ("foo", "unknown-key"),
        ("space.units", "bad-range"),
    ]


UNITS = "units = { low = 32, high = 512, log = true }"


@pytest.mark.parametrize(
    ("old", "new", "key", "code", "received"),
    [
        ("[space]", "[space]\nepochs = 0", "space.epochs", "illegal-value", 0),
        ("[space]", "[space]\nlearning_rate = -1", "space.learning_rate", "illegal-value", -1),
        (UNITS, "units = [8, 8.5]", "space.units", "illegal-value", 8.5),
        (UNITS, 'units = [8, "x"]', "space.units", "illegal-value", "x"),
        ("layers = 3", "layers = -1", "model.layers", "illegal-value", -1),
        ("[space]", "[space]\ndropout = [0.1, 1.5]", "space.dropout", "illegal-value", 1.5),
        ("[space]", "[space]\ndropout_2 = true", "space.dropout_2", "illegal-value", True),
        ("[space]", "[space]\nbeta_2 = 1.0", "space.beta_2", "illegal-value", 1.0),
        ("momentum = { low = 0.0", "momentum = { low = -0.5", "space.momentum", "illegal-value", -0.5),
        ("[space]", "[space]\nbatch_norm = [0, true]", "space.batch_norm", "illegal-value", 0),
        ("[space]", "[space]\nactivation = 3", "space.activation", "illegal-value", 3),
        ('["sgd"]', '["adma"]', "space.momentum", "impossible-condition", "adma"),
        ("optimizer = [", "optimzer = [", "space.momentum", "unknown-condition", "optimzer"),
        ("[space]", "[space]\ndropout = { low = 0.0 }", "space.dropout", "missing", {"low": 0.0}),
        ("[space]", "[space]\ndropout = { low = 0.0, hihg = 1.0 }", "space.dropout", "unknown-key", "hihg"),
        ("low = 32", 'low = "many"', "space.units", "bad-range", "many"),
        ("log = true", 'log = "yes"', "space.units", "wrong-type", "yes"),
        ("log = true", "step = 2000-01-01", "space.units", "bad-range", date(2000, 1, 1)),
        ('name = "good"', 'name = "a/b"', "name", "bad-name", "a/b"),
        ('name = "good"', 'name = "-v"', "name", "bad-name", "-v"),
        ('name = "good"', f'name = "{"🚀" * 61}"', "name", "bad-length", "🚀" * 61),
        ('name = "good"', 'name = ""', "name", "bad-length", ""),
        ('name = "good"', "name = 3", "name", "wrong-type", 3),
        ("[space]", "[validation]\nmethod = 'group'\nrepeats = 2\n[space]", "validation.repeats", "not-repeatable", 2),
        ("[space]", '[tracking]\nuri = "file:///x"\n[space]', "tracking.uri", "bad-address", None),
        ("[space]", "[resources]\nworkers = 0\n[space]", "resources.workers", "out-of-range", 0),
        ("[space]", "[pruning]\nconfidence = 1.0\n[space]", "pruning.confidence", "out-of-range", 1.0),
        ("[space]", "[validation.outer]\nfolds = 3\nindex = 3\n[space]", "validation.outer.index", "out-of-range", 3),
    ],
)
def test_each_rule_has_a_key_a_code_and_the_value(old: str, new: str, key: str, code: str, received: object) -> None:
    assert only(GOOD.replace(old, new)) == (key, code, received)


@pytest.mark.parametrize(
    ("old", "new", "key", "code", "closest"),
    [
        ("units =", "unit =", "space.unit", "unknown-hyperparameter", "units"),
        ("layers = 3", "layer = 3", "model.layer", "unknown-hyperparameter", "layers"),
        ("[space]", '[space]\noptimizer = ["sgd", "addam"]', "space.optimizer", "illegal-value", "adam"),
        ("[space]", "[space]\ndropout = { low = 0.0, hihg = 1.0 }", "space.dropout", "unknown-key", "high"),
        ("optimizer = [", "optimzer = [", "space.momentum", "unknown-condition", "optimizer"),
        ('"maximize"', '"maximise"', "objective.direction", "not-one-of", "maximize"),
        ("[space]", '[search]\nalgorithm = "cma-es"\n[space]', "search.algorithm", "not-one-of", "cmaes"),
        (
            "[space]",
            "[validation.outer]\nfold = 3\nindex = 1\n[space]",
            "validation.outer.fold",
            "unknown-key",
            "folds",
        ),
    ],
)
def test_the_closest_legal_name_is_offered(old: str, new: str, key: str, code: str, closest: str) -> None:
    problem = next(one for one in problems(GOOD.replace(old, new)) if one.key == key)
    assert (problem.code, problem.closest) == (code, closest)
    assert f"(did you mean {closest!r}?)" in str(problem)


def test_rules_about_two_keys_at_once(monkeypatch) -> None:
    def found(old: str, new: str) -> tuple[str, str]:
        return only(GOOD.replace(old, new))[:2]

    assert found('family = "mlp"', 'family = "mlp"\nbuild = "a:b"') == ("model", "conflicting-keys")
    shared = '[tracking]\nledger = "sqlite:///mlruns/mlflow.db"\n[space]'
    assert found("[space]", shared) == ("tracking.ledger", "shared-database")
    racing = '[validation]\nmethod = "holdout"\n[pruning]\nmethod = "racing"\n[space]'
    assert found("[space]", racing) == ("pruning", "one-fold")
    late = '[data]\nduplicates = "group"\n'
    assert found("[data]\n", f'{late}time = "t"\n') == ("data.duplicates", "conflicting-keys")
    series = (f"{late}", '[validation]\nmethod = "time-series"\n[space]')
    assert only(GOOD.replace("[data]\n", series[0]).replace("[space]", series[1]))[:2] == (
        "validation",
        "conflicting-keys",
    )


def test_an_address_with_an_unknown_variable_or_a_password(monkeypatch) -> None:
    unset = GOOD + '[tracking]\nuri = "http://${HPSEARCH_NOT_SET}:5000"\n'
    assert only(unset) == ("tracking.uri", "unset-variable", "HPSEARCH_NOT_SET")
    (wrong,) = problems(GOOD + '[tracking]\nledger = "oracle://me:hush@db/ledger"\n')
    assert (wrong.key, wrong.code) == ("tracking.ledger", "bad-address")
    assert "hush" not in str(wrong)


def test_text_that_is_not_toml() -> None:
    with raises("study-file.bad-toml", origin="s.toml"):
        parse_spec(GOOD.replace("[data]", "[data"), origin="s.toml")


def test_secrets_are_filled_in_for_use_but_never_kept(monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_PASSWORD", "hush")
    spec = parse_spec(GOOD + '[tracking]\nuri = "postgresql://me:${MLFLOW_PASSWORD}@db/mlflow"\n')
    assert spec.tracking.resolved().uri == "postgresql://me:hush@db/mlflow"
    assert "hush" not in json.dumps(spec.model_dump(mode="json"))


def test_missing_file_offers_a_similar_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.toml").write_text(GOOD)
    with raises("study-file.unreadable-file", path="digit.toml", closest="digits.toml") as caught:
        load_spec("digit.toml")
    assert caught.value.hint == "did you mean digits.toml?"


def test_an_unset_variable_is_an_error_when_the_address_is_used(monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_PASSWORD", "hush")
    spec = parse_spec(GOOD + '[tracking]\nuri = "postgresql://me:${MLFLOW_PASSWORD}@db/mlflow"\n')
    monkeypatch.delenv("MLFLOW_PASSWORD")
    with raises("study-file.unset-variable", key="tracking.uri", variable="MLFLOW_PASSWORD"):
        spec.tracking.resolved()


def with_roles(data: str, validation: str = "") -> str:
    text = GOOD.replace('source = "sklearn:digits"', f'source = "rows.csv"\ntarget = "y"\n{data}')
    return f"{text}[validation]\n{validation}\n"


@pytest.mark.parametrize(
    ("data", "validation", "key", "code", "received"),
    [
        ('group = "g"', 'method = "kfold"', "validation", "leaking-folds", "kfold"),
        ('group = "g"', 'method = "stratified"', "validation", "leaking-folds", "stratified"),
        ('group = "g"', 'method = "time-series"', "validation", "leaking-folds", "time-series"),
        ('time = "t"', 'method = "kfold"', "validation", "leaking-folds", "kfold"),
        ('time = "t"', 'method = "group"', "validation", "leaking-folds", "group"),
        ('group = "g"', "repeats = 2", "validation.repeats", "not-repeatable", 2),
        ('group = "g"\ntime = "t"', "", "data.time", "conflicting-keys", "t"),
    ],
)
def test_folds_that_would_leak_are_refused(data: str, validation: str, key: str, code: str, received: object) -> None:
    assert only(with_roles(data, validation)) == (key, code, received)


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


def test_a_condition_on_a_name_that_is_nowhere_is_refused_for_build_functions_too() -> None:
    spec = parse_spec(OWN.replace("[space]", '[space]\noptimizer = ["sgd", "adam"]'))
    assert make_space(spec)["momentum"].when == {"optimizer": ("sgd",)}
    wrong = parse_spec(OWN.replace("[space]", '[space]\noptimiser = ["sgd", "adam"]'))
    with raises("study-file.broken-rules", origin="search space") as caught:
        make_space(wrong)
    (problem,) = caught.value.values["problems"]
    assert (problem.key, problem.code) == ("space.momentum", "unknown-condition")
    assert (problem.received, problem.closest) == ("optimizer", "optimiser")


def test_a_condition_on_what_a_kerastuner_model_declares_stands() -> None:
    spec = parse_spec(OWN.replace("momentum", "units_1").replace("units = {", "batch_size = {"))
    discovered = {"optimizer": Choice(("sgd", "adam")), "units_1": Int(8, 64)}
    assert make_space(spec, discovered)["units_1"].when == {"optimizer": ("sgd",)}


def test_a_build_functions_own_hyperparameters_may_be_anything() -> None:
    spec = parse_spec(
        OWN.replace("[space]", '[space]\noptimizer = "mine"\ndropout = [1, "none"]').replace("sgd", "mine")
    )
    assert make_space(spec)["dropout"] == Choice((1, "none"))


@pytest.mark.parametrize(
    ("new", "key", "code", "named"),
    [
        ("[search]\nmax_trials = 3", "search.max_trials", "other-word", "[search] trials"),
        ("[search]\nseed = 3", "search.seed", "other-word", "at the top of the file"),
        ("[search]\nbogus = 3", "search.bogus", "unknown-key", "max_failures, try"),
        ('[search]\nalgorithm = "bayes"', "search.algorithm", "not-one-of", "(did you mean 'bayesian'?)"),
        ('[search]\ntuner = "hpsearch"\nalgorithm = "tpe"', "search.algorithm", "not-one-of", "with tuner = 'optuna'"),
        ("[search.try]\nunits = 64", "search.try", "wrong-type", "write [[search.try]]"),
        ("[[search.try]]\nunits = [64]", "search.try.0.units", "wrong-type", "must be one value, but got [64]"),
        ("[space]\nclipnorm = { low = 1, high = 2, default = 1 }", "space.clipnorm", "other-word", "[[search.try]]"),
        ("[search]\nexecutions_per_trial = 3", "search.executions_per_trial", "other-word", "repeats"),
        ("[search]\nalpha = 1e-4", "search.alpha", "other-word", "fits its noise to the data"),
        ("[pruning]\nalpha = 1", "pruning.alpha", "unknown-key", "legal: method"),
        ("[search]\ntuner_id = 'a'", "search.tuner_id", "other-word", "workers need no name"),
        ("[validation]\nsteps_per_epoch = 5", "validation.steps_per_epoch", "other-word", "meets all training rows"),
        ('[search]\ntuner = "hyperband"', "search.tuner", "not-one-of", "hyperband"),
        ("[validation]\nvalidation_split = 0.2", "validation.validation_split", "other-word", "holdout"),
        ("[space]\nclipnorm = { min_value = 1, max_value = 2 }", "space.clipnorm", "other-word", "low"),
        ('[space]\nclipnorm = { low = 1, high = 2, sampling = "log" }', "space.clipnorm", "other-word", "log = true"),
        ("[space]\nbatch_norm = [true, 1]", "space.batch_norm", "equal-values", "equal in Python"),
    ],
)
def test_the_words_of_other_tools_are_answered(new: str, key: str, code: str, named: str) -> None:
    text = GOOD.replace("[space]", new if new.startswith("[space]") else f"{new}\n[space]")
    problem = next(one for one in problems(text) if one.key == key)
    assert problem.code == code
    assert named in problem.text


def test_whole_numbers_stand_for_real_ones_where_the_argument_is_real() -> None:
    text = GOOD.replace("[space]", "[space]\nweight_decay = { low = 0, high = 1 }\nclipnorm = [1, 2]")
    space = make_space(parse_spec(text))
    assert space["weight_decay"] == Float(0.0, 1.0)
    assert [type(value) for value in space["clipnorm"].values()] == [float, float]
    own = parse_spec(OWN.replace("[space]", "[space]\nrate = { low = 0, high = 1 }\noptimizer = ['sgd']"))
    assert doubts(own, make_space(own)) == [
        "space.rate: the whole numbers 0 and 1 only; write 0.0 and 1.0 for real numbers"
    ]


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        *(("loss", "minimize"), ("val_loss", "minimize"), ("val_accuracy", "maximize"), ("val_auc", "maximize")),
        *(("val_log_loss", "minimize"), ("val_r2", "maximize"), ("val_rmse", "minimize")),
    ],
)
def test_a_known_metric_has_its_direction(metric: str, direction: str) -> None:
    without = GOOD.replace('"val_accuracy"\ndirection = "maximize"', f'"{metric}"')
    assert parse_spec(without, origin="s.toml").objective.direction == direction


@pytest.mark.parametrize(
    ("old", "new", "key", "text"),
    [
        ('"val_accuracy"\ndirection = "maximize"', '"val_mine"', "objective.direction", "is required, one of minimize"),
        ('metric = "val_accuracy"', "", "objective.metric", "is required"),
        ("[space]", "[search]\nfrom = 3\n[space]", "search.from", "must be the name of a study, a text in quotes, but"),
        ("[space]", "[search]\nfrom = ['a']\n[space]", "search.from", "must be the name of a study, a text in quotes"),
        ("[space]", "[search]\ntrials = '3'\n[space]", "search.trials", "must be a whole number, but got '3'"),
        ("[space]", "[search]\nbatch = 2.5\n[space]", "search.batch", "must be a whole number, but got 2.5"),
        ("[space]", "[search]\nmax_hours = 'x'\n[space]", "search.max_hours", "must be a number, but got 'x'"),
        ("[space]", "[resources]\nengine = 3\n[space]", "resources.engine", "must be a text in quotes, but got 3"),
        ('name = "good"', "name = 7", "name", "must be a text in quotes, but got 7"),
        ("[space]", "[search]\nfrom = 'good'\n[space]", "search.from", "'good' is this study itself; name another one"),
    ],
)
def test_messages_name_what_is_wanted_in_the_words_of_toml(old: str, new: str, key: str, text: str) -> None:
    assert old in GOOD
    [problem] = problems(GOOD.replace(old, new))
    assert problem.key == key
    assert problem.text.startswith(text)
