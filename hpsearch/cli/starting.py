"""Commands that write, check and run study files."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.app import FileArgument, JsonOption, LedgerOption, StudyArgument, app
from hpsearch.cli.completion import study_names
from hpsearch.cli.printing import complain, say, say_json
from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.errors import HpsearchError, SpecError

if TYPE_CHECKING:
    from hpsearch.study import Study

JoinOption = Annotated[
    bool,
    typer.Option(
        "--join",
        help="Let other drivers work at the study at the same time, each started with --join. Needs a PostgreSQL "
        "ledger. What is suggested then depends on timing.",
    ),
]


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
    quoted = shlex.quote(str(path))
    say(f"wrote {path}\nnext: hpsearch check {quoted}   then: hpsearch run {quoted}")


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
        prepared, cost = check_file(file, measure=measure, note=lambda text: complain(f"note: {text}"))
    except HpsearchError as error:
        if as_json:
            render_mistakes(error)
        raise
    costly = warning_of(cost)
    warned = prepared.warnings if costly is None else (*prepared.warnings, costly)
    render(prepared, cost, as_json=as_json, warnings=warned)
    for warning in warned:
        complain(f"note: {warning}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from hpsearch.spec import StudySpec

    say_json(StudySpec.model_json_schema())


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
    join: JoinOption = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Delete the study of that name, and begin anew. Not in jobs that restart."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a study: search, refit the winner, write the report. Continues an interrupted study."""
    if overwrite and (nested is not None or null is not None):
        other = "--nested" if nested is not None else "--null"
        raise SpecError(
            f"--overwrite cannot go with {other}",
            code="overwrite-with-others",
            hint="`hpsearch delete NAME --yes` deletes the study with its controls; then run it without --overwrite",
        )
    if join and (nested is not None or null is not None):
        raise SpecError(
            f"--join cannot go with {'--nested' if nested is not None else '--null'}",
            code="join-with-control",
            hint="run the study with --join first; once it is finished, run it again with the control alone",
        )
    from hpsearch.controls import run_nested, run_null
    from hpsearch.live import watching
    from hpsearch.study import run as run_study

    with watching() as observer:
        if nested is None and null is None:
            study = run_study(file, name=name, observer=observer, join=join, overwrite=overwrite)
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
    join: JoinOption = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Continue an interrupted or killed study, or change its number of trials. Keeps all finished folds."""
    from hpsearch.live import watching
    from hpsearch.study import resume as resume_study

    with watching() as observer:
        study = resume_study(name, ledger=ledger, trials=trials, observer=observer, join=join)
    _show_result(study, as_json=as_json)


@app.command()
def crown(
    name: StudyArgument,
    trial: Annotated[int, typer.Argument(help="Number of a trial with a score of all folds.")],
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Make another trial the champion by hand: refit, test, report, and a new version in MLflow's registry."""
    from hpsearch.live import watching
    from hpsearch.study import load

    study = load(name, ledger=ledger)
    with watching() as observer:
        study.crown(trial, observer=observer)
    _show_result(study, as_json=as_json)


def _show_result(study: "Study", *, as_json: bool) -> None:
    from hpsearch.cli.show import render_study

    render_study(study, top=10, as_json=as_json, next_steps=True)
