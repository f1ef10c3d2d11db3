"""Errors name what their reader has written: arguments of a call, not keys of a file or options of a command."""

import pickle

import pytest

from hpsearch.errors import DataError, HpsearchError, SpecError
from hpsearch.spoken import speaking_python


def said(what: str, hint: str = "", *, source: object = len, y: object = 0) -> str:
    with pytest.raises(HpsearchError) as caught, speaking_python(source, y):
        raise DataError(what, hint=hint)
    assert (caught.value.what, caught.value.hint) == (what, hint)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("given_a1_b2:data has no rows", "(x, y) has no rows"),
        ("given_a1_b2:build raised ValueError", "len raised ValueError"),
        ("lower [validation] folds to 3", "lower folds to 3"),
        ('or use [validation] method = "kfold"', 'or use validation={"method": "kfold"}'),
        ('check [data] target, or task = "binary"', 'check data={"target": …}, or data={"task": "binary"}'),
        ("use [data] options = { sep = ';' }", 'use data={"options": {"sep": ";"}}'),
        ("drop [data] ignore = ['id']", 'drop data={"ignore": ["id"]}'),
        ("a larger [search] max_hours, or [search] trials", 'a larger search={"max_hours": …}, or trials'),
        ("[space] learning_rate to lower values", 'space={"learning_rate": …} to lower values'),
        ("see [champion]", "see champion"),
        ("change the study file, or resume with more --trials", "change the call, or resume with more trials"),
        ("--trials 3 is fewer than the 5 trials", "trials=3 is fewer than the 5 trials"),
        ("name it: --ledger sqlite:///a.db", 'name it: ledger="sqlite:///a.db"'),
        ("objective.direction: is required", "direction: is required"),
        ("`hpsearch resume 'my study' --trials 5` ends it", "`hpsearch.resume(\"my study\", trials=5)` ends it"),
        ("`hpsearch show a --ledger sqlite:///b.db` says", "`hpsearch.load(\"a\", ledger=\"sqlite:///b.db\")` says"),
        ("`hpsearch list` shows what is there", "`hpsearch list` shows what is there"),
        ("class 'a = 3' has [1, 2] rows", "class 'a = 3' has [1, 2] rows"),
    ],
)  # fmt: skip
def test_what_stands_in_files_and_commands_is_said_as_arguments(written: str, spoken: str) -> None:
    assert said(written) == spoken
    assert said("it failed", written) == f"it failed\n  hint: {spoken}"


def test_a_caller_with_a_file_reads_of_its_keys() -> None:
    written = 'lower [validation] folds in the study file, or task = "regression"'
    assert said(written, source="study.toml") == written
    assert said("`hpsearch resume a`", source="study.toml") == '`hpsearch.resume("a")`'
    assert said("given_a_b:data", source=None) == "(x, y)"
    assert said("given_a_b:data", y=None) == "x"


def test_the_command_line_s_words_are_kept() -> None:
    error = SpecError("lower [validation] folds", hint="--trials 3")
    with pytest.raises(SpecError), speaking_python(len):
        raise error
    assert error.written == "lower [validation] folds\n  hint: --trials 3"
    assert str(pickle.loads(pickle.dumps(error))) == error.written
