"""Phrases of messages: one spelling for all of them."""

import re
from pathlib import Path

import pytest

import hpsearch
from hpsearch.analysis import words as shown
from hpsearch.core import words

SOURCES = sorted(path for path in Path(hpsearch.__file__).parent.rglob("*") if path.suffix in (".py", ".html"))


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.05, None, "5 %"), (1, None, "100 %"), (0, None, "0 %"), (0.0001234, 3, "0.0123 %"), (0.1239, 3, "12.4 %")],
)
def test_percent(share: float, digits: int | None, text: str) -> None:
    assert words.percent(share, digits) == text
    assert shown.percent(None) == "–"


def test_no_text_writes_percent_in_another_way() -> None:
    """``5%``, or a share formatted with ``:.0%``."""
    assert len(SOURCES) > 200
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\d%(?![\w({])|:\.?\d*%[}\"]|tickformat=\"\.?\d*%\"|\bpercent\s+(of|range|interval)\b", line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("given_1a2b_33:data", "data in memory"),
        ("given_1a2b_33:build", "build function in memory"),
        ("given_things:data", "given_things:data"),
        ("mine:build", "mine:build"),
        ("sklearn:digits", "sklearn:digits"),
    ],
)
def test_a_reader_is_not_shown_the_name_of_what_was_in_memory(address: str, told: str) -> None:
    assert words.readable_address(address) == told


def test_the_first_line_of_an_error_is_safe_for_a_terminal() -> None:
    error = ValueError("\n \x1b[31mred\x1b[0m \x1b]0;owned\x07 \u202e\nmore")
    assert words.first_line(error) == "red \\u001b]0;owned\\u0007 \\u202e"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "'plain'"),
        ({"low": 1, "high": None}, "{'low': 1, 'high': None}"),
        ("x" * 100_000, f"'{'x' * 79}…'"),
        (10**4_999, "a whole number of about 5000 digits"),
        ([1.5] * 10**6, f"[{'1.5, ' * 15}1.5"),
    ],
    ids=["text", "table", "long text", "long number", "long list"],
)
def test_values_are_quoted_in_full_if_they_are_short(value: object, text: str) -> None:
    found = words.quoted(value)
    assert found.startswith(text)
    assert len(found) <= 83


def test_a_value_of_any_depth_can_be_quoted() -> None:
    deep: object = "x"
    for _ in range(50_000):
        deep = [deep]
    assert words.quoted(deep) == "[[[[[…]]]]]"
    many = [str(number) for number in range(10**5)]
    assert len(words.listed(["y" * 1_000, *many])) < 10_000
    assert words.closest("z" * 10**6, many) is None
