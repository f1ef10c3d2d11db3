"""Commands about MLflow's pages, deletion, what there is to choose from, and this installation."""

from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.app import JsonOption, LedgerOption, StudyArgument, TrustOption, app
from hpsearch.cli.completion import study_names
from hpsearch.cli.printing import say
from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.core.words import listed
from hpsearch.errors import SpecError


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
def sync(name: StudyArgument, trust: TrustOption = False, ledger: LedgerOption = DEFAULT_LEDGER) -> None:
    """Write to MLflow what it lacks from the ledger, for example after an outage."""
    from hpsearch.study import sync as sync_study

    say(sync_study(name, ledger=ledger, trust=trust))


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
    say(f"deleted study {name!r} and {folder}; MLflow keeps its own copy, which `hpsearch ui` shows")


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
    file: Annotated[
        Path | None, typer.Argument(help="Study file: also looks at its resources, ledger, MLflow and Ray.")
    ] = None,
    keras: Annotated[bool, typer.Option("--keras", help="Also import Keras: engines and private parts.")] = False,
    storage: Annotated[bool, typer.Option("--storage", help="Also import Optuna and MLflow: fast paths.")] = False,
    no_measure: Annotated[bool, typer.Option("--no-measure", help="Leave out the 5 seconds of training.")] = False,
    ledger: LedgerOption = DEFAULT_LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Show versions, devices, plugins and storage, what `auto` comes to, and how fast this machine trains.

    The exit code is 2 if something is broken.
    """
    from hpsearch.cli.doctor import render
    from hpsearch.doctor import examine, is_broken

    findings = examine(ledger=ledger, file=file, keras=keras, storage=storage, measure=not no_measure)
    render(findings, json=as_json)
    if is_broken(findings):
        raise typer.Exit(2)
