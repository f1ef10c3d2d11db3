"""Reading a study file: TOML in, frozen and fully checked values out. All mistakes are reported at once."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from hpsearch.core.files import likely_encoding
from hpsearch.core.foreign import errors_as, said
from hpsearch.core.words import LONGEST_PATH, closest, cut
from hpsearch.errors import SpecError
from hpsearch.spec.assembly import make_space
from hpsearch.spec.drafts import Draft, draft_of
from hpsearch.spec.limits import beyond_limits, read_bytes, read_toml
from hpsearch.spec.messages import MOST_PROBLEMS, SpecProblem, broken_rules, one_per_key, problem_of
from hpsearch.spec.parameters import parse_parameter
from hpsearch.spec.sections import StudySpec

_MOST_ERRORS = 4 * MOST_PROBLEMS
"""pydantic has an error for each type that a value could have."""


def load_spec(path: str | Path) -> tuple[StudySpec, str]:
    """Read and check a study file.

    Returns:
        The checked values and the file's text.

    Raises:
        SpecError: The file cannot be read, is not TOML, or breaks rules; ``values["problems"]`` has all of them.
    """
    path = Path(path)
    try:
        text = read_bytes(path).decode("utf-8-sig")  # editors on Windows write a byte order mark
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        near = _similar_file(path)
        raise SpecError(
            f"{cut(path, LONGEST_PATH)} cannot be read: {getattr(error, 'strerror', None) or error}",
            code="unreadable-file",
            hint=f"did you mean {near}?" if near else "`hpsearch init` writes a new study file",
            path=str(path),
            closest=near,
        ) from None
    return parse_spec(text, origin=str(path), folder=path.resolve().parent), text


def parse_spec(text: str, *, origin: str = "study file", folder: str | Path = ".") -> StudySpec:
    """Check the text of a study file; see :func:`load_spec`.

    Args:
        text: The text.
        origin: Where it comes from, for messages.
        folder: The folder that relative data files start from.
    """

    def explain(error: Exception) -> SpecError:
        return SpecError(
            f"{origin} cannot be checked: {said(error)}",
            code="unreadable-file",
            hint="hpsearch does not understand why; please report it, with the file",
            origin=origin,
        )

    with errors_as(explain):
        return _checked(read_toml(text, origin), origin, str(folder))


def _checked(raw: Mapping[str, object], origin: str, folder: str) -> StudySpec:
    problems = [SpecProblem.of_rule(key, error) for key, error in islice(beyond_limits(raw), MOST_PROBLEMS)]
    if problems:  # what is beyond the bounds is not checked further
        raise broken_rules(origin, problems)
    if "folder" in raw:
        rule = "unknown key; relative paths start from the study file's folder"
        problems.append(SpecProblem("folder", "unknown-key", rule, raw["folder"]))
    unread = _space_problems(raw)
    try:
        spec = StudySpec.model_validate({**raw, "folder": folder})
    except ValidationError as error:
        problems += one_per_key([problem_of(one) for one in islice(error.errors(include_url=False), _MOST_ERRORS)])
    else:
        if not problems and not unread:
            _check_space(spec, origin)
            return spec
    draft = draft_of(raw, folder, tuple(unread))
    raise broken_rules(origin, [*problems, *unread.values(), *_more_of_space(draft)], draft=draft)


def _check_space(spec: StudySpec, origin: str) -> None:
    if spec.model.family is None:  # the space of a build function depends on its code
        return
    try:
        make_space(spec, origin=origin)
    except SpecError as error:
        error.values["draft"] = Draft(spec, frozenset({"space", "model"}))
        raise


def _more_of_space(draft: Draft | None) -> tuple[SpecProblem, ...]:
    """Problems of the entries in ``[space]`` that can be read, as far as they do not follow from other mistakes."""
    if draft is None or draft.spec.model.family is None or draft.is_broken("model"):
        return ()
    try:
        make_space(draft.spec)
    except SpecError as error:
        found: tuple[SpecProblem, ...] = error.values["problems"]  # type: ignore[assignment]
        return tuple(problem for problem in found if not _follows(problem, draft))
    return ()


def _follows(problem: SpecProblem, draft: Draft) -> bool:
    """Whether a problem may be none of its own: a condition on an entry that is a mistake itself."""
    if problem.code not in ("unknown-condition", "impossible-condition", "circular-conditions"):
        return False
    entry = draft.spec.space.get(problem.key.removeprefix("space."))
    when = entry.get("when") if isinstance(entry, dict) else None
    return not isinstance(when, dict) or any(draft.is_broken(f"space.{other}") for other in when)


def _not_utf8(path: Path, error: UnicodeDecodeError) -> SpecError:
    data: bytes = error.object
    found = likely_encoding(data)
    line = data[: error.start].count(b"\n") + 1
    return SpecError(
        f"{path} cannot be read: it is not UTF-8 text, see line {line} (it may be {found})",
        code="not-utf8",
        hint="save it as UTF-8",
        path=str(path),
        line=line,
        encoding=found,
    )


def _space_problems(raw: Mapping[str, object]) -> dict[str, SpecProblem]:
    """Entries of [space] that cannot be read, whatever other sections say: name → problem."""
    problems = {}
    space = raw.get("space", {})
    for name, value in space.items() if isinstance(space, dict) else ():
        try:
            parse_parameter(value)
        except ValueError as error:
            problems[name] = SpecProblem.of_rule(f"space.{name}", error, value)
    return problems


def _similar_file(path: Path) -> str | None:
    folder = path.parent if path.parent.is_dir() else Path()
    files = {one.stem: str(one) for one in [*sorted(Path("studies").glob("*.toml")), *sorted(folder.glob("*.toml"))]}
    near = closest(path.stem, files)
    return None if near is None else files[near]
