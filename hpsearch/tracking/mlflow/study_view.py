"""What MLflow shall show of a whole study: tags, description, leaderboard, charts of the parent run. Pure values."""

from collections.abc import Sequence

from hpsearch.analysis import crowned_sentences
from hpsearch.core.constraints import listed_texts
from hpsearch.core.output_metrics import best_values
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.safe_text import as_code, for_markdown
from hpsearch.core.space import Value
from hpsearch.core.trial import Trial, TrialState
from hpsearch.core.words import readable_address
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.tracking.mlflow import saved_view
from hpsearch.tracking.mlflow.trial_view import (
    NAME,
    NOTE,
    TAG_LENGTH,
    Point,
    finite_or_nan,
    iso_time,
    legal_key,
    mean_points,
    milliseconds,
    trial_label,
)

STUDY, KIND, MODEL_URI = "hpsearch.study", "hpsearch.kind", "hpsearch.champion"
CROWNED = "hpsearch.chosen_by_hand"
"""That the champion was chosen by hand, when, and what that makes of its test score."""

FIRST_EPOCH = "hpsearch.first_epoch"
"""Step of the first epoch in all runs of the study."""

PARAMS_OF = "hpsearch.params_of"
"""Trial whose hyperparameters the study's run has as params: that of its first champion."""

STATUS = {
    StudyState.RUNNING: "RUNNING",
    StudyState.INTERRUPTED: "KILLED",
    StudyState.FAILED: "FAILED",
    StudyState.FINISHED: "FINISHED",
}
"""MLflow status of the parent run."""


def unique_name(record: StudyRecord) -> str:
    """Name and time of creation: a study that is begun anew after its ledger was deleted is another one."""
    return f"{record.name} {iso_time(record.created)}"[:TAG_LENGTH]


def experiment_tags(record: StudyRecord, first: int) -> dict[str, str]:
    """Tags of the experiment. Without ``experimentKind``, MLflow's pages open in their GenAI mode."""
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": "score",
        "mlflow.experiment.primaryMetric.greaterIsBetter": str(record.objective.direction == "maximize"),
        NOTE: _introduction(record, first),
        saved_view.TAG: saved_view.saved_view(record),
    }


def study_tags(record: StudyRecord) -> dict[str, str]:
    """Tags of the parent run: what is needed to understand the numbers and to make them again."""
    spec, facts = record.spec, record.facts
    found = {
        NAME: record.name,
        NOTE: describe(record)[:TAG_LENGTH],
        "hpsearch.state": record.state.value,
        "hpsearch.seed": str(spec.seed),
        "hpsearch.tuner": f"{spec.search.tuner} {spec.search.algorithm}",
        "hpsearch.objective": f"{record.objective.direction} {record.objective.metric} ({record.objective.epoch})",
        "hpsearch.folds": str(facts.data.n_folds),
        "hpsearch.engine": facts.plan.engine,
        "hpsearch.device": facts.machine.device,
        "hpsearch.versions": ", ".join(f"{name} {one}" for name, one in facts.machine.versions.items()),
        "mlflow.source.git.commit": facts.git_commit or "",
    }
    if (baseline := facts.baseline) is not None:
        found["hpsearch.baseline"] = f"{record.objective.metric} {baseline.value:.6g}, always saying {baseline.rule}"
    if record.best is not None:
        found["hpsearch.best_trial"] = str(record.best.number)
    if constraints := record.objective.constraints:
        found["hpsearch.limits"] = listed_texts(constraints.each)
    if record.champion and record.champion.model_uri:
        found[MODEL_URI] = record.champion.model_uri
    if record.champion and record.champion.crowned is not None:
        found[CROWNED] = " ".join(crowned_sentences(record))
    return {name: text[:TAG_LENGTH] for name, text in found.items() if text}


def study_points(record: StudyRecord, first: int) -> list[Point]:
    """Final metrics and charts of the parent run, besides the trajectory.

    The best trial's mean curves stand under its own label (``t012/val_accuracy``), because a study that is resumed
    may get another best trial, and points in MLflow are there for good; `first` is the step of the first epoch. Their
    other steps are trial numbers.
    """
    points: list[Point] = []
    facts = record.facts
    if (baseline := facts.baseline) is not None:
        when = milliseconds(record.created)
        points.append(Point("baseline", finite_or_nan(baseline.value), when, 0))
        points += [
            Point(legal_key(f"baseline_validation_{name}"), finite_or_nan(value), when, 0)
            for name, value in best_values(facts.data, (one.metrics for one in facts.baselines)).items()
        ]
    if (best := record.best) is not None:
        points += mean_points(best, prefix=f"{trial_label(best.number)}/", first=first)
    return points + champion_points(record, first)


def champion_points(record: StudyRecord, first: int) -> list[Point]:
    """Metrics of the winner at its trial's number, and refit curves (``refit_t012/loss``).

    ``test_accuracy`` is the champion's of the test rows, ``validation_auc`` the trial's over the folds, and
    ``baseline_test_accuracy`` what is reached without looking at inputs.
    """
    champion = record.champion
    if champion is None:
        return []
    # The ledger has no time of the refit; the study's beginning stays what it is.
    when = milliseconds(record.created)
    points = [
        Point(legal_key(f"{kind}_{name}"), finite_or_nan(value), when, champion.trial)
        for kind, metrics in (
            ("test", champion.test),
            ("baseline_test", champion.baseline),
            ("validation", champion.validation),
        )
        for name, value in metrics.items()
    ]
    for name, curve in champion.curves.items():
        under = legal_key(f"refit_{trial_label(champion.trial)}/{name}")
        points += [Point(under, finite_or_nan(value), when, epoch) for epoch, value in enumerate(curve, start=first)]
    return points


