"""Which reader a source's name calls for."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data import keras_sets, sklearn_sets
from hpsearch.data.files import CSV_OPTIONS, SUFFIXES, read_file
from hpsearch.data.functions import read_function
from hpsearch.data.loaded import Loaded
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Source:
    """A named data set.

    Attributes:
        name: As written in ``[data] source``.
        description: One line.
        read: Its reader; takes ``[data] options``.
        options: Names that ``[data] options`` may have.
    """

    name: str
    description: str
    read: Callable[..., Loaded]
    options: tuple[str, ...] = ()


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("keras:mnist", "70,000 handwritten digits, 28 x 28", keras_sets.mnist),
        Source("keras:fashion_mnist", "70,000 pieces of clothing, 28 x 28", keras_sets.fashion_mnist),
        Source("keras:imdb", "50,000 film reviews as word numbers, good or bad", keras_sets.imdb, ("words",)),
        Source("keras:reuters", "11,228 newswires as word numbers, 46 topics", keras_sets.reuters, ("words",)),
        Source("keras:boston_housing", "506 districts, 13 numbers, home value", keras_sets.boston_housing),
        Source(
            "keras:california_housing",
            "20,640 districts, 8 numbers, house value",
            keras_sets.california_housing,
            ("version", "unit"),
        ),
        Source("sklearn:digits", "1,797 handwritten digits, 8 x 8", sklearn_sets.digits),
        Source("sklearn:iris", "150 flowers, 4 numbers, 3 kinds", sklearn_sets.iris),
        Source("sklearn:wine", "178 wines, 13 numbers, 3 growers", sklearn_sets.wine),
        Source("sklearn:breast_cancer", "569 tumours, 30 numbers, benign or not", sklearn_sets.breast_cancer),
        Source("sklearn:diabetes", "442 patients, 10 numbers, progression", sklearn_sets.diabetes),
    )
}


def read_source(spec: "StudySpec") -> Loaded:
    """Read the study's data source.

    Raises:
        DataError: The source is unknown, missing or unreadable.
    """
    name = spec.data.source
    if name in SOURCES:
        return _read_named(SOURCES[name], spec)
    if Path(name).suffix.lower() in SUFFIXES:
        return read_file(spec)
    if re.fullmatch(r"[\w.]+:\w+", name) and not re.match(r"(keras|sklearn):", name):
        return read_function(spec)
    raise unknown_source(name)


def _read_named(source: Source, spec: "StudySpec") -> Loaded:
    for option in spec.data.options:
        if option not in source.options:
            close = difflib.get_close_matches(option, source.options, n=1)
            raise DataError(
                f"{source.name}: has no option {option!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
                hint=f"its [data] options: {', '.join(source.options) or 'none'}",
            )
    return source.read(**spec.data.options)


def unknown_source(name: str) -> DataError:
    """The error for a source that is none of the four kinds."""
    close = difflib.get_close_matches(name, SOURCES, n=1)
    return DataError(
        f"there is no data source {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
        hint='use one of `hpsearch data`, a .csv, .parquet or .npz file, or "package.module:function"; '
        "relative files start from the study file's folder",
    )


def list_sources() -> list[dict[str, str]]:
    """What ``hpsearch data`` shows: name, description and options of every source."""
    named = [
        {"name": one.name, "description": one.description, "options": ", ".join(one.options)}
        for one in SOURCES.values()
    ]
    return [
        *named,
        {
            "name": "FILE.csv, .tsv",
            "description": "a table with a header row",
            "options": ", ".join((*CSV_OPTIONS, "categories")),
        },
        {"name": "FILE.parquet", "description": "a table", "options": "categories"},
        {"name": "FILE.npz", "description": "arrays x and y, and x_test and y_test if there are", "options": ""},
        {
            "name": "module:function",
            "description": "your own function: arrays, a DataFrame or a tf.data.Dataset",
            "options": "its arguments",
        },
    ]
