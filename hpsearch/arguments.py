"""From the arguments of :func:`hpsearch.run` to a study file and its text."""

import hashlib
import os
import re
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import TypeAlias

from hpsearch import given
from hpsearch.analysis.toml import toml_document
from hpsearch.core.foreign import errors_as
from hpsearch.core.values import MOST_VALUES
from hpsearch.core.words import cut, listed, quoted
from hpsearch.data.targets import is_one_hot
from hpsearch.errors import HpsearchError, LedgerError, SpecError
from hpsearch.ledger import workspace
from hpsearch.spec import DEFAULT_LEDGER, StudySpec, load_spec, parse_spec
from hpsearch.spec.limits import read_toml
from hpsearch.spec.messages import problem_of

Source: TypeAlias = str | Path | Mapping[str, object] | object
"""A study file, its content as a dict, or a build function."""

_SECTIONS = (
    "data", "validation", "model", "training", "search", "pruning", "resources", "champion", "tracking", "objective"
)  # fmt: skip

_KEYS = {
    "trials": ("search", "trials"),
    "folds": ("validation", "folds"),
    "metric": ("objective", "metric"),
    "direction": ("objective", "direction"),
}
"""Argument → where it stands in a study file."""


def study_file(
    source: Source,
    parts: Mapping[str, object],
    arguments: Mapping[str, object],
    *,
    stem: str | None = None,
    callbacks: object = None,
) -> tuple[StudySpec, str]:
    """The study file that a call stands for.

    Args:
        source: See :data:`Source`.
        parts: Data in memory, by name; see :data:`hpsearch.given.PARTS`. None for those that are not given.
        arguments: Further arguments, by name. None for those that are not given.
        callbacks: A function of a config that returns callbacks, or a list of them, beside a build function.
        stem: Beginning of the name of a study that has no name of its own; by default that of the build function.

    Returns:
        The checked values and the file's text.

    Raises:
        HpsearchError: An argument is unknown, missing or wrong; the data or the code cannot be kept.
    """
    arguments = {name: value for name, value in arguments.items() if value is not None}
    parts = {name: value for name, value in parts.items() if value is not None}
    _check_names(arguments)
    _check_callbacks(callbacks, source)
    if isinstance(source, str | os.PathLike):
        return _of_file(Path(source), parts, arguments)
    build = None if isinstance(source, Mapping) else source
    if not isinstance(source, Mapping):
        _check_build(source)
    raw = _merged({} if build is not None else _copied(source), arguments)
    if parts:
        _check_parts(parts, _section(raw, "data"))
        _set(raw, "data", {**_labels(build, parts), **_section(raw, "data"), **_roles(parts)})
    origin = "hpsearch.run(…)"
    if not parts and build is None:
        text = _text(_named(raw, stem or "study"))
        return parse_spec(text, origin=origin, folder=Path.cwd()), text
    root = workspace.root_of(str(_section(raw, "tracking").get("ledger", DEFAULT_LEDGER))) / "given"
    shared = _section(raw, "tracking").get("shared") is True
    folder, module = _kept(root, build, parts, callbacks, shared=shared)
    if parts:
        _set(raw, "data", {"source": f"{module}:data"})
    else:
        _set(raw, "data", _seen_from(folder, _section(raw, "data")))
    if build is not None:
        _set(raw, "model", {"build": f"{module}:build"})
        given_objective = raw.get("objective", {})
        if isinstance(given_objective, Mapping) and not {"metric", "direction"} & given_objective.keys():
            _set(raw, "objective", {"metric": "val_loss", "direction": "minimize"})
    text = _text(_named(raw, stem or _plain_name(build)))
    return parse_spec(text, origin=origin, folder=folder.resolve()), text


def _kept(
    root: Path, build: object, parts: Mapping[str, object], callbacks: object, *, shared: bool
) -> tuple[Path, str]:
    """See :func:`hpsearch.given.keep`."""
    try:
        return given.keep(root, build, parts, callbacks=callbacks, shared=shared)
    except OSError as error:
        raise LedgerError(
            f"{root} cannot be written: {error.strerror or error}",
            code="cannot-write-given",
            hint="data and code in memory are kept there; make it writable, or change to another folder",
            folder=str(root),
        ) from None


