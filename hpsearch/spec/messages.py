"""Mistakes in a study file: one line each, with key, rule, value and the closest legal name."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar, get_args, get_origin

from pydantic import AliasChoices, BaseModel

from hpsearch.core.addresses import addresses_in, hidden
from hpsearch.core.rules import RuleError
from hpsearch.core.words import closest, cut, did_you_mean, listed, quoted
from hpsearch.errors import DataError, HpsearchError, ModelError, SpecError
from hpsearch.spec.drafts import Draft
from hpsearch.spec.other_words import equivalent_of, equivalent_value
from hpsearch.spec.sections import StudySpec

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

P = ParamSpec("P")
T = TypeVar("T")

_TAGS = {"str", "int", "float", "bool", "list", "dict"}
"""What pydantic adds to a key's path for the members of a union; the others have a bracket."""

MOST_PROBLEMS = 50
"""Mistakes of a study file that are looked for and listed in one round."""

_CODES = {
    "greater_than": "out-of-range",
    "greater_than_equal": "out-of-range",
    "less_than": "out-of-range",
    "less_than_equal": "out-of-range",
    "finite_number": "out-of-range",
    "string_too_short": "bad-length",
    "string_too_long": "bad-length",
}
"""pydantic's type of an error → our code; all others are ``wrong-type``."""


_KINDS = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list in brackets",
}
"""pydantic's type of an error → what TOML calls the value that is wanted."""


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """One mistake in a study file.

    Attributes:
        key: The key, sections included, such as ``"space.units"``.
        code: Names the rule that is broken: ``"unknown-key"``, ``"missing"``, ``"not-one-of"``, ``"out-of-range"``,
            ``"wrong-type"``, ``"other-word"`` (of another tool) or the code of a
            :class:`~hpsearch.core.rules.RuleError`.
        text: The rule and the value, in words.
        received: The value; None for a missing key.
        closest: The legal name nearest to it; None if none is near.

    Addresses in the value have no passwords here, wherever in the study file they stand.
    """

    key: str
    code: str
    text: str
    received: object = None
    closest: str | None = None

    def __post_init__(self) -> None:
        for uri in addresses_in(self.received):
            object.__setattr__(self, "text", uri.hide_in(self.text))
        object.__setattr__(self, "received", hidden(self.received))

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"

    @classmethod
    def of_rule(cls, key: str, error: ValueError, received: object = None) -> "SpecProblem":
        """The problem that a rule about `key` found. A ``RuleError`` may name a key below `key`."""
        if not isinstance(error, RuleError):
            return cls(key, RuleError(str(error)).code, str(error), received)
        found = received if error.received is None else error.received
        return cls(f"{key}.{error.key}" if error.key else key, error.code, error.text, found, error.closest)


def problem_of(error: "ErrorDetails") -> SpecProblem:
    """The problem behind one pydantic error. Of ``[tracking]``, it shows no value at all."""
    if error["loc"][:1] == ("tracking",):
        problem = _problem_of({**error, "input": None})
        return replace(problem, text=problem.text.partition(", but got ")[0])
    problem = _problem_of(error)
    known = equivalent_value(problem.key, error["input"])
    if known is None:
        return problem
    if problem.code == "not-one-of":
        return replace(problem, text=f"{problem.text}; {known}")
    return replace(problem, code="other-word", text=f"is a section, but got {quoted(hidden(error['input']))}; {known}")


