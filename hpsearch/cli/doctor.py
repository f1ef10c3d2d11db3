"""Output of ``hpsearch doctor``."""

from rich.table import Table
from rich.text import Text

from hpsearch.cli.printing import say
from hpsearch.doctor import Finding, Findings, Health, as_json, is_broken
from hpsearch.report.console import make_console

_STYLES = {Health.OK: "green", Health.REDUCED: "yellow", Health.HIDDEN: "yellow", Health.BROKEN: "bold red"}
_TITLES = {
    "versions": "Versions",
    "devices": "Devices",
    "machine": "Machine",
    "study": "Study file",
    "choices": "What [resources] comes to here",
    "throughput": "Throughput",
    "storage": "Storage",
    "keras": "Private Keras",
}


def render(findings: Findings, *, json: bool) -> None:
    """Print all sections, then what is broken."""
    if json:
        say(as_json(findings, indent=2))
        return
    console = make_console()
    for section, found in findings.items():
        console.print(Text(_TITLES.get(section, section), style="bold"))
        table = Table.grid(padding=(0, 2))
        for one in found:
            table.add_row(f"  {one.name}", Text(str(one.health), style=_STYLES.get(one.health, "dim")), _explain(one))
        console.print(table)
    if not is_broken(findings):
        console.print(Text("Nothing is broken.", style="green"))


def _explain(one: Finding) -> Text:
    """Detail, reason and hint; in red if it is broken."""
    parts = [part for part in (one.detail, one.reason) if part]
    text = ": ".join(parts) if one.health is Health.BROKEN else "; ".join(parts)
    if one.health is not Health.BROKEN:
        return Text(text)
    return Text(f"{text}\nerror[{one.code}]" + (f", hint: {one.hint}" if one.hint else ""), style="red")
