"""What ``cv`` of a scikit-learn search is as ``[validation]`` of a study."""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from sklearn import model_selection as ms

from hpsearch.errors import SpecError

_WAYS = (
    "give a number of folds, or KFold(n, shuffle=True), StratifiedKFold(n, shuffle=True), GroupKFold(n), "
    "TimeSeriesSplit(n), RepeatedKFold, RepeatedStratifiedKFold, or a ShuffleSplit of one split"
)


def validation_of(cv: object, *, grouped: bool) -> dict[str, object]:
    """The section ``[validation]`` that makes such folds. Which rows are in a fold is drawn by the study's seed.

    Args:
        cv: None, a number of folds, or a splitter.
        grouped: Whether rows have groups.

    Raises:
        SpecError: hpsearch cannot split like this, or the splitter and the groups do not go together.
    """
    if cv is None:
        return {}
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        return {"folds": int(cv)}
    read = _SPLITTERS.get(type(cv))
    section = None if read is None else read(cv)
    if section is None:
        raise SpecError(
            f"cv = {_shown(cv)} cannot be expressed as folds of a study",
            code="unknown-splitter",
            hint=_WAYS,
            cv=str(cv),
        )
    keeps_groups = isinstance(cv, ms.GroupKFold | ms.GroupShuffleSplit)
    if keeps_groups and not grouped:
        raise SpecError(
            f"cv = {_shown(cv)} needs the group of each row",
            code="no-groups",
            hint="fit(X, y, groups=…); in a pipeline or cross_val_score, scikit-learn's metadata routing passes them",
            cv=str(cv),
        )
    if grouped and not keeps_groups:
        raise SpecError(
            f"cv = {_shown(cv)} would put rows of one group on both sides of a split",
            code="leaking-folds",
            hint="use GroupKFold(n) or a number of folds, or leave groups out",
            cv=str(cv),
        )
    return dict(section)


def _shown(cv: object) -> str:
    return str(cv)[:80] if type(cv) in _SPLITTERS else f"{type(cv).__name__}(…)"


Section = Mapping[str, object] | None


def _folds(method: str) -> Callable[[Any], Section]:
    """Folds of rows in no order. Without `shuffle`, scikit-learn's are of consecutive rows."""
    return lambda cv: {"method": method, "folds": cv.n_splits} if cv.shuffle else None


def _repeated(method: str) -> Callable[[Any], Section]:
    return lambda cv: {"method": method, "folds": cv.cvargs["n_splits"], "repeats": cv.n_repeats}


def _time_series(cv: Any) -> Section:
    plain = cv.max_train_size is None and cv.test_size is None and not cv.gap
    return {"method": "time-series", "folds": cv.n_splits} if plain else None


def _holdout(cv: Any) -> Section:
    one = cv.get_n_splits() == 1 and isinstance(cv.test_size, float) and cv.train_size is None
    return {"method": "holdout", "fraction": cv.test_size} if one else None


_SPLITTERS: dict[type, Callable[[Any], Section]] = {
    ms.KFold: _folds("kfold"),
    ms.StratifiedKFold: _folds("stratified"),
    ms.RepeatedKFold: _repeated("kfold"),
    ms.RepeatedStratifiedKFold: _repeated("stratified"),
    ms.GroupKFold: lambda cv: {"method": "group", "folds": cv.n_splits},
    ms.TimeSeriesSplit: _time_series,
    ms.ShuffleSplit: _holdout,
    ms.StratifiedShuffleSplit: _holdout,
    ms.GroupShuffleSplit: _holdout,
}
