"""From the name of a source to its reader."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.addresses import hidden
from hpsearch.core.registries import DATA_SOURCES
from hpsearch.core.registry import Objects
from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.data.csv_files import CSV_OPTIONS
from hpsearch.data.files import SUFFIXES, read_file
from hpsearch.data.functions import read_function
from hpsearch.data.loaded import Loaded
from hpsearch.data.source import Source
from hpsearch.errors import DataError, SpecError

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec


SOURCES = Objects(DATA_SOURCES, Source)
"""All named sources, including those of other packages."""


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
            raise DataError(
                f"{source.name} has no option {quoted(option)}{did_you_mean(option, source.options)}",
                code="unknown-option",
                hint=f"its [data] options: {listed(source.options) or 'none'}",
                source=source.name,
                option=option,
            )
    return source.read(**spec.data.options)


_OTHER_FILES = (".xlsx", ".xls", ".ods", ".txt", ".dat", ".json", ".jsonl", ".feather", ".arrow", ".npy", ".gz", ".zip",
                ".pkl", ".pickle", ".h5", ".hdf5")  # fmt: skip


def unknown_source(name: str) -> DataError:
    """The error for a name that is not a source of any kind."""
    name = str(hidden(name))
    suffixes = Path(name).suffixes
    if (len(suffixes) > 1 and suffixes[-2].lower() in SUFFIXES) or (suffixes and suffixes[-1].lower() in _OTHER_FILES):
        return DataError(
            f"{name}: files of this kind are not read",
            code="unknown-source",
            hint=f"unpack the file, or save it as one of {listed(SUFFIXES)}",
            source=name,
        )
    return DataError(
        f"there is no data source {quoted(name)}{did_you_mean(name, SOURCES)}",
        code="unknown-source",
        source=name,
        hint="`hpsearch data` lists all sources; relative paths start from the study file's folder",
        closest=closest(name, SOURCES),
    )


def list_sources(report: Callable[[SpecError], None]) -> list[dict[str, str]]:
    """What ``hpsearch data`` shows: name, description and options of every source.

    Args:
        report: Called for each source that cannot be imported; it is left out.
    """
    named = [
        {"name": name, "description": one.description, "options": ", ".join(one.options)}
        for name, one in SOURCES.usable(report).items()
    ]
    return [
        *named,
        {
            "name": "FILE.csv, .tsv",
            "description": "a table with a header row",
            "options": ", ".join((*CSV_OPTIONS, "categories")),
        },
        {"name": "FILE.parquet", "description": "a table", "options": "categories"},
        {"name": "FILE.npz", "description": "arrays x and y; optionally x_test and y_test", "options": ""},
        {
            "name": "module:function",
            "description": "your own function: arrays, a DataFrame or a tf.data.Dataset",
            "options": "its arguments",
        },
    ]
