"""Output of ``hpsearch models`` and ``hpsearch data``."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from hpsearch.cli.check import describe_parameter
from hpsearch.cli.printing import complain, say_json
from hpsearch.core.hyperparameters import OF_COMPILING, OF_EVERY_MODEL
from hpsearch.core.meanings import meaning_of
from hpsearch.core.optimizers import ANY_OPTIMIZER, OPTIMIZERS
from hpsearch.data.sources import list_sources
from hpsearch.errors import SpecError
from hpsearch.report.console import SafeConsole
from hpsearch.spec.families import FAMILIES, may_have


def render_families(*, as_json: bool) -> None:
    """Print each family with its tasks, its default space, and what a study file can add to it; then the optimizers."""
    families = FAMILIES.usable(_report)
    if as_json:
        rows = [
            {
                "family": name,
                "description": family.description,
                "tasks": [task.value for task in family.tasks],
                "space": {key: describe_parameter(parameter) for key, parameter in family.space.items()},
                "optional": {key: meaning_of(key) for key in may_have(family)},
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
        if family.optional:
            console.print("  and what a study file may add:")
            _print_meanings(console, family.optional)
    console.print("[bold]every family[/]  may have, too")
    _print_meanings(console, (*OF_COMPILING, *OF_EVERY_MODEL, *ANY_OPTIMIZER))
    console.print("[bold]optimizers[/]  with learning_rate_sgd and so on for one optimizer's rate, and")
    table = Table.grid(padding=(0, 2))
    for name, own in OPTIMIZERS.items():
        table.add_row(f"  {name}", ", ".join(own))
    console.print(table)


def _print_meanings(console: SafeConsole, names: Iterable[str]) -> None:
    table = Table.grid(padding=(0, 2))
    for name in dict.fromkeys(_LAYERS.get(one.rpartition("_")[0], one) for one in names):
        table.add_row(f"  {escape(name)}", escape(meaning_of(name) or "of one layer"))
    console.print(table)


_LAYERS = {name: f"{name}_1, {name}_2, …" for name in ("units", "dropout")}


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
