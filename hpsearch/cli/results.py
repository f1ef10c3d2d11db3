"""Commands that show what studies have found, and hand it on."""

import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.app import JsonOption, LedgerOption, StudyArgument, TrustOption, app
from hpsearch.cli.completion import study_names
from hpsearch.cli.printing import complain, hand_over, say
from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.errors import LedgerError, SpecError


class ReportFormat(StrEnum):
    """Formats of a report."""

    HTML = "html"
    MD = "md"
    PDF = "pdf"
    JSON = "json"


@app.command("list")
def list_studies(ledger: LedgerOption = DEFAULT_LEDGER, as_json: JsonOption = False) -> None:
    """List all studies with their state, trials and best score."""
    from hpsearch.cli.show import render_list
    from hpsearch.ledger import workspace
    from hpsearch.ledger.store import Ledger

    book = Ledger(ledger)
    records = []
    for name in book.names():
        try:
            records.append(workspace.read(book, name))
        except LedgerError as error:
            complain(f"left out: {error}")
    drivers = {record.name: workspace.drivers_of(ledger, record) for record in records}
    render_list(records, drivers, as_json=as_json)


@app.command()
def show(
    name: StudyArgument,
    trial: Annotated[int | None, typer.Argument(help="Number of a trial, to show its curves and folds.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of leaderboard rows.")] = 10,
    file: Annotated[bool, typer.Option("--file", help="Print the study file, and nothing else.")] = False,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Show score against size and training time: the trials none beats.")
    ] = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Show a study's leaderboard, verdict and importances, or a single trial."""
    from hpsearch.cli.show import render_pareto, render_study, render_trial
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    if file:
        hand_over(study.record.study_file)
    elif pareto:
        if trial is not None:
            raise SpecError(
                f"--pareto compares all trials, but trial {trial} was asked for",
                code="conflicting-options",
                hint="leave out one of the two",
                trial=trial,
            )
        render_pareto(study, as_json=as_json)
    elif trial is None:
        render_study(study, top=top, as_json=as_json)
    else:
        render_trial(study, trial, as_json=as_json)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A study, or a trial as STUDY:NUMBER.", autocompletion=study_names)],
    b: Annotated[str, typer.Argument(help="Another study or trial.", autocompletion=study_names)],
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Compare the best trials of two studies, or two trials, with a paired test over folds."""
    from hpsearch.cli.show import render_comparison, split_address
    from hpsearch.study import load

    (study_a, trial_a), (study_b, trial_b) = split_address(a), split_address(b)
    first, second = load(study_a, ledger=ledger), load(study_b, ledger=ledger)
    render_comparison(first, second, trial_a=trial_a, trial_b=trial_b, as_json=as_json)


@app.command()
def report(
    name: StudyArgument,
    format: Annotated[ReportFormat, typer.Option(help="File format.")] = ReportFormat.HTML,
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write into; the study's own by default.")] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Write a study's report as one self-contained file."""
    from hpsearch.champion.export import write_report
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    say(write_report(study.record, study.folder, format=format.value, folder=to))


@app.command()
def export(
    name: StudyArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to write into; created if it does not exist.")],
    trust: TrustOption = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Write the champion (Keras, SavedModel, ONNX, LiteRT), its model card, report and trials into a folder."""
    from hpsearch.champion.export import export as export_study
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    for one in export_study(study.record, study.folder, to, trust=trust):
        say(f"{to / one.file}: {one.remark}")


@app.command()
def predict(
    name: StudyArgument,
    data: Annotated[Path, typer.Argument(help="CSV, Parquet or NPZ file of raw rows, as in the study's data.")],
    out: Annotated[Path | None, typer.Option("--out", help="CSV file to write; printed by default.")] = None,
    trust: TrustOption = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Predict raw rows with a study's champion."""
    from hpsearch.champion.predict import predict as predict_rows
    from hpsearch.cli.predict import render
    from hpsearch.ledger import workspace
    from hpsearch.ledger.store import Ledger
    from hpsearch.portable.errors import RowsWarning

    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", RowsWarning)
        predicted = predict_rows(workspace.read(Ledger(ledger), name), data, trust=trust)
    for doubt in doubts:
        if issubclass(doubt.category, RowsWarning):
            complain(f"note: {doubt.message}")
    render(predicted, out=out, as_json=as_json)
