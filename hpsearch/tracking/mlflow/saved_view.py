"""The study's own view of MLflow's trial table and charts: kept on the experiment, opened by its page's address.

Left to themselves MLflow's pages show neither a score nor a hyperparameter, and one section of charts per fold. MLflow
keeps what its *Views* menu saves in an experiment tag; this module writes such a tag.
"""

import base64
import json
import zlib
from collections.abc import Sequence

from hpsearch.ledger.record import StudyRecord
from hpsearch.tracking.mlflow import trial_view
from hpsearch.tracking.mlflow.address import VIEW_NAME

TAG = f"mlflow.sharedViewState.{VIEW_NAME}"

_MAX_PARAMS = 12
"""Hyperparameters shown as columns."""

_WIDTH = 96
"""Of a column, pixels: five digits of a score and its heading."""

_MAX_FOLDS = 10
"""Folds in one chart; more lines than that cannot be told apart."""


def saved_view(record: StudyRecord) -> str:
    """The tag's value: best trials first, score and searched hyperparameters as columns, charts in three groups."""
    created = trial_view.milliseconds(record.created)
    # A tag holds 5,000 characters in older stores; MLflow's pages read and write its views deflated.
    state = base64.b64encode(zlib.compress(json.dumps(_state(record)).encode(), 9)).decode()
    return json.dumps({"name": "Study", "createdAt": created, "updatedAt": created, "state": f"deflate;{state}"})


def _state(record: StudyRecord) -> dict[str, object]:
    searched = list(trial_view.legal_keys(record.space.searched()).values())[:_MAX_PARAMS]
    limited = record.objective.constraints.quantities
    columns = [
        *("metrics.`score`", "metrics.`score_std`"),
        *(f"params.`{name}`" for name in searched),
        *("metrics.`epochs`", "metrics.`seconds`", "metrics.`parameters`"),
        *(f"metrics.`{name}`" for name in ("model_mb", "latency_ms") if name in limited),
    ]
    sections = {"score": "Score", "mean": "Mean over folds", "folds": "Every fold"}
    return {
        "orderByKey": "metrics.`score`",
        "orderByAsc": record.objective.direction == "minimize",
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": ["1", "attributes.`Run Name`", "runDateAndNestInfo", *columns, "duration"],
        "columnWidths": dict.fromkeys(columns, _WIDTH),
        "runsHiddenMode": "FIRST_10_RUNS",
        "isAccordionReordered": True,  # else the sections come in the order of their names
        "compareRunSections": [
            {"uuid": uuid, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False}
            for uuid, name in sections.items()
        ],
        "compareRunCharts": [*_score_charts(record, searched), *_mean_charts(record), *_fold_charts(record)],
        "hideEmptyCharts": True,
    }


def _score_charts(record: StudyRecord, params: Sequence[str]) -> list[dict[str, object]]:
    # MLflow leaves out a trial that lacks one of the axes, such as the momentum of Adam.
    everywhere = [trial_view.legal_keys(trial.config).values() for trial in record.ranked]
    axes = [name for name in params if all(name in names for names in everywhere)]
    cost: dict[str, object] = {
        "xaxis": {"key": "seconds", "type": "METRIC"},
        "yaxis": {"key": "score", "type": "METRIC"},
    }
    return [
        _chart("score", "BAR", "score", metricKey="score"),
        _chart("score", "PARALLEL", "axes", selectedParams=axes, selectedMetrics=["score"], showAllRuns=True),
        _chart("score", "SCATTER", "cost", **cost),
    ]


def _mean_charts(record: StudyRecord) -> list[dict[str, object]]:
    return [_line("mean", name) for name in _metrics(record)]


def _fold_charts(record: StudyRecord) -> list[dict[str, object]]:
    n_folds = min(_MAX_FOLDS, record.facts.data.n_folds)
    names = [name for name in _metrics(record) if name.startswith("val_")]
    return [
        _line("folds", name, keys=[trial_view.legal_key(f"fold_{fold}/{name}") for fold in range(n_folds)])
        for name in names[:2]
    ]


def _metrics(record: StudyRecord) -> list[str]:
    """Names of the curves, the objective and its training counterpart first; the objective alone before any trial."""
    objective = record.objective.metric
    known = next((trial.folds[0].curves for trial in record.ranked if trial.folds), {objective: ()})
    first = (objective, objective.removeprefix("val_"), "val_loss", "loss")
    return [*(name for name in first if name in known), *(name for name in known if name not in first)][:8]


def _line(section: str, name: str, *, keys: Sequence[str] = ()) -> dict[str, object]:
    chosen = list(keys) or [trial_view.legal_key(name)]
    more: dict[str, object] = {
        "selectedMetricKeys": chosen,
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
    }
    return _chart(section, "LINE", name, metricKey=chosen[0], xAxisKey="step", yAxisKey="metric", range={}, **more)


def _chart(section: str, kind: str, name: str, **more: object) -> dict[str, object]:
    about = {"uuid": f"{section}-{name}-{kind}", "metricSectionId": section, "displayName": name}
    return {"type": kind, "runsCountToCompare": 10, "deleted": False, "isGenerated": False, **about, **more}
