"""Data and models that a Python program or a notebook has in memory, kept so that other processes can use them.

Both go into a folder of the workspace as a module that a study file can name: ``given_1a2b3c4d:data`` returns the rows,
mapped into memory, and ``given_1a2b3c4d:build`` is the build function. From there on, such a study is like any other:
workers, ``resume``, ``predict`` and MLflow's models find everything in that folder.
"""

import base64
import hashlib
import inspect
import pickle
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.files import write_atomically
from hpsearch.core.foreign import errors_as, said
from hpsearch.data.functions import parts_of_tf_data, plain_array, plain_frame
from hpsearch.errors import DataError, HpsearchError, ModelError

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("x", "y", "x_test", "y_test", "groups", "time")
"""What may be given, by the names of :func:`hpsearch.run`."""

_DATA = '''
from pathlib import Path


def data():
    """The rows, as they were given."""
    import numpy as np
    import pandas as pd

    folder = Path(__file__).parent
    parts = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    parts |= {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    return parts.pop("x") if set(parts) == {"x"} else parts
'''

_BUILD = """
from base64 import b85decode

from cloudpickle import loads

# What the function uses: packages that a model of this study requires.
{imports}

_model = loads(b85decode({pickled!r}))
build = _model["build"]
# Layers, losses and functions that Keras looks up by name when it loads a saved model.
globals().update(_model["names"])
"""


def keep(root: Path, build: object, parts: Mapping[str, object]) -> tuple[Path, str]:
    """Write what is given into a folder of its own. The same data and code have the same folder.

    Args:
        root: The workspace's folder for these.
        build: A build function, a ``HyperModel`` or its class; None without one.
        parts: Some of :data:`PARTS`; those that are None are left out.

    Returns:
        The folder, and the name of the module in it: with ``data`` if there are parts, with ``build`` if there is one.

    Raises:
        DataError: Something cannot be written as an array or a table.
        ModelError: The build function refers to what cannot be pickled.
        OSError: The folder cannot be written.
    """
    plain = dict(_plain(parts))
    digest = hashlib.sha256()
    for name, value in plain.items():
        digest.update(name.encode())
        _add(digest, value)
    if build is not None:
        for line in _told(build, set()):
            digest.update(line)
    module = f"given_{digest.hexdigest()[:12]}"
    folder = root / module
    if (folder / f"{module}.py").exists():
        return folder, module
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in plain.items():
        _write(folder, name, value)
    text = f'"""Written by hpsearch.run: a study needs this folder."""\n{_DATA * bool(plain)}'
    if build is not None:
        imports = "".join(f"import {name}\n" for name in _packages(build))
        text += _BUILD.format(pickled=base64.b85encode(_pickled(build)).decode(), imports=imports)
        if source := _source(build):
            write_atomically(folder / "build.txt", lambda path: path.write_text(source, encoding="utf-8"))
    # Last: a folder with its module is complete.
    write_atomically(folder / f"{module}.py", lambda path: path.write_text(text, encoding="utf-8"))
    return folder, module


def _plain(parts: Mapping[str, object]) -> Iterator[tuple[str, "np.ndarray | pd.DataFrame"]]:
    """Arrays, and tables of pandas."""
    given = {name: value for name, value in parts.items() if value is not None}
    for x, y in (("x", "y"), ("x_test", "y_test")):
        pair = parts_of_tf_data(given[x], x) if x in given else None
        if pair is None:
            continue
        if y in given:
            raise DataError(
                f"{x} is a tf.data.Dataset, which has the targets, but {y} is given, too",
                code="targets-twice",
                hint=f"leave {y} out",
                part=y,
            )
        given[x], given[y] = pair
    for name in PARTS:
        if name in given:
            frame = plain_frame(name, given[name]) if name in ("x", "x_test") else None
            yield name, plain_array(name, given[name]) if frame is None else frame


def _add(digest: "hashlib._Hash", value: "np.ndarray | pd.DataFrame") -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
        return
    import pandas as pd

    digest.update(repr([*value.dtypes.items()]).encode())
    digest.update(pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes())


def _write(folder: Path, name: str, value: "np.ndarray | pd.DataFrame") -> None:
    if isinstance(value, np.ndarray):
        write_atomically(folder / f"{name}.npy", lambda path: np.save(path, value, allow_pickle=False))
        return

    def explain(error: Exception) -> HpsearchError:
        return DataError(
            f"{name} cannot be kept as a table: {said(error)}",
            code="cannot-keep-table",
            hint="give every column one type: numbers, texts, booleans, dates or categories",
            part=name,
        )

    with errors_as(explain):
        write_atomically(folder / f"{name}.parquet", lambda path: value.to_parquet(path, index=False))


