"""The Typer application, and what several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.completion import study_names

app = typer.Typer(
    name="hpsearch",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Search hyperparameters of Keras models on K folds. A ledger and MLflow record every trial.",
    epilog="Exit codes: 0 done · 2 command line or study file · 3 data · 4 model · 5 ledger · 6 MLflow · "
    "7 worker · 8 no result · 9 output · 130 interrupted (`hpsearch resume` continues).",
)

LedgerOption = Annotated[
    str,
    typer.Option("--ledger", envvar="HPSEARCH_LEDGER", help="Address of the ledger.", metavar="URI"),
]
StudyArgument = Annotated[
    str, typer.Argument(help="Name of a study, as `hpsearch list` shows it.", autocompletion=study_names)
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", envvar="HPSEARCH_TRUST", help="Run the code of a study that was made elsewhere."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FileArgument = Annotated[Path, typer.Argument(help="Study file (TOML).")]
