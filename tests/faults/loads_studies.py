"""Study files that nobody writes: those of ``studies/`` with keys, types, numbers, conditions and bytes changed."""

import datetime
import math
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

STUDIES = Path(__file__).parents[2] / "studies"
TEXTS = tuple(path.read_text(encoding="utf-8") for path in sorted(STUDIES.glob("*.toml")))
BASES = tuple(tomllib.loads(text) for text in TEXTS)

Tree = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Raw(str):
    """A value as it stands in the file."""


_NUMBERS = (
    0, -1, 1, 2, 3, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**19, 10**308, 10**400, 0.0, -0.0, 1e-8,
    5e-324, 1e-300, 1e308, -1e308, math.inf, -math.inf, math.nan, 0.1 + 0.2, 1e9, 1e-13,
)  # fmt: skip
_TEXTS = (
    "", " ", "x", "None", "nan", "\x00", "\x1b[31m", "\u202etxt", "\ufeff", "\u2028", "🦊" * 50, "é\u0301", "../../etc",
    "a" * 81, "b" * 10_000, "${HOME}", "${NOT_SET}", "{name}", "%s", "<b>", "sklearn:iris", "keras:nothing", "module:f",
    "mlp", "adam", "auto", "none", "top-5", "sqlite:///x.db", "postgresql://h:99999999/x", "postgresql://u:p@h:port/x",
    "~nobody/x.csv", "val_loss", "sklearn:", ":", "file.csv", "c" * 300 + ".csv",
)  # fmt: skip
_DATES = st.sampled_from([datetime.date(2024, 5, 31), datetime.time(12, 30), datetime.datetime(2024, 5, 31, 12)])

TEXT = st.one_of(st.sampled_from(_TEXTS), st.text(max_size=12), st.text(alphabet="ab_.-", max_size=6))
NUMBER = st.one_of(st.sampled_from(_NUMBERS), st.integers(-5, 200), st.integers(), st.floats())
SCALAR = st.one_of(NUMBER, TEXT, st.booleans(), _DATES)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
NAME = st.one_of(
    st.sampled_from(
        ["units", "layers", "dropout", "optimizer", "learning_rate", "learning_rate_adam", "momentum", "epochs",
         "batch_size", "activation", "units_1", "unit", "nesterov", "shuffle", "a", "b", "c"]
    ),
    TEXT,
)  # fmt: skip
KEYS = tuple(
    sorted({key for base in BASES for section in base.values() if isinstance(section, dict) for key in section})
)
KEY = st.one_of(
    st.sampled_from((*KEYS, *(key for base in BASES for key in base))),
    st.sampled_from(["from", "try", "folder", "outer", "null", "grid_points", "algorithm", "tuner", "stop", "compare",
                     "kind", "gpus", "engine", "max_rows", "unit", "options", "target", "patience", "max_trials"]),
    TEXT,
)  # fmt: skip
WHEN = st.dictionaries(NAME, st.one_of(SCALAR, st.lists(SCALAR, max_size=3)), max_size=2)


@st.composite
def _range(draw: Draw) -> Tree:
    found = {"low": draw(NUMBER), "high": draw(NUMBER)}
    for key, values in {"step": NUMBER, "log": st.booleans(), "when": WHEN}.items():
        if draw(st.integers(0, 2)) == 0:
            found[key] = draw(st.one_of(values, values, values, VALUE))
    return found


PARAMETER = st.one_of(
    SCALAR,
    st.lists(SCALAR, max_size=5),
    _range(),
    st.fixed_dictionaries({"values": st.lists(SCALAR, max_size=4)}, optional={"when": WHEN}),
    VALUE,
)


