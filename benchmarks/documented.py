"""Measures the documented studies: whether the documented config reaches its reference, and what a search finds.

    python -m benchmarks.documented --write docs/results.md     # all studies
    python -m benchmarks.documented imdb boston                 # only these; the figures of the others stay
    python -m benchmarks.documented --documented                # only the documented configs, no search

The figures are stored in benchmarks/documented.json, and the table is written from there. Data sets are read from
Keras' cache (KERAS_HOME). A study without its data is skipped with a message.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "documented.json"

Figures = dict[str, float]


@dataclass(frozen=True)
class Documented:
    """One documented study.

    Attributes:
        config: The documented hyperparameters. The study file's constants fill in the rest.
        reference: The figure to reach, in words.
        measured: The figures of the documented config to show.
        tuned: The figure of the search's winner to show.
        reached: Tells whether the documented and the tuned figures meet the reference.
        how: How to measure the documented config: ``test`` trains on all training rows, ``holdout`` on those of the
            study's holdout, ``folds`` averages the study's folds epoch by epoch, ``line`` predicts 11, 12 and 13.
    """

    config: dict[str, Any]
    reference: str
    measured: tuple[str, ...]
    tuned: str
    reached: Callable[[Figures, Figures], bool]
    how: tuple[str, ...] = ("test",)


RMSPROP = {"optimizer": "rmsprop", "learning_rate": 0.001}
ADAM = {"optimizer": "adam", "learning_rate": 0.001}
SGD = {"optimizer": "sgd", "learning_rate": 0.01}

STUDIES: dict[str, Documented] = {
    "line": Documented(
        {**ADAM, "activation": "relu"},
        "predicts 11, 12, 13 within 1 % after tuning",
        ("largest error",),
        "largest error",
        lambda _, tuned: tuned["largest error"] <= 0.01,
        how=("line",),
    ),
    "mnist-ann": Documented(
        {**RMSPROP, "units": 512},
        "test accuracy ≥ 0.977",
        ("test accuracy",),
        "accuracy",
        lambda plain, _: plain["test accuracy"] >= 0.977,
    ),
    "mnist-small": Documented(
        {**SGD, "batch_size": 20},
        "val and test accuracy 0.948, 0.947 ± 0.006; 16,330 weights",
        ("val_accuracy", "test accuracy", "weights"),
        "accuracy",
        lambda plain, _: (
            abs(plain["val_accuracy"] - 0.948) <= 0.006
            and abs(plain["test accuracy"] - 0.947) <= 0.006
            and plain["weights"] == 16_330
        ),
        how=("holdout",),
    ),
    "mnist-cnn": Documented(
        {**ADAM, "blocks": 1, "filters": 32, "dropout": 0.25, "dense_units": 128, "dense_dropout": 0.25},
        "test accuracy ≥ 0.99 after tuning",
        ("test accuracy",),
        "accuracy",
        lambda _, tuned: tuned["test accuracy"] >= 0.99,
    ),
    "fashion-dnn": Documented(
        {**ADAM, "units": 512, "units_2": 256, "dropout": 0.4, "dropout_2": 0.25},
        "test accuracy ≥ 0.89 after tuning",
        ("test accuracy",),
        "accuracy",
        lambda _, tuned: tuned["test accuracy"] >= 0.89,
    ),
    "fashion-cnn": Documented(
        {**ADAM, "filters": 32, "dropout": 0.25, "dense_units": 256, "dense_dropout": 0.4},
        "test accuracy ≥ 0.92 after tuning",
        ("test accuracy",),
        "accuracy",
        lambda _, tuned: tuned["test accuracy"] >= 0.92,
    ),
    "imdb": Documented(
        {**RMSPROP, "units": 16, "epochs": 4},
        "test accuracy ≥ 0.87",
        ("test accuracy",),
        "accuracy",
        lambda plain, _: plain["test accuracy"] >= 0.87,
    ),
    "reuters": Documented(
        {**RMSPROP, "units": 64, "epochs": 9},
        "test accuracy ≥ 0.78",
        ("test accuracy",),
        "accuracy",
        lambda plain, _: plain["test accuracy"] >= 0.78,
    ),
    "boston": Documented(
        {**RMSPROP, "units": 64},
        "mean CV MAE ≤ 2.5 at the best epoch of the mean curve",
        ("CV mae", "best epoch", "test mae"),
        "mae",
        lambda plain, _: plain["CV mae"] <= 2.5,
        how=("folds", "test"),
    ),
    "california": Documented(
        {**RMSPROP, "units": 64},
        "none; test MAE in 100,000 dollars",
        ("test mae",),
        "mae",
        lambda _plain, _tuned: True,
    ),
    "auto-mpg": Documented(
        {**ADAM, "units": 64},
        "test MAE ≤ 2.1 MPG",
        ("test mae",),
        "mae",
        lambda plain, _: plain["test mae"] <= 2.1,
    ),
    "digits": Documented(
        {**ADAM, "units": 128, "batch_size": 32, "dropout": 0.2},
        "none; the study to try first",
        ("test accuracy",),
        "accuracy",
        lambda _plain, _tuned: True,
    ),
}


def documented_config(name: str) -> dict[str, Any]:
    """The study file's constants, overridden by the documented values.

    Raises:
        ValueError: A searched hyperparameter has no documented value.
    """
    from hpsearch.core.space import Constant
    from hpsearch.spec import load_spec, make_space

    spec, _ = load_spec(ROOT / "studies" / f"{name}.toml")
    wanted = STUDIES[name].config
    config: dict[str, Any] = {}
    for one, parameter in (space := make_space(spec)).items():
        if space.is_active(one, {**config, **wanted}):
            config[one] = wanted[one] if one in wanted else parameter.values()[0]  # type: ignore[index]
            if one not in wanted and not isinstance(parameter, Constant) and len(parameter.values() or (1, 2)) > 1:
                raise ValueError(f"{name}: the documented config has no value for {one}")
    return config


def measure_documented(name: str) -> Figures:
    """Train the documented config with plain Keras ``fit``."""
    from hpsearch.spec import load_spec
    from hpsearch.training.problem import Problem

    spec, _ = load_spec(ROOT / "studies" / f"{name}.toml")
    problem, config = Problem.load(spec), documented_config(name)
    measures = {"test": _on_test, "holdout": _on_holdout, "folds": _on_folds, "line": _on_line}
    figures: Figures = {}
    started = time.perf_counter()
    for how in STUDIES[name].how:
        figures |= measures[how](problem, config)
    return {**figures, "seconds": time.perf_counter() - started}


def _fit(problem: Any, config: dict[str, Any], part: Any, validation: Any = None) -> tuple[Any, dict[str, list[float]]]:
    model = problem.build(config, part, seed=1)
    history = model.fit(
        part.x,
        part.y,
        batch_size=config["batch_size"],
        epochs=config["epochs"],
        validation_data=None if validation is None else (validation.x, validation.y),
        verbose=0,
    )
    return model, history.history


def _test_figures(problem: Any, model: Any) -> Figures:
    test = problem.dataset.test
    found = model.evaluate(test.x, test.y, batch_size=512, return_dict=True, verbose=0)
    return {f"test {name}": float(value) for name, value in found.items()}


def _on_test(problem: Any, config: dict[str, Any]) -> Figures:
    model, _ = _fit(problem, config, problem.dataset.train)
    return {**_test_figures(problem, model), "weights": model.count_params()}


def _on_holdout(problem: Any, config: dict[str, Any]) -> Figures:
    train, validation = problem.fold_parts(0)
    model, history = _fit(problem, config, train, validation)
    return {
        "val_accuracy": history["val_accuracy"][-1],
        **_test_figures(problem, model),
        "weights": model.count_params(),
    }


def _on_folds(problem: Any, config: dict[str, Any]) -> Figures:
    import numpy as np

    curves = [_fit(problem, config, *problem.fold_parts(fold.index))[1]["val_mae"] for fold in problem.folds]
    mean = np.mean(curves, axis=0)
    return {"CV mae": float(mean.min()), "best epoch": float(mean.argmin() + 1)}


def _on_line(problem: Any, config: dict[str, Any]) -> Figures:
    return _line_error(_fit(problem, config, problem.dataset.train)[0])


def _line_error(model: Any) -> Figures:
    import numpy as np

    asked = np.array([11, 12, 13], dtype=np.float32)
    predicted = model.predict({"x": asked}, verbose=0)[:, 0]
    return {"largest error": float(np.abs(predicted / asked - 1).max())}


def measure_search(name: str, resources: str = "") -> dict[str, Any]:
    """Run the study file's search in a temporary folder and test the winner.

    Args:
        name: The study.
        resources: Lines for ``[resources]``, for example ``engine = "fit"``.
    """
    import keras

    import hpsearch

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path.cwd()
        os.chdir(folder)
        try:
            study_file = Path(f"{name}.toml")
            text = (ROOT / "studies" / study_file).read_text(encoding="utf-8")
            study_file.write_text(f"{text}\n[resources]\n{resources}\n", encoding="utf-8")
            Path("data").symlink_to(ROOT / "studies" / "data")
            study = hpsearch.run(study_file)
            champion = study.record.champion
            assert champion is not None
            figures: dict[str, Any] = {f"test {metric}": value for metric, value in champion.test.items()}
            figures |= {"score": study.record.ranked[0].score, "trials": len(study.record.trials)}
            figures["engine"] = study.record.facts.plan.engine
            if name == "line":
                figures |= _line_error(keras.models.load_model(champion.path))
        finally:
            os.chdir(home)
    return {**figures, "seconds": time.perf_counter() - started}


def read_results() -> dict[str, Any]:
    """The stored figures: study → ``documented`` or ``search`` → figures."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def keep(name: str, what: str, figures: Figures) -> None:
    """Store figures. The file is read again first, because another process may have added some meanwhile."""
    print(name, what, json.dumps(figures), flush=True)
    results = read_results() | {"machine": f"{os.cpu_count()} CPU cores"}
    results[name] = {**results.get(name, {}), what: figures}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_table(results: dict[str, Any], path: Path) -> None:
    """Write the page with the table of results, in Markdown."""
    lines = [
        "# Results of the documented studies",
        "",
        "`make studies` generates this page (`benchmarks/documented.py`). Do not edit it.",
        "",
        "- *Documented config*: the documented hyperparameters, trained with Keras `fit` on the JAX backend, and",
        "  tested. They train on all training rows; `mnist-small` on 70 % of them, `boston` also on the 4 folds of its",
        "  study.",
        "- *After the search*: the winner of the search, refitted on all training rows and tested once.",
        "- *s*: wall time in seconds. The machine did other work at the same time, so these are orders of magnitude.",
        "- *Reached*: whether the figures meet the reference.",
        "",
        "| study | reference | documented config | s | after the search | trials | engine | s | reached |",
        "|---|---|---|---:|---|---:|---|---:|---|",
    ]
    for name, study in STUDIES.items():
        if name not in results:
            continue
        plain, tuned = results[name].get("documented", {}), results[name].get("search", {})
        shown = ", ".join(f"{one} {_number(plain[one])}" for one in study.measured if one in plain)
        key = study.tuned if study.tuned in tuned else f"test {study.tuned}"
        after = f"{key} {_number(tuned[key])}" if tuned and key in tuned else "–"
        try:
            reached = "yes" if study.reached(plain, tuned) else "no"
        except KeyError:
            reached = "not run"
        lines.append(
            f"| `{name}` | {study.reference} | {shown or '–'} | {_seconds(plain)} | {after} | "
            f"{tuned.get('trials', '–')} | {tuned.get('engine', '–')} | {_seconds(tuned)} | {reached} |"
        )
    lines += ["", f"Machine: {results.get('machine', 'not recorded')}.", ""]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4f}"


def _seconds(figures: Figures) -> str:
    return f"{figures['seconds']:.0f}" if "seconds" in figures else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="study")
    parser.add_argument("--documented", action="store_true", help="measure only the documented configs")
    parser.add_argument("--search", action="store_true", help="measure only the searches")
    parser.add_argument("--resources", default="", help="lines for [resources], for example 'engine = \"fit\"'")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table to this file, in Markdown")
    parser.add_argument("--table", action="store_true", help="measure nothing; only write the table")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - STUDIES.keys():
        parser.error(f"unknown study {', '.join(sorted(unknown))}; choose from {', '.join(STUDIES)}")
    from hpsearch.errors import HpsearchError, Interrupted

    for name in () if arguments.table else arguments.studies or STUDIES:
        try:
            if not arguments.search:
                keep(name, "documented", measure_documented(name))
            if not arguments.documented:
                keep(name, "search", measure_search(name, arguments.resources))
        except Interrupted:
            raise
        except HpsearchError as error:
            print(f"{name}: {error}", flush=True)
    if arguments.write:
        write_table(read_results(), arguments.write)


if __name__ == "__main__":
    main()
