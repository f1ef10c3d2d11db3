"""What an error says to a Python program: arguments and functions, where the command line has options and files.

Messages name a key as it stands in a study file, ``[data] task``, a command in backticks, ``hpsearch resume NAME``, and
an option, ``--trials``. A caller of :func:`hpsearch.run` has written none of these.
"""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from hpsearch.errors import HpsearchError

_FUNCTIONS = {"resume": "resume", "show": "load", "sync": "sync", "delete": "delete"}
"""Command → function. Other commands are for the shell in Python, too."""

_ARGUMENTS = {
    ("validation", "folds"): "folds",
    ("search", "trials"): "trials",
    ("objective", "metric"): "metric",
    ("objective", "direction"): "direction",
}
"""Keys that :func:`hpsearch.run` has arguments for."""

_WITHOUT_A_FILE = {
    ", or `name = …` in the file": "",
    "another study file": "other arguments",
    "the study file": "the call",
}

_LITERAL = r'"[^"]*"|\'[^\']*\'|\[[^\]]*\]|\{[^}]*\}|\.\.\.|…|-?[\w.]*\w'


@contextmanager
def speaking_python(source: object = None, y: object = None) -> Iterator[None]:
    """Errors that leave the block speak to a Python program.

    Args:
        source: What :func:`hpsearch.run` was given first; None where a study has been named. Of anything but a file,
            errors speak without study files.
        y: Targets that were given.
    """
    try:
        yield
    except HpsearchError as error:
        in_memory = source is not None and not isinstance(source, str | os.PathLike)
        build = str(getattr(source, "__name__", type(source).__name__)) if in_memory else "build"
        speak = partial(_spoken, in_memory=in_memory, data="x" if in_memory and y is None else "(x, y)", build=build)
        hint = f"\n  hint: {speak(error.hint)}" if error.hint else ""
        error.spoken = f"{speak(error.what)}{hint}"
        raise


def _spoken(text: str, *, in_memory: bool, data: str, build: str) -> str:
    text = re.sub(r"given_[0-9a-f_]+:data\b", lambda _: data, text)
    text = re.sub(r"given_[0-9a-f_]+:build\b", lambda _: build, text)
    text = re.sub(r"`hpsearch ([^`]*)`", _called, text)
    text = re.sub(r"--(name|trials|ledger)(?: ([^\s;,)]+))?", _argument, text)
    text = re.sub(r"--(trust|join|overwrite)\b", r"\1=True", text)
    if not in_memory:
        return text
    for written, said in _WITHOUT_A_FILE.items():
        text = text.replace(written, said)
    sections = "|".join(_sections())
    text = re.sub(rf"\[({sections})\](?: ([a-z_]+)\b(?: = ({_LITERAL}))?)?", _key, text)
    for (section, key), argument in _ARGUMENTS.items():
        text = text.replace(f"{section}.{key}:", f"{argument}:")
    return re.sub(rf"(?<![\w.\"{{=])(\b[a-z_]+) = ({_LITERAL})", _bare_key, text)


def _called(match: "re.Match[str]") -> str:
    """A command for the shell as a call, if there is a function for it."""
    try:
        verb, *words = shlex.split(match[1])
    except ValueError:
        return match[0]
    own = words[1:2] if verb == "crown" else []  # a method of a study: the words after its name are its arguments
    if (verb not in _FUNCTIONS and not own) or not words:
        return match[0]
    rest = words[1 + len(own) :]
    options = dict(zip(rest[::2], rest[1::2], strict=False))
    given = [f"{name.removeprefix('--')}={_python(value)}" for name, value in options.items()]
    call = f"hpsearch.{_FUNCTIONS.get(verb, 'load')}({', '.join([_quoted(words[0]), *given])})"
    return f"`{call}.{verb}({own[0]})`" if own else f"`{call}`"


def _argument(match: "re.Match[str]") -> str:
    name, value = match[1], match[2]
    if value is None or (name == "trials" and not value.isdigit()):
        return "name=…" if name == "name" else name
    return f"{name}={_python(value)}"


def _key(match: "re.Match[str]") -> str:
    """A key of a section, or the section."""
    section, key, value = match[1], match[2], match[3]
    if section != "space" and key is not None and key not in _sections()[section]:
        return f"{section} {match[0].partition('] ')[2]}"  # prose follows, not a key
    return _keyword(section, key, value)


def _bare_key(match: "re.Match[str]") -> str:
    owners = [section for section, keys in _sections().items() if match[1] in keys]
    return _keyword(owners[0], match[1], match[2]) if len(owners) == 1 else match[0]


def _keyword(section: str, key: str | None, value: str | None) -> str:
    if key is None:
        return section
    if (argument := _ARGUMENTS.get((section, key))) is not None:
        return argument if value is None else f"{argument}={_python(value)}"
    return f'{section}={{"{key}": {"…" if value is None else _python(value)}}}'


def _python(text: str) -> str:
    """A value of a study file or of an option, as Python writes it."""
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text if text in ("…", "...") else _quoted(text)
    return _quoted(value)


def _quoted(value: object) -> str:
    return repr(value) if '"' in repr(value) else repr(value).replace("'", '"')


@cache
def _sections() -> dict[str, frozenset[str]]:
    """Section of a study file → its keys."""
    from hpsearch.spec import StudySpec

    sections: dict[str, Any] = {name: field.annotation for name, field in StudySpec.model_fields.items()}
    found = {name: getattr(one, "model_fields", None) for name, one in sections.items()}
    return {name: frozenset(keys) for name, keys in found.items() if keys is not None} | {"space": frozenset()}
