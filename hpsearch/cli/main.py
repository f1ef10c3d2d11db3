"""The command line. Each command parses, makes one library call and prints. ``hpsearch.errors`` has the exit codes."""

import gc
import sys
from typing import Annotated

import typer

# Each adds its commands, in the order in which the help lists them.
# isort: off
from hpsearch.cli.printing import complain, complain_of_defect, say
from hpsearch.cli import starting, results, housekeeping, worker  # noqa: F401

# isort: on
from hpsearch.cli import streams
from hpsearch.cli.app import app
from hpsearch.cli.interrupts import hear_again
from hpsearch.errors import HpsearchError, OutputError


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from hpsearch import __version__

        say(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())


def main() -> None:
    """Run the command line. Turns errors into messages and exit codes."""
    sys.excepthook, sys.unraisablehook = complain_of_defect, hear_again
    streams.prepare()
    try:
        code = _run()
        try:
            streams.finish()
        except OutputError as error:
            code = code or _said(error)
    finally:
        # Python collects garbage once more before it exits. With all of MLflow's modules, that would take a second.
        gc.freeze()
    sys.exit(code)


def _run() -> int | str | None:
    """The exit code of the command."""
    try:
        app(standalone_mode=True)
    except HpsearchError as error:
        return _said(error)
    except SystemExit as end:
        # Typer and Rich exit with 1 when the reader of the output (head, less) has gone, which is no error.
        return 0 if isinstance(end.__context__, BrokenPipeError) else end.code
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return 0


def _said(error: HpsearchError) -> int:
    complain(f"error[{error.code}]: {error.written}")
    if isinstance(error, OutputError):
        streams.abandon()
    return error.exit_code
