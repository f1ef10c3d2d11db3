import json
from datetime import date
from pathlib import Path

import pytest

from hpsearch.core.callbacks import EarlyStopping
from hpsearch.core.space import Choice, Constant, Float, Int
from hpsearch.spec import READ_BACK, StudySpec, doubts, load_spec, make_space, parse_parameter, parse_spec
from hpsearch.spec.messages import SpecProblem
from tests.raising import raises

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
        "missing_targets, max_rows, options"
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


OWN = GOOD.replace('family = "mlp"\nlayers = 3', 'build = "mine:build"')


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


CALLBACKS = GOOD + "[[training.callbacks]]\n"


def test_callbacks_have_keras_own_arguments_and_may_take_hyperparameters() -> None:
    spec = parse_spec(
        (CALLBACKS + 'kind = "EarlyStopping"\npatience = "space.patience"\nmin_delta = 0.01\n').replace(
            "[space]", "[space]\npatience = { low = 2, high = 5 }"
        )
    )
    assert make_space(spec)["patience"] == Int(2, 5)
    assert spec.training.stock({"patience": 3}) == (EarlyStopping(patience=3, min_delta=0.01),)
    assert spec.training.hyperparameters == {"patience"}


@pytest.mark.parametrize(
    ("table", "space", "line"),
    [
        ('kind = "EarlyStoping"', "",
         "training.callbacks.0.kind: unknown callback 'EarlyStoping' (did you mean 'EarlyStopping'?); here it may be "
         "EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, TerminateOnNaN, and callbacks(config) in the build "
         "module may return any"),
        ('kind = "BackupAndRestore"', "",
         "training.callbacks.0.kind: BackupAndRestore has no use here: `hpsearch resume` repeats no finished fold"),
        ('kind = "EarlyStopping"\npatiense = 3', "",
         "training.callbacks.0.patiense: unknown argument of EarlyStopping (did you mean 'patience'?); it has monitor, "
         "min_delta, patience, mode, baseline, restore_best_weights, start_from_epoch, scope"),
        ('kind = "ReduceLROnPlateau"\npatience = -1', "",
         "training.callbacks.0.patience: must be a whole number of at least 0, but got -1"),
        ('kind = "ReduceLROnPlateau"\nfactor = 2.0', "",
         "training.callbacks.0.factor: must be a number of at least 0 and less than 1, but got 2.0"),
        ('kind = "EarlyStopping"\nmode = "mx"', "",
         "training.callbacks.0.mode: must be one of auto, min, max, but got 'mx' (did you mean 'max'?)"),
        ('kind = "LearningRateScheduler"', "",
         'training.callbacks.0.schedule: is required, such as "my_module:function" of (epoch, lr)'),
        ("patience = 3", "",
         "training.callbacks.0.kind: is required, one of EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, "
         "TerminateOnNaN"),
        ('kind = "EarlyStopping"\npatience = "space.wait"', "",
         "training.callbacks.0.patience: names the hyperparameter 'wait', which is not in the space"),
        ('kind = "EarlyStopping"\npatience = "space.wait"', "wait = [-1, 3]",
         "space.wait: must be a whole number of at least 0 for training.callbacks.0.patience, but got -1"),
        ('kind = "EarlyStopping"\nscope = "mean"\n[pruning]\nfolds = "forgiving"', "",
         "pruning: folds = 'forgiving' trains the folds one by one, but EarlyStopping of scope = 'mean' follows all of "
         "them together; remove one of the two"),
    ],
)  # fmt: skip
def test_mistakes_in_callbacks(table: str, space: str, line: str) -> None:
    with raises("study-file.broken-rules") as caught:
        parse_spec((CALLBACKS + table + "\n").replace("[space]", f"[space]\n{space}"))
    assert str(caught.value).splitlines()[1:] == [f"  - {line}"]


CNN = GOOD.replace('"mlp"', '"cnn"').replace("layers = 3", "blocks = 2").replace("units = {", "dense_units = {")


