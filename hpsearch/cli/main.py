"""The command line: each command is parse → one call → print. Errors and exit codes are in ``hpsearch.errors``."""

import gc
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.errors import HpsearchError, LedgerError, SpecError

app = typer.Typer(
    name="hpsearch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Search hyperparameters of Keras models on K folds; keep every trial in a ledger and in MLflow.",
    epilog="Exit codes: 0 done · 2 command line or study file · 3 data · 4 model · 5 ledger · 6 MLflow · "
    "7 worker · 8 no result · 130 interrupted (resume goes on).",
)

LedgerOption = Annotated[
    str,
    typer.Option("--ledger", envvar="HPSEARCH_LEDGER", help="Where the studies are.", metavar="URI"),
]
StudyArgument = Annotated[str, typer.Argument(help="Name of a study; `hpsearch list` shows them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
FileArgument = Annotated[Path, typer.Argument(help="Study file (TOML).")]


class ReportFormat(StrEnum):
    """Kinds of report file."""

    HTML = "html"
    MD = "md"
    PDF = "pdf"
    JSON = "json"


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from hpsearch import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Study file to write.")] = Path("study.toml"),
    data: Annotated[str, typer.Option(help="Data source, as in [data] source.")] = "sklearn:digits",
    family: Annotated[str, typer.Option(help="Model family, see `hpsearch models`.")] = "mlp",
    from_study: Annotated[
        str | None, typer.Option("--from", help="Suggest the next study after this one.", metavar="STUDY")
    ] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented study file."""
    from hpsearch.cli.init import write_study_file, write_successor

    if from_study is not None:
        from hpsearch.study import load

        write_successor(path, load(from_study, ledger=ledger).record, force=force)
    else:
        write_study_file(path, source=data, family=family, force=force)
    print(f"wrote {path}\nnext: hpsearch check {path}   then: hpsearch run {path}")


@app.command()
def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a study file, its data and its model; show the effective values and the size of the space."""
    from hpsearch.cli.check import render
    from hpsearch.spec import load_spec
    from hpsearch.study import prepare

    spec, _ = load_spec(file)
    prepared = prepare(spec)
    render(spec, prepared.space, prepared.facts, as_json=as_json)
    for warning in spec.make_objective().warnings():
        print(f"note: {warning}", file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from hpsearch.spec import StudySpec

    _print_json(StudySpec.model_json_schema())


@app.command()
def run(
    file: FileArgument,
    name: Annotated[str | None, typer.Option(help="Takes the place of the file's name.")] = None,
    nested: Annotated[
        int | None,
        typer.Option(min=2, metavar="FOLDS", help="Also measure the honest score: search without each outer fold."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search as a study file says, refit the winner, log everything. A study that was interrupted goes on."""
    from hpsearch.cli.live import watching
    from hpsearch.study import run as run_study
    from hpsearch.study import run_nested

    with watching() as observer:
        if nested is None:
            study = run_study(file, name=name, observer=observer)
        else:
            study = run_nested(file, nested, name=name, observer=observer)
    _show_result(study, as_json=as_json)


@app.command()
def resume(
    name: StudyArgument,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Extend the study to so many trials, or end it early.")
    ] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Go on with a study that was interrupted, killed, or is to have more or fewer trials; finished folds are kept."""
    from hpsearch.cli.live import watching
    from hpsearch.study import resume as resume_study

    with watching() as observer:
        study = resume_study(name, ledger=ledger, trials=trials, observer=observer)
    _show_result(study, as_json=as_json)


@app.command("list")
def list_studies(ledger: LedgerOption = DEFAULT_LEDGER, as_json: JsonOption = False) -> None:
    """List the studies: state, trials, best score."""
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
    trial: Annotated[int | None, typer.Argument(help="Number of a trial, for its curves and folds.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of the leaderboard.")] = 10,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Show a study's leaderboard, verdict and importances, or one trial."""
    from hpsearch.cli.show import render_study, render_trial
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    if trial is None:
        render_study(study, top=top, as_json=as_json)
    else:
        render_trial(study, trial, as_json=as_json)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A study, or a trial as STUDY:NUMBER.")],
    b: Annotated[str, typer.Argument(help="Another study or trial.")],
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Compare two studies' best trials, or two trials, with a paired test over the folds."""
    from hpsearch.cli.show import render_comparison, split_address
    from hpsearch.study import load

    (study_a, trial_a), (study_b, trial_b) = split_address(a), split_address(b)
    first, second = load(study_a, ledger=ledger), load(study_b, ledger=ledger)
    render_comparison(first, second, trial_a=trial_a, trial_b=trial_b, as_json=as_json)


@app.command()
def report(
    name: StudyArgument,
    format: Annotated[ReportFormat, typer.Option(help="Kind of file.")] = ReportFormat.HTML,
    to: Annotated[Path | None, typer.Option("--to", help="Folder; otherwise the study's own.")] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Write a study's report: one page that needs nothing else."""
    from hpsearch.champion.export import write_report
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    print(write_report(study.record, study.folder, format=format.value, folder=to))


@app.command()
def export(
    name: StudyArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to write into; made if it is not there.")],
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Write champion, SavedModel, study file, report, trials and predictions into a folder."""
    from hpsearch.champion.export import export as export_study
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    for one in export_study(study.record, study.folder, to):
        print(f"{to / one.file}: {one.remark}")


@app.command()
def predict(
    name: StudyArgument,
    data: Annotated[Path, typer.Argument(help="CSV, Parquet or NPZ of raw rows, as the study's source has them.")],
    out: Annotated[Path | None, typer.Option("--out", help="CSV to write; otherwise printed.")] = None,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Predict raw rows with a study's champion."""
    from hpsearch.champion.predict import predict as predict_rows
    from hpsearch.cli.predict import render
    from hpsearch.ledger import workspace
    from hpsearch.ledger.store import Ledger

    render(predict_rows(workspace.read(Ledger(ledger), name), data), out=out, as_json=as_json)


@app.command()
def ui(
    ledger: LedgerOption = DEFAULT_LEDGER,
    name: Annotated[str | None, typer.Argument(help="Open at this study.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; otherwise a free one.")] = None,
    uri: Annotated[str | None, typer.Option(help="MLflow store; otherwise that of the study, or the default.")] = None,
) -> None:
    """Serve the MLflow pages on this machine; Ctrl-C ends it."""
    from hpsearch.cli.serve import serve_ui

    raise typer.Exit(serve_ui(name, ledger=ledger, uri=uri, port=port))


@app.command()
def sync(name: StudyArgument, ledger: LedgerOption = DEFAULT_LEDGER) -> None:
    """Bring MLflow up to the ledger, after it was unreachable."""
    from hpsearch.study import sync as sync_study

    print(sync_study(name, ledger=ledger))


@app.command()
def delete(
    name: StudyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; without, only say what would be gone.")] = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
) -> None:
    """Delete a study for good: its trials, champion and report. What MLflow has of it stays there."""
    from hpsearch import study
    from hpsearch.ledger import workspace
    from hpsearch.ledger.store import Ledger

    if not yes:
        record, folder = workspace.read(Ledger(ledger), name), workspace.study_folder(ledger, name)
        raise SpecError(
            f"{len(record.trials)} trials of study {name!r} and {folder} would be gone for good",
            hint=f"`{record.command('delete', '--yes')}` deletes them",
        )
    folder = study.delete(name, ledger=ledger)
    print(f"deleted study {name!r} and {folder}; MLflow keeps what it has of it: `hpsearch ui` shows it")


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List the documented model families with their default spaces."""
    from hpsearch.cli.catalog import render_families

    render_families(as_json=as_json)


@app.command()
def data(as_json: JsonOption = False) -> None:
    """List the data sources that come with hpsearch."""
    from hpsearch.cli.catalog import render_sources

    render_sources(as_json=as_json)


def main() -> None:
    """Run the command line; the one place where errors become messages and exit codes."""
    try:
        app(standalone_mode=True)
    except HpsearchError as error:
        print(f"error[{error.code}]: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer and Rich end with 1 where the reader of our output (head, less) has gone; nothing is wrong.
        sys.exit(0 if isinstance(end.__context__, BrokenPipeError) else end.code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # Python looks through everything for garbage before it ends, a second after a study: MLflow has many modules.
        gc.freeze()


def _show_result(study: Any, *, as_json: bool) -> None:
    from hpsearch.cli.show import render_study

    render_study(study, top=10, as_json=as_json, next_steps=True)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
