"""Everything that can be added to hpsearch, by the names that study files use.

There is one table per kind: name → address. Nothing is imported before it is used. To add something to hpsearch
itself, write its class and add a line here. Other packages use entry points (:mod:`hpsearch.core.registry`).
"""

from hpsearch.core.registry import Registry

TUNERS = Registry(
    "hpsearch.tuners",
    "tuner",
    {
        "hpsearch": "hpsearch.tuners.providers:HpsearchTuners",
        "optuna": "hpsearch.tuners.providers:OptunaTuners",
        "keras-tuner": "hpsearch.tuners.providers:KerasTunerTuners",
    },
)
"""``[search] tuner`` → subclass of :class:`hpsearch.tuners.base.TunerProvider`."""

PRUNERS = Registry(
    "hpsearch.pruners",
    "pruning method",
    {
        "median": "hpsearch.pruning.median:MedianPruner",
        "successive-halving": "hpsearch.pruning.halving:HalvingPruner",
        "hyperband": "hpsearch.pruning.hyperband:HyperbandPruner",
        "racing": "hpsearch.pruning.racing:RacingPruner",
    },
)
"""``[pruning] method`` → subclass of :class:`hpsearch.pruning.base.Pruner`."""

ENGINES = Registry(
    "hpsearch.engines",
    "engine",
    {
        "fused": "hpsearch.training.engines.fused.engine:FusedEngine",
        "fit": "hpsearch.training.engines.fit:FitEngine",
    },
)
"""``[resources] engine`` → subclass of :class:`hpsearch.training.engines.base.Engine`."""

EXECUTORS = Registry(
    "hpsearch.executors",
    "executor",
    {
        "inline": "hpsearch.executors.inline:InlineExecutor",
        "processes": "hpsearch.executors.processes:ProcessesExecutor",
        "ray": "hpsearch.executors.ray_cluster:RayExecutor",
        "remote": "hpsearch.executors.remote:RemoteExecutor",
        "slurm": "hpsearch.executors.slurm:SlurmExecutor",
    },
)
"""``[resources] executor`` → subclass of :class:`hpsearch.executors.base.Executor`."""

MODEL_FAMILIES = Registry(
    "hpsearch.families",
    "model family",
    {"mlp": "hpsearch.spec.families:MLP", "cnn": "hpsearch.spec.families:CNN"},
)
"""``[model] family`` → :class:`hpsearch.spec.families.Family`."""

DATA_SOURCES = Registry(
    "hpsearch.sources",
    "data source",
    {
        "keras:mnist": "hpsearch.data.keras_sets:MNIST",
        "keras:fashion_mnist": "hpsearch.data.keras_sets:FASHION_MNIST",
        "keras:imdb": "hpsearch.data.keras_sets:IMDB",
        "keras:reuters": "hpsearch.data.keras_sets:REUTERS",
        "keras:boston_housing": "hpsearch.data.keras_sets:BOSTON_HOUSING",
        "keras:california_housing": "hpsearch.data.keras_sets:CALIFORNIA_HOUSING",
        "sklearn:digits": "hpsearch.data.sklearn_sets:DIGITS",
        "sklearn:iris": "hpsearch.data.sklearn_sets:IRIS",
        "sklearn:wine": "hpsearch.data.sklearn_sets:WINE",
        "sklearn:breast_cancer": "hpsearch.data.sklearn_sets:BREAST_CANCER",
        "sklearn:diabetes": "hpsearch.data.sklearn_sets:DIABETES",
    },
)
"""``[data] source`` → :class:`hpsearch.data.source.Source`. Files and functions have no names here."""

ALL = (TUNERS, PRUNERS, ENGINES, EXECUTORS, MODEL_FAMILIES, DATA_SOURCES)