@pytest.mark.parametrize(
    ("text", "line", "key", "code", "said"),
    [
        (GOOD, 'schedule = "cosin"', "space.schedule", "illegal-value", "(did you mean 'cosine'?)"),
        (GOOD, "warmup = 1.5", "space.warmup", "illegal-value", "of at least 0 and less than 1"),
        (GOOD, "rotation = 0.1", "space.rotation", "unknown-hyperparameter", "'mlp'; family 'cnn' has it; it has "),
        (GOOD, "label_smothing = 0.1", "space.label_smothing", "unknown-hyperparameter", "'label_smoothing'?"),
        (CNN, 'flip = "horizontally"', "space.flip", "illegal-value", "(did you mean 'horizontal'?)"),
        (CNN, 'residual = "yes"', "space.residual", "illegal-value", "must be true or false"),
        (
            GOOD,
            'schedule = ["constant", "linear"]\nwarmup = 0.1',
            "space.warmup",
            "no-warmup",
            "Keras has no warm-up for schedule = 'linear'; write when = {",
        ),
        (
            GOOD,
            'schedule = "exponential"\ndecay_to = { low = 0.0, high = 0.1 }',
            "space.decay_to",
            "decays-to-nothing",
            "never reaches 0",
        ),
        (
            CNN,
            'residual = true\npadding = ["same", "valid"]',
            "space.residual",
            "residual-needs-same",
            'when = { padding = ["same"] }',
        ),
        (GOOD, "clipnorm = 1.0\nclipvalue = 0.5", "space.clipvalue", "conflicting-keys", "one way at a time"),
    ],
)
def test_what_a_family_cannot_have(text: str, line: str, key: str, code: str, said: str) -> None:
    with raises("study-file.broken-rules") as caught:
        make_space(parse_spec(text.replace("[space]\n", f"[space]\n{line}\n")))
    (problem,) = caught.value.values["problems"]
    assert (problem.key, problem.code) == (key, code)
    assert said in problem.text


@pytest.mark.parametrize(
    "lines",
    [
        'schedule = ["cosine", "linear"]\nwarmup = { low = 0.0, high = 0.2, when = { schedule = ["cosine"] } }',
        'schedule = ["constant", "linear"]\nwarmup = 0',
        'residual = { values = [true, false], when = { padding = ["same"] } }\npadding = ["same", "valid"]',
        "clipnorm = 1.0\nclipvalue = 0",
        'schedule = ["linear", "exponential"]\ndecay_to = [0.01, 0.1]',
    ],
)
def test_what_a_family_can_have(lines: str) -> None:
    make_space(parse_spec(CNN.replace("[space]\n", f"[space]\n{lines}\n")))


def test_doubts_about_what_curves_cannot_show() -> None:
    def found(lines: str, metric: str = "val_accuracy") -> list[str]:
        spec = parse_spec(GOOD.replace("[space]\n", f"[space]\n{lines}\n").replace('"val_accuracy"', f'"{metric}"'))
        return doubts(spec, make_space(spec))

    (text,) = found("label_smoothing = [0.0, 0.1]\nl2 = { low = 0.0, high = 0.1 }", "val_loss")
    assert "val_loss contains label_smoothing, l2, so trials with less of it look better" in text
    assert found("l2 = 0.001", "val_loss") == []


def test_the_schema_offers_documented_hyperparameters() -> None:
    schema = StudySpec.model_json_schema()["properties"]["space"]["properties"]
    assert {"schedule", "rotation", "ema_momentum", "units"} <= schema.keys()
    assert all(one["description"] and one["$ref"].endswith("additionalProperties") for one in schema.values())


def test_names_of_build_functions_stay_their_own() -> None:
    """What 0.1 took for whole numbers stays so: ``warmup`` or ``beta`` of a build function may count anything."""
    lines = "warmup = { low = 1, high = 5 }\nbeta = { low = 1, high = 5 }\nl2 = [1, 2]\nrotation = 2\n"
    space = make_space(parse_spec(OWN.replace("[space]\n", f'[space]\noptimizer = ["sgd"]\n{lines}')))
    assert (space["warmup"], space["beta"], space["l2"]) == (Int(1, 5), Int(1, 5), Choice((1, 2)))
