"""Text of unknown origin in a terminal and in Markdown."""

import json

import pytest

from hpsearch.core.safe_text import as_code, code_block, for_markdown, for_terminal

CONTROLS = [
    "\x1b", "\x9b", "\x00", "\x07", "\x08", "\x0b", "\x0c", "\r", "\x7f", "\x85", "\x90", "\u061c", "\u200b", "\u200e",
    "\u200f", "\u2028", "\u2029", "\u202a", "\u202d", "\u202e", "\u2060", "\u2066", "\u2069", "\ufeff", "\ud800",
    "\U000e0041",
]  # fmt: skip


@pytest.mark.parametrize("control", CONTROLS)
def test_no_control_character_reaches_a_terminal(control: str) -> None:
    shown = for_terminal(f"a{control}[31mb")
    assert control not in shown
    assert shown.startswith("a\\u")
    assert shown.endswith("[31mb")
    assert control not in for_markdown(f"a{control}b") + as_code(f"a{control}b") + code_block(f"a{control}b")


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\tand a tab", "Überprüfung – 学習 ✓", "نمی\u200cخواهم", "👩\u200d🔬"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert for_terminal(text) == text


def test_json_stays_the_same_json() -> None:
    value = {"label": "".join(CONTROLS) + "\n"}
    shown = for_terminal(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert shown.isprintable()


def test_markdown_has_no_html_link_table_or_list_of_others() -> None:
    shown = "a\\|b \\*c\\* \\[d\\](e) \\`f\\` &amp; &lt;g&gt; &#36;h&#36;"
    assert for_markdown("a|b *c* [d](e)\n`f` & <g> $h$") == shown
    assert [for_markdown(one) for one in ("- a", "1. a", "=== a", "+ a", "-0.5", "1.5", "a - b")] == [
        "&#45; a", "&#49;. a", "&#61;&#61;&#61; a", "&#43; a", "-0.5", "1.5", "a - b",
    ]  # fmt: skip


def test_code_ends_where_it_ends() -> None:
    assert as_code("a `b` ``c``\n<d>") == "```a `b` ``c`` <d>```"
    assert as_code("`a`") == "`` `a` ``"
    assert code_block("```\n<script>\n````", "toml").splitlines()[0] == "`````toml"
