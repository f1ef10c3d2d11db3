"""Exhaustive grids of real trainings, on which `benchmarks.search_quality` replays searches in no time.

Every config of a grid is trained on every fold by a study of hpsearch itself, and its scores are kept in
``benchmarks/tables``. Where the space that is searched has a range, the grid has nodes on it, and the scores of values
between two nodes are interpolated, fold by fold. The best score of the space is therefore that of a node.

    KERAS_HOME=… python -m benchmarks.lookup_tables [NAME …]      writes the tables that are named, or all
"""

import argparse
import bisect
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.space import Config, Space, config_key
from hpsearch.spec import make_space, parse_spec

FOLDER = Path(__file__).parent / "tables"

STUDY = """
name = "{name}"
seed = 1
[data]
source = "{source}"
max_rows = {rows}
{options}
[validation]
folds = 5
[model]
family = "mlp"
{fixed}
[objective]
metric = "{metric}"
direction = "{direction}"
[search]
algorithm = "{algorithm}"
trials = 100000
[tracking]
uri = "sqlite:///{folder}/mlflow.db"
ledger = "sqlite:///{folder}/ledger.db"
[space]
{space}
"""


@dataclass(frozen=True)
class Recipe:
    """How a table is made.

    Attributes:
        source: The data.
        metric: What is kept of every fold.
        direction: Of the metric.
        grid: The grid as ``[space]`` of a study file.
        ranges: Lines of ``[space]`` that are searched in place of those of the grid.
        fixed: Lines of ``[model]``.
        rows: At most so many rows.
        options: A line of ``[data]``.
    """

    source: str
    metric: str
    direction: Literal["minimize", "maximize"]
    grid: Mapping[str, str]
    ranges: Mapping[str, str]
    fixed: str = ""
    rows: int = 1500
    options: str = ""

    def study(self, name: str, folder: str, *, searched: bool) -> str:
        """The study file: of the space that is searched, or of the grid."""
        space = {**self.grid, **(self.ranges if searched else {})}
        return STUDY.format(
            name=name, source=self.source, rows=self.rows, options=self.options, fixed=self.fixed, metric=self.metric,
            direction=self.direction, algorithm="tpe" if searched else "grid", folder=folder,
            space="\n".join(f"{key} = {value}" for key, value in space.items()),
        )  # fmt: skip


_RATES = "[0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]"
_RATE = "{ low = 0.0003, high = 0.1, log = true }"
RECIPES = {
    "digits": Recipe(
        "sklearn:digits", "val_accuracy", "maximize",
        {"learning_rate": "[0.001, 0.003, 0.01, 0.03, 0.1]", "optimizer": '["sgd", "adam", "rmsprop"]',
         "units": "[16, 64, 128]", "dropout": "[0.0, 0.25]", "batch_size": "[32, 128]", "epochs": "10",
         "momentum": "0.0"},
        {}, fixed="layers = 2",
    ),
    "fashion": Recipe(
        "keras:fashion_mnist", "val_accuracy", "maximize",
        {"learning_rate": _RATES, "optimizer": '["sgd", "adam"]', "units": "[32, 128]", "layers": "[1, 2, 3]",
         "dropout": "[0.0, 0.2, 0.4]", "batch_size": "64", "epochs": "12", "momentum": "0.9"},
        {"learning_rate": _RATE, "dropout": "{ low = 0.0, high = 0.4 }"},
    ),
    "california": Recipe(
        "keras:california_housing", "val_mae", "minimize",
        {"learning_rate": _RATES, "optimizer": '["sgd", "adam"]', "units": "[16, 64]", "layers": "[1, 2]",
         "activation": '["relu", "tanh"]', "batch_size": "[16, 64]", "dropout": "0.0", "epochs": "20",
         "momentum": "0.9"},
        {"learning_rate": _RATE}, rows=1000, options="options = { unit = 100000 }",
    ),
    "boston": Recipe(
        "keras:boston_housing", "val_mae", "minimize",
        {"learning_rate": _RATES, "units": "[8, 32, 128]", "batch_norm": "[false, true]",
         "dropout": "[0.0, 0.1, 0.3]", "epochs": "[10, 40]", "batch_size": "16", "optimizer": '"rmsprop"'},
        {"learning_rate": _RATE, "dropout": "{ low = 0.0, high = 0.3 }"}, fixed="layers = 2",
    ),
    "mnist-conditional": Recipe(
        "keras:mnist", "val_accuracy", "maximize",
        {"learning_rate": _RATES, "optimizer": '["sgd", "adam", "rmsprop"]',
         "momentum": '{ values = [0.0, 0.5, 0.9, 0.97], when = { optimizer = ["sgd"] } }',
         "units": "[16, 64, 256]", "activation": '["relu", "tanh"]', "dropout": "0.2", "batch_size": "64",
         "epochs": "10"},
        {"learning_rate": _RATE,
         "momentum": '{ low = 0.0, high = 0.97, when = { optimizer = ["sgd"] } }'}, fixed="layers = 2",
    ),
}  # fmt: skip


