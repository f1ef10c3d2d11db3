"""The same numbers for the terminal, as Rich renderables that the command line prints."""

import math
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpsearch import analysis
from hpsearch.analysis import words
from hpsearch.core.constraints import said
from hpsearch.core.trial import TrialState
from hpsearch.report.fitting import Column, FittedTable

LEFT_BLOCKS = " ▏▎▍▌▋▊▉█"


def verdict(info: analysis.VerdictInfo) -> RenderableType:
    """The verdict's sentences, the first one bold, then the champion's config and how to use it."""
    lines: list[RenderableType] = [
        Text(sentence, style="bold" if place == 0 else "") for place, sentence in enumerate(info.sentences)
    ]
    if info.config:
        of = "with" if info.crowned is None else f"trial {info.crowned} with"
        lines.append(Text(f"{of} {words.settings(info.config)}", style="dim"))
    if info.predict:
        lines.append(Text(f"use it: {info.predict}", style="cyan"))
    return Group(*lines)


def leaderboard(info: analysis.LeaderboardInfo, *, top: int = 10, more: str = "") -> RenderableType:
    """The best trials. ``=`` marks those that are statistically tied with the winner.

    On a narrow terminal, hyperparameters that have one value in all rows go first, and are said below the table; then
    time, size and epoch, then hyperparameters from the last.

    Args:
        info: The leaderboard.
        top: Maximum number of rows.
        more: The command that shows a whole trial, for a table that leaves columns out.
    """
    rows = info.rows[:top]
    baseline = info.baseline if rows else None

    def column(heading: str, cells: Iterable[str], below: str = "", *, right: bool = True, place: int = 0) -> Column:
        """A column with its cell of the baseline, if there is one."""
        return Column(heading, (*cells, *([] if baseline is None else [below])), right=right, place=place)

    def hyperparameter(name: str) -> Column:
        cells = [words.setting(row.config.get(name)) for row in rows]
        return column(name, cells, right=False, place=3 if len(set(cells)) == 1 else 1)

    reference = "" if baseline is None else words.score(baseline.score, baseline.std)
    columns = (
        column("", ("best" if row.rank == 1 else "=" if row.tied else "" for row in rows)),
        column("trial", (str(row.trial) for row in rows), "baseline"),
        column(info.metric, (words.score(row.score, row.std) for row in rows), reference),
        *(hyperparameter(name) for name in info.columns),
        column("epoch", ("–" if row.epoch is None else str(row.epoch) for row in rows), place=2),
        column("parameters", (words.whole(row.parameters) for row in rows), place=2),
        *(column(name, (words.number(row.measured.get(name)) for row in rows), place=2) for name in info.limited),
        column("time", (words.duration(row.seconds) for row in rows), place=2),
    )
    styles = ["green" if row.rank == 1 else "" if row.tied else "dim" for row in rows]
    styles += [] if baseline is None else ["yellow"]
    return FittedTable(columns, tuple(styles), lambda absent: _below(info, top, absent, more))


def _below(info: analysis.LeaderboardInfo, top: int, absent: Sequence[str], more: str) -> str:
    notes = []
    values = {name: {words.setting(row.config.get(name)) for row in info.rows[:top]} for name in info.columns}
    same = {name: values[name].pop() for name in absent if len(values.get(name, ())) == 1}
    if shared := ", ".join(f"{name} {value}" for name, value in same.items() if value != words.setting(None)):
        notes.append(f"all with {shared}")
    if others := [name for name in absent if name not in same]:
        count = words.several(len(others), "column")
        notes.append(f"+{count} ({', '.join(others)})" + (f": `{more}`" if more else ""))
    if info.total > top:
        notes.append(f"{info.total - top:,} more complete trials")
    notes += [f"{count:,} {state}" for state, count in info.counts.items() if state is not TrialState.COMPLETE]
    if any(row.tied and row.rank > 1 for row in info.rows[:top]):
        notes.append("= statistically tied with the best")
    if info.rows and info.baseline is not None:
        notes.append(f"baseline: always saying {info.baseline.rule}")
    return " · ".join(notes)


