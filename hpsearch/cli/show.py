"""Output of ``hpsearch list``, ``show`` and ``compare``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from rich.table import Table
from rich.text import Text

from hpsearch import analysis
from hpsearch.cli.check import taken_json
from hpsearch.cli.printing import say, say_json
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.workspace import drivers_of
from hpsearch.report import load_artifacts, terminal
from hpsearch.report.console import SafeConsole, make_console
from hpsearch.report.content import plain
from hpsearch.report.fitting import Column, FittedTable
from hpsearch.study import Study


def render_list(records: Sequence[StudyRecord], drivers: Mapping[str, int], *, as_json: bool) -> None:
    """Print one line per study: name, state, trials, best score. Null searches are in the JSON only.

    Args:
        records: The studies.
        drivers: How many drivers each of them has.
        as_json: Whether to print JSON.
    """
    rows = [
        {
            "study": record.name,
            "state": str(record.state),
            "drivers": drivers[record.name],
            "trials": len(record.trials),
            "complete": len(record.ranked),
            "infeasible": len(record.infeasible),
            "metric": record.objective.metric,
            "best": None if record.best is None else record.best.score,
            "best_trial": None if record.best is None else record.best.number,
            "champion": None if record.champion is None else record.champion.trial,
            "by_hand": record.champion is not None and record.champion.crowned is not None,
            "behind": record.behind,
        }
        for record in records
        if as_json or not record.spec.is_null
    ]
    if as_json:
        say_json(rows)
        return
    if not rows:
        say("There are no studies yet. `hpsearch init` writes a study file, and `hpsearch run` runs it.")
        return
    columns = (
        Column("study", tuple(str(row["study"]) for row in rows)),
        Column("state", tuple(_state(str(row["state"]), drivers[str(row["study"])]) for row in rows)),
        Column("complete", tuple(f"{row['complete']} of {row['trials']}" for row in rows), right=True),
        Column("best", tuple("–" if row["best"] is None else f"{row['best']:.6g}" for row in rows), right=True),
        Column("trial", tuple("–" if row["best"] is None else str(row["best_trial"]) for row in rows), right=True),
        *([Column("champion", tuple(_champion(row) for row in rows))] if any(row["by_hand"] for row in rows) else []),
        Column("metric", tuple(str(row["metric"]) for row in rows), place=1),
    )
    console = make_console()
    console.print(FittedTable(columns, ("",) * len(rows), lambda _: ""))
    for record in records:
        if record.behind and not record.spec.is_null:
            console.print(Text(record.lacking, style="yellow"))
    if hidden := len(records) - len(rows):
        console.print(Text(f"{hidden} null search{'es' if hidden > 1 else ''}: --json", style="dim"))


def _champion(row: Mapping[str, object]) -> str:
    return "–" if row["champion"] is None else f"{row['champion']}{', by hand' if row['by_hand'] else ''}"


def _state(state: str, drivers: int) -> str:
    return f"{state}, {drivers} drivers" if drivers > 1 else state


@dataclass(frozen=True, slots=True)
class _Shown:
    """What ``show`` prints of a study, under the names that ``--json`` has."""

    verdict: analysis.VerdictInfo
    leaderboard: analysis.LeaderboardInfo
    ties: analysis.TiesInfo
    optimism: analysis.OptimismInfo
    limits: analysis.LimitsInfo
    importance: analysis.ImportanceInfo
    predictions: analysis.PredictionsInfo
    out_of_fold: analysis.PredictionsInfo


def _shown(study: Study) -> _Shown:
    record, artifacts = study.record, load_artifacts(study.record, study.folder)
    ties, optimism = analysis.ties_info(record), analysis.optimism_info(record, artifacts.out_of_fold)
    out_of_fold = analysis.out_of_fold_info(record, artifacts.out_of_fold)
    return _Shown(
        verdict=analysis.verdict_info(
            record, predictions=artifacts.predictions, ties=ties, optimism=optimism, out_of_fold=out_of_fold
        ),
        leaderboard=analysis.leaderboard_info(record, ties=ties),
        ties=ties,
        optimism=optimism,
        limits=analysis.limits_info(record),
        importance=analysis.importance_info(record),
        predictions=analysis.predictions_info(record, artifacts.predictions),
        out_of_fold=out_of_fold,
    )


def render_study(study: Study, *, top: int, as_json: bool, next_steps: bool = False) -> None:
    """Print a study's leaderboard, verdict, importances and mistakes, and what to do next."""
    record, info = study.record, _shown(study)
    if as_json:
        facts = {"from": taken_json(record.facts.taken), "stopped": plain(record.facts.stopped)}
        infos = {field.name: plain(getattr(info, field.name)) for field in fields(info)}
        say_json({**infos, **facts, "notes": list(record.notes)})
        return
    console = make_console()
    console.print(terminal.leaderboard(info.leaderboard, top=top, more=record.command("show", "TRIAL")))
    console.print()
    console.print(terminal.verdict(info.verdict))
    if (infeasible := terminal.limits(info.limits)) is not None:
        console.print()
        console.print(infeasible)
    if info.importance.rows:
        console.print()
        console.print(terminal.importance(info.importance))
    if (mistakes := terminal.predictions((info.predictions, info.out_of_fold))) is not None:
        console.print()
        console.print(mistakes)
    if made := analysis.suggestions(record):
        console.print()
        search = record.spec.search
        console.print(Text(f"suggestions of {search.tuner} {search.algorithm}: {made}", style="dim"))
    if record.facts.taken is not None:
        console.print(Text(f"from {analysis.begins_with(record.facts.taken)}", style="dim"))
    for failure in analysis.failures_info(record)[:5]:
        console.print(Text(f"trial {failure.trial} {failure.state}: {failure.message}", style="yellow"))
    for note in record.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    if (drivers := drivers_of(study.ledger_uri, record)) > 1:
        console.print(Text(f"{drivers} drivers are running the study"))
    if next_steps:
        console.print()
        _print_next_steps(console, study)
    elif record.state is StudyState.INTERRUPTED:
        _print_how_to_continue(console, record)


