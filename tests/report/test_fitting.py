"""Leaderboards at any width."""

import io

import pytest
from rich.console import Console

from hpsearch.analysis import leaderboard_info
from hpsearch.report import terminal
from hpsearch.report.fitting import Column, FittedTable
from hpsearch.testing.factories import make_record, make_trials


def shown(table: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_cell_of_a_leaderboard_is_folded_or_cut(width: int) -> None:
    record = make_record(make_trials(12))
    info = leaderboard_info(record)
    lines = shown(terminal.leaderboard(info, top=10, more="hpsearch show digits TRIAL"), width)
    assert max(map(len, lines)) <= width
    heads = next(i for i, line in enumerate(lines) if line.startswith("best"))
    scores = [f"{row.score:.4f}" for row in info.rows[:10]]
    rows = lines[heads : heads + len(scores)]
    assert [score in row for score, row in zip(scores, rows, strict=True)] == [True] * len(scores)
    assert not any("…" in row for row in rows)


def test_a_wide_terminal_shows_everything_and_a_narrow_one_says_what_it_leaves_out() -> None:
    info = leaderboard_info(make_record(make_trials(12)))
    table = terminal.leaderboard(info, more="hpsearch show digits TRIAL")
    wide, narrow = shown(table, 200), " ".join(shown(table, 48))
    assert all(name in wide[0] for name in (*info.columns, "epoch", "parameters", "time"))
    assert "column" not in " ".join(wide)
    assert "parameters, time): `hpsearch show digits TRIAL`" in narrow


def test_columns_go_by_their_place_and_headings_are_set_on_lines_first() -> None:
    def table(width: int) -> list[str]:
        columns = (
            Column("trial", ("1", "2"), right=True),
            Column("learning_rate", ("0.01", "0.02"), place=1),
            Column("units", ("64", "32"), place=1),
            Column("time", ("10 s", "20 s"), place=2),
        )
        return shown(FittedTable(columns, ("", ""), lambda absent: f"without {absent}" if absent else ""), width)

    assert table(40)[0].split() == ["trial", "learning_rate", "units", "time"]
    assert [line.split() for line in table(30)[:2]] == [["learning_"], ["trial", "rate", "units", "time"]]
    assert table(27)[-1] == "without ['time']"
    assert " ".join(table(20)[-2:]) == "without ['units', 'time']"
    assert table(6)[0].strip() == "trial"


def test_values_that_all_rows_share_are_said_below_when_their_columns_do_not_fit() -> None:
    info = leaderboard_info(make_record(make_trials(12)))
    first = info.columns[0]
    table = terminal.leaderboard(info, top=1)  # one row: all values are shared
    assert f"all with {first} " in " ".join(shown(table, 40))
    assert "all with" not in " ".join(shown(table, 200))