class LookupTable:
    """The scores of all configs of a grid.

    Args:
        name: One of :data:`RECIPES`.
    """

    def __init__(self, name: str) -> None:
        self.name, self.recipe = name, RECIPES[name]
        kept = json.loads((FOLDER / f"{name}.json").read_text())
        self.columns: list[str] = kept["columns"]
        self._rows = {tuple(row): np.array(scores) for row, scores in zip(kept["configs"], kept["scores"], strict=True)}
        self._nodes = {
            column: sorted({row[i] for row in self._rows if row[i] is not None})
            for i, column in enumerate(self.columns)
            if column in self.recipe.ranges
        }

    @cached_property
    def space(self) -> Space:
        """The space that is searched."""
        return make_space(parse_spec(self.recipe.study(self.name, "x", searched=True)), {})

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """Mean score of every config of the grid."""
        return np.array([scores.mean() for scores in self._rows.values()])

    @property
    def best(self) -> float:
        """The best of them."""
        return float(self.means.max() if self.recipe.direction == "maximize" else self.means.min())

    @cached_property
    def standard_error(self) -> float:
        """Of a config's difference from another, over folds: what a score near the best one could be off by chance."""
        scores = np.array(list(self._rows.values()))
        good = scores[np.argsort(np.abs(self.means - self.best))[: max(10, len(scores) // 10)]]
        residuals = good - good.mean(axis=0) - good.mean(axis=1, keepdims=True) + good.mean()
        variance = (residuals**2).sum() / ((good.shape[0] - 1) * (good.shape[1] - 1))
        return float(np.sqrt(variance / good.shape[1]))

    def scores(self, config: Config) -> NDArray[np.float64]:
        """A config's score on every fold."""
        return self._between([config.get(column) for column in self.columns], 0)

    def _between(self, row: list[Any], first: int) -> NDArray[np.float64]:
        for i in range(first, len(row)):
            column, value = self.columns[i], row[i]
            nodes = self._nodes.get(column)
            if nodes is None or value is None or value in nodes:
                continue
            place = min(max(bisect.bisect(nodes, value), 1), len(nodes) - 1)
            low, high = nodes[place - 1], nodes[place]
            scale = math.log if "log = true" in self.recipe.ranges[column] else float
            share = (scale(value) - scale(low)) / (scale(high) - scale(low))
            below, above = ([*row[:i], node, *row[i + 1 :]] for node in (low, high))
            return (1 - share) * self._between(below, i + 1) + share * self._between(above, i + 1)
        return self._rows[tuple(row)]


def write(name: str) -> None:
    """Train all configs of a grid, and keep their scores."""
    import hpsearch

    recipe = RECIPES[name]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.toml"
        file.write_text(recipe.study(name, folder, searched=False))
        study = hpsearch.run(file)
        trials = study.trials
    columns = [key for key in recipe.grid if _varies(key, [trial.config for trial in trials])]
    configs = [[trial.config.get(column) for column in columns] for trial in trials]
    metric = recipe.metric
    scores = [[_best(fold.curves[metric], recipe.direction) for fold in trial.folds] for trial in trials]
    scores = _with_the_worst_for_diverged(scores, recipe.direction)
    lines = ",\n".join(json.dumps(one) for one in configs)
    values = ",\n".join(json.dumps(one) for one in scores)
    text = f'{{"columns": {json.dumps(columns)},\n"configs": [\n{lines}],\n"scores": [\n{values}]}}\n'
    (FOLDER / f"{name}.json").write_text(text)
    print(f"{name}: {len(configs)} configs, {len(scores[0])} folds")


def _with_the_worst_for_diverged(scores: list[list[float]], direction: str) -> list[list[float]]:
    folds = max(map(len, scores))
    whole = [row for row in scores if len(row) == folds]
    worst = [(min if direction == "maximize" else max)(column) for column in zip(*whole, strict=True)]
    return [[round(one, 5) for one in (row if len(row) == folds else worst)] for row in scores]


def _varies(column: str, configs: Sequence[Config]) -> bool:
    return len({config_key({"": config[column]} if column in config else {}) for config in configs}) > 1


def _best(curve: Sequence[float], direction: str) -> float:
    return max(curve) if direction == "maximize" else min(curve)


def main() -> None:
    """Write tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookup_tables")
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    FOLDER.mkdir(exist_ok=True)
    for name in parser.parse_args().names:
        write(name)


if __name__ == "__main__":
    main()
