"""What a study file may hold at most: a clear word in a moment, where a reader would recurse or compute for long."""

import time
from pathlib import Path

import pytest

from hpsearch.arguments import study_file
from hpsearch.core.space import Space
from hpsearch.errors import HpsearchError, SpecError
from hpsearch.search.preparation import smallest_config
from hpsearch.spec import load_spec, make_space, parse_spec
from hpsearch.spec.messages import SpecProblem
from tests.raising import raises

FAMILY = """
name = "bounds"
[data]
source = "sklearn:iris"
[model]
family = "mlp"
[objective]
metric = "val_loss"
direction = "minimize"
"""
OWN = FAMILY.replace('family = "mlp"', 'build = "somewhere:build"')


def refused(text: str) -> SpecError:
    begun = time.process_time()
    with pytest.raises(SpecError) as caught:
        make_space(parse_spec(text))
    assert time.process_time() - begun < 10  # it would be minutes or for ever
    assert len(str(caught.value)) < 25_000
    return caught.value


def problem(text: str) -> SpecProblem:
    problems = refused(text).values["problems"]
    assert isinstance(problems, tuple)
    assert len(problems) == 1, problems
    found: SpecProblem = problems[0]
    return found


def space_of(text: str) -> Space:
    begun = time.process_time()
    space = make_space(parse_spec(text))
    smallest_config(space)
    space.size()
    space.grid_size(6)
    assert time.process_time() - begun < 10
    return space


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"x = {'[' * 3_000}{']' * 3_000}", "nested more than 20 deep"),
        (f"x = {'{a = ' * 3_000}1{'}' * 3_000}", "nested more than 20 deep"),
        (f"x = {'[' * 900_000}", "nested more than 20 deep"),
        (f"{'.'.join(['a'] * 400_000)} = 1", "dotted key has more than 20 parts"),
        (f"[{'.'.join(['a'] * 3_000)}]", "dotted key has more than 20 parts"),
        (f"seed = {'9' * 5_000}", "a number has 5,000 digits"),
    ],
    ids=["lists", "tables", "unclosed lists", "key", "header", "number"],
)
def test_shapes_that_a_parser_stumbles_over_are_refused_with_their_line(line: str, words: str) -> None:
    error = refused(f"\n\n{line}")
    assert error.code == "study-file.out-of-bounds"
    assert error.values["line"] == 3
    assert words in error.what


def test_brackets_dots_and_digits_in_texts_and_comments_are_no_structure() -> None:
    text = f'# {"[" * 100} {"a." * 100}\nname = """{"[" * 100}"""\nx = \'{"{" * 50}\'\ny = "{"1" * 5000}{"a." * 99}"\n'
    error = refused(f"{text}\n[[deep]]\nz = {'[' * 30}")
    assert error.values["line"] == 7


@pytest.mark.parametrize("size", [1_000_001, 10_000_000])
def test_a_file_is_not_read_beyond_its_bound(tmp_path: Path, size: int) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f'name = "{"x" * size}"')
    with raises("study-file.too-large", origin=str(path)):
        load_spec(path)
    with raises("study-file.too-large"):
        parse_spec("#" * size)


def test_a_device_without_an_end_is_no_study_file() -> None:
    with raises("study-file.too-large"):
        load_spec("/dev/zero")


def test_a_path_that_no_file_can_have_is_unreadable() -> None:
    with raises("study-file.unreadable-file"):
        load_spec("a\0b.toml")
    with raises("study-file.unreadable-file"):
        load_spec("a" * 5_000)


