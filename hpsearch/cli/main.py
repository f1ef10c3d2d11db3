"""The command line. Each command parses, makes one library call and prints. ``hpsearch.errors`` has the exit codes."""

import gc
import sys
from typing import Annotated

import typer

# Each adds its commands, in the order in which the help lists them.
# isort: off
from hpsearch.cli.printing import complain, complain_of_defect, say
from hpsearch.cli import starting, results, housekeeping  # noqa: F401

# isort: on
from hpsearch.cli.app import app
from hpsearch.errors import HpsearchError


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
    sys.excepthook = complain_of_defect
    try:
        app(standalone_mode=True)
    except HpsearchError as error:
        complain(f"error[{error.code}]: {error.written}")
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer and Rich exit with 1 when the reader of the output (head, less) has gone, which is no error.
        sys.exit(0 if isinstance(end.__context__, BrokenPipeError) else end.code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    finally:
        # Python collects garbage once more before it exits. With all of MLflow's modules, that would take a second.
        gc.freeze()