def _problem_of(error: "ErrorDetails") -> SpecProblem:
    location, kind, received = error["loc"], error["type"], error["input"]
    key = ".".join(cut(part) for part in location if not (isinstance(part, str) and ("[" in part or part in _TAGS)))
    if kind == "extra_forbidden":
        if (known := equivalent_of(str(location[0]) if len(location) > 1 else "", location[-1], received)) is not None:
            return SpecProblem(key, "other-word", f"unknown key; {known}", received)
        legal = _legal_keys(location[:-1])
        text = f"unknown key{did_you_mean(location[-1], legal)}; legal: {listed(legal)}"
        return SpecProblem(key, "unknown-key", text, received, closest(location[-1], legal))
    if kind == "missing":
        return SpecProblem(key, "missing", f"is required{_wanted(location)}")
    got = quoted(hidden(received))
    if kind == "literal_error":
        legal = [part.strip("'\" ") for part in re.split(r", | or ", error["ctx"]["expected"])]
        text = f"must be one of {listed(legal)}, but got {got}{did_you_mean(received, legal)}"
        return SpecProblem(key, "not-one-of", text, received, closest(received, legal))
    broken = error.get("ctx", {}).get("error")
    if isinstance(broken, RuleError):
        got = quoted(hidden(broken.received)) if broken.key and broken.received is not None else got
        return _with_value(SpecProblem.of_rule(key, broken, received), got)
    text = f"must be {_KINDS.get(kind) or error['msg'].removeprefix('Input should be ')}, but got {got}"
    if key == "search.from":
        text = f"must be the name of a study, {_KINDS['string_type']}, but got {got}"
    if key == "search.try" and isinstance(received, dict):
        text += "; write [[search.try]], with two brackets, for each config"
    if key.startswith("search.try.") and isinstance(received, list):
        text = f"must be one value, but got {got}; a second [[search.try]] tries another"
    return SpecProblem(key, _CODES.get(kind, "wrong-type"), text, received)


def one_per_key(problems: Iterable[SpecProblem]) -> list[SpecProblem]:
    """One problem for a value that is of none of several legal types, for each of which pydantic has an error."""
    found: dict[tuple[str, str, str], SpecProblem] = {}
    for problem in problems:
        wanted, got, _ = problem.text.partition(", but got ")
        address = problem.key, problem.code, problem.text if problem.code != "wrong-type" or not got else got
        other = found.setdefault(address, problem)
        if other is not problem and got and wanted.removeprefix("must be ") not in other.text:
            first, _, rest = other.text.partition(", but got ")
            found[address] = replace(other, text=f"{first} or {wanted.removeprefix('must be ')}, but got {rest}")
    return list(found.values())


def _with_value(problem: SpecProblem, got: str) -> SpecProblem:
    """Add the value to a rule that says what the value must be."""
    if not problem.text.startswith("must"):
        return problem
    offer = "" if problem.closest is None else f" (did you mean {problem.closest!r}?)"
    text = f"{problem.text}, but got {got}{offer}"
    return SpecProblem(problem.key, problem.code, text, problem.received, problem.closest)


def _wanted(location: Sequence[str | int]) -> str:
    """The legal values of the key at `location`; empty if any is legal."""
    section = _section_at(location[:-1])
    field = None if section is None else section.model_fields.get(str(location[-1]))
    if field is None or get_origin(field.annotation) is not Literal:
        return ""
    return f", one of {listed(get_args(field.annotation))}"


def _legal_keys(location: Iterable[str | int]) -> list[str]:
    """The keys of the section at `location`; none if it is no section."""
    section = _section_at(location)
    fields = {} if section is None else section.model_fields
    return [_written(name, field) for name, field in fields.items() if name != "folder"]


def _section_at(location: Iterable[str | int]) -> type[BaseModel] | None:
    """The section's class; None if there is none, as in a list or a table of anything."""
    section: type[BaseModel] | None = StudySpec
    for part in location:
        field = None if section is None else section.model_fields.get(str(part))
        section = None if field is None else _section_in(field.annotation)
    return section


