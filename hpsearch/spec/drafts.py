"""What is left of a study file when its mistakes are taken out, so that the rest can be checked in the same round."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hpsearch.spec.sections import StudySpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_STAND_INS: Mapping[tuple[str, ...], object] = {
    ("name",): "study",
    ("data",): {"source": "missing"},
    ("data", "source"): "missing",
    ("model",): {"family": "mlp"},
    ("objective",): {"metric": "val_loss", "direction": "minimize"},
    ("objective", "metric"): "val_loss",
    ("objective", "direction"): "minimize",
}
"""Required keys, and what stands for them where a mistake has left none."""

_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Draft:
    """A study file without its mistakes.

    Attributes:
        spec: What is left, with defaults in place of the rest.
        broken: Keys whose values were mistakes, sections included, such as ``"data.target"``. Nothing that follows from
            their defaults is a mistake of the user's.
    """

    spec: StudySpec
    broken: frozenset[str]

    def is_broken(self, *keys: str) -> bool:
        """Whether one of these keys, or something in it or around it, was a mistake."""
        return any(
            key == one or key.startswith(f"{one}.") or one.startswith(f"{key}.") for key in keys for one in self.broken
        )


def draft_of(raw: Mapping[str, object], folder: str, bad_space: Sequence[str]) -> Draft | None:
    """The draft of a study file; None if too little is left.

    Args:
        raw: The file's content.
        folder: The folder that relative data files start from.
        bad_space: Hyperparameters in ``[space]`` whose entries cannot be read.
    """
    left = deepcopy({**raw})
    left.pop("folder", None)
    broken = {f"space.{name}" for name in bad_space}
    space = left.get("space")
    if isinstance(space, dict):
        left["space"] = {name: value for name, value in space.items() if name not in bad_space}
    for _ in range(_ROUNDS):
        try:
            return Draft(StudySpec.model_validate({**left, "folder": folder}), frozenset(broken))
        except ValidationError as error:
            for one in error.errors():
                broken.add(_take_out(left, one))
    return None


def _take_out(left: dict[str, object], error: "ErrorDetails") -> str:
    """Remove what an error is about, or put something in place of what is missing; returns its key."""
    path = [part for part in error["loc"] if isinstance(part, str)]
    section: dict[str, object] = left
    done: list[str] = []
    for part in path:
        if part not in section:
            break
        done.append(part)
        value = section[part]
        if not isinstance(value, dict) or part == path[-1]:
            break
        section = value
    key = tuple(done)
    if error["type"] == "missing":
        key = (*done, path[-1]) if done != path else key
        _put(left, key)
        return ".".join(key)
    if done:
        section.pop(done[-1], None)
        if key in _STAND_INS:
            _put(left, key)
    return ".".join(key)


def _put(left: dict[str, object], key: tuple[str, ...]) -> None:
    stand_in = _STAND_INS.get(key)
    if stand_in is None:
        return
    section: dict[str, object] = left
    for part in key[:-1]:
        inner = section.get(part)
        if not isinstance(inner, dict):
            return
        section = inner
    section[key[-1]] = deepcopy(stand_in)
