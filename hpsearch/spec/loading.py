"""Reading a study file: TOML in, frozen and fully checked values out. All errors come at once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hpsearch.core.words import closest
from hpsearch.errors import SpecError
from hpsearch.spec.assembly import make_space
from hpsearch.spec.messages import describe_problem, report_problems
from hpsearch.spec.parameters import parse_parameter
from hpsearch.spec.sections import StudySpec


def load_spec(path: str | Path) -> tuple[StudySpec, str]:
    """Read and check a study file.

    Returns:
        The checked values and the file's text.

    Raises:
        SpecError: The file is missing, not TOML, or breaks rules; all of them are listed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError(f"{path}: cannot be read: {reason}", hint=_similar_files(path)) from None
    return parse_spec(text, origin=str(path), folder=path.resolve().parent), text


def parse_spec(text: str, *, origin: str = "study file", folder: str | Path = ".") -> StudySpec:
    """Check the text of a study file; see :func:`load_spec`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin}: not valid TOML: {error}") from None
    problems: list[str] = []
    if "folder" in raw:
        problems.append("folder: unknown key; relative files start from the study file's folder")
    try:
        spec = StudySpec.model_validate({**raw, "folder": str(folder)})
    except ValidationError as error:
        problems += [describe_problem(one) for one in error.errors()]
        raise SpecError(report_problems(origin, problems + _space_problems(raw))) from None
    if problems:
        raise SpecError(report_problems(origin, problems))
    if spec.model.family is None:
        return spec  # what a build function's space holds is known once its code has been seen
    try:
        make_space(spec)
    except SpecError as error:
        code = error.code.partition(".")[2]
        raise SpecError(f"{origin}: {error.what}", code=code, hint=error.hint, **error.values) from None
    return spec


def _space_problems(raw: Mapping[str, Any]) -> list[str]:
    """Problems of [space] that can be told even while other sections are wrong."""
    problems = []
    space = raw.get("space", {})
    for name, value in space.items() if isinstance(space, dict) else ():
        try:
            parse_parameter(value)
        except ValueError as error:
            problems.append(f"space.{name}: {error}")
    return problems


def _similar_files(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path()
    names = [str(p) for p in [*sorted(folder.glob("*.toml")), *sorted(Path("studies").glob("*.toml"))]]
    found = closest(path, names, cutoff=0.5)
    return f"did you mean {found}?" if found else "`hpsearch init` writes a new study file"
