"""Which column of a table is to be predicted."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.data.targets import infer_task
from hpsearch.errors import DataError
from hpsearch.proposal.reading import Table
from hpsearch.proposal.roles import names_of, unpredictable

_NAMES = ("target", "label", "class", "y", "outcome", "response", "output", "dependent")
"""What targets are called, whatever they are."""

_OFTEN = (
    "species", "diagnosis", "survived", "churn", "churned", "default", "defaulted", "fraud", "is_fraud", "price",
    "saleprice", "sale_price", "medv", "mpg", "quality", "sales", "demand", "income", "salary", "revenue", "rating",
    "score", "result", "status", "category", "sentiment", "attrition", "exited", "converted", "subscribed", "deposit",
)  # fmt: skip
"""Other names that targets often have."""

_SEVERAL = re.compile(r"(target|label|class|y|tag)s?[_\W]?\w+", re.I)

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Target:
    """The column or columns to predict.

    Attributes:
        names: At least one.
        why: How it was found; empty if it was given.
    """

    names: tuple[str, ...]
    why: str = ""


def target_of(table: Table, given: Sequence[str]) -> Target:
    """The target: as given, or the one column that is called like one.

    Raises:
        DataError: A given column does not exist; or none or several look like a target, and
            ``values["candidates"]`` has them, the likeliest first.
    """
    names = [str(name) for name in table.frame.columns]
    for name in given:
        if name not in names:
            raise DataError(
                f"--target names column {quoted(name)}, which does not exist{did_you_mean(name, names)}",
                code="unknown-column",
                hint=f"the table has {names_of(table)}",
                role="target",
                column=name,
                closest=closest(name, names),
            )
    if given:
        return Target(tuple(dict.fromkeys(given)))
    why_not = unpredictable(table)
    if by_name := [name for name in names if name.strip().lower() in _NAMES]:
        # A name that leaves no doubt outweighs what an amount may have in common with an id.
        why_not = {name: why for name, why in why_not.items() if name not in by_name or table.frame[name].nunique() < 2}
    candidates = [name for name in names if name not in why_not]
    if not candidates:
        raise _none(why_not)
    hopeless = [f"{name}: {why_not[name]}" for name in by_name if name in why_not]
    if several := _several(table, candidates):
        return Target(several, "their names say so")
    for known in (_NAMES, _OFTEN):
        called = [name for name in candidates if name.strip().lower() in known]
        if len(called) == 1:
            return Target((called[0],), "its name says so")
        if called:
            raise _unsure(_ordered(candidates, called), hopeless)
    if len(candidates) == 1 and not hopeless:
        return Target((candidates[0],), "no other column can be one")
    raise _unsure(_ordered(candidates, candidates[-1:]), hopeless)


def _several(table: Table, candidates: Sequence[str]) -> tuple[str, ...]:
    """Columns such as label_a and label_b, or y1 and y2."""
    by_prefix: dict[str, list[str]] = {}
    for name in candidates:
        if (found := _SEVERAL.fullmatch(name)) and not name[len(found[1]) :].isalpha():
            by_prefix.setdefault(found[1].lower(), []).append(name)
    groups = [names for names in by_prefix.values() if len(names) > 1 and _numeric(table, names)]
    alone = any(name.strip().lower() in _NAMES for name in candidates)
    return tuple(groups[0]) if len(groups) == 1 and len(groups[0]) < len(candidates) and not alone else ()


def _numeric(table: Table, names: Sequence[str]) -> bool:
    return all(table.frame[name].dtype.kind in "iufb" for name in names)


def _ordered(candidates: Sequence[str], first: Sequence[str]) -> list[str]:
    rest = [name for name in reversed(candidates) if name not in first]
    return [*first, *rest]


def _unsure(candidates: Sequence[str], hopeless: Sequence[str]) -> DataError:
    not_these = f", but not {listed(hopeless)}" if hopeless else ""
    return DataError(
        f"which column is the target? It may be {listed(map(repr, candidates), most=_SHOWN)}{not_these}",
        code="which-target",
        hint=f"name it: --target {_quoted(candidates[0])}",
        candidates=tuple(candidates),
    )


def _none(why_not: Mapping[str, str]) -> DataError:
    reasons = "; ".join(f"{name}: {why}" for name, why in [*why_not.items()][:_SHOWN])
    return DataError(
        f"no column can be the target ({reasons})",
        code="which-target",
        hint="name it all the same: --target NAME",
        candidates=(),
    )


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else shlex.quote(name)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What targets are, where hpsearch's own judgement needs a word in the study file.

    Attributes:
        task: ``[data] task``; None to leave it to the targets.
        why: Why, one sentence for each: key → text.
    """

    task: str | None
    why: Mapping[str, str]


_FEW_CLASSES = 20


def meaning_of(y: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Meaning:
    """What the targets are, without the missing ones.

    Args:
        y: As a source delivers them.
    """
    why: dict[str, str] = {}
    if y.ndim == 1 and y.dtype.kind == "f":
        distinct = np.unique(y)
        whole = bool((distinct == np.floor(distinct)).all())
        if len(distinct) == 2 and whole:
            return Meaning("binary", {"task": f"two values, {distinct[0]:g} and {distinct[1]:g}"})
    if y.ndim == 1 and y.dtype.kind in "iu":
        count = len(np.unique(y))
        if count > _FEW_CLASSES and infer_task(y) != "regression":
            why["task"] = f"{count} different whole numbers are amounts; if they are classes, write multiclass"
            return Meaning("regression", why)
    return Meaning(None, why)
