"""The command line. Each command parses, makes one library call and prints. ``hpsearch.errors`` has the exit codes."""

import gc
import json
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.completion import study_names
from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.core.words import listed
from hpsearch.errors import HpsearchError, LedgerError, SpecError

if TYPE_CHECKING:
    from hpsearch.study import Study

app = typer.Typer(
    name="hpsearch",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Search hyperparameters of Keras models on K folds. A ledger and MLflow record every trial.",
    epilog="Exit codes: 0 done · 2 command line or study file · 3 data · 4 model · 5 ledger · 6 MLflow · "
    "7 worker · 8 no result · 130 interrupted (`hpsearch resume` continues).",
)

LedgerOption = Annotated[
    str,
    typer.Option("--ledger", envvar="HPSEARCH_LEDGER", help="Address of the ledger.", metavar="URI"),
]
StudyArgument = Annotated[
    str, typer.Argument(help="Name of a study, as `hpsearch list` shows it.", autocompletion=study_names)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FileArgument = Annotated[Path, typer.Argument(help="Study file (TOML).")]


class ReportFormat(StrEnum):
    """Formats of a report."""

    HTML = "html"
    MD = "md"
    PDF = "pdf"
    JSON = "json"


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from hpsearch import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def init(
    path: Annotated[
        Path | None, typer.Argument(help="Study file to write; by default it is named after a data file.")
    ] = None,
    data: Annotated[
        str, typer.Option(help="A CSV, Parquet or NPZ file, or another data source; see `hpsearch data`.")
    ] = "sklearn:digits",
    target: Annotated[
        list[str] | None, typer.Option(help="Column to predict; repeat it for several.", metavar="NAME")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Model family; see `hpsearch models`. By default, the one that fits.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Time to search: chooses trials and epochs, by compiling and training for a moment."
        ),
    ] = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Write the study file that the results of this study suggest.",
            metavar="STUDY",
            autocompletion=study_names,
        ),
    ] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented study file. Reads a data file, and chooses target, columns, folds, metric and space for it."""
    from hpsearch.cli.init import write_for, write_successor

    if from_study is not None:
        from hpsearch.study import load

        path = path or Path("study.toml")
        write_successor(path, load(from_study, ledger=ledger).record, force=force)
    else:
        path = write_for(data, path, targets=target or (), family=family, minutes=minutes, force=force)
    print(f"wrote {path}\nnext: hpsearch check {path}   then: hpsearch run {path}")


@app.command()
def check(
    file: FileArgument,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Compile and train for a moment, to estimate the time.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check a study file, its data and its model. Shows the effective values, the space, and what the study costs."""
    from hpsearch.cli.check import render, render_mistakes
    from hpsearch.search.forecast import warning_of
    from hpsearch.search.mistakes import check as check_file

    try:
        prepared, cost = check_file(file, measure=measure)
    except HpsearchError as error:
        if as_json:
            render_mistakes(error)
        raise
    costly = warning_of(cost)
    warned = prepared.warnings if costly is None else (*prepared.warnings, costly)
    render(prepared, cost, as_json=as_json, warnings=warned)
    for warning in warned:
        print(f"note: {warning}", file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from hpsearch.spec import StudySpec

    _print_json(StudySpec.model_json_schema())


@app.command()
def run(
    file: FileArgument,
    name: Annotated[str | None, typer.Option(help="Name of the study; replaces the one in the file.")] = None,
    nested: Annotated[
        int | None,
        typer.Option(min=2, metavar="FOLDS", help="Also run nested validation with this many outer folds."),
    ] = None,
    null: Annotated[
        int | None,
        typer.Option(min=1, metavar="SEARCHES", help="Also search so many times with permuted targets, as a control."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a study: search, refit the winner, write the report. Continues an interrupted study."""
    from hpsearch.controls import run_nested, run_null
    from hpsearch.live import watching
    from hpsearch.study import run as run_study

    with watching() as observer:
        if nested is None and null is None:
            study = run_study(file, name=name, observer=observer)
        if nested is not None:
            study = run_nested(file, outer=nested, name=name, observer=observer)
        if null is not None:
            study = run_null(file, searches=null, name=name, observer=observer)
    _show_result(study, as_json=as_json)


@app.command()
def resume(
    name: StudyArgument,
    trials: Annotated[
        int | None, typer.Option(min=1, help="New total number of trials. Extends the study, or ends it early.")
    ] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Continue an interrupted or killed study, or change its number of trials. Keeps all finished folds."""
    from hpsearch.live import watching
    from hpsearch.study import resume as resume_study

    with watching() as observer:
        study = resume_study(name, ledger=ledger, trials=trials, observer=observer)
    _show_result(study, as_json=as_json)


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
            print(f"left out: {error}", file=sys.stderr)
    render_list(records, as_json=as_json)


@app.command()
def show(
    name: StudyArgument,
    trial: Annotated[int | None, typer.Argument(help="Number of a trial, to show its curves and folds.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of leaderboard rows.")] = 10,
    file: Annotated[bool, typer.Option("--file", help="Print the study file, and nothing else.")] = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Show a study's leaderboard, verdict and importances, or a single trial."""
    from hpsearch.cli.show import render_study, render_trial
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    if file:
        print(study.record.study_file, end="")
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
    print(write_report(study.record, study.folder, format=format.value, folder=to))


@app.command()
def export(
    name: StudyArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to write into; created if it does not exist.")],
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Write the champion (Keras, SavedModel, ONNX, LiteRT), its model card, report and trials into a folder."""
    from hpsearch.champion.export import export as export_study
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    for one in export_study(study.record, study.folder, to):
        print(f"{to / one.file}: {one.remark}")


@app.command()
def predict(
    name: StudyArgument,
    data: Annotated[Path, typer.Argument(help="CSV, Parquet or NPZ file of raw rows, as in the study's data.")],
    out: Annotated[Path | None, typer.Option("--out", help="CSV file to write; printed by default.")] = None,
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
        predicted = predict_rows(workspace.read(Ledger(ledger), name), data)
    for doubt in doubts:
        if issubclass(doubt.category, RowsWarning):
            print(f"note: {doubt.message}", file=sys.stderr)
    render(predicted, out=out, as_json=as_json)


@app.command()
def ui(
    ledger: LedgerOption = DEFAULT_LEDGER,
    name: Annotated[str | None, typer.Argument(help="Study to open.", autocompletion=study_names)] = None,
    port: Annotated[int | None, typer.Option(help="Port; a free one by default.")] = None,
    uri: Annotated[str | None, typer.Option(help="MLflow store; the study's by default.")] = None,
) -> None:
    """Serve MLflow's pages on this machine until Ctrl-C."""
    from hpsearch.cli.serve import serve_ui

    raise typer.Exit(serve_ui(name, ledger=ledger, uri=uri, port=port))


@app.command()
def sync(name: StudyArgument, ledger: LedgerOption = DEFAULT_LEDGER) -> None:
    """Write to MLflow what it lacks from the ledger, for example after an outage."""
    from hpsearch.study import sync as sync_study

    print(sync_study(name, ledger=ledger))


@app.command()
def delete(
    name: StudyArgument,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete it. Without this option, only show what would be deleted.")
    ] = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Delete a study with its trials, champion, report, outer folds and null searches. MLflow keeps its own copy."""
    from hpsearch.ledger import deletion, workspace
    from hpsearch.ledger.store import Ledger

    if not yes:
        record, folder = workspace.read(Ledger(ledger), name), workspace.study_folder(ledger, name)
        parts = deletion.parts_of(name, ledger=ledger)
        others = f"; and with it {listed(parts, most=10)}" if parts else ""
        raise SpecError(
            f"this would permanently delete study {name!r} with {len(record.trials)} trials, and {folder}{others}",
            code="not-confirmed",
            hint=f"`{record.command('delete', '--yes')}` deletes them",
            study=name,
            n_trials=len(record.trials),
            folder=str(folder),
            parts=tuple(parts),
        )
    folder = deletion.delete(name, ledger=ledger)
    print(f"deleted study {name!r} and {folder}; MLflow keeps its own copy, which `hpsearch ui` shows")


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List the model families with their default spaces."""
    from hpsearch.cli.catalog import render_families

    render_families(as_json=as_json)


@app.command()
def data(as_json: JsonOption = False) -> None:
    """List the data sources with their options."""
    from hpsearch.cli.catalog import render_sources

    render_sources(as_json=as_json)


@app.command()
def doctor(
    keras: Annotated[bool, typer.Option("--keras", help="Also import Keras: engines and private parts.")] = False,
    storage: Annotated[bool, typer.Option("--storage", help="Also import Optuna and MLflow: fast paths.")] = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Show versions, devices, plugins and storage. The exit code is 2 if something is broken."""
    from hpsearch.cli.diagnosis import examine, is_broken
    from hpsearch.cli.doctor import render

    findings = examine(ledger=ledger, keras=keras, storage=storage)
    render(findings, as_json=as_json)
    if is_broken(findings):
        raise typer.Exit(2)


def main() -> None:
    """Run the command line. Turns errors into messages and exit codes."""
    try:
        app(standalone_mode=True)
    except HpsearchError as error:
        print(f"error[{error.code}]: {error.written}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer and Rich exit with 1 when the reader of the output (head, less) has gone, which is no error.
        sys.exit(0 if isinstance(end.__context__, BrokenPipeError) else end.code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # Python collects garbage once more before it exits. With all of MLflow's modules, that would take a second.
        gc.freeze()


def _show_result(study: "Study", *, as_json: bool) -> None:
    from hpsearch.cli.show import render_study

    render_study(study, top=10, as_json=as_json, next_steps=True)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