def end_ms(record: StudyRecord) -> int:
    """End of the last finished trial: the study's end, whenever it is written."""
    return milliseconds(max((t.finished for t in record.trials if t.finished is not None), default=record.created))


def leaderboard(record: StudyRecord) -> dict[str, list[object]]:
    """The trials, best first, as MLflow's ``log_table`` stores a table: ``{"columns": […], "data": [[…], …]}``."""
    ranked = list(record.ranked)
    others = [trial for trial in record.trials if trial.state is not TrialState.COMPLETE]
    names = list(dict.fromkeys(name for trial in (*ranked, *others) for name in trial.config))
    metric = record.objective.metric
    folds = sorted({fold for trial in ranked for fold in trial.scores_by_fold(metric)})
    columns: list[object] = ["rank", "trial", "state", "score", "std", "epoch", "seconds", "parameters"]
    limited = [name for name in record.objective.constraints.quantities if name not in ("parameters", metric)]
    columns += [f"fold_{fold}" for fold in folds] + names + limited

    def row(trial: Trial, rank: int | None) -> list[object]:
        scores = trial.scores_by_fold(metric)
        measured = [trial.measured.get(name) for name in limited]
        return [*_row(trial, rank, [scores.get(fold) for fold in folds], names), *map(_finite, measured)]

    rows = [row(trial, rank) for rank, trial in enumerate(ranked, start=1)]
    rows += [_baseline_row(one, len(columns), len(folds)) for one in record.facts.baselines]
    return {"columns": columns, "data": [*rows, *(row(trial, None) for trial in others)]}


def _baseline_row(found: Baseline, width: int, folds: int) -> list[object]:
    """What needs no model, under the columns of trials."""
    scores = found.fold_scores if len(found.fold_scores) == folds else ()
    cells: list[object] = [None, None, f"baseline: always saying {found.rule}", found.value, None, None, None, None]
    return [*cells, *scores, *[None] * (width - len(cells) - len(scores))]


def facts_json(record: StudyRecord) -> dict[str, object]:
    """All facts and notes of the study."""
    return {**record.facts.to_json(), "notes": list(record.notes)}


def dataset_profile(record: StudyRecord) -> dict[str, object]:
    """Sizes of the data, as MLflow shows them beside the data set."""
    data = record.facts.data.to_json()
    shown = ("rows", "test_rows", "task", "classes", "columns", "input_shape")
    return {name: data[name] for name in shown if data.get(name)}


def describe(record: StudyRecord) -> str:
    """Where the study stands, in markdown. What it is stands on the experiment."""
    best, champion = record.best, record.champion
    lines = [f"State: **{record.state.value}**, {_counts(record)}."]
    lines += [for_markdown(sentence) for sentence in _of_limits(record)]
    if best is not None and best.score is not None:
        spread = "" if best.std is None else f" ± {best.std:.3g}"
        lines.append(
            f"Best: trial **{best.number}**, {record.objective.metric} **{best.score:.4g}**{spread} "
            f"(mean ± standard deviation over {len(best.fold_scores)} folds, read {best.read_at})."
        )
        lines += ["", "| hyperparameter | value |", "|---|---|"]
        lines += [f"| {for_markdown(name)} | {for_markdown(value)} |" for name, value in best.config.items()]
    if champion is not None:
        test = ", ".join(f"{for_markdown(name)} {value:.4g}" for name, value in champion.test.items())
        lines += [
            "",
            f"The champion: {champion.made}" + (f"; test: {test}" * bool(test)),
        ]
        lines += [f"{sentence}" for sentence in crowned_sentences(record)]
        lines += [f"Model: {as_code(champion.model_uri)}"] * bool(champion.model_uri)
    lines += [f"- {for_markdown(note)}" for note in record.notes[-10:]]
    return "\n".join(lines)


def _of_limits(record: StudyRecord) -> list[str]:
    constraints, nearest = record.objective.constraints, record.nearest
    if not constraints:
        return []
    texts = listed_texts(constraints.each)
    if record.best is None and nearest is not None and nearest.failure is not None:
        return [
            f"No trial keeps the limits ({texts}); the nearest is trial {nearest.number}: {nearest.failure.message}."
        ]
    return [f"Limits: {texts}. Only trials that keep them are ranked."]


def _introduction(record: StudyRecord, first: int) -> str:
    spec, data = record.spec, record.facts.data
    model = readable_address(spec.model.family or spec.model.build or "")
    rows = f", {data.rows} rows" if data.rows else ""
    source = as_code(readable_address(spec.data.source))
    return (
        f"Hyperparameter search by hpsearch: model {as_code(model)} on {source}{rows}; "
        f"{record.objective.direction} {as_code(record.objective.metric)} over {data.n_folds} folds, "
        f"{spec.search.tuner} {spec.search.algorithm}, seed {spec.seed}. "
        "The parent run is the study; below it is one run per trial. FINISHED trials are ranked by `score`, KILLED "
        "ones were pruned or interrupted, or break a limit of the study, FAILED ones diverged or raised. `fold_0/…` is "
        f"a fold's curve, the plain name the mean over folds; step {first} is the first epoch."
    )


def _counts(record: StudyRecord) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in record.counts.items()) or "no trials yet"


def _row(trial: Trial, rank: int | None, scores: Sequence[float | None], names: Sequence[str]) -> list[object]:
    config: list[Value | None] = [trial.config.get(name) for name in names]
    cells: list[object] = [rank, trial.number, trial.state.value, trial.score, trial.std, trial.epoch]
    cells += [round(trial.seconds, 3), trial.parameters, *scores, *config]
    return list(map(_finite, cells))


def _finite(cell: object) -> object:
    """JSON has no NaN; a cell without a finite number is empty."""
    return None if isinstance(cell, float) and cell - cell != 0 else cell