def _seen_from(folder: Path, data: Mapping[str, object]) -> dict[str, object]:
    """A ``[data]`` section whose file is found from the folder of the kept code, also when all have been moved."""
    source = data.get("source")
    if not isinstance(source, str | os.PathLike) or not (path := Path(source).expanduser()).is_file():
        return {**data}
    return {**data, "source": str(path) if path.is_absolute() else os.path.relpath(path.resolve(), folder.resolve())}


def _of_file(path: Path, parts: Mapping[str, object], arguments: dict[str, object]) -> tuple[StudySpec, str]:
    if parts:
        raise SpecError(
            f"{listed(parts)}: {path} names its data in [data], so none can be given beside it",
            code="data-twice",
            hint="give a build function or a dict instead of the file, or leave them out",
            given=tuple(parts),
        )
    name = arguments.pop("name", None)
    spec, text = load_spec(path)
    if arguments:
        text = _text(_merged(read_toml(text.lstrip("\ufeff"), str(path)), arguments))
        spec = parse_spec(text, origin=f"{path}, with {listed(arguments)}", folder=path.resolve().parent)
    return spec if name is None else _renamed(spec, name), text


def _renamed(spec: StudySpec, name: object) -> StudySpec:
    from pydantic import ValidationError

    try:
        return StudySpec.model_validate({**spec.model_dump(), "folder": spec.folder, "name": name})
    except ValidationError as error:
        problem = problem_of(error.errors()[0])
        raise SpecError(f"--name: {problem.text}", code="bad-name", name=name) from None


def _check_callbacks(callbacks: object, source: Source) -> None:
    if callbacks is None:
        return
    if isinstance(source, str | os.PathLike | Mapping):
        raise SpecError(
            "callbacks can be given beside a build function, but the first argument is none",
            code="callbacks-without-build",
            hint='a study says training={"callbacks": [{"kind": "EarlyStopping", "patience": 5}]}, and a build module '
            "has a function callbacks(config)",
        )
    if not callable(callbacks) and not isinstance(callbacks, list | tuple):
        kind = type(callbacks).__name__
        raise SpecError(
            f"callbacks must be a list of Keras callbacks, or a function of a config that returns one, but is a {kind}",
            code="bad-callbacks",
            hint="callbacks=[keras.callbacks.EarlyStopping(patience=5)]",
            type=kind,
        )


def _check_names(arguments: Mapping[str, object]) -> None:
    known = ("name", "seed", "space", *_KEYS, *_SECTIONS)
    for name in arguments:
        if name not in known:
            raise SpecError(
                f"hpsearch.run() got an unknown argument {quoted(name)}",
                code="unknown-argument",
                hint=f"data are given as {listed(given.PARTS)}; others are {listed(known)}. Hyperparameters, such as "
                "epochs, are given in space",
                argument=name,
            )
    for name in _SECTIONS:
        if name in arguments and not isinstance(arguments[name], Mapping):
            shown = "" if name == "tracking" else f" = {arguments[name]!r}"  # which may be an address with a password
            raise SpecError(
                f"{name}{shown} is not a dict",
                code="not-a-section",
                hint=f"it stands for the section [{name}] of a study file, such as {name}={{…}}",
                argument=name,
            )


def _check_build(build: object) -> None:
    if not (callable(build) or callable(getattr(build, "build", None))):
        raise SpecError(
            f"hpsearch.run() takes a study file, a dict or a build function first, but got {type(build).__name__}",
            code="not-a-build-function",
            hint="such as hpsearch.run(build, x, y); a build function returns a compiled Keras model",
            type=type(build).__name__,
        )


def _check_parts(parts: Mapping[str, object], data: Mapping[str, object]) -> None:
    needs = {"y": "x", "y_test": "x_test", "x_test": "x", "groups": "x", "time": "x", "sample_weight": "x"}
    for name, needed in (needs | {"sample_weight_test": "x_test"}).items():
        if name in parts and needed not in parts:
            raise SpecError(
                f"{name} is given, but no {needed}", code="missing-argument", hint=f"give {needed} too", argument=needed
            )
    if "x" in parts and "y" not in parts and not _has_targets(parts["x"], data):
        raise SpecError(
            "x is given, but no y",
            code="missing-argument",
            hint='give y too, or name the target column of a table: data={"target": …}',
            argument="y",
        )