def limits(info: analysis.LimitsInfo, *, most: int = 5) -> RenderableType | None:
    """Trials that break a limit, the nearest first; None if there are none."""
    if not info.infeasible:
        return None
    lines = [
        f"trial {one.trial} infeasible: {one.message}"
        + ("" if one.score is None else f"; score {words.number(one.score)}")
        for one in info.infeasible[:most]
    ]
    if (more := len(info.infeasible) - most) > 0:
        lines.append(words.several(more, "more infeasible trial"))
    return Group(*(Text(line, style="dim") for line in lines))


def pareto(info: analysis.ParetoInfo) -> RenderableType:
    """The trials on each Pareto front, the cheapest first; in words if there is no front."""
    parts: list[RenderableType] = []
    for front in info.fronts:
        parts += [Text("")] * bool(parts)
        parts.append(Text(f"{info.metric} over {front.title}", style="bold"))
        if front.reason:
            parts.append(Text(f"no Pareto front: {front.reason}", style="dim"))
            continue
        rows = front.front
        columns = (
            Column("trial", tuple(str(one.trial) for one in rows), right=True),
            Column(info.metric, tuple(words.score(one.score, one.std) for one in rows), right=True),
            Column("parameters", tuple(words.whole(one.parameters) for one in rows), right=True),
            Column("time", tuple(words.duration(one.seconds) for one in rows), right=True),
            *(
                Column(name, tuple(words.number(one.measured.get(name)) for one in rows), right=True)
                for name in info.limited
            ),
        )
        parts += [FittedTable(columns, ("",) * len(rows), lambda _: ""), Text(front.sentence)]
        limits = [f"{front.axis} at most {said(front.limit)}"] if front.limit is not None else []
        parts += [Text(f"limit: {one}", style="dim") for one in limits]
    infeasible = sum(not one.feasible for one in info.points)
    if infeasible:
        parts.append(
            Text(f"left out: {words.several(infeasible, 'trial')} with a score that break a limit", style="dim")
        )
    return Group(*parts)


def importance(info: analysis.ImportanceInfo, *, width: int = 30) -> RenderableType:
    """Bars, the most important first, grey where chance explains as much. 100 % is `width` characters."""
    if not info.rows:
        return Text(f"no importance: {info.reason}", style="dim")
    table = Table.grid(padding=(0, 1))
    for one in info.bars:
        style = "blue" if one.told else "dim"
        table.add_row(Text(one.label), Text(bar(one.share, width), style=style), Text(one.text, style=style))
    return Group(table, Text(f"{info.sentence} From {info.trials:,} complete trials.", style="dim"))


def bar(share: float, width: int) -> str:
    """A bar for a share from 0 to 1, in steps of an eighth of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + LEFT_BLOCKS[eighths % 8].strip()


def predictions(infos: Sequence[analysis.PredictionsInfo]) -> RenderableType | None:
    """What predictions show, one line for each of those that are there; None without any."""
    lines = []
    for info in infos:
        for one in info.parts:
            if one.reason:
                lines.append(Text(one.absent))
                continue
            lines.append(Text(f"{one.title}: {one.sentence}"))
            lines += [Text(f"{one.measured}.")] * bool(one.measured)
    lines += [Text(info.remark, style="dim") for info in infos if info.remark]
    return Group(*lines) if lines else None


def curves(info: analysis.CurvesInfo, *, width: int = 60, height: int = 10) -> RenderableType:
    """Each trial's curves as small text plots, with what they show."""
    if info.reason:
        return Text(f"no curves: {info.reason}", style="dim")
    parts: list[RenderableType] = []
    for one in info.trials:
        for training, validation in info.pairs[::-1]:
            shown = {name: one.curves[name].mean for name in (training, validation) if name in one.curves}
            if shown:
                parts.append(Text(f"trial {one.trial}: {', '.join(shown)} (mean over folds)", style="bold"))
                parts.append(
                    Text("\n".join(plot(list(shown.values()), n_epochs=one.trained, width=width, height=height)))
                )
        parts.append(Text(" ".join(one.reading)))
    return Group(*parts)