def _print_how_to_continue(console: SafeConsole, record: StudyRecord) -> None:
    done, asked = len(record.trials), record.spec.search.trials
    end = f"; `{record.command('resume', f'--trials {done}')}` ends the search here" if 0 < done < asked else ""
    console.print(Text(f"interrupted after {done} of {asked} trials: `{record.command('resume')}` continues{end}"))


def _print_next_steps(console: SafeConsole, study: Study) -> None:
    call = study.record.command
    report = study.folder / "report.html"
    steps = Table.grid(padding=(0, 2))
    if report.exists():
        steps.add_row("report", Text(str(report)))
    for label, command in (
        ("browse", call("ui")),
        ("one trial", call("show", "TRIAL")),
        ("continue", call("resume", f"--trials {len(study.trials) + 20}")),
        ("next study", call("init --from", "next.toml")),
    ):
        steps.add_row(Text(label, style="dim"), Text(command))
    console.print(steps)


def render_pareto(study: Study, *, as_json: bool) -> None:
    """Print which trials no other one beats in score and size, and in score and training time."""
    info = analysis.pareto_info(study.record)
    if as_json:
        say_json(plain(info))
        return
    make_console().print(terminal.pareto(info))


def render_trial(study: Study, number: int, *, as_json: bool) -> None:
    """Print one trial: config, folds, curves, failure.

    Raises:
        StudyError: There is no such trial.
    """
    record = study.record
    trial = analysis.find_trial(record, number)
    summary = analysis.trial_summary(record, trial)
    curves = analysis.curves_info(record, trials=[number])
    if as_json:
        values = {field.name: plain(getattr(summary, field.name)) for field in fields(summary)}
        folds = {str(fold.fold): {name: list(curve) for name, curve in fold.curves.items()} for fold in trial.folds}
        say_json({**values, "folds": folds, "failure": plain(trial.failure)})
        return
    console = make_console()
    console.print(Text(f"{study.name}, trial {number}", style="bold"))
    console.print(terminal.trial(summary))
    if curves.trials:
        console.print(terminal.curves(curves))
    if trial.failure is not None:
        console.print(Text(f"{trial.failure.kind}: {trial.failure.message}", style="yellow"))
        if trial.failure.traceback:
            console.print(Text(trial.failure.traceback, style="dim"))


def render_comparison(a: Study, b: Study, *, trial_a: int | None, trial_b: int | None, as_json: bool) -> None:
    """Print two studies' best trials, or two trials, side by side."""
    info = analysis.compare_info(a.record, b.record, trial_a=trial_a, trial_b=trial_b)
    if as_json:
        say_json(plain(info))
    else:
        make_console().print(terminal.comparison(info))


def split_address(address: str) -> tuple[str, int | None]:
    """``digits`` or ``digits:12`` as study name and trial number.

    Raises:
        StudyError: The part after the colon is not a number.
    """
    name, colon, number = address.rpartition(":")
    if not colon:
        return address, None
    if not number.isdigit():
        raise StudyError(
            f"{address!r}: a trial number must follow the colon, but got {number!r}",
            code="bad-trial-address",
            address=address,
        )
    return name, int(number)
