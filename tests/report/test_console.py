"""What is printed cannot steer the terminal."""

import io
import re
import sys
from dataclasses import replace

import pytest
from rich.table import Table
from rich.text import Text

from hpsearch.cli import main, predict, printing, show
from hpsearch.core.trial import Failure, FailureKind, TrialState
from hpsearch.errors import DataError
from hpsearch.ledger.record import StudyState
from hpsearch.live import LivePanel, PlainLines
from hpsearch.report.console import SafeConsole
from hpsearch.study import Study
from hpsearch.testing.factories import make_trial
from hpsearch.testing.searched import make_searched

EVIL = "a\x1b[31m\x1b]0;owned\x07\x9b2J\u202eb\u2066c\rd"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def without_rich(text: str) -> str:
    """Without the colours and the movements that Rich makes itself."""
    return re.sub(r"\x1b\[(\?25[hl]|[0-9;]*[mAK]|2K)|\r", "", text)


def test_tables_and_texts_are_safe_and_keep_richs_colours() -> None:
    stream = Terminal()
    console = SafeConsole(file=stream, force_terminal=True, width=100, color_system="standard")
    table = Table(EVIL)
    table.add_row(Text(EVIL, style="red"))
    console.print(table, Text(EVIL, style="bold"), EVIL)
    assert not CONTROLS.search(without_rich(stream.getvalue()))
    assert "\\u001b" in stream.getvalue()
    assert "\x1b[31m" in stream.getvalue(), "the red of the cell"


def evil_study():
    record = make_searched(8)
    trial = make_trial(len(record.trials), TrialState.FAILED, config={"optimizer": EVIL, EVIL: EVIL})
    failure = Failure(FailureKind.ERROR, EVIL, fold=0, epoch=1, traceback=EVIL)
    trials = (
        *(replace(one, config={**one.config, EVIL: EVIL}) for one in record.trials),
        replace(trial, failure=failure),
    )
    return replace(record, name=EVIL, trials=trials, notes=(EVIL,), state=StudyState.INTERRUPTED, study_file=EVIL)


def test_no_command_that_shows_a_study_lets_its_texts_through(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    monkeypatch.chdir(tmp_path)
    study = Study(evil_study(), "sqlite:///ledger.db")
    for as_json in (False, True):
        show.render_list([study.record], {EVIL: 2}, as_json=as_json)
        show.render_study(study, top=10, as_json=as_json, next_steps=True)
        show.render_trial(study, len(study.trials) - 1, as_json=as_json)
    printing.hand_over(study.record.study_file)
    assert not CONTROLS.search(f"{study!r} {study.trials[0]!r}")
    assert "owned" in stream.getvalue()
    assert not CONTROLS.search(without_rich(stream.getvalue()))


def test_the_live_view_is_safe() -> None:
    record = evil_study()
    stream = Terminal()
    console = SafeConsole(file=stream, force_terminal=True, width=100)
    for view in (PlainLines(console), LivePanel()):
        view.console = console
        view.open(replace(record, trials=()))
        view.trial_finished(record.trials[-1])
        view.note(EVIL)
        console.print(view) if isinstance(view, LivePanel) else view.close(record)
    assert stream.getvalue().count("owned") >= 4
    assert not CONTROLS.search(without_rich(stream.getvalue()))


def test_errors_and_tracebacks_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def fail(standalone_mode: bool) -> None:
        raise DataError(EVIL, code="x", hint=EVIL)

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit):
        main.main()
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert stream.getvalue().count("owned") == 3
    assert not CONTROLS.search(stream.getvalue())


def test_what_goes_into_a_file_stays_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    predict.render(pd.DataFrame({"prediction": ["a\u202eb"]}), out=None, as_json=False)
    assert capsys.readouterr().out == "prediction\na\u202eb\n"