def _written(name: str, field: "FieldInfo") -> str:
    """A field's key in a study file: its first alias, if it has one."""
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def _section_in(annotation: object) -> type[BaseModel] | None:
    """The section's class, also of a section that may be None."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def broken_rules(origin: str, problems: Sequence[SpecProblem], *, draft: Draft | None = None) -> SpecError:
    """The error that lists all problems of a study file, one line each.

    Args:
        origin: Where the study file comes from.
        problems: At least one. Problems with the same line are listed once.
        draft: What is left of the file, to be checked in the same round.
    """
    distinct = tuple({str(problem): problem for problem in problems}.values())
    text = _list_of(origin, distinct)
    error = SpecError(text, code="broken-rules", origin=origin, problems=distinct)
    if draft is not None:
        error.values["draft"] = draft
    return error


def _list_of(origin: str, problems: Sequence[SpecProblem]) -> str:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    if len(problems) >= MOST_PROBLEMS:  # nobody has looked for more
        count = f"the first {MOST_PROBLEMS} problems"
    return "\n".join([f"{origin}: {count}:", *(f"  - {problem}" for problem in problems[:MOST_PROBLEMS])])


def together(origin: str, errors: Sequence[HpsearchError]) -> HpsearchError:
    """All errors of one round as one; a single one stays as it is.

    Args:
        origin: Where they come from, such as the study file.
        errors: At least one. The first decides the class, and so the exit code.
    """
    if len(errors) == 1:
        return errors[0]
    distinct = tuple({str(one): one for error in errors for one in problems_of(error)}.values())
    first = errors[0]
    code = "broken-rules" if isinstance(first, SpecError) else "several-problems"
    return type(first)(_list_of(origin, distinct), code=code, origin=origin, problems=distinct)


@dataclass
class Mistakes:
    """Errors of checks that do not depend on each other, to be raised at once.

    Attributes:
        origin: Where they come from, for messages.
        found: In the order of the checks.
    """

    origin: str
    found: list[HpsearchError] = field(default_factory=list)

    def of(self, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What a check returns; None, and a mistake more, if it raises one."""
        try:
            return check(*args, **kwargs)
        except HpsearchError as error:
            self.found.append(error)
            return None

    def end(self) -> None:
        """Raise what has been found.

        Raises:
            HpsearchError: Something has.
        """
        if self.found:
            raise together(self.origin, self.found)


def problems_of(error: HpsearchError) -> tuple[SpecProblem, ...]:
    """An error as lines of a list: those that it lists itself, or one."""
    listed_ones = error.values.get("problems")
    if isinstance(listed_ones, tuple):
        return listed_ones
    key = key_of(error)
    what = error.what.removeprefix(f"{key}: ")
    hint = f"\n    hint: {error.hint}" if error.hint else ""
    nearest = error.values.get("closest")
    value = error.values.get("value", error.values.get("column"))
    return (SpecProblem(key, error.code, f"{what}{hint}", value, nearest if isinstance(nearest, str) else None),)


_KEYS = {
    "no-target": "data.target", "one-class": "data.target", "missing-targets": "data.target",
    "text-targets": "data.target", "bad-target-type": "data.target", "large-targets": "data.target",
    "not-binary": "data.task", "not-one-hot": "data.task", "unknown-option": "data.options",
    "bad-option": "data.options", "bad-time": "data.time", "mixed-times": "data.time", "one-time-step": "data.time",
    "rare-class": "validation.folds", "too-few-rows": "validation.folds", "too-few-groups": "validation.folds",
    "too-few-time-steps": "validation.folds", "no-classes": "validation.method", "no-group-column": "data.group",
    "undefined-metric": "objective.metric",
}  # fmt: skip
"""Code of an error, without its family → the key of the study file to look at."""


_SECTIONS = "|".join(StudySpec.model_fields)


def key_of(error: HpsearchError) -> str:
    """The key of a study file that an error is about, as far as it is known; else a section's."""
    known = error.values.get("key")
    if isinstance(known, str):
        return re.sub(r"^\[(\w+)\] ", r"\1.", known)
    role = error.values.get("role")
    if isinstance(role, str):
        return f"data.{role.removeprefix('option ')}" if "option" not in role else "data.options.categories"
    if (found := _KEYS.get(error.code.partition(".")[2])) is not None:
        return found
    if (written := re.match(rf"(({_SECTIONS})\.[\w.]+): ", error.what)) is not None:
        return written[1]
    if isinstance(error, DataError):
        return "data.source"
    return "model.build" if isinstance(error, ModelError) else "study file"