def _pickled(build: object) -> bytes:
    """The build function, with everything that it refers to in the notebook or the program."""
    import cloudpickle

    def explain(error: Exception) -> HpsearchError:
        return ModelError(
            f"{_name(build)} cannot be kept for the workers: {said(error)}",
            code="cannot-keep-build",
            hint="it must not refer to open files, sessions or locks; or put it into a module of its own",
            error=type(error).__name__,
        )

    module = inspect.getmodule(build if isinstance(build, FunctionType | type) else type(build))
    # A module beside the program is not there for workers and for later: its code is kept, not its name.
    own = module is not None and module.__name__ != "__main__" and not _is_installed(module)
    if own:
        assert module is not None
        cloudpickle.register_pickle_by_value(module)
    try:
        with errors_as(explain):
            pickled: bytes = cloudpickle.dumps({"build": build, "names": _referred(build)})
            return pickled
    finally:
        if own:
            assert module is not None
            cloudpickle.unregister_pickle_by_value(module)


def _is_installed(module: ModuleType) -> bool:
    """Whether workers find the module by its name: an installed package, Python's own, or hpsearch."""
    top = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None)
    return file is None or top in sys.stdlib_module_names or top == "hpsearch" or "site-packages" in Path(file).parts


def _referred(build: object) -> dict[str, object]:
    """Name → function or class of one's own that the build function needs, directly or through another one."""
    found: dict[str, object] = {}
    waiting: list[FunctionType | type] = [build if isinstance(build, FunctionType | type) else type(build)]
    while waiting:
        for function in _functions(waiting.pop()):
            for name, value in _outside(function).items():
                if name not in found and isinstance(value, FunctionType | type) and _is_ones_own(value):
                    found[name] = value
                    waiting.append(value)
    return found


def _packages(build: object) -> list[str]:
    """Installed packages that the build function uses: an MLflow model lists them as its requirements."""
    own: list[object] = [build if isinstance(build, FunctionType | type) else type(build), *_referred(build).values()]
    functions = [function for one in own if isinstance(one, FunctionType | type) for function in _functions(one)]
    used = [value for function in functions for value in _outside(function).values()]
    modules = [one.__name__ if isinstance(one, ModuleType) else str(getattr(one, "__module__", "")) for one in used]
    tops = {name.partition(".")[0] for name in modules}
    return sorted(name for name in tops - sys.stdlib_module_names if _is_package(name))


def _is_package(name: str) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and "site-packages" in Path(file).parts


def _functions(value: FunctionType | type) -> list[FunctionType]:
    if isinstance(value, FunctionType):
        return [value]
    return [one for one in vars(value).values() if isinstance(one, FunctionType)]


def _is_ones_own(value: object) -> bool:
    module = inspect.getmodule(value)
    return module is None or module.__name__ == "__main__" or not _is_installed(module)


def _outside(function: FunctionType) -> dict[str, object]:
    """Globals and closure of a function and of the functions inside it."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    found = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _told(value: object, seen: set[int]) -> Iterator[bytes]:
    """What tells a build function from another one: its code and all that it refers to, but not where it was typed."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, ModuleType):
        yield value.__name__.encode()
    elif isinstance(value, FunctionType | type) and not _is_ones_own(value):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif isinstance(value, FunctionType):
        for code in _codes(value.__code__):
            constants = [one for one in code.co_consts if not isinstance(one, CodeType)]
            yield repr((code.co_code, constants, code.co_names, code.co_varnames)).encode()
        yield repr((value.__defaults__, value.__kwdefaults__)).encode()
        for name, one in _outside(value).items():
            yield name.encode()
            yield from _told(one, seen)
    elif isinstance(value, type):
        for name, one in sorted(vars(value).items()):
            if isinstance(one, FunctionType) or not name.startswith("__"):
                yield name.encode()
                yield from _told(one, seen)
    elif _is_ones_own(type(value)) and hasattr(value, "__dict__"):
        yield from _told(type(value), seen)
        for name, one in sorted(vars(value).items()):
            yield name.encode()
            yield from _told(one, seen)
    else:
        try:
            yield pickle.dumps(value)
        except Exception:  # whatever a foreign object raises: it counts as of its kind
            yield repr(type(value)).encode()


def _source(build: object) -> str:
    """The text of the build function, for people; empty where there is none, as at Python's prompt."""
    try:
        return textwrap.dedent(inspect.getsource(build if isinstance(build, FunctionType | type) else type(build)))
    except (OSError, TypeError):
        return ""


def _name(build: object) -> str:
    return str(getattr(build, "__qualname__", type(build).__name__))