def _paths(tree: Tree, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = []
    for key, value in tree.items():
        found.append((*at, key))
        if isinstance(value, dict):
            found += _paths(value, (*at, key))
    return found


def _section(tree: Tree, path: tuple[Any, ...]) -> Tree:
    for key in path[:-1]:
        tree = tree[key]
    return tree


def _mutate(draw: Draw, tree: Tree) -> None:
    """One change of a study's content."""
    paths = _paths(tree)
    kind = draw(
        st.sampled_from(
            ["delete", "rename", "retype", "add", "swap", "move", "nest", "space", "space", "space", "tries", "number"]
        )
    )
    if kind == "space":
        section = tree.setdefault("space", {})
        if isinstance(section, dict):
            section[draw(NAME)] = draw(PARAMETER)
        return
    if kind == "add" or not paths:
        section = tree.setdefault(draw(st.sampled_from([*map(str, tree), "champion", "resources", "tracking"])), {})
        (section if isinstance(section, dict) else tree)[draw(KEY)] = draw(VALUE)
        return
    if kind == "tries":
        tries = draw(st.lists(st.dictionaries(NAME, VALUE, max_size=3), max_size=3))
        tree["search"] = {**(tree["search"] if isinstance(tree.get("search"), dict) else {}), "try": tries}
        return
    path = draw(st.sampled_from(paths))
    section, key = _section(tree, path), path[-1]
    if kind == "delete":
        del section[key]
    elif kind == "rename":
        section[draw(st.one_of(KEY, st.just(f"{key}s"), st.just(str(key).upper())))] = section.pop(key)
    elif kind == "retype":
        section[key] = draw(VALUE)
    elif kind == "number":
        section[key] = draw(NUMBER)
    elif kind == "nest":
        section[key] = draw(st.sampled_from([[section[key]], {"value": section[key]}, [[section[key]], section[key]]]))
    else:
        other = draw(st.sampled_from(paths))
        target, name = _section(tree, other), other[-1]
        if path[: len(other)] == other or other[: len(path)] == path:
            return
        if kind == "swap":
            section[key], target[name] = target[name], section[key]
        else:
            target[str(key)] = section.pop(key)


def _chain(count: int) -> str:
    lines = [f"p{i} = {{ values = [1, 2], when = {{ p{i - 1} = [1] }} }}" for i in range(1, count)]
    return "\n".join(["[space]", "p0 = [1, 2]", *lines])


def _entangled(count: int) -> str:
    switches = [f"s{i} = [true, false]" for i in range(count)]
    others = [
        f"d{i} = {{ values = [1, 2], when = {{ s{i} = [true], s{(i * 7) % count} = [true] }} }}" for i in range(count)
    ]
    return "\n".join(["[space]", *switches, *others])


BOMBS: tuple[Callable[[int], str], ...] = (
    lambda n: f"deep = {'[' * n}{']' * n}",
    lambda n: f"deep = {'{a = ' * n}1{'}' * n}",
    lambda n: f"{'.'.join(['a'] * n)} = 1",
    lambda n: f"[{'.'.join(['a'] * n)}]",
    lambda n: f"seed = {'9' * n}",
    lambda n: f"seed = 0x{'f' * n}",
    lambda n: f"seed = 1{'0' * n}.5",
    lambda n: f'[data]\nsource = "{"s" * n}"',
    lambda n: f"{'k' * n} = 1",
    lambda n: f"[space]\nunits = [{', '.join(map(str, range(1, n)))}]",
    lambda n: f"[space]\nunits = {{ values = [{'1.5, ' * n}] }}",
    lambda n: "[space]\n" + "\n".join(f"h{i} = {i}" for i in range(n)),
    lambda n: "\n".join(f"[t{i}]" for i in range(n)),
    lambda n: "[search]\ntry = [" + "{ units = {} }, " * n + "]",
    lambda n: "\n".join(f"[[search.try]]\nx{i} = 1" for i in range(n)),
    lambda n: _chain(min(n, 20_000)),
    lambda n: _entangled(min(n, 400)),
    lambda n: '"' * n,
    lambda n: "'" * n,
    lambda n: "#" * n,
    lambda n: "[" * n,
    lambda n: "a." * n,
    lambda n: f'x = """{chr(92)}{"q" * n}',
    lambda n: f"[space]\ndropout = {{ low = 0.0, high = 0.5, step = 1e-{n % 330} }}",
    lambda n: (
        f"[space]\nunits = {{ low = 1, high = {n}000000000 }}\n"
        f"activation = {{ values = ['relu'], when = {{ units = [{n}] }} }}"
    ),
    lambda n: f"[search]\ngrid_points = {n}",
    lambda n: f"[validation]\nrepeats = {n}",
)
"""Lines that cost more than they look like."""

SIZES = st.sampled_from([3, 19, 21, 64, 900, 999, 1_001, 3_000, 5_000, 20_000, 200_000, 400_000])


def written(tree: Tree) -> str:
    """A study's content as TOML."""
    plain = [f"{_key(key)} = {_value(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    for key, value in tree.items():
        if isinstance(value, dict):
            plain += [f"[{_key(key)}]", *(f"{_key(name)} = {_value(one)}" for name, one in value.items())]
    return "\n".join(plain) + "\n"


def _key(key: object) -> str:
    return _value(str(key))


def _value(value: object) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, str):
        return (
            '"'
            + "".join(one if one.isprintable() and one not in '"\\' else f"\\U{ord(one):08X}" for one in value)
            + '"'
        )
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)


def _disturb(draw: Draw, data: bytes) -> bytes:
    """One change of a file's bytes."""
    at = draw(st.integers(0, max(0, len(data) - 1)))
    noise = draw(
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff\xfe", b"\r\n", b"\x00", b'"', b"'''"]))
    )
    kind = draw(st.sampled_from(["insert", "replace", "cut", "drop", "double", "line", "utf-16", "bom"]))
    if kind == "insert":
        return data[:at] + noise + data[at:]
    if kind == "replace":
        return data[:at] + noise + data[at + len(noise) :]
    if kind == "cut":
        return data[:at]
    if kind == "drop":
        return data[:at] + data[at + draw(st.integers(1, 60)) :]
    if kind == "double":
        return data[:at] + data[max(0, at - draw(st.integers(1, 200))) :]
    if kind == "line":
        lines = data.split(b"\n")
        return b"\n".join([*lines, lines[at % len(lines)]])
    if kind == "utf-16":
        return data.decode("utf-8", "replace").encode("utf-16")
    return b"\xef\xbb\xbf" + data


@st.composite
def study_files(draw: Draw) -> bytes:
    """The bytes of a study file."""
    if draw(st.integers(0, 9)) == 0:
        line = draw(st.sampled_from(BOMBS))(draw(SIZES))
        text = draw(st.sampled_from(TEXTS))
        if line.startswith("[space]") and draw(st.booleans()):  # of one's own model, which may have any hyperparameter
            text = 'name = "x"\n[data]\nsource = "a.csv"\n[model]\nbuild = "a:b"\n[objective]\nmetric = "val_loss"\n'
            text += 'direction = "minimize"\n'
        # Its section instead of the file's own, so that it is read and not refused for being there twice.
        section, found, rest = text.partition(f"\n{line.partition(chr(10))[0]}\n")
        text = f"{section}\n{rest[rest.find(chr(10) + '[') :]}" if found else text
        text = f"{text}\n{line}\n" if draw(st.booleans()) or line.startswith("[") else f"{line}\n{text}"
        return text.encode()
    if draw(st.integers(0, 4)) == 0:
        data = draw(st.sampled_from(TEXTS)).encode()
    else:
        tree = deepcopy(draw(st.sampled_from(BASES)))
        for _ in range(draw(st.integers(1, 3))):
            _mutate(draw, tree)
        data = written(tree).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        data = _disturb(draw, data)
    return data
