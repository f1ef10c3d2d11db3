"""What a study file may say of the parts of families."""

import pytest

from hpsearch.core.space import Choice, Int
from hpsearch.spec import StudySpec, doubts, make_space, parse_spec
from tests.raising import raises

from .texts import GOOD, OWN

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
