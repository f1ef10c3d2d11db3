"""Writes what a benchmark has measured into a page."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def put(page: Path, mark: str, lines: Sequence[str]) -> None:
    """Replace the text between ``<!-- mark -->`` and ``<!-- /mark -->``.

    Raises:
        ValueError: The page lacks these marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- /{mark} -->\n")
    if not end:
        raise ValueError(f"{page.name} has no <!-- {mark} --> … <!-- /{mark} -->")
    page.write_text(before + begin + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def put_as_measured(page: Path | None, mark: str, lines: Iterable[str]) -> None:
    """Print each line once it is measured, and :func:`put` all so far: a run that is stopped leaves what it has."""
    done: list[str] = []
    for line in lines:
        print(line, flush=True)
        done.append(line)
        if page:
            put(page, mark, [*done, "", "*Unfinished: the run that measures this table was stopped here.*"])
    if page:
        put(page, mark, done)