@pytest.mark.parametrize(
    ("entry", "key", "code", "words"),
    [
        ("dropout = { low = 0, high = 1" + "0" * 400 + " }", "dropout.high", "out-of-range", "about 401 digits"),
        ("learning_rate = 1" + "0" * 400, "learning_rate", "out-of-range", "64 bits"),
        ("units = { low = 1, high = 9223372036854775808 }", "units.high", "out-of-range", "9223372036854775808"),
        ("units = { low = 1, high = 9007199254740993 }", "units", "bad-range", "±2^53"),
        ("units = [1, 99999999999999999999]", "units", "out-of-range", "64 bits"),
        ("dropout = { low = 0.0, high = 0.5, step = 'x' }", "dropout", "bad-range", "finite number, but got 'x'"),
        ("dropout = { low = 0.0, high = 0.5, step = 1e-12 }", "dropout", "bad-range", "1,000,000,000 values"),
        ("dropout = { low = 0.0, high = 0.5, step = 5e-324 }", "dropout", "bad-range", "1,000,000,000 values"),
        ("dropout = { low = 0.0, high = 0.5, step = inf }", "dropout", "bad-range", "step > 0"),
        ("learning_rate = { low = -1e308, high = 1e308 }", "learning_rate", "bad-range", "too wide"),
        ("learning_rate = { low = 1e-300, high = 1e300, log = true }", "learning_rate", "bad-range", "too wide"),
        ("dropout = nan", "dropout", "out-of-range", "nan"),
        ("units = [" + "1, " * 10_001 + "]", "units", "too-many", "10,001 values"),
        ("k" * 201 + " = 1", "", "bad-length", "200 characters"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_numbers_and_lists_beyond_the_bounds_are_one_line_each(entry: str, key: str, code: str, words: str) -> None:
    found = problem(f"{FAMILY}[space]\n{entry}")
    assert (found.key, found.code) == (f"space.{key}".rstrip("."), code)
    assert words in found.text


@pytest.mark.parametrize(
    ("line", "key"),
    [("grid_points = 10000000", "search.grid_points"), ("trials = 10000000000", "search.trials")],
)
def test_sizes_have_bounds(line: str, key: str) -> None:
    assert (problem(f"{FAMILY}[search]\n{line}").key, problem(f"{FAMILY}[search]\n{line}").code) == (
        key,
        "out-of-range",
    )


def test_a_range_costs_nothing_however_many_values_it_has() -> None:
    space = space_of(f"{FAMILY}[space]\ndropout = {{ low = 0.0, high = 0.5, step = 1e-8 }}")
    values = space["dropout"].values()
    assert values is not None
    assert (len(values), values[-1], values[12_345]) == (50_000_001, 0.5, 0.00012345)
    assert space["dropout"].contains(0.00012345)
    assert not space["dropout"].contains(0.000123455)


def test_conditions_on_a_range_of_billions_are_counted() -> None:
    text = f"{OWN}[space]\nx = {{ low = 1, high = 1000000000 }}\ny = {{ values = [1, 2], when = {{ x = [7, 8] }} }}"
    assert space_of(f"{text}\nbatch_size = 32\nepochs = 1").size() == 10**9 + 2


def test_a_thousand_conditions_in_a_chain_are_a_space() -> None:
    lines = "\n".join(f"p{i} = {{ values = [1, 2], when = {{ p{i - 1} = [1] }} }}" for i in range(1, 990))
    assert space_of(f"{OWN}[space]\nbatch_size = 32\nepochs = 1\np0 = [1, 2]\n{lines}").size() == 991
    found = problem(f"{OWN}[space]\n" + "\n".join(f"p{i} = {i}" for i in range(1_001)))
    assert (found.key, found.code) == ("space", "too-many")


def test_switches_that_are_far_from_what_they_switch_make_a_space_too_large_to_count() -> None:
    switches = "\n".join(f"s{i} = [true, false]" for i in range(40))
    others = "\n".join(f"d{i} = {{ values = [1, 2], when = {{ s{i} = [true] }} }}" for i in range(40))
    assert space_of(f"{OWN}[space]\n{switches}\n{others}").size() is None


def test_ten_thousand_choices_and_as_many_conditions_are_read_in_a_moment() -> None:
    numbers = ", ".join(map(str, range(10_000)))
    more = "\n".join(f"y{i} = {{ values = [1, 2], when = {{ x = [{numbers}] }} }}" for i in range(10))
    assert space_of(f"{OWN}[space]\nx = [{numbers}]\n{more}\nbatch_size = 1\nepochs = 1").size() == 10_000 * 2**10


def test_values_in_messages_are_cut() -> None:
    long = "y" * 100_000
    for text in (
        FAMILY.replace('"bounds"', f'"{long}"'),
        f"{FAMILY}[space]\noptimizer = '{long}'",
        f"{FAMILY}[space]\nunits = {{ low = 1, high = '{long}' }}",
        f"{FAMILY}[search]\nalgorithm = '{long}'",
        f"{FAMILY}[validation]\nfolds = [{'[1], ' * 5_000}]",
    ):
        for line in str(refused(text)).splitlines():
            assert len(line) < 1_000, line


def test_a_file_of_mistakes_lists_the_first_of_them() -> None:
    error = refused(f"{FAMILY}[space]\n" + "\n".join(f"wrong_{i} = {i}" for i in range(900)))
    assert len(error.what.splitlines()) <= 52


@pytest.mark.parametrize("line", ["bad = 1", "folds = 'x'", "index = { a = 1 }", "folds = 3"])
def test_mistakes_below_a_section_that_may_be_none_have_their_key(line: str) -> None:
    problems = refused(f"{FAMILY}[validation.outer]\n{line}").values["problems"]
    assert isinstance(problems, tuple)
    assert all(one.key.startswith("validation.outer") for one in problems)


def test_the_unexpected_is_an_error_of_the_study_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a check or a library raises on a file that nobody has thought of."""

    def fail(*arguments: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("hpsearch.spec.loading._space_problems", fail)
    with raises("study-file.unreadable-file") as caught:
        parse_spec(FAMILY)
    assert "RecursionError: too deep" in caught.value.what
    assert isinstance(caught.value, HpsearchError)


def test_what_a_program_gives_is_refused_before_it_is_listed() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    given: dict[str, tuple[dict[str, object], str]] = {
        "loop": ({"data": loop}, "wrong-type"),
        "number": ({"seed": 10**5_000}, "wrong-type"),
        "range": ({"space": {"units": range(1, 10**9)}}, "wrong-type"),
        "file": ({"space": {f"x{i}": list(range(9_000)) for i in range(30)}}, "too-large"),
    }
    for sections, code in given.values():
        with raises(f"study-file.{code}") as caught:
            study_file({"name": "given", **sections}, {}, {})
        assert len(str(caught.value)) < 1_000
