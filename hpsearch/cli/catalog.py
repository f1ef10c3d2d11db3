"""What ``hpsearch models`` and ``hpsearch data`` print."""

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpsearch.cli.check import describe_parameter
from hpsearch.data.sources import list_sources
from hpsearch.spec.families import FAMILIES


def render_families(*, as_json: bool) -> None:
    """Print each family with its tasks and default space."""
    if as_json:
        rows = [
            {
                "family": family.name,
                "description": family.description,
                "tasks": [task.value for task in family.tasks],
                "space": {name: describe_parameter(parameter) for name, parameter in family.space.items()},
            }
            for family in FAMILIES.values()
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for family in FAMILIES.values():
        tasks = ", ".join(task.value for task in family.tasks)
        console.print(f"[bold]{family.name}[/]  {escape(family.description)} ({tasks})")
        table = Table.grid(padding=(0, 2))
        for name, parameter in family.space.items():
            table.add_row(f"  {name}", escape(describe_parameter(parameter)))
        console.print(table)


def render_sources(*, as_json: bool) -> None:
    """Print each kind of data source with its options."""
    rows = list_sources()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("source", "what it is", "[data] options", box=None, header_style="bold")
    for row in rows:
        table.add_row(*(escape(row[key]) for key in ("name", "description", "options")))
    Console(highlight=False).print(table)