def _has_targets(x: object, data: Mapping[str, object]) -> bool:
    """Whether `x` alone has the targets: a table with a target column, or ``tf.data``."""
    return "target" in data or hasattr(x, "element_spec")


def _labels(build: object, parts: Mapping[str, object]) -> dict[str, object]:
    """A build function gets one-hot rows if they are given: its loss is for them."""
    return {"labels": "one-hot"} if build is not None and "y" in parts and is_one_hot(parts["y"]) else {}


def _roles(parts: Mapping[str, object]) -> dict[str, object]:
    return {role: part for role, part in (("group", "groups"), ("time", "time")) if part in parts}


def _merged(raw: dict[str, object], arguments: Mapping[str, object]) -> dict[str, object]:
    for name, value in arguments.items():
        if name in _KEYS:
            section, key = _KEYS[name]
            _set(raw, section, {key: value})
        elif name == "space":
            raw["space"] = _space(value)
        elif isinstance(value, Mapping):
            _set(raw, name, value)
        else:
            raw[name] = value
    return raw


def _space(value: object) -> dict[str, object]:
    """A space as a study file has it. ``(low, high)`` is a range."""
    if not isinstance(value, Mapping):
        raise SpecError(
            f"space = {quoted(value)} is not a dict of hyperparameters",
            code="not-a-section",
            hint='such as space={"units": [32, 64], "learning_rate": (0.001, 0.01)}',
            argument="space",
        )
    ranges = {name: one for name, one in value.items() if isinstance(one, tuple) and _is_range(one)}
    return {str(name): one for name, one in value.items()} | {
        str(name): {"low": low, "high": high} for name, (low, high) in ranges.items()
    }


def _is_range(values: tuple[object, ...]) -> bool:
    """Whether these are two numbers; two texts or truth values are choices."""
    return len(values) == 2 and all(isinstance(one, Real) and not isinstance(one, bool) for one in values)


def _copied(raw: object) -> dict[str, object]:
    assert isinstance(raw, Mapping)
    return {str(name): dict(one) if isinstance(one, Mapping) else one for name, one in raw.items()}


def _set(raw: dict[str, object], section: str, values: Mapping[str, object]) -> None:
    raw[section] = {**_section(raw, section), **values}


def _section(raw: Mapping[str, object], name: str) -> dict[str, object]:
    section = raw.get(name, {})
    return dict(section) if isinstance(section, Mapping) else {}


def _named(raw: dict[str, object], stem: str) -> dict[str, object]:
    """With a name that the same call has again, and a changed one does not."""
    if "name" in raw:
        return raw
    digest = hashlib.sha256(_text(raw).encode()).hexdigest()
    return {"name": f"{stem}-{digest[:6]}", **raw}


def _plain_name(build: object) -> str:
    found = "" if build is None else str(getattr(build, "__name__", type(build).__name__))
    return re.sub(r"\W+", "", found) or "study"


def _text(raw: Mapping[str, object]) -> str:
    """As TOML, with numbers of NumPy as Python's."""

    def explain(error: Exception) -> HpsearchError:
        said = f"{type(error).__name__}: {error}" if not isinstance(error, TypeError | ValueError) else str(error)
        return SpecError(cut(said, 300), code="wrong-type", hint="give plain numbers, texts, lists and dicts")

    with errors_as(explain):
        plain = {name: _python(value) for name, value in raw.items()}
        rest = {name: value for name, value in plain.items() if isinstance(value, Mapping)}
        return toml_document({**{name: one for name, one in plain.items() if name not in rest}, **rest})


def _python(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _python(one) for name, one in value.items()}
    if isinstance(value, list | tuple | range):
        if len(value) > MOST_VALUES:
            raise ValueError(f"a list of {len(value):,} values is too long; {MOST_VALUES:,} are allowed")
        return [_python(one) for one in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    item = getattr(value, "item", None)
    return item() if callable(item) and not isinstance(value, str) else value
