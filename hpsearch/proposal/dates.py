"""Columns of dates and times, however they are written."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_LOOKED_AT = 1_000
"""Cells that are looked at to see whether a column holds dates."""

_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CLOCK = r"([T ,]+\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([ap]\.?m\.?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}{_CLOCK}", re.I)
_DATE = re.compile(
    rf"(\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{4}}"
    rf"|\d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2}}"  # with points, it may as well be the number of a version
    rf"|{_MONTH}\s+\d{{1,2}}(st|nd|rd|th)?,?\s+\d{{4}}|\d{{1,2}}\.?[\s-]+{_MONTH}[\s-]+\d{{2,4}}){_CLOCK}",
    re.I,
)
_CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([ap]\.?m\.?)?", re.I)
_NAMED = re.compile(r"(^|[_\W])(date|day|dt|time|timestamp|datetime)s?([_\W]|$)|[a-z](Date|Time|At)$|_at$", re.I)


@dataclass(frozen=True, slots=True)
class Dates:
    """A column of dates or times of day.

    Attributes:
        times: Its cells as times, NaT where they cannot be read.
        iso: Whether ``[data] time`` reads them as they are.
        example: The first of them.
    """

    times: "pd.Series[np.datetime64]"
    iso: bool
    example: str


def dates_in(values: "pd.Series[str]") -> Dates | None:
    """The dates in a column; None if it holds something else."""
    import pandas as pd

    filled = values.dropna()
    if filled.empty:
        return None
    if pd.api.types.is_datetime64_any_dtype(values):
        return Dates(values, iso=True, example=str(filled.iloc[0])[:30])
    kind = pd.api.types.infer_dtype(filled, skipna=True)
    if kind in ("datetime", "date"):
        return Dates(pd.to_datetime(values, errors="coerce"), iso=kind == "date", example=str(filled.iloc[0]))
    if kind == "integer":
        return _numbers(values, filled)
    if kind != "string":
        return None
    texts = filled.astype(str).str.strip()
    few = texts.head(_LOOKED_AT)
    if not few.map(lambda one: _DATE.fullmatch(one) is not None or _CLOCK_ONLY.fullmatch(one) is not None).all():
        return None
    iso = bool(few.map(lambda one: _ISO.fullmatch(one) is not None).all())
    return Dates(_parsed(values, iso=iso), iso, str(texts.iloc[0])[:30])


def _numbers(values: "pd.Series[str]", filled: "pd.Series[str]") -> Dates | None:
    """Days written as 20240131, in a column whose name says so."""
    import pandas as pd

    if not _NAMED.search(str(values.name)) or not filled.between(19000101, 21001231).all():
        return None
    times = pd.to_datetime(values.astype("Int64").astype(str), format="%Y%m%d", errors="coerce")
    if times[values.notna()].isna().any():
        return None
    return Dates(times, iso=True, example=str(filled.iloc[0]))


def _parsed(values: "pd.Series[str]", *, iso: bool) -> "pd.Series[np.datetime64]":
    """The times. Of 03/04/2024, the order of day and month that leaves no cell unread counts."""
    import warnings

    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas says which format it assumes
        if iso:
            times = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
            return times.dt.tz_localize(None)
        ways = [
            pd.to_datetime(values, format="mixed", dayfirst=first, errors="coerce", utc=True).dt.tz_localize(None)
            for first in (False, True)
        ]
    return max(ways, key=lambda one: (int(one.notna().sum()), one.is_monotonic_increasing))
