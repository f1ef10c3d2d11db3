"""Output of ``hpsearch models`` and ``hpsearch data``."""

from rich.markup import escape
from rich.table import Table

from hpsearch.cli.check import describe_parameter
from hpsearch.cli.printing import complain, say_json
from hpsearch.data.sources import list_sources
from hpsearch.errors import SpecError
from hpsearch.report.console import SafeConsole
from hpsearch.spec.families import FAMILIES


def render_families(*, as_json: bool) -> None:
    """Print each family with its tasks and default space."""
    families = FAMILIES.usable(_report)
    if as_json:
        rows = [
            {
                "family": name,
                "description": family.description,
                "tasks": [task.value for task in family.tasks],
                "space": {key: describe_parameter(parameter) for key, parameter in family.space.items()},
            }
            for name, family in families.items()
        ]
        say_json(rows)
        return
    console = SafeConsole(highlight=False)
    for name, family in families.items():
        tasks = ", ".join(task.value for task in family.tasks)
        console.print(f"[bold]{escape(name)}[/]  {escape(family.description)} ({tasks})")
        table = Table.grid(padding=(0, 2))
        for key, parameter in family.space.items():
            table.add_row(f"  {escape(key)}", escape(describe_parameter(parameter)))
        console.print(table)


def render_sources(*, as_json: bool) -> None:
    """Print each kind of data source with its options."""
    rows = list_sources(_report)
    if as_json:
        say_json(rows)
        return
    table = Table("source", "description", "[data] options", box=None, header_style="bold")
    for row in rows:
        table.add_row(*(escape(row[key]) for key in ("name", "description", "options")))
    SafeConsole(highlight=False).print(table)


def _report(error: SpecError) -> None:
    complain(f"left out: {error}")