def plot(series: Sequence[Sequence[float]], *, n_epochs: int, width: int = 60, height: int = 10) -> list[str]:
    """The lines of a text plot. ``·`` marks the first series and ``●`` the last, which is drawn on top.

    Args:
        series: Values at equal steps from epoch 1 to `n_epochs`, all of the same length.
        n_epochs: The last epoch, for the axis.
        width: Number of characters without the axis.
        height: Number of lines without the axis.
    """
    finite = [value for one in series for value in one if math.isfinite(value)]
    if not finite:
        return ["no finite values"]
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    cells = [[" "] * width for _ in range(height)]
    for place, one in enumerate(series):
        mark = "●" if place == len(series) - 1 else "·"
        for column in range(width):
            value = one[round(column * (len(one) - 1) / max(width - 1, 1))]
            if math.isfinite(value):
                cells[height - 1 - round((value - low) / span * (height - 1))][column] = mark
    labels = {0: words.number(high), height - 1: words.number(low)}
    margin = max(len(label) for label in labels.values())
    lines = [f"{labels.get(i, ''):>{margin}} ┤{''.join(row).rstrip()}" for i, row in enumerate(cells)]
    last = f"epoch {n_epochs}"
    return [*lines, f"{'':>{margin}} └{'─' * width}", f"{'':>{margin}}  1{last:>{width - 1}}"]


def trial(summary: analysis.TrialSummary) -> RenderableType:
    """One trial: state, score, fold scores, config."""
    table = Table.grid(padding=(0, 2))
    scored = list(zip(summary.scored_folds, summary.fold_scores, strict=False))
    are_all = [fold for fold, _ in scored] == list(range(len(scored)))
    folds = "  ".join(words.number(value) + ("" if are_all else f" (fold {fold})") for fold, value in scored)
    values = {
        "state": summary.state,
        "score": words.score(summary.score, summary.std),
        "fold scores": folds or "–",
        "epoch": "–" if summary.epoch is None else str(summary.epoch),
        "epochs trained": _epochs_trained(summary),
        "parameters": words.whole(summary.parameters),
        "training time": words.duration(summary.seconds),
        **{name: words.number(value) for name, value in summary.measured.items() if name != "parameters"},
        **{name: words.setting(value) for name, value in summary.config.items()},
    }
    for label, value in values.items():
        table.add_row(Text(label, style="dim"), Text(value))
    return table


def _epochs_trained(summary: analysis.TrialSummary) -> str:
    """Epochs of the folds: one number if they are alike."""
    if len({*summary.epochs}) < 2:
        shown = str(summary.epochs[0]) if summary.epochs else "–"
    else:
        shown = "  ".join(map(str, summary.epochs))
    return f"{shown} (ended by a callback)" if summary.stopped else shown


def comparison(info: analysis.CompareInfo) -> RenderableType:
    """Two trials side by side, with the outcome of the paired test."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    same = info.a.study == info.b.study
    names = [f"trial {one.trial}" if same else f"{one.study}, trial {one.trial}" for one in (info.a, info.b)]
    for name in ("", *names):
        table.add_column(Text(name), overflow="fold")
    for label, left, right in comparison_rows(info):
        table.add_row(Text(label, style="dim"), Text(left), Text(right))
    parts: list[RenderableType] = [Text(info.sentence, style="bold"), table]
    if info.reason:
        parts.append(Text(f"no paired test: {info.reason}", style="dim"))
    return Group(*parts)


def comparison_rows(info: analysis.CompareInfo) -> list[tuple[str, str, str]]:
    """(label, first, second): score, fold scores, state, size, time, and the hyperparameters that differ."""
    a, b = info.a, info.b
    rows = [
        (info.metric, words.score(a.score, a.std), words.score(b.score, b.std)),
        (
            "fold scores",
            " ".join(map(words.number, a.fold_scores)) or "–",
            " ".join(map(words.number, b.fold_scores)) or "–",
        ),
        ("state", a.state, b.state),
        ("parameters", words.whole(a.parameters), words.whole(b.parameters)),
        ("training time", words.duration(a.seconds), words.duration(b.seconds)),
    ]
    return rows + [(name, words.setting(left), words.setting(right)) for name, left, right in info.differences]
