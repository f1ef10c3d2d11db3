"""``[objective] at_most`` and ``at_least`` in a study file."""

from dataclasses import replace

import pytest

from hpsearch.core.constraints import Constraint
from hpsearch.core.facts import DataFacts, Output, Task
from hpsearch.errors import SpecError
from hpsearch.ledger.codec import spec_from_json, spec_to_json
from hpsearch.search.feasibility import check_limited
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.testing.factories import make_record

FILE = """
name = "limited"
[data]
source = "sklearn:iris"
[model]
family = "mlp"
[objective]
metric = "val_accuracy"
{limits}
"""


def spec_of(limits: str) -> StudySpec:
    return parse_spec(FILE.format(limits=limits))


def test_limits_are_part_of_the_objective_and_come_back_from_the_ledger() -> None:
    spec = spec_of("at_most = { parameters = 20000, val_loss = 0.5 }\nat_least = { val_accuracy = 0.9 }")
    wanted = (
        Constraint("parameters", "at_most", 20000.0),
        Constraint("val_loss", "at_most", 0.5),
        Constraint("val_accuracy", "at_least", 0.9),
    )
    assert spec.make_objective().constraints.each == wanted
    assert spec_from_json(spec_to_json(spec)).make_objective() == spec.make_objective()


def test_a_limit_on_a_metric_is_on_its_curve() -> None:
    spec = spec_of('at_most = { "costs:bill" = 3 }\nat_least = { "sklearn:recall_macro" = 0.5, val_f1_macro = 0.4 }')
    assert spec.make_objective().constraints.curves == ("val_bill", "val_recall_macro", "val_f1_macro")
    assert spec.objective.addresses == ("val_accuracy", "costs:bill", "sklearn:recall_macro", "val_f1_macro")
    assert spec_from_json(spec_to_json(spec)).objective == spec.objective


def test_the_objectives_own_curve_may_be_named_without_its_address() -> None:
    text = FILE.replace('"val_accuracy"', '"sklearn:roc_auc"\ndirection = "maximize"')
    spec = parse_spec(text.format(limits="at_least = { val_roc_auc = 0.9 }"))
    assert spec.make_objective().constraints.curves == ("val_roc_auc",)


def test_empty_tables_limit_nothing() -> None:
    assert not spec_of("at_most = {}\nat_least = {}").make_objective().constraints


def test_a_null_search_keeps_limits_on_models_only() -> None:
    spec = spec_of("at_most = { parameters = 20000 }\nat_least = { val_accuracy = 0.9 }")
    null = spec.model_copy(update={"validation": spec.validation.model_copy(update={"null": 0})})
    assert null.make_objective().constraints.quantities == ("parameters",)


@pytest.mark.parametrize(
    ("limits", "key", "said"),
    [
        ("at_most = { parameters = nan }", "objective.at_most.parameters", "finite"),
        ("at_most = { val_loss = inf }", "objective.at_most.val_loss", "finite"),
        ("at_most = { parameters = 0 }", "objective.at_most.parameters", "must be more than 0, but got 0"),
        ('at_most = { parameters = "20k" }', "objective.at_most.parameters", "number"),
        ("at_least = { latency_ms = 2 }", "objective.at_least.latency_ms", "use at_most for latency_ms"),
        (
            "at_most = { val_loss = 0.5 }\nat_least = { val_loss = 0.6 }",
            "objective.at_least.val_loss",
            "at least 0.6 and, with at_most, at most 0.5",
        ),
        ('at_least = { "sklearn:" = 0.9 }', "objective.at_least.sklearn:", 'must look like "sklearn:roc_auc"'),
        (
            'at_least = { "sklearn:recall" = 0.5, val_recall = 0.6 }',
            "objective.at_least.sklearn:recall",
            "sklearn:recall and val_recall are both the curve val_recall: write one of them in all places",
        ),
        (
            'at_most = { "a:cost" = 0.5 }\nat_least = { "b:cost" = 0.1 }',
            "objective.at_least.b:cost",
            "b:cost and a:cost are both the curve val_cost",
        ),
        (
            'at_most = { "mine:accuracy" = 0.5 }',
            "objective.at_most.mine:accuracy",
            "mine:accuracy and val_accuracy are both the curve val_accuracy",
        ),
        (
            "at_most = { val_recall = 0.5 }\nat_least = { val_recall = 0.6 }",
            "objective.at_least.val_recall",
            "at least 0.6 and, with at_most, at most 0.5",
        ),
        ("at_mots = { parameters = 5 }", "objective.at_mots", "did you mean 'at_most'"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(limits: str, key: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(limits)
    assert key in str(caught.value)
    assert said in str(caught.value)


def targets(task: Task, *outputs: Output) -> DataFacts:
    return replace(make_record().facts.data, task=task, outputs=outputs)


def test_a_limit_on_what_no_trial_records_is_refused_with_what_it_records() -> None:
    recorded = ("loss", "accuracy", "val_loss", "val_accuracy")
    check_limited(spec_of("at_most = { val_loss = 1, model_mb = 1 }"), recorded, targets(Task.MULTICLASS))
    with pytest.raises(SpecError) as caught:
        check_limited(spec_of("at_least = { val_acuracy = 0.9 }"), recorded, targets(Task.MULTICLASS))
    assert caught.value.code == "study-file.no-such-quantity"
    assert str(caught.value).startswith("objective.at_least.val_acuracy: the model records no 'val_acuracy'")
    assert "did you mean 'val_accuracy'" in str(caught.value)
    assert "val_balanced_accuracy, " in str(caught.value)
    assert "sklearn:recall_macro" in str(caught.value)
    with pytest.raises(SpecError, match="did you mean 'latency_ms'"):
        check_limited(spec_of("at_most = { latency = 2 }"), recorded, targets(Task.NONE))
    several = targets(Task.SEVERAL, Output("kind", Task.BINARY, ("a", "b")), Output("price", Task.REGRESSION))
    check_limited(spec_of("at_most = { val_loss = 1 }"), recorded, several)
    with pytest.raises(SpecError, match="did you mean 'val_kind_recall'"):
        check_limited(spec_of("at_least = { val_kind_recal = 0.9 }"), recorded, several)
