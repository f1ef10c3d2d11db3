"""The report as Markdown, for repositories, chats and issue trackers. Users' texts are escaped."""

from collections.abc import Iterable, Sequence

from hpsearch.analysis import Interval, PredictionsInfo, words
from hpsearch.core.safe_text import code_block
from hpsearch.core.safe_text import for_markdown as text
from hpsearch.report.content import Content

TOP_ROWS = 25
TOP_FAILURES = 50


def render_markdown(content: Content) -> str:
    """The report's numbers and sentences, without figures."""
    verdict = content.verdict
    parts = [f"# {text(verdict.study)}", *[text(sentence) for sentence in verdict.sentences]]
    parts += [f"> {text(note)}" for note in content.provenance.notes]
    parts += [*_winner(content), *_uncertainty(content), *_curves(content), *_space(content)]
    parts += [*_tradeoff(content), *_cost(content)]
    parts += [*_model(content), *_predictions(content), *_failures(content), *_provenance(content)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table, or an empty text without rows."""
    body = [f"| {' | '.join(text(cell) for cell in row)} |" for row in rows]
    if not body:
        return ""
    head = [f"| {' | '.join(text(cell) for cell in header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*head, *body])


def _with_interval(value: float, interval: Interval | None) -> str:
    if interval is None:
        return words.number(value)
    ends = f"{words.number(interval.low)} to {words.number(interval.high)}"
    return f"{words.number(value)} ({words.percent(interval.confidence)} interval {ends}: {interval.method})"


def _winner(content: Content) -> list[str]:
    verdict = content.verdict
    values = [
        (f"test {name}", _with_interval(value, verdict.test_intervals.get(name)))
        for name, value in verdict.test.items()
    ]
    if verdict.interval_problem:
        values.append(("a metric failed on some of the test rows", verdict.interval_problem))
    if verdict.parameters is not None:
        values.append(("parameters", words.whole(verdict.parameters)))
    if verdict.size_bytes is not None:
        values.append(("model file", words.size(verdict.size_bytes)))
    if verdict.train_seconds is not None:
        values.append(("trained in", words.duration(verdict.train_seconds)))
    values += [(name, words.setting(value)) for name, value in verdict.config.items()]
    commands = [command for command in (verdict.predict, verdict.reproduce) if command]
    where = [f"The model: {text(one)}" for one in (verdict.model_uri, verdict.model_path) if one]
    who = "the winner" if verdict.crowned is None else f"trial {verdict.crowned}, the champion chosen by hand"
    return [table((who, ""), values), code_block("\n".join(commands), "sh") if verdict.predict else "", *where]


def _uncertainty(content: Content) -> list[str]:
    ties, optimism = content.ties, content.optimism
    parts = ["## Uncertainty"]
    if not content.leaderboard.rows:
        return [*parts, "No trial is complete, so there is no ranking."]
    if ties.reason:
        parts.append(f"No trial can be tested against the best: {text(ties.reason)}.")
    else:
        others, are = words.several(len(ties.tied) - 1, "other"), "is" if len(ties.tied) == 2 else "are"
        parts.append(
            f"Of {words.whole(content.leaderboard.total)} complete trials, {others} {are} statistically tied with the "
            f"best: p ≥ {ties.level} in the {text(ties.method)}. {text(ties.reading)}"
        )
    if optimism.optimism is not None:
        low, high = optimism.low, optimism.high
        within = "" if low is None else f" (95 % range {words.number(low)} to {words.number(high)})"
        parts.append(
            f"Picking the best of {optimism.trials} trials overstates its score by about "
            f"{words.number(optimism.optimism)}: expect {words.number(optimism.corrected)} on new data{within} "
            f"({text(optimism.method)})."
        )
    if content.verdict.null is not None:
        scores = ", ".join(words.number(score) for score in content.verdict.null.scores)
        parts.append(f"Best scores with permuted targets: {scores}. {text(' '.join(content.verdict.null.sentences))}")
    columns = content.leaderboard.columns
    header = ("rank", "trial", content.verdict.metric, "tied", "p", *columns, "parameters", "time", "fold scores")
    rows = [
        (
            row.rank,
            row.trial,
            words.score(row.score, row.std),
            "yes" if row.tied else "",
            words.probability(row.p),
            *(words.setting(row.config.get(name)) for name in columns),
            words.whole(row.parameters),
            words.duration(row.seconds),
            " ".join(words.number(value) for value in row.fold_scores),
        )
        for row in content.leaderboard.rows[:TOP_ROWS]
    ]
    baselines = [
        ("", "baseline", words.score(one.score, one.std), f"always saying {one.rule}", *[""] * (len(header) - 5),
         " ".join(words.number(value) for value in one.fold_scores))
        for one in content.leaderboard.different_baselines
    ]  # fmt: skip
    parts.append(table(header, [*rows, *baselines]))
    if content.leaderboard.total > len(rows):
        parts.append(f"The best {len(rows)} of {words.whole(content.leaderboard.total)} complete trials.")
    return parts


def _curves(content: Content) -> list[str]:
    if content.curves.reason:
        return ["## Learning curves", f"There are no curves: {text(content.curves.reason)}."]
    lines = [f"- Trial {one.trial}: {text(' '.join(one.reading))}" for one in content.curves.trials]
    return ["## Learning curves", "\n".join(lines)]


def _space(content: Content) -> list[str]:
    parts = ["## Space", "\n".join(f"- {text(edge.advice)}" for edge in content.edges)]
    if content.importance.rows:
        shares = [(bar.label, bar.text, words.percent(bar.floor)) for bar in content.importance.bars]
        parts += [text(content.importance.sentence), table(("hyperparameter", "importance", "chance reaches"), shares)]
        parts.append(text(content.importance.method))
    else:
        parts.append(f"There is no importance: {text(content.importance.reason)}.")
    if content.next_study:
        rows = [(row.name, row.old, row.new if row.why else "unchanged", row.why) for row in content.suggestion]
        parts += ["### What to search next", table(("hyperparameter", "searched", "next", "why"), rows)]
        parts.append(code_block(content.next_study, "toml"))
    return parts


def _tradeoff(content: Content) -> list[str]:
    limits, metric, names = content.limits, content.verdict.metric, content.leaderboard.limited
    parts = ["## Score against size and time"]
    rows = [(one.text, words.number(one.winner), one.broken_by, one.about) for one in limits.rows]
    parts.append(table(("limit", "the winner", "broken by trials", "what is measured"), rows))
    broken = [(one.trial, words.number(one.score), one.message) for one in limits.infeasible[:TOP_ROWS]]
    parts.append(table(("infeasible", metric, "breaks"), broken))
    for front in content.pareto.fronts:
        parts.append(f"### {text(metric)} over {text(front.title)}")
        if front.reason:
            parts.append(f"There is no Pareto front: {text(front.reason)}.")
            continue
        cells = [
            (
                one.trial,
                words.score(one.score, one.std),
                words.whole(one.parameters),
                words.duration(one.seconds),
                *(words.number(one.measured.get(name)) for name in names),
            )
            for one in front.front
        ]
        parts += [text(front.sentence), table(("trial", metric, "parameters", "training time", *names), cells)]
    return parts


def _cost(content: Content) -> list[str]:
    cost = content.cost
    rows = [(row.state, row.trials, f"{row.epochs:,}", words.duration(row.seconds)) for row in cost.rows]
    if not rows:
        return ["## Cost", "No trial has started yet."]
    return ["## Cost", table(("state", "trials", "epochs", "training time"), rows)]


def _model(content: Content) -> list[str]:
    model = content.model
    if model.trial is None:
        return ["## Model", f"There is no model: {text(model.reason)}."]
    layers = [(one.name, one.type, one.output_shape, words.whole(one.params)) for one in model.layers[:200]]
    parts = ["## Model", table(("layer", "type", "output shape", "parameters"), layers)]
    if model.compared:
        named = list(model.test or {})
        kinds = [(kind, *(words.number(test.get(one)) for one in named)) for kind, test in model.compared.items()]
        parts.append(table(("kind of champion", *(f"test {one}" for one in named)), kinds))
    if model.reason:
        parts.append(f"The layers cannot be listed: {text(model.reason)}.")
    return parts


def _predictions(content: Content) -> list[str]:
    parts = ["## Predictions"]
    for found, of in (
        (content.predictions, "of held-out rows"),
        (content.out_of_fold, "of validation rows by the search"),
    ):
        if found.reason:
            parts.append(f"There are no predictions {of}: {text(found.reason)}.")
            continue
        parts.append(text(found.remark) if found.outputs else "")
        for one in found.parts:
            parts += _of_output(one)
    return parts


def _of_output(found: PredictionsInfo) -> list[str]:
    if found.reason:
        return [text(found.absent)]
    scores = [
        (one.name, one.support, one.predicted, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}")
        for one in found.class_scores
    ]
    measured = [(one.name, words.score(one.value, one.std), words.number(one.baseline)) for one in found.metrics]
    kind = found.kind.removesuffix("es").removesuffix("s")
    return [
        f"### {text(found.title)}",
        text(found.remark),
        text(found.sentence),
        table(("metric", found.rows + "s", "without inputs"), measured),
        table((kind, "rows", "predicted", "precision", "recall", "F1"), scores),
    ]


def _failures(content: Content) -> list[str]:
    rows = [(one.trial, one.state, one.message) for one in content.failures[:TOP_FAILURES]]
    return ["## Failures", table(("trial", "state", "reason"), rows) or "No trial failed or diverged."]


def _provenance(content: Content) -> list[str]:
    info = content.provenance
    pairs = {**info.data, **info.splits, "seed": info.seed, **info.search, **info.machine, **info.versions}
    return ["## Provenance", table(("", ""), pairs.items()), code_block(info.study_file, "toml")]
